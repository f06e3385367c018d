"""A panel: several models that answer the same question at the same time, each in a seat with a letter."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from conversation.errors import AllProvidersFailed, ContextTooLong, InvalidInput, ParleyError, ProviderError
from conversation.fences import answer_tags, cut_middle, defuse
from conversation.json_text import whole
from conversation.messages import Attempt, Usage
from conversation.tokens import estimate_tokens, fair_limit
from providers.base import ModelInfo
from providers.catalogue import AUTO, Catalogue
from providers.chain import Reply
from providers.names import family, served_as
from tools.app import Call
from tools.bounds import cut
from tools.texts import filled, text

T = TypeVar("T")
Stance = Literal["for", "against", "neutral"]

MOST_SEATS = 8
DEFAULT_SEATS = 4
LETTERS = "ABCDEFGH"


class Member(BaseModel):
    """A model, and the side it is to argue."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    stance: Stance | None = None
    stance_prompt: Annotated[str | None, Field(max_length=2_000, description="The side to argue, in your words")] = None


def _named(given: Any) -> Any:
    return {"model": given} if isinstance(given, str) else given


Members = list[Annotated[Member, BeforeValidator(_named, json_schema_input_type=str | Member)]]
"""Models by name, or with a stance."""


@dataclass(frozen=True, slots=True)
class Seat:
    """One place of the panel: its letter, the models that may take it in order, none of them another's, the side it argues."""

    letter: str
    routes: tuple[ModelInfo, ...]
    stance: Stance | None = None
    stance_prompt: str | None = None

    @property
    def name(self) -> str:
        """The exact name of the model that is asked first."""
        return self.routes[0].name

    @property
    def side(self) -> str:
        """The side it is to argue, empty when it speaks for itself."""
        return ": ".join(part for part in (self.stance if self.stance != "neutral" else None, self.stance_prompt) if part)

    def system(self, base: str) -> str:
        """Return the system prompt with what the seat's stance asks and forbids."""
        asked = [text(f"stance_{self.stance}")] if self.stance else []
        asked += [filled("stance_own", side=self.stance_prompt)] if self.stance_prompt else []
        return "\n\n".join((base, *asked, *([text("stance_guard")] if asked else ())))


@dataclass(frozen=True, slots=True)
class Position:
    """What a seat answered, and which model did."""

    seat: Seat
    reply: Reply
    before: Usage | None = None
    """What its answers in earlier rounds took."""
    round: int = 1
    """In which it answered."""

    @property
    def usage(self) -> Usage:
        """What its answers of all rounds took."""
        return self.reply.usage if self.before is None else self.before.plus(self.reply.usage)

    @property
    def text(self) -> str:
        return whole(self.reply.answer.text)

    @property
    def holder(self) -> str:
        """The exact name of the model, with its side when it argues one."""
        name, side = self.reply.model.name, self.seat.side
        return f"{name} ({cut(side, 60)})" if side else name


@dataclass(frozen=True, slots=True)
class Failure:
    """A seat that gave no answer, and why."""

    seat: Seat
    error: ParleyError

    @property
    def model(self) -> ModelInfo:
        """The model that failed last."""
        tried = {f"{one.provider}/{one.model}" for one in self.error.attempts[-1:]}
        return next((one for one in self.seat.routes if one.name in tried), self.seat.routes[0])


def seats(catalogue: Catalogue, models: Sequence[Member] | None) -> tuple[Seat, ...]:
    """Return the panel for the models named; without any, each configured provider's default, at most four, and no model twice.

    Raises InvalidInput for an empty list, too many, or one model twice with one stance; UnknownModel and NotConfigured for names.
    """
    if models is None:
        return tuple(Seat(letter, (one,)) for letter, one in zip(LETTERS, _defaults(catalogue)[:DEFAULT_SEATS], strict=False))
    if not 1 <= len(models) <= MOST_SEATS:
        raise InvalidInput(f"models names {len(models)} models; a panel has 1 to {MOST_SEATS}.", hint="Leave models out for the defaults.")
    found: dict[tuple[str, str], Seat] = {}
    for letter, member in zip(LETTERS, models, strict=False):
        seat = Seat(letter, catalogue.routes(member.model), member.stance, _wording(member))
        if (seat.name, seat.side) in found:
            hint = "Name it once, or give each a stance of its own."
            raise InvalidInput(f"models: {seat.name} is there twice with one stance.", hint=hint)
        found[seat.name, seat.side] = seat
    return _apart(tuple(found.values()))


def _defaults(catalogue: Catalogue) -> list[ModelInfo]:
    """Return each provider's default; for one that an earlier provider's is too, its next model of another family, if it has one."""
    chosen: list[ModelInfo] = []
    for default in catalogue.routes(AUTO):
        held = {served_as(one.id) for one in chosen}
        listed = [one for one in catalogue.models(default.provider) if one.source != "live" and not one.cheap]
        others = [one for one in listed if family(one.id) != family(default.id)]
        ours = [default] if served_as(default.id) not in held else [one for one in others if served_as(one.id) not in held]
        families = {family(one.id) for one in chosen}
        chosen += sorted(ours, key=lambda one: family(one.id) in families)[:1]
    return chosen


def twice(positions: Iterable[Position]) -> list[list[Position]]:
    """Return the positions that one model holds on one side, served by several providers."""
    found: dict[tuple[str, str], list[Position]] = {}
    for one in positions:
        found.setdefault((served_as(one.reply.model.id), one.seat.side), []).append(one)
    return [same for same in found.values() if len(same) > 1]


def _apart(panel: Sequence[Seat]) -> tuple[Seat, ...]:
    """Return the seats with models that only they may fail over to: one model in two seats of a side would agree with itself.

    What a seat asks first is its own; the rest goes round. A seat may come to have nothing to fail over to, and then fails.
    """
    holders: dict[tuple[str, str], set[str]] = {}
    kept: dict[str, list[ModelInfo]] = {seat.letter: [] for seat in panel}
    for rank in range(max(len(seat.routes) for seat in panel)):
        for seat in panel:
            for model in seat.routes[rank : rank + 1]:
                held = [holders.setdefault((name, seat.side), set()) for name in (model.name, served_as(model.id))]
                if rank == 0 or all(not letters or seat.letter in letters for letters in held):
                    kept[seat.letter].append(model)
                    for letters in held:
                        letters.add(seat.letter)
    return tuple(replace(seat, routes=tuple(kept[seat.letter])) for seat in panel)


def _wording(member: Member) -> str | None:
    return (member.stance_prompt or "").strip() or None


async def gathered(
    call: Call, panel: Sequence[Seat], ask: Callable[[Seat], Awaitable[Reply]], *, doing: str
) -> tuple[dict[str, Position], list[Failure]]:
    """Ask every seat at once and return the positions by letter, and who failed. A cancelled call cancels them all.

    Only errors of ours count as a seat's failure; a defect ends the call.
    """
    positions: dict[str, Position] = {}
    failures: list[Failure] = []

    def tell() -> None:
        waiting = [seat.name for seat in panel if seat.letter not in positions and seat not in [one.seat for one in failures]]
        answered = ", ".join(seat.name for seat in panel if seat.letter in positions) or "nobody yet"
        call.say(f"{doing}: {len(positions)} of {len(panel)} answered ({answered}); waiting for {', '.join(waiting) or 'nobody'}")

    async def one(seat: Seat) -> None:
        try:
            positions[seat.letter] = Position(seat, await ask(seat))
        except ParleyError as error:
            failures.append(Failure(seat, error))
        tell()

    tell()
    await together(one(seat) for seat in panel)
    return {seat.letter: positions[seat.letter] for seat in panel if seat.letter in positions}, failures


async def together(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Return what all of them return; when one raises, or the caller is cancelled, the others are stopped first."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def nobody(failures: Sequence[Failure]) -> ParleyError:
    """Return the error for a panel in which nobody answered: the one there is when all failed in one way, else one that tells all ways."""
    attempts: list[Attempt] = [attempt for one in failures for attempt in one.error.attempts]
    ways = {(one.model.name, one.error.code): one.error for one in failures}
    if len({code for _, code in ways}) == 1 and (len(ways) == 1 or not isinstance(failures[0].error, ProviderError | AllProvidersFailed)):
        error = failures[0].error
        error.attempts = tuple(attempts)
        return error
    if all(isinstance(error, ContextTooLong) for error in ways.values()):
        return failures[0].error
    waits = [error.retry_after for error in ways.values() if error.retry_after is not None]
    return AllProvidersFailed(
        f"None of {len({name for name, _ in ways})} models answered: {'; '.join(error.message for error in ways.values())}",
        retryable=any(error.retryable for error in ways.values()),
        attempts=attempts,
        retry_after=min(waits, default=None),
    )


_BLANKS = "\u2800\u3164\uffa0\u115f\u1160"
_LEAST_SHOWN = 64
_FENCE_TOKENS = 32
_LONGEST_SIDE = 200


# --- answers laid side by side -------------------------------------------------------------------------------------


def side_by_side(positions: Mapping[str, Position], question: str, tokens: int) -> str:
    """Return the answers in fences under their letters, without their authors' names, in about `tokens` together.

    Each may take as much as all of them can: what short ones leave free is the long ones'.
    """
    costs = [estimate_tokens(anonymous(one, question)) for one in positions.values()]
    limit = max(_LEAST_SHOWN, fair_limit(costs, tokens - _FENCE_TOKENS * len(costs)))
    return "\n\n".join(fenced(one, question, limit) for one in positions.values())


def fenced(position: Position, question: str, limit: float = math.inf) -> str:
    """Return one answer as it is shown to other models, its words cut in the middle to a limit in tokens."""
    words = anonymous(position, question)
    words = cut_middle(words, int(limit)) if estimate_tokens(words) > limit else words
    before, after = answer_tags(position.seat.letter, cut(position.seat.side, _LONGEST_SIDE))
    return f"{before}{defuse(words) or '(no text)'}{after}"


def says_something(words: str) -> bool:
    """Tell whether there is more than what cannot be seen: spaces, and signs such as the zero width space."""
    return any(char.isprintable() and not char.isspace() and char not in _BLANKS for char in words)


def anonymous(position: Position, question: str) -> str:
    """Return the answer with the model's own exact names replaced by its letter, unless the question is about them."""
    model = position.reply.model
    words = position.text
    for name in (model.name, model.id):
        if name.lower() not in question.lower():
            words = re.sub(rf"(?<![\w/.-]){re.escape(name)}(?![\w/-])", f"[{position.seat.letter}]", words, flags=re.IGNORECASE)
    return words
