"""What a panel's answers come to: read from the synthesizer, and held against the answers it speaks of."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

from pydantic import Field, field_validator, model_validator

from conversation.messages import Frozen
from tools.bounds import cut
from tools.lenient import Written, known, share, words
from tools.panel import LETTERS, Position, anonymous
from tools.quotes import Quote, plain

Confidence = Literal["low", "medium", "high"]


class Agreement(Frozen):
    """What several answers say; `quotes` stand in the answers of `held_by`, word for word."""

    text: str
    held_by: tuple[str, ...]
    quotes: tuple[str, ...]


class Side(Frozen):
    """One side of a disagreement and who holds it; `quote` is empty when only the synthesizer says so."""

    position: str
    held_by: tuple[str, ...]
    quote: str = ""


class Disagreement(Frozen):
    text: str
    sides: tuple[Side, ...]


# --- what the synthesizer writes -----------------------------------------------------------------------------------


def _texts(value: Any) -> Any:
    """Return a list of texts from a text, a list of texts, or a list of objects that hold one."""
    items = cast("list[Any]", value) if isinstance(value, list) else [value]
    return [text for item in items if isinstance(text := _text(item), str)]


def _text(item: Any) -> Any:
    if isinstance(item, dict):
        fields = cast("dict[str, Any]", item)
        return next((fields[key] for key in ("quote", "text", "position", "name", "model") if isinstance(fields.get(key), str)), "")
    return item


class WrittenAgreement(Written):
    text: str
    held_by: list[str] = Field(default_factory=list)
    quotes: list[str] = Field(default_factory=list)

    _words = field_validator("text", mode="before")(words)
    _lists = field_validator("held_by", "quotes", mode="before")(_texts)


class WrittenSide(Written):
    position: str
    held_by: list[str] = Field(default_factory=list)
    quote: str = ""

    _words = field_validator("position", mode="before")(words)
    _lists = field_validator("held_by", mode="before")(_texts)

    @field_validator("quote", mode="before")
    @classmethod
    def _first(cls, value: Any) -> Any:
        return next(iter(_texts(value)), "")

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


class WrittenDisagreement(Written):
    text: str
    sides: list[WrittenSide] = Field(default_factory=list[WrittenSide])

    _words = field_validator("text", mode="before")(words)


class WrittenOutcome(Written):
    """The JSON object the synthesizer is asked for."""

    agreements: list[WrittenAgreement]
    disagreements: list[WrittenDisagreement] = Field(default_factory=list[WrittenDisagreement])
    recommendation: str = Field(pattern=r"\S")
    confidence: Confidence
    confidence_reason: str = ""

    _words = field_validator("recommendation", "confidence_reason", mode="before")(words)

    @field_validator("confidence", mode="before")
    @classmethod
    def _word(cls, value: Any) -> Any:
        part = share(value)
        if part is None:
            return known(value, _CONFIDENCES)
        return "high" if part >= 0.75 else "medium" if part >= 0.4 else "low"


_CONFIDENCES: Mapping[str, Confidence] = {
    "low": "low", "medium": "medium", "high": "high", "moderate": "medium", "very_high": "high", "very_low": "low",
}  # fmt: skip


# --- held against the answers --------------------------------------------------------------------------------------


class Evidence:
    """The answers of a panel, to hold what is said about them against. `dropped` counts what they do not bear out."""

    def __init__(self, positions: Mapping[str, Position], question: str) -> None:
        self._positions = positions
        self.dropped = 0
        self._question = plain(question)
        # The synthesizer saw the answers without names; what it copies is looked for there and in the answers as they were.
        self._said = {letter: {plain(one.text), plain(anonymous(one, question))} for letter, one in positions.items()}

    def holders_of(self, quote: str) -> set[str]:
        """Return the letters of the answers that bear the quote out; see tools.quotes."""
        wanted = Quote(quote, self._question)
        return {letter for letter, said in self._said.items() if any(map(wanted.stands_in, said))}

    def letters(self, named: Sequence[str]) -> set[str]:
        """Return the letters that names stand for: a letter, with or without a word before it, or a model's name."""
        names = [name[:_LONGEST_NAME] for name in named[:_MOST_NAMES]]
        return {letter for name in names for letter, one in self._positions.items() if _names(name, letter, one)}

    def names(self, letters: set[str]) -> tuple[str, ...]:
        """Return the models' names, in the panel's order."""
        return tuple(one.holder for letter, one in self._positions.items() if letter in letters)

    def agreements(self, written: Sequence[WrittenAgreement]) -> list[Agreement]:
        """Return the agreements that at least two answers bear out by quotes, each with those quotes and those holders."""
        return [found for one in written[:_MOST_STATEMENTS] if (found := self._agreement(one)) is not None]

    def disagreements(self, written: Sequence[WrittenDisagreement]) -> list[Disagreement]:
        """Return the disagreements of which at least two sides are somebody's."""
        return [found for one in written[:_MOST_STATEMENTS] if (found := self._disagreement(one)) is not None]

    def _agreement(self, written: WrittenAgreement) -> Agreement | None:
        quotes = list(dict.fromkeys(written.quotes))
        found = {quote: self.holders_of(quote) for quote in quotes[:_MOST_LOOKED_AT]}
        shown = set[str]().union(*found.values())
        claimed = self.letters(written.held_by)
        holders = shown & claimed if claimed else shown
        good = tuple(quote for quote, letters in found.items() if letters & holders)
        if len(holders) < 2 or not written.text.strip():
            self.dropped += 1
            return None
        self.dropped += len(quotes) - len(good)
        return Agreement(text=_fit(written.text), held_by=self.names(holders), quotes=tuple(_fit(quote) for quote in good[:_MOST_QUOTES]))

    def _disagreement(self, written: WrittenDisagreement) -> Disagreement | None:
        sides = [side for one in written.sides[:_MOST_SIDES] if (side := self._side(one)) is not None]
        if len(sides) < 2 or not written.text.strip():
            self.dropped += 1
            return None
        self.dropped += len(written.sides) - len(sides)
        return Disagreement(text=_fit(written.text), sides=tuple(sides))

    def _side(self, written: WrittenSide) -> Side | None:
        """Return a side with the holders its quote shows.

        Without a quote, or with one that stands in no answer of those said to hold it, it is only what the synthesizer says: it keeps
        their names and loses the quote, which the caller is told. A side of nobody is none.
        """
        claimed, shown = self.letters(written.held_by), self.holders_of(written.quote)
        holders = claimed & shown if claimed else shown
        if not (holders or claimed):
            return None
        return Side(position=_fit(written.position), held_by=self.names(holders or claimed), quote=_fit(written.quote) if holders else "")


def _names(name: str, letter: str, position: Position) -> bool:
    model = position.reply.model
    plain = name.strip().strip("[]()\"'`").lower()
    if plain in {model.name.lower(), model.id.lower(), model.provider, position.holder.lower(), position.seat.name.lower()}:
        return True
    return re.fullmatch(rf"(?:(?:answer|model|panelist|option)\s+)?{letter.lower()}", plain) is not None


_MOST_STATEMENTS = 12
_MOST_QUOTES = 8
_MOST_LOOKED_AT = 24
_MOST_NAMES, _LONGEST_NAME = 32, 300
_MOST_SIDES = 16
_LONGEST = 1_000


def _fit(text: str) -> str:
    """Return the text, cut at some length: one statement must not crowd out the others."""
    return cut(text, _LONGEST)

