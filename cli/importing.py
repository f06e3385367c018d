"""Threads read back from what `parley threads export --json` printed."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from cli.output import Failed, WrongUse
from conversation.messages import Usage
from conversation.threads import NewTurn, ThreadStore

MAX_BYTES = 256 * 1024 * 1024


class ExportedTurn(BaseModel):
    """One turn of an export; fields of later versions are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    role: Literal["user", "assistant"]
    content: str
    tool: str = "chat"
    provider: str | None = None
    model: str | None = None
    state: Literal["pending", "done", "interrupted"] = "done"
    at: str | None = None
    usage: Usage | None = None

    def again(self) -> NewTurn:
        """Return the turn as the store takes it; when it was said first goes into `meta`."""
        return NewTurn(
            role=self.role,
            content=self.content,
            tool=self.tool,
            provider=self.provider,
            model=self.model,
            usage=self.usage,
            meta={"imported_at": self.at} if self.at else None,
        )


class ExportedThread(BaseModel):
    """A whole export."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    turns: list[ExportedTurn]


def read_export(source: str) -> list[ExportedTurn]:
    """Return the turns of an export in a file, or of stdin for `-`. Raises WrongUse or Failed."""
    if source == "-" and sys.__stdin__ is None:
        raise Failed("stdin is closed: there is nothing to read")
    try:
        raw = sys.stdin.buffer.read(MAX_BYTES) if source == "-" else Path(source).read_bytes()
    except OSError as error:
        raise Failed(f"cannot read {source}: {error.strerror or type(error).__name__}") from None
    try:
        turns = ExportedThread.model_validate_json(raw).turns
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise WrongUse(f"{source} is not an exported thread: {place + ': ' if place else ''}{first['msg']}") from None
    if not turns or turns[0].role != "user":
        raise WrongUse(f"{source} is not an exported thread: it does not begin with a turn of the caller")
    return turns


async def import_thread(store: ThreadStore, turns: Sequence[ExportedTurn], *, workspace: str) -> str:
    """Record the turns as a new thread and return its id. What had no answer then is interrupted now."""
    thread_id: str | None = None
    for question, answers in _exchanges(turns):
        started = await store.begin(question.again(), workspace=workspace, thread_id=thread_id)
        thread_id = started.thread.id
        if answers:
            await store.complete(started.exchange_id, [answer.again() for answer in answers])
        else:
            await store.interrupt(started.exchange_id)
    assert thread_id is not None  # noqa: S101 - read_export lets no empty list pass
    return thread_id


def _exchanges(turns: Sequence[ExportedTurn]) -> Iterator[tuple[ExportedTurn, list[ExportedTurn]]]:
    """Yield each caller's turn with the answers that follow it."""
    question, answers = turns[0], list[ExportedTurn]()
    for turn in turns[1:]:
        if turn.role == "assistant":
            answers.append(turn)
            continue
        yield question, answers
        question, answers = turn, []
    yield question, answers
