"""HTTP/1.1 with bounds on how long and how much a client may keep a connection busy without getting on.

uvicorn waits for ever for the rest of a request, keeps headers of any size, and waits for ever for a client to read its answer.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class BoundedProtocol(HttpToolsProtocol):
    """Closes the connection of a client that is too slow. Seconds are of a whole head, a whole body, and of reading nothing."""

    head_seconds = 30.0
    body_seconds = 60.0
    stalled_seconds = 120.0
    most_head_bytes = 64 * 1024

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._clocks: dict[str, asyncio.TimerHandle] = {}
        self._head_bytes: int | None = None
        """Of the head that has begun; None while none has."""
        self._is_early = False
        """Whether a request is one sent before the answer to the one before. uvicorn would stop reading and not notice a client that
        leaves; the connection is closed after the answer instead, upon which clients ask again (RFC 9112, 9.3.2)."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start("head", self.head_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        for clock in self._clocks.values():
            clock.cancel()
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
        if not self._is_early:
            super().on_body(body)

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
        self._stop(what)
        self._clocks[what] = self.loop.call_later(seconds, self._give_up)

    def _stop(self, what: str) -> None:
        clock = self._clocks.pop(what, None)
        if clock is not None:
            clock.cancel()

    def _give_up(self) -> None:
        # What is still to be sent would never be taken, so it is not waited for.
        self.transport.abort()
