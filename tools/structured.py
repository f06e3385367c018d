"""Structured answers: what a model was asked to say as JSON, checked, asked for once more when it is wrong, else kept as prose."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar, cast

from pydantic import ValidationError

from conversation.errors import ParleyError
from conversation.json_text import whole
from conversation.messages import Usage
from conversation.threads import NewTurn, Turn
from providers.base import ModelInfo
from providers.chain import Reply
from tools.bodies import Bodies
from tools.json_in_text import MOST_CHARACTERS, Placed, Scan, not_in, scan
from tools.lenient import Written
from tools.texts import filled

M = TypeVar("M", bound=Written)

_FINAL = re.compile(
    r"\b(?:corrected|correction|revised|final|my(?: own)?(?= answer| verdict| outcome| comparison)|no,? wait|wait,? no)"
    r"(?: (?:answer|verdict|outcome|comparison|version|json|object|is))*[\s:*_.,-]*(?:```\w*\s*)?\Z",
    re.IGNORECASE,
)
"""Words right before an object that say it is the one that counts."""
_END = re.compile(r"\s*(?:```)?\s*\Z")
_KEY = re.compile(r'\{\s*"(\w+)"\s*:\s*')
_MOST_COMPLAINTS = 5
_SEVERAL = "It holds several JSON objects, and they do not say the same: only the one that counts may stand in it."


@dataclass(frozen=True, slots=True)
class Structured(Generic[M]):
    """What came back: `value` when it could be read, and `texts`, the model's own words at each try, whatever they were."""

    value: M | None
    texts: tuple[str, ...]
    model: ModelInfo
    usage: Usage
    stop_reason: str | None = None
    """Of the last try."""

    @property
    def prose(self) -> str:
        """The first words there are."""
        return next((text.strip() for text in self.texts if text.strip()), "")


# --- asking --------------------------------------------------------------------------------------------------------


async def ask_structured(
    bodies: Bodies, routes: Sequence[ModelInfo], shape: type[M], *, deadline_s: float | None = None
) -> Structured[M]:
    """Ask for an answer of the shape; one that is not is asked for again, once, of the same model, with what is wrong with it.

    Not asked for again: what is too long to be looked through, and what broke off at the limit of tokens but holds whole pieces.
    Both tries together have `deadline_s`. Raises ParleyError when no model answers at all; a model that fails at the second try leaves
    the first answer as prose.
    """
    chain, began = bodies.call.app.chain, time.monotonic()
    first = await chain.ask(routes, bodies.prepare, deadline_s=deadline_s)
    shown, text = _shown(bodies, first.model), _text(first)
    value, problem = await asyncio.to_thread(parse, shape, text, shown)
    kept = Structured(value, (text,), first.model, first.usage, first.answer.stop_reason)
    is_cut = first.answer.stop_reason == "max_tokens"
    if value is not None or len(text) > MOST_CHARACTERS or (is_cut and await asyncio.to_thread(shape.has_pieces, text)):
        return kept
    left = None if deadline_s is None else max(0.001, deadline_s - (time.monotonic() - began))
    try:
        second = await chain.ask([first.model], _mended(bodies, first, problem, is_cut=is_cut).prepare, deadline_s=left)
    except ParleyError:
        return kept
    again = _text(second)
    value, _ = await asyncio.to_thread(parse, shape, again, shown)
    return Structured(value, (text, again), first.model, first.usage.plus(second.usage), second.answer.stop_reason)


def _text(reply: Reply) -> str:
    return whole(reply.answer.text[: MOST_CHARACTERS + 1])


def _shown(bodies: Bodies, model: ModelInfo) -> str:
    """Return all text of the messages the model was sent."""
    messages = cast("Sequence[Mapping[str, Any]]", bodies.windows[model.name].messages)
    contents = [message["content"] for message in messages]
    return "\n".join(
        part
        for content in contents
        for part in ([content] if isinstance(content, str) else [block.get("text", "") for block in content])
    )


def _mended(bodies: Bodies, reply: Reply, problem: str, *, is_cut: bool) -> Bodies:
    """Return the request that follows: what was asked, what was answered, and what is wrong with that."""
    prompt = bodies.prompt if isinstance(bodies.prompt, str) else bodies.prompt(bodies.room(reply.model) // 2)
    asked = NewTurn(role="user", content=prompt, attachments=tuple(bodies.attachments))
    said = NewTurn(role="assistant", content=reply.answer.text, provider=reply.model.provider, model=reply.model.id)
    history = continued(bodies.history, asked, said)
    how = "with the same content"
    if is_cut:
        problem = "It was cut off where it reached the most tokens it may have."
        how = "much shorter, at most half as long, what matters most first and what matters least left out"
    return replace(bodies, prompt=filled("mend", problem=problem, how=how), history=history, attachments=(), windows={})


def continued(history: Sequence[Turn], *turns: NewTurn) -> tuple[Turn, ...]:
    """Return the history with turns after it that are in no store: earlier steps of this very call."""
    last = max((turn.seq for turn in history), default=0)
    known = [{name: getattr(turn, name) for name in NewTurn.model_fields} for turn in turns]
    added = (
        Turn(**fields, uid=f"step-{number}", seq=last + number, exchange_id="", state="done", at="")
        for number, fields in enumerate(known, 1)
    )
    return (*history, *added)


# --- reading -------------------------------------------------------------------------------------------------------


def parse(shape: type[M], text: str, shown: str = "") -> tuple[M | None, str]:
    """Return the JSON value in the text that has the shape, or None and what is wrong, for the model to read.

    Of the objects in an answer one is meant, and none is chosen by its looks:
    1. What stands in `shown`, the text the model was asked about, is quoted from there and does not count, unless it is all the answer.
       A list counts only when it is the whole answer or holds objects: `[]` stands in many a sentence about code.
    2. Several that say the same are one, and a shape that can be joined (a review) is joined, so that nothing is lost.
    3. Of others the last counts when it ends the answer and is announced as final ("Corrected:", "My answer:", "no wait:").
    4. Else, or beside an object that was meant to have the shape and has not, nothing is decided.
    """
    if len(text) > MOST_CHARACTERS:
        return None, "It is far too long."
    found = scan(text)
    placed = [one for one in found.placed if isinstance(one.value, dict) or found.is_whole(one) or _holds_objects(one.value)]
    if not (len(placed) == 1 and found.is_whole(placed[0])):
        placed = not_in(shown, found.text, placed)
    read = [(one, *_read(shape, one.value)) for one in placed]
    fits = [(one, value) for one, value, _ in read if value is not None]
    wrong = [(one, problem) for one, value, problem in read if value is None]
    if not fits:
        broken = "Its JSON does not parse: it is broken or cut off." if found.has_openings else "There is no JSON object in it."
        return None, max(((one.end - one.start, problem) for one, problem in wrong), default=(0, broken))[1]
    meant = [(one, problem) for one, problem in wrong if _is_meant(shape, one.value)]
    doubtful = bool(meant) or found.gave_up or _has_torn(shape, found, [one for one, _ in fits])
    value = _decided(shape, found, fits, doubtful=doubtful)
    return value, "" if value is not None else meant[0][1] if meant else _SEVERAL


def _decided(shape: type[M], found: Scan, fits: Sequence[tuple[Placed, M]], *, doubtful: bool) -> M | None:
    """Return what values of the shape come to, None when no rule says so. `doubtful`: others were meant to have it."""
    different = list({value.model_dump_json(): value for _, value in fits}.values())
    joined = shape.joined(different)
    if joined is not None or (len(different) == 1 and not doubtful):
        return None if doubtful else joined or different[0]
    one, value = fits[-1]
    is_final = _FINAL.search(found.text[max(0, one.start - 80) : one.start]) and _END.match(found.text, one.end)
    return value if is_final and not found.gave_up else None


def _required(shape: type[Written]) -> set[str]:
    return {name for name, field in shape.model_fields.items() if field.is_required()}


def _is_meant(shape: type[Written], value: Any) -> bool:
    """Tell whether a value that does not have the shape has a key of it, itself or in the one object it holds."""
    fields = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    inner = list(fields.values())
    within = cast("dict[str, Any]", inner[0]) if len(inner) == 1 and isinstance(inner[0], dict) else {}
    return not _required(shape).isdisjoint([*fields, *within])


def _has_torn(shape: type[Written], found: Scan, fits: Sequence[Placed]) -> bool:
    """Tell whether an object of the shape is begun and does not parse, and not even its first value could be read."""
    keys = (_KEY.match(found.text, start) for start in found.broken)
    starts = {one.start for one in fits}
    return any(key is not None and key[1] in _required(shape) and key.end() not in starts for key in keys)


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


def _holds_objects(value: Any) -> bool:
    return any(isinstance(item, dict) for item in cast("list[Any]", value))


def _complaint(error: ValidationError) -> str:
    rows = error.errors(include_url=False, include_input=False)[:_MOST_COMPLAINTS]
    return " ".join(f"{'.'.join(map(str, row['loc'])) or 'The whole'}: {row['msg']}." for row in rows)
