"""The shapes tools answer with, shared by several of them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from conversation.messages import Attempt, Frozen, Usage, Warned


def _empty(value: Any) -> bool:
    return value is None or value == () or value == ""


OmitEmpty = Field(exclude_if=_empty)
"""Marks a field that is left out of the answer when there is nothing in it."""

OmitNone = Field(exclude_if=lambda value: value is None)
"""Marks a field that is left out when it does not belong to this answer; an empty list of it is shown."""


class Result(Frozen):
    """What a tool answers: becomes structured output, described by its JSON schema."""


class ChatAnswer(Result):
    """One model's answer. Without continuation_id and turn the exchange was not saved; warnings say so."""

    content: str
    continuation_id: Annotated[str | None, OmitEmpty] = None
    turn: Annotated[int | None, OmitEmpty] = None
    model: str
    provider: str
    usage: Usage
    attempts: Annotated[tuple[Attempt, ...], OmitEmpty] = ()
    warnings: tuple[Warned, ...] = ()
