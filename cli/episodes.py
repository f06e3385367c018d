"""Exported episodes, read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from cli.output import WrongUse
from cli.reading import read_source
from conversation.errors import InvalidInput

if TYPE_CHECKING:
    from graph.episodes import NewEpisode

MAX_BYTES = 500_000_000


class _Row(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)

    uuid: str
    name: str
    episode_body: str
    group_id: str
    source: str = "text"
    source_description: str = ""
    created_at: str = ""


def read_export(file: str) -> list[NewEpisode]:
    """Return the episodes of what `parley memory export` printed, all checked. Raises WrongUse naming what is wrong."""
    from graph.episodes import NewEpisode, checked

    rows = _rows(read_source(file, MAX_BYTES))
    found: list[NewEpisode] = []
    for number, row in enumerate(rows, 1):
        try:
            one = _Row.model_validate(row)
            given = one.model_dump(exclude={"episode_body", "created_at"})
            found.append(checked(NewEpisode.model_validate({**given, "body": one.episode_body, "at": one.created_at})))
        except ValidationError as error:
            row = error.errors()[0]
            where = row["loc"][-1] if row["loc"] else "it"
            raise WrongUse(f"parley memory import: episode {number}: {where}: {row['msg']}") from None
        except InvalidInput as error:
            raise WrongUse(f"parley memory import: episode {number}: {error.message}") from None
    return found


def _rows(raw: bytes) -> list[Any]:
    try:
        rows = cast("dict[str, Any]", json.loads(raw))["episodes"]
    except (ValueError, KeyError, TypeError):
        rows = None
    if not isinstance(rows, list):
        raise WrongUse("parley memory import: that is not what `parley memory export` prints")
    return cast("list[Any]", rows)
