"""A panel at work: its rounds, and what its answers come to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from conversation.errors import ParleyError
from conversation.messages import Frozen, Usage, Warned
from conversation.threads import NewTurn, Turn
from conversation.tokens import estimate_tokens
from providers.base import ModelInfo
from providers.causes import failure
from providers.chain import Reply
from tools.app import Call
from tools.asking import SYSTEM
from tools.bodies import Bodies
from tools.bounds import cut
from tools.condensing import Condenser
from tools.lettering import with_names
from tools.panel import Failure, Position, Seat, fenced, gathered, nobody, says_something, side_by_side, twice
from tools.past import Past
from tools.structured import Structured, ask_structured, continued
from tools.synthesis import Agreement, Confidence, Disagreement, Evidence, WrittenOutcome
from tools.texts import filled, text

_ONE = "Only one model answered, so there is nothing to compare it with."
_ASKED = "[The question, which stands in full in the next message.]"
_LONGEST_REASON = 2_000
_COMPARE = "Compare the answers yourself."


class FailedMember(Frozen):
    """A model that gave no answer, or none in a later round."""

    seat: str
    """Its letter, by which answers of later rounds speak of it."""
    model: str
    provider: str
    code: str
    message: str
    round: int = 1
    """In which it failed first; after the first round an answer of another round stands."""


@dataclass(slots=True)
class Outcome:
    """What a panel came to. `judge` is the model that compared the answers, None when none did."""

    positions: Sequence[Position]
    failed: Sequence[FailedMember]
    warnings: list[Warned]
    usage: Usage
    agreements: Sequence[Agreement] = ()
    disagreements: Sequence[Disagreement] = ()
    recommendation: str = _COMPARE
    confidence: Confidence = "low"
    reason: str = "Nobody compared the answers."
    judge: ModelInfo | None = None
    judge_usage: Usage | None = None

    @property
    def turns(self) -> list[NewTurn]:
        """The exchange's answers: each position, then the outcome."""
        provider, model = (self.judge.provider, self.judge.id) if self.judge else (None, None)
        told = NewTurn(
            role="assistant",
            content=self.told(),
            tool="consensus",
            provider=provider,
            model=model,
            usage=self.judge_usage,
            meta={"outcome": True},
        )
        return [*map(_position_turn, self.positions), told]

    def told(self) -> str:
        """The outcome as text, for the thread."""
        names = {one.seat: f"{one.provider}/{one.model}" for one in self.failed}
        names |= {one.seat.letter: one.holder for one in self.positions}
        lines = [f"Outcome of the panel of {', '.join(f'{letter}: {names[letter]}' for letter in sorted(names))}."]
        for one in self.agreements:
            quotes = "; ".join(f'"{quote}"' for quote in one.quotes)
            lines.append(f"Agreed by {', '.join(one.held_by)}: {one.text} ({quotes})")
        for one in self.disagreements:
            sides = "; ".join(f"{', '.join(side.held_by)}: {side.position}" for side in one.sides)
            lines.append(f"Disputed: {one.text} {sides}")
        lines.append(f"Recommendation: {self.recommendation}")
        lines.append(f"Confidence: {self.confidence}. {self.reason}".strip())
        lines += [f"No answer from {one.provider}/{one.model}: {one.code}." for one in self.failed if one.round == 1]
        return "\n".join(lines)


def _position_turn(one: Position) -> NewTurn:
    model = one.reply.model
    stance = {"stance": one.seat.side} if one.seat.side else {}
    return NewTurn(
        role="assistant",
        content=one.text,
        tool="consensus",
        provider=model.provider,
        model=model.id,
        usage=one.usage,
        meta={"seat": one.seat.letter, **stance},
    )


@dataclass(slots=True)
class Session:
    """One panel over one question. `asked` is the question with its files, `history` the thread before it."""

    call: Call
    asked: NewTurn
    history: Sequence[Turn]
    panel: Sequence[Seat]
    judges: Sequence[ModelInfo]
    condenser: Condenser
    deadline_s: float | None = None
    past: Past | None = None
    usage: Usage = field(default_factory=lambda: Usage(cost_usd=0.0))
    warnings: list[Warned] = field(default_factory=list[Warned])
    failures: dict[str, tuple[int, Failure]] = field(default_factory=dict[str, tuple[int, Failure]])
    """By seat, the first it had, and in which round."""

    async def run(self, rounds: int) -> Outcome:
        """Hold the rounds and compare what is said in the last. Raises ParleyError when nobody answers.

        A model that fails in the first round is out; in a later one its earlier answer stands.
        """
        positions, failures = await self._round(1, self.panel, {})
        if not positions:
            raise nobody(failures)
        for number in range(2, rounds + 1):
            if len(positions) > 1:
                answered, _ = await self._round(number, [one.seat for one in positions.values()], positions)
                positions = {**positions, **answered}
        return await self._compared(positions)

    async def _round(
        self, number: int, panel: Sequence[Seat], held: Mapping[str, Position]
    ) -> tuple[dict[str, Position], list[Failure]]:
        bodies = {seat.letter: self._bodies(seat, held) for seat in panel}

        async def ask(seat: Seat) -> Reply:
            before = held.get(seat.letter)
            routes = seat.routes if before is None else tuple(dict.fromkeys((before.reply.model, *seat.routes)))
            reply = await self.call.app.chain.ask(routes, bodies[seat.letter].prepare, deadline_s=self.deadline_s)
            self.usage = self.usage.plus(reply.usage)
            if not says_something(reply.answer.text):
                raise failure("empty", "the answer has no text", provider=reply.model.provider, model=reply.model.id)
            return reply

        positions, failures = await gathered(self.call, panel, ask, doing=f"round {number}")
        earlier = {letter: one.usage for letter, one in held.items()}
        positions = {letter: replace(one, before=earlier.get(letter), round=number) for letter, one in positions.items()}
        for letter, one in positions.items():
            self.warnings += [_of(one.reply.model, warning) for warning in bodies[letter].warnings(one.reply)]
            others = {other: shown for other, shown in held.items() if other != letter}
            self.warnings += [_of(one.reply.model, warning) for warning in self._cut(bodies[letter], one.reply.model, others)]
        for one in failures:
            self.failures.setdefault(one.seat.letter, (number, one))
        return positions, failures

    def _bodies(self, seat: Seat, held: Mapping[str, Position]) -> Bodies:
        """Return the request for one seat: the question alone at first, later also its own answer and the others'."""
        own = held.get(seat.letter)
        system = seat.system(f"{SYSTEM}\n\n{text('consensus_seat' if own is None else 'consensus_again')}")
        if own is None:
            made = Bodies(self.call, self.asked.content, system, self.history, self.asked.attachments)
        else:
            others = {letter: one for letter, one in held.items() if letter != seat.letter}
            said = _position_turn(own).model_copy(update={"meta": None})  # its own words, whichever side they argue
            prompt = self._prompt("consensus_round", others, own, letter=seat.letter)
            before = NewTurn(role="user", content=_ASKED, tool="consensus")
            made = Bodies(self.call, prompt, system, continued(self.history, before, said), self.asked.attachments)
        made.condenser, made.past, made.quiet = self.condenser, self.past, True
        return made

    def _prompt(self, name: str, shown: Mapping[str, Position], own: Position | None = None, **values: str) -> Callable[[int], str]:
        """Return what makes a request with the question whole, and answers in the room that leaves.

        Files and the seat's own answer, which are sent beside it, get their part of it, but no more than half of what answers would have.
        """
        question = self.asked.content
        beside = [item.content for item in self.asked.attachments if item.kind == "text"] + ([own.text] if own else [])

        def prompt(tokens: int) -> str:
            free = tokens - estimate_tokens(filled(name, question=question, answers="", **values))
            wanted = sum(map(estimate_tokens, beside)) - tokens // 3  # a third on top of the prompt is theirs anyway
            room = max(free // 2, free - max(0, wanted))
            return filled(name, question=question, answers=side_by_side(shown, question, room), **values)

        return prompt

    def _cut(self, bodies: Bodies, model: ModelInfo, shown: Mapping[str, Position]) -> list[Warned]:
        """Return the warning of answers that a model was not shown in full, if there are any."""
        sent = "".join(block.get("text", "") for block in bodies.windows[model.name].messages[-1]["content"])
        short = [letter for letter, one in shown.items() if fenced(one, self.asked.content) not in sent]
        told = f"Cut to fit the model's window: the answers of {', '.join(short)}."
        return [Warned(code="truncated", message=told)] if short else []

    async def _compared(self, positions: Mapping[str, Position]) -> Outcome:
        """Return the outcome: the synthesizer's, as far as it holds, or what can be said without one."""
        failed = [_failed(one, number, positions.get(one.seat.letter)) for number, one in self.failures.values()]
        made = Outcome(list(positions.values()), failed, self.warnings, self.usage)
        if len(positions) == 1:
            made.recommendation, made.reason = f"See the answer of {made.positions[0].reply.model.name}.", _ONE
            self.warnings.append(Warned(code="single_answer", message=_ONE))
            return made
        for same in twice(positions.values()):
            message = f"{' and '.join(one.holder for one in same)} are one model: that they agree says little."
            self.warnings.append(Warned(code="unsupported_claim", message=message))
        self.call.say(f"comparing {len(positions)} answers")
        try:
            found = await self._synthesis(positions)
        except ParleyError as error:
            message = f"No model compared the answers: {self.call.app.scrub(error.message)}"
            self.warnings.append(Warned(code="no_synthesis", message=message))
            return made
        made.judge, made.judge_usage, made.usage = found.model, found.usage, self.usage.plus(found.usage)
        await asyncio.to_thread(_judged, made, found, positions, self.asked.content)
        return made

    async def _synthesis(self, positions: Mapping[str, Position]) -> Structured[WrittenOutcome]:
        prompt = self._prompt("synthesis", positions)
        system = text("synthesizer")
        bodies = Bodies(
            self.call, prompt, system, self.history, self.asked.attachments, condenser=self.condenser, past=self.past, quiet=True
        )
        found = await ask_structured(bodies, self.judges, WrittenOutcome, deadline_s=self.deadline_s)
        left_out = [*bodies.windows[found.model.name].warnings, *self._cut(bodies, found.model, positions)]
        self.warnings += [_of(found.model, one, "comparing") for one in left_out]
        return found


def _unlettered(made: Outcome, positions: Mapping[str, Position], question: str) -> None:
    """Put the holders' names for letters that mean an answer. Answers of later rounds use the letters in the same sense."""
    names = {letter: one.holder for letter, one in positions.items()}
    used = [question, *(one.text for one in positions.values() if one.before is None)]

    def named(words: str) -> str:
        return with_names(words, names, used)

    made.recommendation, made.reason = named(made.recommendation), named(made.reason)
    made.agreements = [one.model_copy(update={"text": named(one.text)}) for one in made.agreements]
    made.disagreements = [
        Disagreement(
            text=named(one.text), sides=tuple(side.model_copy(update={"position": named(side.position)}) for side in one.sides)
        )
        for one in made.disagreements
    ]


def _judged(made: Outcome, found: Structured[WrittenOutcome], positions: Mapping[str, Position], question: str) -> None:
    _judge(made, found, positions, question)
    _unlettered(made, positions, question)


def _judge(made: Outcome, found: Structured[WrittenOutcome], positions: Mapping[str, Position], question: str) -> None:
    """Put into the outcome what the synthesizer says and the answers bear out."""
    written = found.value
    if written is None:
        made.recommendation, made.reason = found.prose or _COMPARE, "The comparison came as prose."
        message = f"{found.model.name} compared the answers in prose; nothing in it was checked."
        made.warnings.append(Warned(code="prose_review", message=message))
        return
    evidence = Evidence(positions, question)
    made.agreements, made.disagreements = evidence.agreements(written.agreements), evidence.disagreements(written.disagreements)
    made.recommendation, made.confidence = written.recommendation, written.confidence
    made.reason = cut(written.confidence_reason, _LONGEST_REASON)
    if evidence.dropped:
        message = f"{evidence.dropped} of what {found.model.name} says of the answers was dropped: no quote for it stands in them."
        made.warnings.append(Warned(code="unsupported_claim", message=message))
    unquoted = sum(not side.quote for one in made.disagreements for side in one.sides)
    if unquoted:
        message = f"{unquoted} sides of disagreements have no quote that stands: that somebody takes them is what {found.model.name} says."
        made.warnings.append(Warned(code="unsupported_claim", message=message))


def _failed(one: Failure, number: int, position: Position | None) -> FailedMember:
    said = one.error.message
    if position is not None:
        said = f"in round {number}, so its answer of round {position.round} stands: {said}"
    seat, model = one.seat.letter, one.model
    return FailedMember(seat=seat, model=model.id, provider=model.provider, code=one.error.code, message=said, round=number)


def _of(model: ModelInfo, warning: Warned, doing: str = "") -> Warned:
    return warning.model_copy(update={"message": f"{' '.join((model.name, doing)).strip()}: {warning.message}"})
