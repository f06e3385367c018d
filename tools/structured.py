"""Structured answers: what a model was asked to say as JSON, checked, asked for once more when it is wrong, else kept as prose."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from conversation.errors import ParleyError
from conversation.messages import Usage
from conversation.threads import NewTurn, Turn
from providers.base import ModelInfo
from providers.chain import Reply
from tools.bodies import Bodies
from tools.bounds import clean
from tools.texts import filled

M = TypeVar("M", bound=BaseModel)

_OPENING = re.compile(r"[{\[]")
_MOST_TRIES = 200
_MOST_COMPLAINTS = 5


@dataclass(frozen=True, slots=True)
class Structured(Generic[M]):
    """What came back: `value` when it could be read, and `text`, the model's own words, whatever they were."""

    value: M | None
    text: str
    model: ModelInfo
    usage: Usage
    bodies: Bodies
    reply: Reply


async def ask_structured(
    bodies: Bodies, routes: Sequence[ModelInfo], shape: type[M], *, larger: Sequence[ModelInfo] = (), deadline_s: float | None = None
) -> Structured[M]:
    """Ask for an answer of the shape; one that is not is asked for again, once, of the same model, with what is wrong with it.

    Raises ParleyError when no model answers at all; a model that fails at the second try leaves the first answer as prose.
    """
    chain = bodies.call.app.chain
    first = await chain.ask(routes, bodies.prepare, larger=larger, deadline_s=deadline_s)
    value, problem = parse(shape, first.answer.text)
    text, reply, usage = clean(first.answer.text), first, first.usage
    if value is None:
        again = _mended(bodies, first, problem)
        try:
            reply = await chain.ask([first.model], again.prepare, deadline_s=deadline_s)
        except ParleyError:
            return Structured(None, text, first.model, usage, bodies, first)
        usage = usage.plus(reply.usage)
        value, _ = parse(shape, reply.answer.text)
        bodies = again
        text = clean(reply.answer.text) if value is not None or not text.strip() else text
    return Structured(value, text, first.model, usage, bodies, reply)


def _mended(bodies: Bodies, reply: Reply, problem: str) -> Bodies:
    """Return the request that follows: what was asked, what was answered, and what is wrong with that."""
    prompt = bodies.prompt if isinstance(bodies.prompt, str) else bodies.prompt(bodies.room(reply.model) // 2)
    asked = NewTurn(role="user", content=prompt, attachments=tuple(bodies.attachments))
    said = NewTurn(role="assistant", content=reply.answer.text, provider=reply.model.provider, model=reply.model.id)
    history = continued(bodies.history, asked, said)
    return replace(bodies, prompt=filled("mend", problem=problem), history=history, attachments=(), windows={})


def continued(history: Sequence[Turn], *turns: NewTurn) -> tuple[Turn, ...]:
    """Return the history with turns after it that are in no store: earlier steps of this very call."""
    last = max((turn.seq for turn in history), default=0)
    known = [{name: getattr(turn, name) for name in NewTurn.model_fields} for turn in turns]
    added = (
        Turn(**fields, uid=f"step-{number}", seq=last + number, exchange_id="", state="done", at="")
        for number, fields in enumerate(known, 1)
    )
    return (*history, *added)


def parse(shape: type[M], text: str) -> tuple[M | None, str]:
    """Return the first JSON value in the text that has the shape, or None and what is wrong, for the model to read."""
    problems: list[str] = []
    for value in values(text):
        try:
            return shape.model_validate(value), ""
        except ValidationError as error:
            problems.append(_complaint(error))
    broken = "Its JSON does not parse: it is broken or cut off." if _OPENING.search(text) else "There is no JSON object in it."
    return None, next(iter(problems), broken)


def values(text: str) -> Iterator[Any]:
    """Yield the objects and lists that stand in a text, in order; what is inside one that was read is not looked at again."""
    decoder = json.JSONDecoder(strict=False)  # models write line breaks into strings
    at = 0
    for _ in range(_MOST_TRIES):
        opening = _OPENING.search(text, at)
        if opening is None:
            return
        try:
            value, at = decoder.raw_decode(text, opening.start())
        except (ValueError, RecursionError):
            at = opening.end()
        else:
            yield value


def _complaint(error: ValidationError) -> str:
    rows = error.errors(include_url=False, include_input=False)[:_MOST_COMPLAINTS]
    return " ".join(f"{'.'.join(map(str, row['loc'])) or 'The whole'}: {row['msg']}." for row in rows)
