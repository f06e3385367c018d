"""A Messages API event stream passed on as the bytes it came in, while it is watched for faults, usage and its first content.

What an upstream of Anthropic's wire sends is right already, so it is not rewritten: each event keeps its own bytes. It is held
to the same grammar as every other wire (providers._events), and nothing leaves before the first block has content.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

from conversation.errors import ProviderError
from conversation.json_text import parsed
from conversation.messages import Event
from providers._events import Grammar
from providers._sse import MAX_EVENT_BYTES
from providers.base import Relayed
from providers.causes import error_in_body, failure


class Frames:
    """Cuts chunks of bytes into server-sent events, each with its JSON object and its bytes.

    providers._sse reads all that the standard allows, line by line and as text; here an event is left as it is, which is what makes
    a relay cheap, and its fields are looked at no further than that.
    """

    def __init__(self, provider: str, model: str, secrets: tuple[str, ...]) -> None:
        self._provider, self._model, self._secrets = provider, model, secrets
        self._rest = b""
        self._at_start = True

    def feed(self, chunk: bytes) -> Iterator[Relayed]:
        """Yield the events that `chunk` completes. Raises ProviderError for an error in the place of one, and for broken JSON."""
        if b"\r" in chunk:
            chunk = chunk.replace(b"\r", b"")  # JSON has none outside its escapes
        if self._at_start and chunk:
            chunk, self._at_start = chunk.removeprefix(b"\xef\xbb\xbf"), False  # a byte order mark, which the standard allows
        whole, _, rest = (self._rest + chunk).rpartition(b"\n\n")
        self._rest = rest
        if len(rest) > MAX_EVENT_BYTES:
            raise self._failed("malformed", f"an event of more than {MAX_EVENT_BYTES} bytes")
        for frame in whole.split(b"\n\n") if whole else ():
            event = self._event(frame)
            if event is not None:
                yield event

    def close(self) -> Iterator[Relayed]:
        """Yield the event the bytes ended with, if only its blank line was missing. Raises ProviderError when they ended inside one."""
        if not self._rest.strip():
            return
        try:
            event = self._event(self._rest)
        except ProviderError as error:
            raise self._failed("truncated", "the answer broke off inside an event") if error.cause == "malformed" else error from None
        if event is not None:
            yield event

    def _event(self, frame: bytes) -> Relayed | None:
        at = frame.find(b"data:")
        data, raw = frame[at + 5 :], frame + b"\n\n"
        if at < 0 or b"\n" in data or (at > 0 and frame[at - 1] != 10):
            data, raw = _one_line(frame)
        data = data.strip()
        if not data or data == b"[DONE]":
            return None  # a comment
        try:
            value: object = parsed(data)
        except ValueError:
            raise self._failed("malformed", "an event whose JSON is broken") from None
        if not isinstance(value, dict):
            raise self._failed("malformed", "an event that is not a JSON object")
        event = cast("dict[str, Any]", value)
        if event.get("error"):
            raise error_in_body(self._provider, self._model, event["error"], secrets=self._secrets)
        relayed = Relayed(event)
        relayed.raw = raw if raw.startswith(b"event:") else b"event: " + str(event.get("type")).encode() + b"\n" + raw
        return relayed

    def _failed(self, cause: str, message: str) -> ProviderError:
        return failure(cause, message, provider=self._provider, model=self._model)


def _one_line(frame: bytes) -> tuple[bytes, bytes]:
    """Return an event's data, and the event with its data on one line: JSON may have been sent in several."""
    lines = frame.split(b"\n")
    data = b"\n".join(line[5:] for line in lines if line.startswith(b"data:"))
    return data, b"data: " + b" ".join(data.split(b"\n")).strip() + b"\n\n"


class Relay:
    """Passes on one answer's events as they are, once there is content, and raises ProviderError for what is not right."""

    def __init__(self, grammar: Grammar, note: Callable[[Event], None]) -> None:
        """`note` is told of each event that is passed on and is more than a piece of text."""
        self._grammar, self._note = grammar, note
        self._held: list[Relayed] = []

    def take(self, events: Iterable[Relayed]) -> Iterator[Relayed]:
        """Yield the events to pass on now that these have come."""
        grammar = self._grammar
        for event in events:
            if not self._held and event.get("type") == "content_block_delta" and grammar.is_plain(event):
                yield event
                continue
            for _ in grammar.take(event):
                pass
            if not grammar.is_open and event.get("type") == "ping":
                continue
            self._held.append(event)
            if grammar.is_open and not grammar.is_doubtful:
                for held in self._held:
                    self._note(held)
                yield from self._held
                self._held.clear()
