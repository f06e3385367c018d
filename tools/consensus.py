"""The tool consensus: several models asked at once, then what their answers come to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from conversation.messages import Frozen, Usage, Warned
from conversation.threads import NewTurn, Turn
from conversation.tokens import fair_limit
from providers.catalogue import AUTO
from tools.app import App, Call
from tools.asking import ContinuationId, Files, Prompt, checked, condenser, standing
from tools.bounds import cut, fitting, json_tokens, read_on
from tools.deliberation import FailedMember, Outcome, Session
from tools.panel import Members, seats
from tools.recording import recording
from tools.registry import tool
from tools.results import OmitEmpty, Result
from tools.synthesis import Agreement, Confidence, Disagreement

_SHORT = 150
_MOST_WARNINGS = 30
_CUT_TOKENS = 250
"""What the two notes that an answer was cut may take."""


class PanelAnswer(Frozen):
    """What one model answered at the end; `turn` is its number in the thread."""

    seat: str
    """Its letter, by which answers of later rounds and those who compare speak of it."""
    model: str
    provider: str
    stance: str | None
    content: str
    usage: Usage
    turn: Annotated[int | None, OmitEmpty] = None


class ConsensusAnswer(Result):
    """Every position, and what they come to. Without continuation_id it was not saved; warnings say so."""

    answers: tuple[PanelAnswer, ...]
    agreements: tuple[Agreement, ...] = ()
    disagreements: tuple[Disagreement, ...] = ()
    recommendation: str
    confidence: Confidence
    confidence_reason: str
    synthesizer: Annotated[str | None, OmitEmpty] = None
    failed: tuple[FailedMember, ...] = ()
    continuation_id: Annotated[str | None, OmitEmpty] = None
    turn: Annotated[int | None, OmitEmpty] = None
    usage: Usage
    warnings: tuple[Warned, ...] = ()


@tool(title="Ask several models and compare their answers", read_only=True, open_world=True)
async def consensus(
    call: Call,
    prompt: Prompt,
    models: Annotated[Members | None, Field(description="Up to 8, also with stances (default: one per provider)")] = None,
    rounds: Annotated[int, Field(ge=1, le=3, description="In rounds 2 and 3 each sees the others' answers, unnamed, and answers anew")] = 1,
    synthesizer: Annotated[str | None, Field(description="Model that compares the answers")] = None,
    files: Files = [],  # noqa: B006 - pydantic copies it for each call
    continuation_id: ContinuationId = None,
    deadline_s: Annotated[float | None, Field(gt=0, description="Seconds each model has for each answer")] = None,
) -> ConsensusAnswer:
    """Ask several models at once, blind to each other, and get every answer with what they agree and disagree on.

    Use it for decisions: a design, a trade-off, a diagnosis in doubt.
    """
    app = call.app
    thread_id = checked(app, prompt, continuation_id)
    panel = seats(app.catalogue, models)
    judges = app.catalogue.routes(synthesizer or AUTO)
    if app.budget is not None:
        await app.budget.check()
    reading = await app.files.read(files)
    async with recording(app) as exchange:
        asked = NewTurn(role="user", content=prompt, tool="consensus", attachments=tuple(reading.attachments))
        await exchange.begin(asked, thread_id, None, [seat.routes[0] for seat in panel])
        history = () if exchange.thread is None else exchange.thread.landed
        session = Session(call, asked, history, panel, judges, condenser(call, exchange.thread, deadline_s), deadline_s, exchange.past)
        outcome = await session.run(rounds)
        outcome.usage = outcome.usage.plus(session.condenser.used)
        turns = await exchange.complete(*outcome.turns)
    warnings = [*reading.warnings, *outcome.warnings, *exchange.warnings, *await standing(app, exchange.thread, thread_id)]
    return _answer(app, outcome, turns, exchange.going_on(bool(turns), thread_id), warnings)


def _answer(app: App, made: Outcome, turns: Sequence[Turn], continuation_id: str | None, warnings: Sequence[Warned]) -> ConsensusAnswer:
    numbers = [turn.seq for turn in turns] or [None] * (len(made.positions) + 1)
    whole = ConsensusAnswer(
        answers=tuple(
            PanelAnswer(
                seat=one.seat.letter,
                model=one.reply.model.id,
                provider=one.reply.model.provider,
                stance=one.seat.stance or one.seat.stance_prompt,
                content=one.text,
                usage=one.usage,
                turn=seq,
            )
            for one, seq in zip(made.positions, numbers, strict=False)
        ),
        agreements=tuple(made.agreements),
        disagreements=tuple(made.disagreements),
        recommendation=made.recommendation,
        confidence=made.confidence,
        confidence_reason=made.reason,
        synthesizer=made.judge.name if made.judge else None,
        failed=tuple(one.model_copy(update={"message": app.scrub(one.message)}) for one in made.failed),
        continuation_id=continuation_id,
        turn=numbers[-1],
        usage=made.usage,
        warnings=tuple(dict.fromkeys(warnings)),
    )
    return _within(whole, app.limits.max_answer_tokens)


def _within(answer: ConsensusAnswer, tokens: int) -> ConsensusAnswer:
    """Return the answer within `tokens`: what is said about the positions has at least half of it, the positions have the rest.

    The last statements give way first, then the ends of a recommendation in prose and of the longest positions.
    """
    if json_tokens(answer.model_dump(mode="json")) <= tokens:
        return answer
    answer = _brief(answer)
    advice, warned = _cut(answer.recommendation, "The recommendation", answer.turn, answer.continuation_id, tokens / 4)
    bare = tuple(one.model_copy(update={"content": ""}) for one in answer.answers)
    shown = answer.model_copy(update={"answers": bare, "recommendation": advice, "warnings": (*answer.warnings, *warned)})
    reserve = _CUT_TOKENS * len(answer.answers)
    positions = sum(json_tokens(one.content) for one in answer.answers)
    shown = _fewer(shown, max(tokens // 2, tokens - positions) - reserve)
    room = tokens - json_tokens(shown.model_dump(mode="json")) - reserve
    limit = fair_limit((json_tokens(one.content) for one in answer.answers), max(0, room))
    warnings = list(shown.warnings)
    answers: list[PanelAnswer] = []
    for one in answer.answers:
        text, warned = _cut(one.content, f"The answer of {one.provider}/{one.model}", one.turn, answer.continuation_id, limit)
        answers.append(one.model_copy(update={"content": text}))
        warnings += warned
    return shown.model_copy(update={"answers": tuple(answers), "warnings": tuple(warnings)})


def _brief(answer: ConsensusAnswer) -> ConsensusAnswer:
    """Return the answer with what is told about each seat cut short: eight wordy sides or failures alone could fill it."""
    return answer.model_copy(
        update={
            "answers": tuple(one.model_copy(update={"stance": one.stance and cut(one.stance, _SHORT)}) for one in answer.answers),
            "failed": tuple(one.model_copy(update={"message": cut(one.message, _SHORT)}) for one in answer.failed),
            "warnings": tuple(one.model_copy(update={"message": cut(one.message, 2 * _SHORT)}) for one in answer.warnings[:_MOST_WARNINGS]),
            "confidence_reason": cut(answer.confidence_reason, 4 * _SHORT),
        }
    )


def _fewer(answer: ConsensusAnswer, tokens: int) -> ConsensusAnswer:
    """Return the answer with its last statements left out while it is over `tokens`, and a warning that says how many."""
    shown = answer
    for name in ("disagreements", "agreements"):
        while json_tokens(shown.model_dump(mode="json")) > tokens and getattr(shown, name):
            shown = shown.model_copy(update={name: getattr(shown, name)[:-1]})
    counts = {name: len(getattr(answer, name)) - len(getattr(shown, name)) for name in ("agreements", "disagreements")}
    gone = [f"{count} {name}" for name, count in counts.items() if count]
    if not gone:
        return shown
    rest = "They were not saved." if answer.turn is None else "The thread has them."
    warning = Warned(code="truncated", message=f"Left out to keep the answer short: {' and '.join(gone)}. {rest}")
    return shown.model_copy(update={"warnings": (*shown.warnings, warning)})


def _cut(text: str, what: str, turn: int | None, continuation_id: str | None, limit: float) -> tuple[str, list[Warned]]:
    """Return the text within a number of tokens, and the warning when something of it went."""
    if json_tokens(text) <= limit:
        return text, []
    kept = fitting(text, int(limit))
    rest = "The rest was not saved." if turn is None else read_on(continuation_id, turn, kept)
    message = f"{what} was cut after {kept:,} characters. {rest}"
    return f"{text[:kept]}\n\n[cut: {message}]", [Warned(code="truncated", message=message)]
