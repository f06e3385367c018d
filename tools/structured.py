"""Structured answers: what a model was asked to say as JSON, checked, asked for once more when it is wrong, else kept as prose."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar, cast

from pydantic import BaseModel, ValidationError

from conversation.errors import ParleyError
from conversation.messages import Usage
from conversation.threads import NewTurn, Turn
from providers.base import ModelInfo
from providers.chain import Reply
from tools.bodies import Bodies
from tools.bounds import clean, cleaned
from tools.texts import filled

M = TypeVar("M", bound=BaseModel)

_OPENING = re.compile(r"[{\[]")
_RUN = re.compile(r"(?:[{\[][^{\[]*){1,300}")  # what nests too deep for the parser has more levels left than these
_THOUGHT = re.compile(r"<(think|thinking|thought)>.*?</\1>", re.DOTALL | re.IGNORECASE)
_FENCED = re.compile(r"\s*```\w*\s*(.*?)\s*```\s*", re.DOTALL)
_MOST_FAILURES = 2_000
_MOST_COMPLAINTS = 5


@dataclass(frozen=True, slots=True)
class Structured(Generic[M]):
    """What came back: `value` when it could be read, and `texts`, the model's own words at each try, whatever they were."""

    value: M | None
    texts: tuple[str, ...]
    model: ModelInfo
    usage: Usage

    @property
    def prose(self) -> str:
        """The first words there are."""
        return next((text.strip() for text in self.texts if text.strip()), "")


async def ask_structured(
    bodies: Bodies, routes: Sequence[ModelInfo], shape: type[M], *, deadline_s: float | None = None
) -> Structured[M]:
    """Ask for an answer of the shape; one that is not is asked for again, once, of the same model, with what is wrong with it.

    Both tries together have `deadline_s`. Raises ParleyError when no model answers at all; a model that fails at the second try leaves
    the first answer as prose.
    """
    chain, began = bodies.call.app.chain, time.monotonic()
    first = await chain.ask(routes, bodies.prepare, deadline_s=deadline_s)
    text = clean(first.answer.text)
    value, problem = parse(shape, text)
    if value is not None:
        return Structured(value, (text,), first.model, first.usage)
    left = None if deadline_s is None else max(0.001, deadline_s - (time.monotonic() - began))
    try:
        second = await chain.ask([first.model], _mended(bodies, first, problem).prepare, deadline_s=left)
    except ParleyError:
        return Structured(None, (text,), first.model, first.usage)
    again = clean(second.answer.text)
    return Structured(parse(shape, again)[0], (text, again), first.model, first.usage.plus(second.usage))


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
    """Return the JSON value in the text that has the shape, or None and what is wrong, for the model to read.

    Of several objects the longest is meant, and the last of those: drafts and examples are short. A list counts only when it is the
    whole answer or holds objects: `[]` stands in many a sentence about code.
    """
    found: list[tuple[int, int, M]] = []
    problems: list[tuple[int, str]] = []
    for start, length, value in _placed(text):
        if isinstance(value, list) and not (_is_whole(text, start, length) or _holds_objects(value)):
            continue
        read, problem = _read(shape, value)
        if read is None:
            problems.append((length, problem))
        else:
            found.append((length, start, read))
    if found:
        return max(found, key=lambda one: one[:2])[2], ""
    broken = "Its JSON does not parse: it is broken or cut off." if _OPENING.search(text) else "There is no JSON object in it."
    return None, max(problems)[1] if problems else broken


def _read(shape: type[M], value: Any) -> tuple[M | None, str]:
    """Return the value in the shape, also when it stands alone under some key."""
    try:
        return shape.model_validate(value), ""
    except ValidationError as error:
        inner = list(cast("dict[str, Any]", value).values()) if isinstance(value, dict) else []
        if len(inner) == 1 and isinstance(inner[0], dict):
            try:
                return shape.model_validate(inner[0]), ""
            except ValidationError:
                pass
        return None, _complaint(error)


def _is_whole(text: str, start: int, length: int) -> bool:
    fence = _FENCED.fullmatch(text)
    return text[start : start + length].strip() == (fence[1] if fence else text.strip())


def _holds_objects(value: Any) -> bool:
    items = cast("list[Any]", value)
    return bool(items) and any(isinstance(item, dict) for item in items)


def values(text: str) -> Iterator[Any]:
    """Yield the objects and lists that stand in a text, in order; what is inside one that was read is not looked at again."""
    return (value for _, _, value in _placed(text))


def _placed(text: str) -> Iterator[tuple[int, int, Any]]:
    """Yield where each value begins, how long it is, and the value, what a model only thought left out."""
    text = _THOUGHT.sub(lambda thought: " " * len(thought[0]), text)
    decoder = json.JSONDecoder(strict=False)  # models write line breaks into strings
    at = failures = 0
    while failures < _MOST_FAILURES and (opening := _OPENING.search(text, at)):
        try:
            value, at = decoder.raw_decode(text, opening.start())
        except RecursionError:
            run = _RUN.match(text, opening.start())
            at, failures = run.end() if run else opening.end(), failures + 1
        except ValueError:
            at, failures = opening.end(), failures + 1
        else:
            yield opening.start(), at - opening.start(), cleaned(value)


def _complaint(error: ValidationError) -> str:
    rows = error.errors(include_url=False, include_input=False)[:_MOST_COMPLAINTS]
    return " ".join(f"{'.'.join(map(str, row['loc'])) or 'The whole'}: {row['msg']}." for row in rows)
