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
    """Return what a text means that is a known word, or begins with one; the value itself when that is not clear.

    After the word may come what it is said of ("high risk") or, after a sign, why. A text that asks, denies, weighs, or names
    another word as well ("valid, but", "confirmed or refuted") is not understood, unless `meanings` has it as a whole.
    """
    items = cast("list[Any]", value) if isinstance(value, list) else [value]
    text = _LABEL.sub("", str(items[0]).lower().replace("\u2019", "'") if len(items) == 1 else "")
    tokens, signs = _TOKEN.findall(text), _TOKEN.split(text)
    length = next((length for length in (len(tokens), 3, 2, 1) if "_".join(tokens[:length]) in meanings), 0)
    if not length or "?" in text:
        return cast(Any, value)
    meaning, rest = meanings["_".join(tokens[:length])], tokens[length:]
    is_said = not rest or rest[0] in _SAID_OF or (signs[length].strip() != "" and signs[length] not in "-_")
    is_clear = not any(token in _DENIED or token.endswith("n't") or meanings.get(token, meaning) != meaning for token in rest)
    return meaning if is_said and is_clear else cast(Any, value)


_TOKEN = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)?")
_LABEL = re.compile(r"\A\W*(?:severity|confidence|verdict)\s*(?:[:=]|\bis\b)")
_SAID_OF = {"severity", "priority", "risk", "impact", "confidence", "level", "bug", "fault", "issue", "finding", "problem"}
_DENIED = {
    "not", "no", "non", "never", "none", "nothing", "cannot", "nor", "neither", "without", "hardly", "barely", "isnt", "doesnt", "cant",
    "wont", "false", "wrong", "negative", "unlikely", "but", "however", "although", "though", "except", "unless", "if", "maybe", "perhaps",
    "possibly",
}  # fmt: skip
"""Words that turn around or weigh what was said before them."""


def share(value: Any) -> float | None:
    """Return 0 to 1 for 0.8, 80, "80%" and "8/10"; None for other values and for a bare 8, which may be of ten or of a hundred."""
    number = None if isinstance(value, bool) else re.fullmatch(r"\s*(\d{1,9}(?:\.\d{1,9})?)\s*(%|/\s*100?)?\s*", str(value))
    if number is None:
        return None
    amount, unit = float(number[1]), (number[2] or "").replace(" ", "")
    if not unit and 1 < amount <= 10:
        return None
    found = amount if not unit and amount <= 1 else amount / (10 if unit == "/10" else 100)
    return found if found <= 1 else None
