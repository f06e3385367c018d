"""The grammar of Messages API events, held to at the edge where upstream events come in.

    message_start (content_block_start content_block_delta* content_block_stop)* message_delta message_stop

https://docs.anthropic.com/en/docs/build-with-claude/streaming. Whatever an upstream or a translation makes of it, what leaves
here has one message_start, contiguous indexes, every block closed, no empty text block, and one message_delta with a stop
reason and all four token counts, and nothing after message_stop. Nothing leaves before the first block has content, so that until
then another provider can be asked instead. Fields are checked here too, for all wires: what follows may rely on their types. An event
that is right leaves as the object it came as, so that a relay can tell that its bytes may stay.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any, cast

from conversation.errors import ProviderError
from conversation.messages import Event, objects_of, tool_input
from providers.causes import error_in_body, failure

_TOKEN_COUNTS = ("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
_HELD: Mapping[str, Mapping[str, str]] = {"text": {"text": ""}, "thinking": {"thinking": "", "signature": ""}}
"""Blocks whose start, with these fields, waits for their first delta: upstreams reject an empty one when it is replayed."""
_DELTAS: Mapping[str, frozenset[str]] = {
    "text": frozenset({"text_delta", "citations_delta"}),
    "thinking": frozenset({"thinking_delta", "signature_delta"}),
    "tool_use": frozenset({"input_json_delta"}),
}
_FIELDS: Mapping[str, str] = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
    "input_json_delta": "partial_json",
}
"""The one field of each kind of delta, which is text."""
_KNOWN_DELTAS = frozenset[str]().union(*_DELTAS.values())
_MAY_BE_SILENT: Mapping[str, str] = {"pause_turn": "tools", "stop_sequence": "stop_sequences"}
"""Stop reasons with which an answer may hold nothing, and what the request must have offered for that."""
_MOST_TOKENS = 10**12
_MOST_USD = 10**6
_USED_UP = "Raise max_output_tokens: the model thinks within the same limit. Or name another provider's model."
_NOT_AN_ID = re.compile(r"[^a-zA-Z0-9_-]")


def tool_id(raw: str) -> str:
    """Return a tool id with the characters Anthropic takes: ^[a-zA-Z0-9_-]+$."""
    return _NOT_AN_ID.sub("_", raw) or "toolu_unnamed"


class Grammar:
    """Checks one answer's events and puts right what can be; raises ProviderError for the rest."""

    def __init__(self, provider: str, model: str, secrets: tuple[str, ...] = (), *, asked: Mapping[str, Any] | None = None) -> None:
        """`asked` is the Messages API body, for what it offered: without tools, a call of one is no answer. Ids in it are taken."""
        self._asked: Mapping[str, Any] = asked or {}
        self._provider, self._model, self._secrets = provider, model, secrets
        self._offered = frozenset(key for key, value in self._asked.items() if value)
        self._started = False
        self._start: Event | None = None
        self._stopped = False
        self._usage: dict[str, Any] = {}
        self._ending: dict[str, Any] | None = None
        self._last: Event = {}
        """The message_delta that came last."""
        self._index = -1
        self._open: tuple[int, str] | None = None
        self._moved = False
        """Whether the open block has another index here than at the upstream."""
        self._waiting: Event | None = None
        self._tool_ids: set[str] | None = None
        self._input: list[str] = []
        self._given: dict[str, Any] = {}
        """The arguments a tool_use block began with, which stand only if no delta brings them."""
        self._broken: Event | None = None
        """The end of a tool_use block whose arguments are no JSON: it stands only if the limit of tokens cut them short."""
        self._said = False
        self._thought = False

    def take(self, event: Event) -> Iterator[Event]:
        """Yield the events to pass on for one that came in: itself where nothing in it had to be put right."""
        kind = event.get("type")
        if self._stopped or kind == "ping":
            return
        if kind == "error":
            raise error_in_body(self._provider, self._model, event.get("error"), secrets=self._secrets)
        handler = _HANDLERS.get(str(kind))
        if handler is None:
            return  # clients of the API pass over kinds they do not know
        if not self._started and kind != "message_start":
            raise self.failed("malformed", f"{kind} before message_start")
        try:
            yield from handler(self, event)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise self.failed("malformed", f"a {kind} event of the wrong shape ({type(error).__name__})") from None

    @property
    def is_open(self) -> bool:
        """Tell whether there is something to pass on: the first block has content, or the answer is over."""
        return self._started and self._start is None

    @property
    def is_over(self) -> bool:
        """Tell whether message_stop was seen: the answer is whole, and whatever still comes is no part of it."""
        return self._stopped

    def is_plain(self, event: Mapping[str, Any]) -> bool:
        """Take a delta of text inside its open block, and tell whether it was that: what most events are."""
        if self._moved or self._waiting is not None or self._open != (event.get("index"), "text"):
            return False
        delta: Any = event.get("delta")
        if not isinstance(delta, dict) or cast("Any", delta).get("type") != "text_delta":
            return False
        text = cast("dict[str, Any]", delta).get("text")
        if not isinstance(text, str):
            return False
        self._said = self._said or bool(text.strip())
        return True

    def finish(self, *, ended: bool = False) -> None:
        """Take note that the upstream is done; `ended` says that it marked the end itself. Raises unless message_stop was seen."""
        if not self._stopped:
            raise self._unfinished(ended=ended)

    def _unfinished(self, *, ended: bool) -> ProviderError:
        if not self._started or (ended and not self._said and not self._thought):
            return self.failed("empty", "the answer is empty")
        return self.failed("truncated", "the answer broke off before its end")

    def failed(self, cause: str, message: str, hint: str | None = None) -> ProviderError:
        return failure(cause, message, provider=self._provider, model=self._model, hint=hint)

    def _message_start(self, event: Event) -> Iterator[Event]:
        if self._started:
            raise self.failed("malformed", "a second message_start")
        message = _object(event["message"])
        self._started = True
        usage = {**dict.fromkeys(_TOKEN_COUNTS, 0), **_counts(message.get("usage"))}
        self._usage = {name: usage[name] for name in _TOKEN_COUNTS}
        self._start = _mended(event, message={**message, "usage": usage})
        yield from ()

    def _block_start(self, event: Event) -> Iterator[Event]:
        if self._open is not None or self._ending is not None:
            raise self.failed("malformed", "a block began inside another")
        self._check_input("")
        block, at = _object(event["content_block"]), event["index"]
        kind = _text(block["type"])
        self._open = (at, kind)
        if kind in _HELD:
            self._waiting = _mended(event, content_block={**block, **_HELD[kind]})
            for delta, name in _FIELDS.items():
                if delta in _DELTAS[kind] and block.get(name):  # clients take what a block says from its deltas alone
                    yield from self._block_delta({"type": "content_block_delta", "index": at, "delta": {"type": delta, name: block[name]}})
            return
        if kind == "tool_use":
            self._given, self._input = _object(block.get("input") or {}), []
            block.update(id=self._own_id(str(block.get("id") or "")), name=_text(block["name"]), input={})
        self._said = self._said or (kind != "redacted_thinking" and "tools" in self._offered)
        yield from self._begun(_mended(event, content_block=block))

    def _block_delta(self, event: Event) -> Iterator[Event]:
        delta = _object(event["delta"])
        if self._open is None or self._open[0] != event["index"]:
            raise self.failed("malformed", "a delta outside its block")
        kind, is_known = self._open[1], _text(delta["type"]) in _KNOWN_DELTAS
        if is_known and kind in _DELTAS and delta["type"] not in _DELTAS[kind]:
            raise self.failed("malformed", f"a {delta['type']} in a {kind} block")
        said = _text(delta[_FIELDS[delta["type"]]]) if delta["type"] in _FIELDS else ""
        if self._waiting is not None:
            if not is_known:
                return  # no content by itself, as far as is known
            start, self._waiting = self._waiting, None
            yield from self._begun(start)
        self._said = self._said or (kind == "text" and bool(said.strip()))
        self._thought = self._thought or kind == "thinking"
        if kind == "tool_use":
            self._input.append(said)
        yield _mended(event, index=self._index)

    def _block_stop(self, event: Event) -> Iterator[Event]:
        if self._open is None or self._open[0] != event["index"]:
            raise self.failed("malformed", "a block ended that had not begun")
        kind = self._open[1]
        if kind == "tool_use" and self._given and not "".join(self._input).strip():
            delta = {"type": "input_json_delta", "partial_json": json.dumps(self._given)}
            yield from self._block_delta({"type": "content_block_delta", "index": event["index"], "delta": delta})
        self._open = None
        if self._waiting is not None:
            self._waiting = None
            return
        stop = _mended(event, index=self._index)
        if kind == "tool_use" and tool_input("".join(self._input)) is None:
            self._broken = stop
            return
        yield stop

    def _message_delta(self, event: Event) -> Iterator[Event]:
        if self._open is not None:
            raise self.failed("malformed", "the message ended inside a block")
        self._usage.update(_counts(event.get("usage")))
        delta = {key: value for key, value in _object(event["delta"]).items() if value is not None}
        for key in {"stop_reason", "stop_sequence"} & delta.keys():
            _text(delta[key])
        self._ending, self._last = {**(self._ending or {}), **delta}, event
        yield from ()

    def _message_stop(self, event: Event) -> Iterator[Event]:
        reason = (self._ending or {}).get("stop_reason")
        if self._ending is None or reason is None:
            raise self._unfinished(ended=True)
        self._check_said(str(reason))
        delta = {"stop_sequence": None, **self._last["delta"], **self._ending}
        yield from self._opening()
        if self._broken is not None:
            yield self._broken
        yield _mended(self._last, delta=delta, usage=self._usage)
        self._stopped = True
        yield event

    def _check_said(self, reason: str) -> None:
        self._check_input(reason)
        if self._said or _MAY_BE_SILENT.get(reason) in self._offered:
            return
        if reason == "refusal":
            raise self.failed("empty", "the provider declined to answer")
        if reason == "max_tokens":
            raise self.failed("empty", "thinking used up the limit of output tokens (max_output_tokens) before the first word", _USED_UP)
        raise self.failed("empty", f"the answer is empty ({reason})")

    def _check_input(self, reason: str) -> None:
        if self._broken is not None and reason != "max_tokens":  # the limit may cut a call short
            raise self.failed("malformed", "the arguments of a tool call are no JSON object")

    def _begun(self, start: Event) -> Iterator[Event]:
        yield from self._opening()
        self._index += 1
        self._moved = type(start["index"]) is not int or start["index"] != self._index
        yield _mended(start, index=self._index)

    def _opening(self) -> Iterator[Event]:
        """Yield message_start, which waits until there is something to say."""
        if self._start is not None:
            start, self._start = self._start, None
            yield start

    def _own_id(self, raw: str) -> str:
        """Return the id in Anthropic's characters, and unlike those before it in the conversation.

        Some upstreams count from 0 in each answer; Anthropic's API refuses ids that come twice, and Claude Code drops them.
        """
        if self._tool_ids is None:
            self._tool_ids = _ids_in(self._asked)
        base = unique = tool_id(raw)
        for number in count(len(self._tool_ids)):
            if unique not in self._tool_ids:
                break
            unique = f"{base}_{number}"
        self._tool_ids.add(unique)
        return unique


_HANDLERS = {
    "message_start": Grammar._message_start,  # pyright: ignore[reportPrivateUsage]
    "content_block_start": Grammar._block_start,  # pyright: ignore[reportPrivateUsage]
    "content_block_delta": Grammar._block_delta,  # pyright: ignore[reportPrivateUsage]
    "content_block_stop": Grammar._block_stop,  # pyright: ignore[reportPrivateUsage]
    "message_delta": Grammar._message_delta,  # pyright: ignore[reportPrivateUsage]
    "message_stop": Grammar._message_stop,  # pyright: ignore[reportPrivateUsage]
}
KINDS = frozenset({*_HANDLERS, "ping", "error"})


def events_of(message: Mapping[str, Any]) -> Iterator[Event]:
    """Yield the events a whole message (a non-streamed answer) stands for; what is misshapen in it goes on as it is."""
    yield {"type": "message_start", "message": {**message, "content": [], "stop_reason": None, "stop_sequence": None}}
    content: Any = message.get("content") or []
    for index, block in enumerate(cast("list[Any]", content) if isinstance(content, list) else [content]):
        if isinstance(block, dict):
            yield from _block_events(index, cast("dict[str, Any]", block))
        else:
            yield {"type": "content_block_start", "index": index, "content_block": block}
    delta = {"stop_reason": message.get("stop_reason"), "stop_sequence": message.get("stop_sequence")}
    yield {"type": "message_delta", "delta": delta, "usage": message.get("usage")}
    yield {"type": "message_stop"}


def _block_events(index: int, block: Mapping[str, Any]) -> Iterator[Event]:
    kind, deltas = block.get("type"), list[Event]()
    start = dict(block)
    if kind == "text":
        start["text"] = ""
        deltas.append({"type": "text_delta", "text": block.get("text", "")})
    elif kind == "thinking":
        start.update(thinking="", signature="")
        deltas.append({"type": "thinking_delta", "thinking": block.get("thinking", "")})
        deltas.append({"type": "signature_delta", "signature": block.get("signature", "")})
    elif kind == "tool_use":
        start["input"] = {}
        deltas.append({"type": "input_json_delta", "partial_json": json.dumps(block.get("input") or {}, ensure_ascii=False)})
    yield {"type": "content_block_start", "index": index, "content_block": start}
    for delta in deltas:
        if any(value for key, value in delta.items() if key != "type"):
            yield {"type": "content_block_delta", "index": index, "delta": delta}
    yield {"type": "content_block_stop", "index": index}


def _ids_in(body: Mapping[str, Any]) -> set[str]:
    """Return the ids of the blocks in a body's messages."""
    said = (block for message in objects_of(body.get("messages")) for block in objects_of(message.get("content")))
    return {block["id"] for block in said if isinstance(block.get("id"), str)}


def _mended(event: Event, **right: Any) -> Event:
    """The event with its fields as they are right: itself where they are so already."""
    if all(type(event.get(key)) is type(value) and event[key] == value for key, value in right.items()):
        return event
    return {**event, **right}


def _object(value: Any) -> dict[str, Any]:
    """The value as an object of its own. Raises TypeError when it is none."""
    if not isinstance(value, Mapping):
        raise TypeError
    return dict(cast("Mapping[str, Any]", value))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _counts(usage: Any) -> dict[str, Any]:
    """The usage without what says nothing: nulls, figures below zero, a cost that is none.

    Raises TypeError for counts that are no numbers.
    """
    counted = {key: value for key, value in _object({} if usage is None else usage).items() if value is not None}
    for key in [name for name in _TOKEN_COUNTS if name in counted]:
        if not _is_amount(counted[key], -_MOST_TOKENS, _MOST_TOKENS):
            raise TypeError
        counted[key] = int(counted[key])
        if counted[key] < 0:
            del counted[key]
    if not _is_amount(counted.get("cost_usd"), 0, _MOST_USD):
        counted.pop("cost_usd", None)
    return counted


def _is_amount(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and least <= value <= most
