"""What a panel's answers come to: read from the synthesizer, and held against the answers it speaks of."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from conversation.messages import Frozen
from tools.panel import LETTERS, Position, anonymous

Confidence = Literal["low", "medium", "high"]


class Agreement(Frozen):
    """What several answers say; `quotes` stand in the answers of `held_by`, word for word."""

    text: str
    held_by: tuple[str, ...]
    quotes: tuple[str, ...]


class Side(Frozen):
    """One side of a disagreement and who holds it."""

    position: str
    held_by: tuple[str, ...]
    quote: str = ""


class Disagreement(Frozen):
    text: str
    sides: tuple[Side, ...]


# --- what the synthesizer writes -----------------------------------------------------------------------------------


class _Read(BaseModel):
    model_config = ConfigDict(extra="ignore")


def _texts(value: Any) -> Any:
    """Return a list of texts from a text, a list of texts, or a list of objects that hold one."""
    items = cast("list[Any]", value) if isinstance(value, list) else [] if value is None else [value]
    return [_text(item) for item in items]


def _text(item: Any) -> Any:
    if isinstance(item, dict):
        fields = cast("dict[str, Any]", item)
        return next((fields[key] for key in ("quote", "text", "position", "name", "model") if isinstance(fields.get(key), str)), "")
    return item


class WrittenAgreement(_Read):
    text: str
    held_by: list[str] = Field(default_factory=list)
    quotes: list[str] = Field(default_factory=list)

    _lists = field_validator("held_by", "quotes", mode="before")(_texts)


class WrittenSide(_Read):
    position: str
    held_by: list[str] = Field(default_factory=list)
    quote: str = ""

    _lists = field_validator("held_by", mode="before")(_texts)

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        """Take `A, B: a position` as well, and other keys for the same things."""
        if isinstance(value, str):
            who, colon, position = value.partition(":")
            letters = re.findall(rf"\b[{LETTERS}]\b", who) if colon and len(who) < 40 else []
            return {"position": position.strip() if letters else value, "held_by": letters}
        if isinstance(value, dict) and "position" not in value:
            fields = cast("dict[str, Any]", value)
            return {**fields, "position": next((fields[key] for key in ("text", "view", "claim") if key in fields), None)}
        return cast(Any, value)


class WrittenDisagreement(_Read):
    text: str
    sides: list[WrittenSide] = Field(default_factory=list[WrittenSide])


class Written(_Read):
    """The JSON object the synthesizer is asked for."""

    agreements: list[WrittenAgreement]
    disagreements: list[WrittenDisagreement] = Field(default_factory=list[WrittenDisagreement])
    recommendation: str = Field(min_length=1)
    confidence: Confidence
    confidence_reason: str = ""

    @field_validator("confidence", mode="before")
    @classmethod
    def _word(cls, value: Any) -> Any:
        if isinstance(value, int | float) and not isinstance(value, bool):
            share = value if value <= 1 else value / 100
            return "high" if share >= 0.75 else "medium" if share >= 0.4 else "low"
        return value.strip().lower() if isinstance(value, str) else value


# --- held against the answers --------------------------------------------------------------------------------------


class Evidence:
    """The answers of a panel, to look quotes and holders up in."""

    def __init__(self, positions: Mapping[str, Position], question: str) -> None:
        self._positions = positions
        # The synthesizer saw the answers without names; what it copies is looked for there and in the answers as they were.
        self._plain = {letter: f"{_plain(one.text)}\n{_plain(anonymous(one, question))}" for letter, one in positions.items()}

    def holders_of(self, quote: str) -> set[str]:
        """Return the letters of the answers in which the quote stands, forgiving spacing, letter case and typographic signs."""
        wanted = _plain(quote).strip(" .\u2026\"'`*")
        return {letter for letter, said in self._plain.items() if wanted and wanted in said}

    def letters(self, named: Sequence[str]) -> set[str]:
        """Return the letters that names stand for: a letter, with or without a word before it, or a model's name."""
        return {letter for name in named for letter, one in self._positions.items() if _names(name, letter, one)}

    def names(self, letters: set[str]) -> tuple[str, ...]:
        """Return the models' names, in the panel's order."""
        return tuple(one.holder for letter, one in self._positions.items() if letter in letters)

    def agreement(self, written: WrittenAgreement) -> Agreement | None:
        """Return the agreement with the quotes that stand in answers and the holders they show; None when there is none."""
        found = {quote: self.holders_of(quote) for quote in written.quotes}
        shown = set[str]().union(*found.values())
        claimed = self.letters(written.held_by)
        holders = shown & claimed if claimed else shown
        quotes = tuple(quote for quote, letters in found.items() if letters & holders)
        return Agreement(text=written.text, held_by=self.names(holders), quotes=quotes) if quotes and written.text.strip() else None

    def disagreement(self, written: WrittenDisagreement) -> Disagreement | None:
        """Return the disagreement with the sides somebody takes; None when nobody does."""
        sides = [side for one in written.sides if (side := self._side(one)) is not None]
        return Disagreement(text=written.text, sides=tuple(sides)) if sides and written.text.strip() else None

    def _side(self, written: WrittenSide) -> Side | None:
        claimed, shown = self.letters(written.held_by), self.holders_of(written.quote)
        holders = claimed & shown if claimed and written.quote.strip() else claimed or shown
        if not holders:
            return None
        return Side(position=written.position, held_by=self.names(holders), quote=written.quote)


def _names(name: str, letter: str, position: Position) -> bool:
    model = position.reply.model
    plain = name.strip().strip("[]()\"'`").lower()
    if plain in {model.name.lower(), model.id.lower(), model.provider, position.holder.lower(), position.seat.name.lower()}:
        return True
    return re.fullmatch(rf"(?:(?:answer|model|panelist|option)\s+)?{letter.lower()}", plain) is not None


_SIGNS = str.maketrans("\u2018\u2019\u201c\u201d\u2013\u2014", "''\"\"--", "*`_")


def _plain(words: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", words).translate(_SIGNS).casefold().split())
