"""Content blocks, usage and answers in the shape of Anthropic's Messages API.

Blocks keep fields they do not know, so that nothing a client sent is lost on the way to an upstream that understands it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Self, cast

from pydantic import BaseModel, ConfigDict

Event = dict[str, Any]
"""One Messages API stream event, as the JSON object of its SSE data line."""


class Frozen(BaseModel):
    """A value: immutable, and unknown fields are an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def of_checked(cls, values: dict[str, Any]) -> Self:
        """Return the value with these fields, all of them, which were checked when they were stored. It takes half the time."""
        made = cls.__new__(cls)
        object.__setattr__(made, "__dict__", values)
        object.__setattr__(made, "__pydantic_fields_set__", set(values))
        object.__setattr__(made, "__pydantic_extra__", None)
        object.__setattr__(made, "__pydantic_private__", None)
        return made


class Usage(Frozen):
    """Tokens and money one answer took. `cost_usd` is None when the price is not known."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cost_usd: float | None = None

    def plus(self, other: Usage) -> Usage:
        """Return the sum; the cost is unknown when either cost is."""
        known = self.cost_usd is not None and other.cost_usd is not None
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            cost_usd=(self.cost_usd or 0) + (other.cost_usd or 0) if known else None,
        )


class Attempt(Frozen):
    """One try at one provider: outcome is ok or a cause of providers.causes, ms how long it took."""

    provider: str
    model: str
    outcome: str
    status: int | None = None
    ms: int = 0


WarningCode = Literal[
    "not_saved",
    "file_refused",
    "truncated",
    "condensed",
    "lexical_memory",
    "prose_review",
    "budget_near",
    "other_workspace",
    "single_answer",  # one model of a panel answered
    "no_synthesis",  # nobody compared a panel's answers
    "unsupported_claim",  # what a model said of others' words or of code was not borne out by them, and dropped
    "incomplete",  # a part of the work was not done
]


class Warned(Frozen):
    """Something the caller should know about an answer that stands all the same."""

    code: WarningCode
    message: str


class Answer(Frozen):
    """One whole answer, folded from its events."""

    text: str
    blocks: tuple[dict[str, Any], ...] = ()
    stop_reason: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    written_tokens: int = 0
    """Of the input, what was written to the provider's cache."""
    written_for_an_hour: int = 0
    """Of what was written, what is kept for an hour instead of minutes."""
    cost_usd: float | None = None
    complete: bool = False


class Fold:
    """Gathers stream events into an Answer; feed events in order with `add`.

    The event grammar is Anthropic's: https://docs.anthropic.com/en/docs/build-with-claude/streaming
    `usage.cost_usd` is our own addition, set by a provider that reports the price of the call itself.
    Providers hold their events to the grammar; what is of the wrong shape all the same is passed over here and raises nothing.
    """

    def __init__(self) -> None:
        self._blocks: dict[int, dict[str, Any]] = {}
        self._json: dict[int, list[str]] = {}
        self._usage: dict[str, Any] = {}
        self._stop_reason: str | None = None
        self._stopped = False

    def add(self, event: Mapping[str, Any]) -> None:
        """Take one event; unknown kinds are passed over, as clients of the API must."""
        kind, index = event.get("type"), event.get("index")
        if kind == "message_start":
            self._usage.update(_known(object_of(event.get("message")).get("usage")))
        elif kind == "content_block_start" and isinstance(index, int):
            self._blocks[index] = dict(object_of(event.get("content_block")))
        elif kind == "content_block_delta" and isinstance(index, int):
            self._delta(index, object_of(event.get("delta")))
        elif kind == "message_delta":
            self._usage.update(_known(event.get("usage")))
            reason = object_of(event.get("delta")).get("stop_reason")
            self._stop_reason = reason if isinstance(reason, str) and reason else self._stop_reason
        elif kind == "message_stop":
            self._stopped = True

    def _delta(self, index: int, delta: Mapping[str, Any]) -> None:
        block = self._blocks.setdefault(index, {"type": "text", "text": ""})
        kind = delta.get("type")
        if kind == "input_json_delta":
            self._json.setdefault(index, []).append(_text(delta.get("partial_json")))
            return
        key = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "signature"}.get(str(kind))
        if key is not None:
            block[key] = _text(block.get(key)) + _text(delta.get(key))

    def answer(self) -> Answer:
        """Return what has been gathered so far; `complete` once a stop reason and message_stop were seen."""
        blocks = tuple(self._block(index) for index in sorted(self._blocks))
        read, written = self._count("cache_read_input_tokens"), self._count("cache_creation_input_tokens")
        return Answer(
            text="".join(block["text"] for block in blocks if block.get("type") == "text"),
            blocks=blocks,
            stop_reason=self._stop_reason,
            input_tokens=self._count("input_tokens") + read + written,
            output_tokens=self._count("output_tokens"),
            cached_tokens=read,
            written_tokens=written,
            written_for_an_hour=int(_amount(object_of(self._usage.get("cache_creation")).get("ephemeral_1h_input_tokens")) or 0),
            cost_usd=_amount(self._usage.get("cost_usd")),
            complete=self._stopped and self._stop_reason is not None,
        )

    def _block(self, index: int) -> dict[str, Any]:
        block = dict(self._blocks[index])
        field = str(block.get("type"))
        if field in ("text", "thinking"):
            block[field] = _joined(_text(block.get(field)))
        if index in self._json:
            block["input"] = tool_input("".join(self._json[index])) or {}
        return block

    def _count(self, name: str) -> int:
        return int(_amount(self._usage.get(name)) or 0)


def tool_input(text: str) -> dict[str, Any] | None:
    """Return the arguments of a tool call from the JSON they were streamed as; None when that is no JSON object."""
    try:
        value: object = json.loads(_joined(text) or "{}")
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _joined(text: str) -> str:
    """The text with halves of surrogate pairs side by side made one: an upstream may cut inside an emoji. One alone stays."""
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def _amount(value: Any) -> float | int | None:
    """A number of tokens or dollars, None for what cannot be one."""
    usable = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")
    return value if usable else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def object_of(value: Any) -> Mapping[str, Any]:
    """Return a JSON object, or an empty one in the place of anything else."""
    if type(value) is dict:  # as parsers make them; asking whether something is a Mapping takes ten times as long
        return cast("Mapping[str, Any]", value)
    return cast("Mapping[str, Any]", value) if isinstance(value, Mapping) else {}


def objects_of(value: Any) -> list[Mapping[str, Any]]:
    """Return the objects of a JSON list; what is not one is left out."""
    items = cast("list[Any]", value) if isinstance(value, list | tuple) else []
    return [cast("Mapping[str, Any]", item) for item in items if type(item) is dict or isinstance(item, Mapping)]


def _known(usage: Any) -> dict[str, Any]:
    return {key: value for key, value in object_of(usage).items() if value is not None}


def fold(events: Iterable[Mapping[str, Any]]) -> Answer:
    """Return the Answer a finished sequence of events stands for."""
    folding = Fold()
    for event in events:
        folding.add(event)
    return folding.answer()


def starts_content(event: Mapping[str, Any]) -> bool:
    """Tell whether content begins here: a delta, or the start of a tool_use block, not an empty block's start."""
    kind = event.get("type")
    if kind == "content_block_delta":
        return True
    return kind == "content_block_start" and event["content_block"].get("type") == "tool_use"
