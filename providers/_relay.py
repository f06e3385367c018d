"""A Messages API event stream passed on as the bytes it came in, while it is held to the grammar of every wire (providers._events).

What an upstream of Anthropic's wire sends is right already, so it is not rewritten: an event keeps its own bytes as long as the
grammar has nothing to put right in it, and is left out or written anew where it has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, cast

from conversation.errors import ProviderError
from conversation.json_text import parsed
from conversation.messages import Event
from providers._events import KINDS, Grammar
from providers._sse import MAX_EVENT_BYTES
from providers.base import Relayed
from providers.causes import error_in_body, failure

_NAMED = {f"event: {kind}\n".encode(): kind for kind in KINDS}
"""What stands before the data of an event in the form Anthropic sends it."""


class Frames:
    """Cuts chunks of bytes into server-sent events, each with its JSON object and its bytes.

    providers._sse reads all that the standard allows, line by line and as text; here an event is left as it is, which is what makes
    a relay cheap, and its fields are looked at no further than that.
    """

    def __init__(self, provider: str, model: str, secrets: tuple[str, ...]) -> None:
        self._provider, self._model, self._secrets = provider, model, secrets
        self._rest = bytearray()
        self._after_cr = False

    def feed(self, chunk: bytes) -> Iterator[Relayed]:
        """Yield the events that `chunk` completes. Raises ProviderError for an error in the place of one, and for broken JSON."""
        if self._after_cr or b"\r" in chunk:
            chunk = self._with_plain_ends(chunk)
        whole = self._completed(chunk)
        if len(self._rest) > MAX_EVENT_BYTES:
            raise self._failed("malformed", f"an event of more than {MAX_EVENT_BYTES} bytes")
        for frame in whole.split(b"\n\n") if whole else ():
            event = self._event(frame)
            if event is not None:
                yield event

    def _completed(self, chunk: bytes) -> bytes:
        """Return the frames that are whole now, and keep what is left. Each byte is looked at once, however an event is cut."""
        if not self._rest:
            whole, _, rest = chunk.rpartition(b"\n\n")
            self._rest += rest
            return whole
        looked_at = len(self._rest) - 1
        self._rest += chunk
        end = self._rest.rfind(b"\n\n", looked_at)
        if end < 0:
            return b""
        whole = bytes(self._rest[:end])
        del self._rest[: end + 2]
        return whole

    def _with_plain_ends(self, chunk: bytes) -> bytes:
        """Return a chunk whose lines end in CR, or in CR and LF, as if they ended in LF; a pair may be cut in two."""
        if self._after_cr:
            chunk = chunk.removeprefix(b"\n")
        self._after_cr = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def close(self) -> Iterator[Relayed]:
        """Yield the event the bytes ended with, if only its blank line was missing. Raises ProviderError when they ended inside one."""
        if not self._rest.strip():
            return
        try:
            event = self._event(bytes(self._rest))
        except ProviderError as error:
            raise self._failed("truncated", "the answer broke off inside an event") if error.cause == "malformed" else error from None
        if event is not None:
            yield event

    def _event(self, frame: bytes) -> Relayed | None:
        at = frame.find(b"data:")
        named, data = _NAMED.get(frame[:at]), frame[at + 5 :]
        if named is None or b"\n" in data:
            named, data = None, _data(frame)
        data = data.strip()
        if not data or data == b"[DONE]":
            return None  # a comment
        try:
            value: object = parsed(data)
        except ValueError:
            raise self._failed("malformed", "an event whose JSON is broken") from None
        if not isinstance(value, dict):
            raise self._failed("malformed", "an event that is not a JSON object")
        event = Relayed(cast("dict[str, Any]", value))
        if event.get("error"):
            raise error_in_body(self._provider, self._model, event["error"], secrets=self._secrets)
        kind = event.get("type")
        event.raw = frame + b"\n\n" if named is not None and named == kind else _framed(str(kind), data)
        return event

    def _failed(self, cause: str, message: str) -> ProviderError:
        return failure(cause, message, provider=self._provider, model=self._model)


def _data(frame: bytes) -> bytes:
    """Return an event's data on one line: JSON may have been sent in several."""
    return b" ".join(line[5:] for line in frame.split(b"\n") if line.startswith(b"data:"))


def _framed(kind: str, data: bytes) -> bytes:
    return b"event: " + kind.encode(errors="replace") + b"\ndata: " + data + b"\n\n"


def relayed(events: Iterable[Event], grammar: Grammar, note: Callable[[Event], None]) -> Iterator[Event]:
    """Yield what of these events is to be passed on, up to the end of the message; raises ProviderError for what is not right.

    `note` is told of each event that is passed on and is more than a piece of text.
    """
    for event in events:
        if event.get("type") == "content_block_delta" and grammar.is_plain(event):
            yield event
            continue
        if grammar.is_open and _is_new(event.get("type")):
            yield event
            continue
        for made in grammar.take(event):
            note(made)
            yield made
        if grammar.is_over:
            return


def _is_new(kind: object) -> bool:
    """Tell whether this may be a kind of event newer than this code: clients pass over those they do not know, so they have it as it is."""
    return isinstance(kind, str) and kind not in KINDS and kind.isidentifier()
