"""How what models write is read: forgiving about the form, since the content was paid for."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Self, TypeVar, cast

from pydantic import BaseModel, ConfigDict, model_validator

W = TypeVar("W", bound=str)


class Written(BaseModel):
    """The base of shapes that models fill in: keys nobody asked for are passed over, and null says nothing."""

    model_config = ConfigDict(extra="ignore")

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {key: given for key, given in cast("dict[str, Any]", value).items() if given is not None}

    @classmethod
    def joined(cls, several: Sequence[Any]) -> Self | None:
        """Return what several in one answer say together; None for shapes of which only one can be meant."""
        return None

    @classmethod
    def has_pieces(cls, text: str) -> bool:
        """Tell whether an answer that broke off holds pieces that count without the rest."""
        return False


def words(value: Any) -> Any:
    """Return text for whatever stands where text belongs: the lines of a list, an object as JSON, a number in digits."""
    if isinstance(value, list):
        return "\n".join(str(words(item)) for item in cast("list[Any]", value))
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return value if isinstance(value, str) or value is None else str(value)


def known(value: Any, meanings: Mapping[str, W]) -> Any:
    """Return what the first known word of a text means; the value itself when it holds none."""
    text = " ".join(map(str, cast("list[Any]", value))) if isinstance(value, list) else str(value)
    found = re.findall(r"[a-z]+(?:[ _-][a-z]+)?|[a-z]+", text.lower())
    tried = [word.replace("-", "_").replace(" ", "_") for word in found] + re.findall(r"[a-z]+", text.lower())
    return next((meanings[word] for word in tried if word in meanings), cast(Any, value))
