"""Threads read back from what `parley threads export --json` printed."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from cli.output import WrongUse
from cli.reading import read_source
from conversation.messages import Usage
from conversation.summaries import SUMMARY_TOOL
from conversation.threads import Attachment, ThreadStore, Turn, TurnState
from tools.refusals import image_type

MAX_BYTES = 256 * 1024 * 1024
Number = Annotated[int, Field(strict=True, ge=1)]
"""That of a turn; neither true nor 1.0 is one."""
Name = Annotated[str, Field(max_length=300)]
"""Of a tool, a provider or a model."""
_MOST_TOKENS, _MOST_USD = 10**12, 10**9


class Exported(BaseModel):
    """A part of an export; fields of later versions are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class SummaryMeta(Exported):
    """What a summary of older turns has beside its text: see conversation.summaries."""

    upto: Number
    tokens: Number | None = None
    facts: list[tuple[Number, str, str]] = Field(default_factory=list[tuple[int, str, str]])
    files: list[str] = Field(default_factory=list[str])


class ExportedAttachment(Exported):
    """A file of a turn: text, or an image as base64."""

    path: str = Field(min_length=1)
    kind: Literal["text", "image"]
    media_type: str
    content: str

    @model_validator(mode="after")
    def _can_be_sent(self) -> Self:
        if self.kind == "image" and image_type(self._data()) != self.media_type:
            raise ValueError(f"the content is no image of the type {self.media_type[:40]}")
        return self

    def again(self) -> Attachment:
        """Return the file as it was. The digest is counted anew: under a wrong one the store would take it for another file."""
        return Attachment(**self.model_dump(), digest=hashlib.sha256(self._data()).hexdigest())

    def _data(self) -> bytes:
        if self.kind == "text":
            return self.content.encode()
        try:
            return base64.b64decode(self.content, validate=True)
        except binascii.Error:
            raise ValueError("the content of an image should be base64") from None


class ExportedTurn(Exported):
    """One turn of an export."""

    role: Literal["user", "assistant"]
    content: str
    tool: Name = "chat"
    provider: Name | None = None
    model: Name | None = None
    state: TurnState = "done"
    at: str | None = None
    usage: Usage | None = None
    attachments: tuple[ExportedAttachment, ...] = ()
    meta: dict[str, Any] | None = None

    @field_validator("at")
    @classmethod
    def _as_stores_write_it(cls, at: str | None) -> str | None:
        """Return the time in UTC, in which one without a zone is taken to be: stores order times by their text."""
        try:
            time = datetime.fromisoformat(at) if at else None
            utc = time and (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            raise ValueError("not a time as ISO 8601 writes it") from None
        return utc.isoformat(timespec="microseconds").replace("+00:00", "Z") if utc else at

    @field_validator("usage")
    @classmethod
    def _can_be_counted(cls, usage: Usage | None) -> Usage | None:
        if usage is not None and min(usage.input_tokens, usage.output_tokens, usage.cached_tokens) < 0:
            raise ValueError("a number of tokens is below 0")
        if usage is not None and max(usage.input_tokens, usage.output_tokens, usage.cached_tokens) > _MOST_TOKENS:
            raise ValueError(f"a number of tokens is above {_MOST_TOKENS}")
        if usage is not None and not 0 <= (usage.cost_usd or 0) <= _MOST_USD:
            raise ValueError("the cost is no amount of money")
        return usage

    @field_validator("meta")
    @classmethod
    def _is_json(cls, meta: dict[str, Any] | None) -> dict[str, Any] | None:
        try:
            json.dumps(meta, allow_nan=False)
        except ValueError:
            raise ValueError("holds a number that JSON does not have") from None
        return meta

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        if self.role == "user" and not self.content.strip():
            raise ValueError("the content of a caller's turn is empty")
        return self

    def again(self, seq: int, exchange_id: str) -> Turn:
        """Return the turn as it was."""
        said = self.model_dump(include={"role", "content", "tool", "provider", "model", "state", "usage", "meta"})
        files = tuple(one.again() for one in self.attachments)
        return Turn(**said, attachments=files, at=self.at or "", uid=f"{exchange_id}:{seq}", seq=seq, exchange_id=exchange_id)


class ExportedThread(Exported):
    """A whole export."""

    turns: list[ExportedTurn]


def read_export(source: str) -> list[ExportedTurn]:
    """Return the turns of an export in a file, or of stdin for `-`. Raises WrongUse or Failed."""
    try:
        turns = ExportedThread.model_validate_json(read_source(source, MAX_BYTES)).turns
    except ValidationError as error:
        raise WrongUse(f"{source} is not an exported thread: {_told(error)}") from None
    problem = _problem(turns)
    if problem:
        raise WrongUse(f"{source} is not an exported thread: {problem}")
    return turns


def _problem(turns: Sequence[ExportedTurn]) -> str:
    """Return what is wrong with turns that are well in themselves, empty for nothing."""
    if not turns or turns[0].role != "user":
        return "it does not begin with a turn of the caller"
    summaries = ((seq, turn) for seq, turn in enumerate(turns, 1) if turn.tool == SUMMARY_TOOL and turn.meta is not None)
    return next((problem for seq, turn in summaries if (problem := _summary_problem(seq, turn))), "")


def _summary_problem(seq: int, turn: ExportedTurn) -> str:
    """A summary that covers turns after it would hide them from every model."""
    if turn.role == "user":
        return f"turn {seq}, role: a summary is no turn of the caller"
    try:
        upto = SummaryMeta.model_validate(turn.meta).upto
    except ValidationError as error:
        return _told(error, "turns", seq - 1, "meta")
    if upto < seq:
        return ""
    return f"turn {seq}, meta.upto: a summary covers turns before its own, 1 to {seq - 1} here, not up to {upto}"


def _told(error: ValidationError, *within: str | int) -> str:
    """Return the first complaint and where it is, turns by the number they have from 1."""
    first = error.errors(include_input=False, include_url=False)[0]
    place = [*within, *first["loc"]]
    if place[:1] == ["turns"] and len(place) > 1:
        place[:2] = [f"turn {int(place[1]) + 1}"]
        place[1:] = [".".join(map(str, place[1:]))] if place[1:] else []
    where = ", ".join(map(str, place))
    return f"{where}: {first['msg'].removeprefix('Value error, ')}" if where else first["msg"]


async def import_thread(store: ThreadStore, turns: Sequence[ExportedTurn], *, workspace: str) -> str:
    """Record the turns as a new thread and return its id. A turn of the caller begins an exchange."""
    again: list[Turn] = []
    exchange_id = ""
    for seq, turn in enumerate(turns, 1):
        exchange_id = str(uuid.uuid4()) if turn.role == "user" else exchange_id
        again.append(turn.again(seq, exchange_id))
    return await store.restore(again, workspace=workspace)
