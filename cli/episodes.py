"""Exported episodes, read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel, ConfigDict, ValidationError

from cli.output import WrongUse
from cli.reading import read_text

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

    path = "/dev/stdin" if file == "-" else file
    text = read_text(Path(path), "the export", MAX_BYTES)
    try:
        rows = cast("dict[str, Any]", json.loads(text))["episodes"]
    except (ValueError, KeyError, TypeError):
        raise WrongUse("parley memory import: that is not what `parley memory export` prints") from None
    found: list[NewEpisode] = []
    for number, row in enumerate(rows, 1):
        try:
            one = _Row.model_validate(row)
            given = one.model_dump(exclude={"episode_body", "created_at"})
            found.append(checked(NewEpisode.model_validate({**given, "body": one.episode_body, "at": one.created_at})))
        except (ValidationError, ValueError) as error:
            where = error.errors()[0]["loc"][-1] if isinstance(error, ValidationError) else error
            raise WrongUse(f"parley memory import: episode {number}: {where} is wrong") from None
    return found
