"""Server-sent events, parsed incrementally: https://html.spec.whatwg.org/multipage/server-sent-events.html

Bytes may be cut anywhere, in the middle of a character or between CR and LF.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

MAX_EVENT_BYTES = 16 * 1024 * 1024


class ServerEvent(NamedTuple):
    """One dispatched event: its type (empty when none was named) and its data lines joined by newlines."""

    event: str
    data: str


class SSEError(ValueError):
    """The bytes are not an event stream: an event too large, or text that is not UTF-8."""


class SSEParser:
    """Turns chunks of bytes into events. Comments, ids and retry fields are passed over; events without data are not dispatched."""

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max = max_event_bytes
        self._line: list[bytes] = []
        self._event = ""
        self._data: list[str] = []
        self._size = 0
        self._after_cr = False
        self._at_start = True

    def feed(self, chunk: bytes) -> Iterator[ServerEvent]:
        """Yield the events that `chunk` completes. Raises SSEError."""
        if not chunk:
            return
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
        self._after_cr = chunk.endswith(b"\r")
        for piece in chunk.splitlines(keepends=True):
            self._size += len(piece)
            if self._size > self._max:
                raise SSEError(f"an event of more than {self._max} bytes")
            if not piece.endswith((b"\n", b"\r")):
                self._line.append(piece)
                continue
            self._line.append(piece.rstrip(b"\r\n"))
            line = b"".join(self._line)
            self._line.clear()
            if line:
                self._field(line)
                continue
            found = self._dispatch()
            if found is not None:
                yield found

    def close(self) -> ServerEvent | None:
        """Return what stood unfinished when the bytes ended, if anything: whole when only the blank line was missing."""
        line = b"".join(self._line)
        self._line.clear()
        if line:
            self._field(line)
        return self._dispatch()

    def _field(self, line: bytes) -> None:
        try:
            text = line.decode()
        except UnicodeDecodeError:
            raise SSEError("text that is not UTF-8") from None
        if self._at_start:
            text = text.removeprefix("\ufeff")
            self._at_start = False
        name, _, value = text.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "event":
            self._event = value

    def _dispatch(self) -> ServerEvent | None:
        found = ServerEvent(self._event, "\n".join(self._data)) if self._data else None
        self._event, self._size = "", 0
        self._data.clear()
        return found
