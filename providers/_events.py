"""The grammar of Messages API events, held to at the edge where upstream events come in.

    message_start (content_block_start content_block_delta* content_block_stop)* message_delta message_stop

https://docs.anthropic.com/en/docs/build-with-claude/streaming. Whatever an upstream or a translation makes of it, what leaves
here has one message_start, contiguous indexes, every block closed, no empty text block, and one message_delta with a stop
reason and all four token counts. Nothing leaves before the first block has content, so that until then another provider can be
asked instead.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from conversation.errors import ProviderError
from conversation.messages import Event
from providers.causes import error_in_body, failure

_TOKEN_COUNTS = ("input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens")
_HELD = {"text", "thinking"}
"""Blocks whose start waits for their first delta: an empty one is not passed on, since upstreams reject it when it is replayed."""
_DELTAS: Mapping[str, frozenset[str]] = {
    "text": frozenset({"text_delta", "citations_delta"}),
    "thinking": frozenset({"thinking_delta", "signature_delta"}),
    "tool_use": frozenset({"input_json_delta"}),
}
_SPEAKS = {"pause_turn", "stop_sequence"}
"""Stop reasons with which an answer may hold nothing."""
_NOT_AN_ID = re.compile(r"[^a-zA-Z0-9_-]")


def tool_id(raw: str) -> str:
    """Return a tool id with the characters Anthropic takes: ^[a-zA-Z0-9_-]+$."""
    return _NOT_AN_ID.sub("_", raw) or "toolu_unnamed"


class Grammar:
    """Checks one answer's events and puts right what can be; raises ProviderError for the rest."""

    def __init__(self, provider: str, model: str, secrets: tuple[str, ...] = ()) -> None:
        self._provider, self._model, self._secrets = provider, model, secrets
        self._started = False
        self._start: Event | None = None
        self._stopped = False
        self._usage: dict[str, Any] = {}
        self._ending: dict[str, Any] | None = None
        self._index = -1
        self._open: tuple[int, str] | None = None
        self._waiting: dict[str, Any] | None = None
        self._tool_ids: set[str] = set()
        self._said = False
        self._thought = False

    def take(self, event: Mapping[str, Any]) -> Iterator[Event]:
        """Yield the events to pass on for one that came in."""
        kind = event.get("type")
        if kind == "error":
            raise error_in_body(self._provider, self._model, event.get("error"), secrets=self._secrets)
        if self._stopped or kind == "ping":
            return
        handler = _HANDLERS.get(str(kind))
        if handler is None:
            return  # clients of the API pass over kinds they do not know
        if not self._started and kind != "message_start":
            raise self.failed("malformed", f"{kind} before message_start")
        try:
            yield from handler(self, event)
        except (KeyError, TypeError, AttributeError) as error:
            raise self.failed("malformed", f"a {kind} event without its fields ({type(error).__name__})") from None

    def finish(self, *, ended: bool = False) -> None:
        """Take note that the upstream is done; `ended` says that it marked the end itself. Raises unless message_stop was seen."""
        if self._stopped:
            return
        if not self._started or (ended and not self._said and not self._thought):
            raise self.failed("empty", "the answer is empty")
        raise self.failed("truncated", "the answer broke off before its end")

    def failed(self, cause: str, message: str) -> ProviderError:
        return failure(cause, message, provider=self._provider, model=self._model)

    def _message_start(self, event: Mapping[str, Any]) -> Iterator[Event]:
        if self._started:
            raise self.failed("malformed", "a second message_start")
        self._started = True
        message: dict[str, Any] = dict(event["message"])
        self._usage = _counts(message.get("usage"))
        message["usage"] = {**dict.fromkeys(_TOKEN_COUNTS, 0), **self._usage}
        self._start = {"type": "message_start", "message": message}
        yield from ()

    def _block_start(self, event: Mapping[str, Any]) -> Iterator[Event]:
        if self._open is not None or self._ending is not None:
            raise self.failed("malformed", "a block began inside another")
        block: dict[str, Any] = dict(event["content_block"])
        kind = str(block["type"])
        self._open = (event["index"], kind)
        if kind in _HELD:
            empty = {"text": ""} if kind == "text" else {"thinking": "", "signature": ""}
            self._waiting = {**block, **empty}
            return
        if kind == "tool_use":
            block["id"] = self._own_id(str(block.get("id") or ""))
        self._said = self._said or kind != "redacted_thinking"
        yield from self._begun(block)

    def _block_delta(self, event: Mapping[str, Any]) -> Iterator[Event]:
        delta: Mapping[str, Any] = event["delta"]
        if self._open is None or self._open[0] != event["index"]:
            raise self.failed("malformed", "a delta outside its block")
        kind = self._open[1]
        if kind in _DELTAS and delta["type"] not in _DELTAS[kind]:
            raise self.failed("malformed", f"a {delta['type']} in a {kind} block")
        if self._waiting is not None:
            block, self._waiting = self._waiting, None
            yield from self._begun(block)
        self._said = self._said or kind == "text"
        self._thought = self._thought or kind == "thinking"
        yield {"type": "content_block_delta", "index": self._index, "delta": dict(delta)}

    def _block_stop(self, event: Mapping[str, Any]) -> Iterator[Event]:
        if self._open is None or self._open[0] != event["index"]:
            raise self.failed("malformed", "a block ended that had not begun")
        self._open = None
        if self._waiting is not None:
            self._waiting = None
            return
        yield {"type": "content_block_stop", "index": self._index}

    def _message_delta(self, event: Mapping[str, Any]) -> Iterator[Event]:
        if self._open is not None:
            raise self.failed("malformed", "the message ended inside a block")
        self._usage.update(_counts(event.get("usage")))
        delta: dict[str, Any] = {key: value for key, value in event["delta"].items() if value is not None}
        self._ending = {**(self._ending or {}), **delta}
        yield from ()

    def _message_stop(self, _event: Mapping[str, Any]) -> Iterator[Event]:
        reason = (self._ending or {}).get("stop_reason")
        if self._ending is None or reason is None:
            self.finish(ended=True)
        self._check_said(str(reason))
        delta = {"stop_reason": reason, "stop_sequence": None, **(self._ending or {})}
        yield from self._opening()
        yield {"type": "message_delta", "delta": delta, "usage": {**dict.fromkeys(_TOKEN_COUNTS, 0), **self._usage}}
        self._stopped = True
        yield {"type": "message_stop"}

    def _check_said(self, reason: str) -> None:
        if self._said or reason in _SPEAKS or (self._thought and reason == "max_tokens"):
            return
        if reason == "refusal":
            raise self.failed("empty", "the provider declined to answer")
        raise self.failed("empty", f"the answer is empty ({reason})")

    def _begun(self, block: dict[str, Any]) -> Iterator[Event]:
        yield from self._opening()
        self._index += 1
        yield {"type": "content_block_start", "index": self._index, "content_block": block}

    def _opening(self) -> Iterator[Event]:
        """Yield message_start, which waits until there is something to say."""
        if self._start is not None:
            start, self._start = self._start, None
            yield start

    def _own_id(self, raw: str) -> str:
        """Return the id in Anthropic's characters, and unlike those before it in this answer."""
        base = unique = tool_id(raw)
        while unique in self._tool_ids:
            unique = f"{base}_{len(self._tool_ids)}"
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


def events_of(message: Mapping[str, Any]) -> Iterator[Event]:
    """Yield the events a whole message (a non-streamed answer) stands for."""
    yield {"type": "message_start", "message": {**message, "content": [], "stop_reason": None, "stop_sequence": None}}
    blocks = cast("Iterable[Mapping[str, Any]]", message.get("content") or ())
    for index, block in enumerate(blocks):
        yield from _block_events(index, block)
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


def _counts(usage: Any) -> dict[str, Any]:
    fields: Mapping[str, Any] = cast("Mapping[str, Any]", usage) if isinstance(usage, Mapping) else {}
    return {key: value for key, value in fields.items() if value is not None}
