"""Threads read back from what `parley threads export --json` printed."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from cli.output import Failed, WrongUse
from conversation.messages import Usage
from conversation.threads import ThreadStore, Turn, TurnState

MAX_BYTES = 256 * 1024 * 1024


class ExportedMeta(BaseModel):
    """What a summary of older turns has beside its text: see conversation.summaries."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    upto: int
    facts: list[tuple[int, str, str]] = Field(default_factory=list[tuple[int, str, str]])


class ExportedTurn(BaseModel):
    """One turn of an export; fields of later versions are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    role: Literal["user", "assistant"]
    content: str
    tool: str = "chat"
    provider: str | None = None
    model: str | None = None
    state: TurnState = "done"
    at: str | None = None
    usage: Usage | None = None
    meta: ExportedMeta | None = None

    @field_validator("at")
    @classmethod
    def _is_a_time(cls, at: str | None) -> str | None:
        try:
            datetime.fromisoformat(at or "2026-01-01")
        except ValueError:
            raise ValueError("not a time as ISO 8601 writes it") from None
        return at

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        if self.role == "user" and not self.content.strip():
            raise ValueError("the content of a caller's turn is empty")
        return self

    def again(self, seq: int, exchange_id: str) -> Turn:
        """Return the turn as it was."""
        said = self.model_dump(mode="json", include={"role", "content", "tool", "provider", "model", "state", "meta"})
        return Turn(**said, usage=self.usage, at=self.at or "", uid=f"{exchange_id}:{seq}", seq=seq, exchange_id=exchange_id)


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
        problem = str(first["msg"]).removeprefix("Value error, ")
        raise WrongUse(f"{source} is not an exported thread: {place + ': ' if place else ''}{problem}") from None
    if not turns or turns[0].role != "user":
        raise WrongUse(f"{source} is not an exported thread: it does not begin with a turn of the caller")
    return turns


async def import_thread(store: ThreadStore, turns: Sequence[ExportedTurn], *, workspace: str) -> str:
    """Record the turns as a new thread and return its id. A turn of the caller begins an exchange."""
    again: list[Turn] = []
    exchange_id = ""
    for seq, turn in enumerate(turns, 1):
        exchange_id = str(uuid.uuid4()) if turn.role == "user" else exchange_id
        again.append(turn.again(seq, exchange_id))
    return await store.restore(again, workspace=workspace)
