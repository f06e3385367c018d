"""One question put to a model in a thread: what chat and fallback have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from conversation.errors import CallerError, InvalidInput, StoreError, TooLarge
from conversation.json_text import whole
from conversation.messages import Frozen, Warned
from conversation.summaries import is_summary
from conversation.threads import NewTurn, Thread, Turn, parse_thread_id
from providers.base import ModelInfo
from providers.chain import Reply
from tools.app import App, Call
from tools.bodies import Bodies
from tools.bounds import fitting, json_tokens, read_on
from tools.condensing import Condenser
from tools.recalling import NOTHING, recalled
from tools.recording import recording
from tools.results import ChatAnswer

Prompt = Annotated[str, Field(description="What to ask. The model sees only this, the files and the thread.")]
ContinuationId = Annotated[str | None, Field(description="From an earlier answer, to go on in that thread")]
BranchFrom = Annotated[int | None, Field(ge=1, description="Turn of that thread after which to branch into a new one")]
Files = Annotated[list[str], Field(description="Paths in the workspace, sent whole")]
Images = Annotated[list[str], Field(description="Paths or data: URLs (PNG, JPEG, GIF, WebP)")]
RoleName = Annotated[str | None, Field(description="A role, by the name of its prompt on this server")]
Temperature = Annotated[float | None, Field(ge=0, le=2)]
MaxOutputTokens = Annotated[int | None, Field(ge=1)]
UseMemory = Annotated[bool, Field(description="Add what the memory holds on the subject")]

SYSTEM = (
    "You are consulted through Parley by a coding assistant on behalf of its user. Answer the last message directly and completely: "
    "you see only this conversation and the files in it, and you have no tools."
)
_CONDENSE_SECONDS = 30.0


class Question(Frozen):
    """What a caller asks, as far as it does not depend on who answers."""

    tool: str
    prompt: str
    continuation_id: str | None = None
    branch_from: int | None = None
    files: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    role: str | None = None
    temperature: float | None = None
    max_output_tokens: int | None = None
    use_memory: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """Models in the order they are asked, those that stand in when the context is too long for them, and the time there is."""

    routes: Sequence[ModelInfo]
    larger: Sequence[ModelInfo] = ()
    deadline_s: float | None = None


Choose = Callable[[str | None, Sequence[str]], Choice]
"""Names the models, given the provider/model that answered last on the thread and those the role prefers. Raises UnknownModel and
NotConfigured."""


async def ask(call: Call, question: Question, choose: Choose, *, all_attempts: bool = False) -> ChatAnswer:
    """Put the question and return the answer, recorded in its thread.

    Raises ParleyError of every kind; nothing is sent upstream when the question, its thread or its model is at fault.
    """
    app = call.app
    thread_id = checked(app, question.prompt, question.continuation_id)
    if question.branch_from is not None and thread_id is None:
        raise InvalidInput("branch_from needs the continuation_id of the thread to branch from.")
    system, preferred = await _part(app, question.role)
    first = choose(None, preferred).routes[:1]  # a wrong name is an error before anything is recorded
    if app.budget is not None:
        await app.budget.check()
    reading = await app.files.read(question.files, question.images)
    memory = await recalled(app, question.prompt) if question.use_memory else NOTHING
    async with recording(app) as exchange:
        attachments = tuple(reading.attachments)
        asked = NewTurn(role="user", content=question.prompt, tool=question.tool, attachments=attachments)
        await exchange.begin(asked, thread_id, question.branch_from, first)
        history = () if exchange.thread is None else exchange.thread.landed
        choice = choose(_last_model(history), preferred)
        bodies = Bodies(
            call,
            memory.before(question.prompt),
            memory.explained(system),
            history,
            attachments,
            temperature=question.temperature,
            max_output_tokens=question.max_output_tokens,
            condenser=condenser(call, exchange.thread, choice.deadline_s),
            past=exchange.past,
        )
        reply = await app.chain.ask(
            choice.routes, bodies.prepare, larger=choice.larger, deadline_s=choice.deadline_s, progress=call.say
        )
        text = whole(reply.answer.text)
        landed = await exchange.complete(_answered(question.tool, text, reply))
    left_out = (*reading.warnings, *memory.warnings, *bodies.warnings(reply), *exchange.warnings)
    warnings = [*left_out, *await standing(app, exchange.thread, thread_id)]
    answer = ChatAnswer(
        content="",
        continuation_id=exchange.going_on(bool(landed), thread_id),
        turn=landed[-1].seq if landed else None,
        model=reply.model.id,
        provider=reply.model.provider,
        usage=reply.usage.plus(bodies.condenser.used) if bodies.condenser else reply.usage,
        attempts=reply.attempts if all_attempts or len(reply.attempts) > 1 else (),
        warnings=tuple(warnings),
    )
    return _filled(answer, text, app.limits.max_answer_tokens)


def condenser(call: Call, thread: Thread | None, deadline_s: float | None = None) -> Condenser:
    """Return what condenses the call's thread, in at most half the time there is."""
    seconds = _CONDENSE_SECONDS if deadline_s is None else min(_CONDENSE_SECONDS, deadline_s / 2)
    return Condenser(call, None if thread is None else thread.id, seconds)


def checked(app: App, prompt: str, continuation_id: str | None) -> str | None:
    """Return the canonical continuation_id. Raises InvalidContinuationId, and InvalidInput or TooLarge for the prompt."""
    thread_id = None if continuation_id is None else parse_thread_id(continuation_id)
    if not prompt.strip():
        raise InvalidInput("prompt is empty.")
    size = len(prompt.encode())
    if size > app.limits.max_prompt_bytes:
        raise TooLarge(f"prompt is {size:,} bytes long; at most {app.limits.max_prompt_bytes:,} are taken.")
    return thread_id


async def _part(app: App, role: str | None) -> tuple[str, Sequence[str]]:
    """Return the system prompt and the models the role prefers. Raises InvalidInput for a role there is not."""
    if role is None:
        return SYSTEM, ()
    found = await asyncio.to_thread(app.roles.get, role)
    return f"{SYSTEM}\n\n{found.text}", found.models


def _last_model(history: Sequence[Turn]) -> str | None:
    """Return the provider/model that answered last."""
    answers = (turn for turn in reversed(history) if turn.provider and turn.model and not is_summary(turn))
    return next((f"{turn.provider}/{turn.model}" for turn in answers), None)


def _answered(tool: str, text: str, reply: Reply) -> NewTurn:
    return NewTurn(role="assistant", content=text, tool=tool, provider=reply.model.provider, model=reply.model.id, usage=reply.usage)


async def standing(app: App, thread: Thread | None, named: str | None) -> list[Warned]:
    """Warnings that have nothing to do with the answer: another workspace's thread, the day's budget.

    `named` is the thread the caller named, which differs from `thread` when this is a branch of it.
    """
    found: list[Warned] = []
    with suppress(StoreError, CallerError):  # the thread branched from may be gone by now, and the answer stands
        begun = thread if thread is None or named in (None, thread.id) else await app.store.load(named, recent=0)
        if begun is not None and begun.workspace != app.workspace:
            found.append(Warned(code="other_workspace", message=f"The thread was begun in {app.scrub(begun.workspace)}."))
    with suppress(StoreError):
        near = None if app.budget is None else await app.budget.near()
        found += [] if near is None else [Warned(code="budget_near", message=near)]
    return found


def _filled(answer: ChatAnswer, text: str, tokens: int) -> ChatAnswer:
    """Return the answer with its text, cut when the whole would be over `tokens`."""
    whole = answer.model_copy(update={"content": text})
    if json_tokens(whole.model_dump(mode="json")) <= tokens:
        return whole
    room = tokens - json_tokens(answer.model_dump(mode="json")) - 300
    kept = fitting(text, max(0, room))
    left = len(text) - kept
    if answer.turn is None:
        rest = "The rest was not saved; ask for a shorter answer."
    else:
        rest = read_on(answer.continuation_id, answer.turn, kept)
    message = f"The answer was cut after {kept:,} characters, {left:,} are left. {rest}"
    warnings = (*answer.warnings, Warned(code="truncated", message=message))
    return answer.model_copy(update={"content": f"{text[:kept]}\n\n[cut: {message}]", "warnings": warnings})
