"""HTTP/1.1 with bounds on how long and how much a client may keep a connection busy without getting on.

uvicorn waits for ever for the rest of a request, keeps headers of any size, and waits for ever for a client to read its answer.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_MOST_GATHERED = 64 * 1024
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class GatheringTransport(asyncio.Transport):
    """Hands on in one piece what is written within one turn of the event loop.

    uvicorn writes the head, the body and the end of an answer one by one, and each write is a call of the kernel that wakes the client.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport, self._loop = transport, loop
        self._parts: list[bytes | bytearray | memoryview] = []
        self._bytes = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write with this turn's end, or at once when that is much."""
        self._parts.append(data)
        self._bytes += len(data)
        if self._bytes > _MOST_GATHERED:
            self._hand_on()
        elif len(self._parts) == 1:
            self._loop.call_soon(self._hand_on)

    def _hand_on(self) -> None:
        if self._parts:
            parts, self._parts, self._bytes = self._parts, [], 0
            self._transport.write(parts[0] if len(parts) == 1 else b"".join(parts))

    def close(self) -> None:
        """Close once all that was written is sent."""
        self._hand_on()
        self._transport.close()

    def abort(self) -> None:
        """Close at once; what is not sent is lost."""
        self._parts.clear()
        self._transport.abort()

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()


class BoundedProtocol(HttpToolsProtocol):
    """Closes the connection of a client that is too slow. Seconds are of a whole head, a whole body, and of reading nothing."""

    head_seconds = 30.0
    body_seconds = 60.0
    stalled_seconds = 120.0
    most_head_bytes = 64 * 1024
    most_unread_bytes = 1024 * 1024
    """Of a body, kept for an application that is not reading. uvicorn's own 64 KB stop and start the reading of nearly every request."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._deadlines: dict[str, float] = {}
        self._clock: asyncio.TimerHandle | None = None
        """Rings no later than the first deadline. It is not set anew with each of them, of which a request has several."""
        self._head_bytes: int | None = None
        """Of the head that has begun; None while none has."""
        self._is_early = False
        """Whether a request is one sent before the answer to the one before. uvicorn would stop reading and not notice a client that
        leaves; the connection is closed after the answer instead, upon which clients ask again (RFC 9112, 9.3.2)."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(GatheringTransport(transport, self.loop))
        self._start("head", self.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._clock is not None:
            self._clock.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        begun = self._head_bytes is not None
        super().data_received(data)
        if begun and self._head_bytes is not None:
            self._head_bytes += len(data)
            if self._head_bytes > self.most_head_bytes and not self.transport.is_closing():
                self.transport.write(_TOO_LARGE)
                self.transport.close()

    def on_message_begin(self) -> None:
        self._head_bytes = 0
        self._start("head", self.head_seconds)
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._head_bytes = None
        self._stop("head")
        self._is_early = bool(self.cycle) and not self.cycle.response_complete
        if self._is_early:
            self.cycle.keep_alive = False
            return
        self._start("body", self.body_seconds)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if self._is_early or self.cycle.response_complete:
            return
        self.cycle.body += body
        if len(self.cycle.body) > self.most_unread_bytes:
            self.flow.pause_reading()
        self.cycle.message_event.set()

    def on_message_complete(self) -> None:
        self._stop("body")
        if not self._is_early:
            super().on_message_complete()

    def pause_writing(self) -> None:
        self._start("reading", self.stalled_seconds)
        super().pause_writing()

    def resume_writing(self) -> None:
        self._stop("reading")
        super().resume_writing()

    def _start(self, what: str, seconds: float) -> None:
        ends = self._deadlines[what] = self.loop.time() + seconds
        if self._clock is None or self._clock.when() > ends:
            self._ring_at(ends)

    def _stop(self, what: str) -> None:
        self._deadlines.pop(what, None)

    def _ring_at(self, time: float) -> None:
        if self._clock is not None:
            self._clock.cancel()
        self._clock = self.loop.call_at(time, self._look)

    def _look(self) -> None:
        self._clock = None
        first = min(self._deadlines.values(), default=None)
        if first is None:
            return
        if first > self.loop.time():
            self._ring_at(first)
        else:
            self._give_up()

    def _give_up(self) -> None:
        # What is still to be sent would never be taken, so it is not waited for.
        self.transport.abort()
