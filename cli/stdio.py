"""MCP over stdin and stdout: a transport that answers every line and is gone when its client is.

The SDK's own stdio transport drops a line it cannot parse without a word, and its reader thread can hold up the exit.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import anyio
from mcp.server import Server
from mcp.shared.message import SessionMessage
from mcp_types import JSONRPCError, JSONRPCMessage, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse

from cli._exit import ExitWatch
from cli._stdio_messages import LineSplitter, Overlong, Refusal, parse, refuse_overlong
from cli._stdio_wire import ByteReader, LineWriter, claim_stdio

logger = logging.getLogger(__name__)

MAX_LINE_BYTES = 16 * 1024 * 1024
"""Longest line that is read. Files and images come as paths, so a message needs no more."""

EXIT_GRACE = 3.0
"""Seconds from the client's leaving to the end of the process, whatever runs."""

_LAST_ANSWERS = 0.2
"""Seconds that calls already running get when the input ends while the output is still read, as in `printf ... | parley serve`."""

_PAUSE_ABOVE = 16 * 1024 * 1024
"""Bytes of answers waiting for a client that sends without reading, above which no more is read from it."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


async def serve_stdio(server: Server[Any], *, max_line_bytes: int = MAX_LINE_BYTES, exit_grace: float = EXIT_GRACE) -> None:
    """Serve one client until it goes away, a signal comes or the parent ends, and return when its calls are cancelled and closed.

    The process ends within `exit_grace` seconds of that moment, also when a thread or the loop itself is stuck, then with status 1.
    Both ends of stdio and the handlers of SIGTERM, SIGINT and SIGHUP are taken for the rest of the process's life.

    Raises RuntimeError when stdin or stdout is closed.
    """
    stdin, stdout = claim_stdio()
    loop = asyncio.get_running_loop()
    with anyio.CancelScope() as running:

        def on_leave(reason: str) -> None:
            if not wire.stopped:
                logger.info("stopping: %s", reason)
            wire.stop()

        def on_end() -> None:
            watch.arm()
            # What has not ended by itself by then, such as a store that will not close, is cancelled.
            timers.append(loop.call_later(exit_grace / 2, running.cancel))

        timers: list[asyncio.TimerHandle] = []
        wire = _Wire(stdin, stdout, max_line_bytes, on_end)
        watch = ExitWatch(grace=exit_grace, on_leave=on_leave)
        watch.watch_signals(_SIGNALS)
        watch.watch_client(stdin, stdout)
        watch.start()
        try:
            await server.run(wire, _Answers(wire), server.create_initialization_options())
        finally:
            # Threads and executors may still be busy, and asyncio.run would wait for them: the clock ticks from here on.
            watch.arm()
            for timer in timers:
                timer.cancel()
            await wire.flush(exit_grace / 4)


class _Wire:
    """The read stream of one connection. Lines that are no messages are answered here and never reach the server.

    `on_end` is called once, when no more will be read.
    """

    def __init__(self, stdin: int, stdout: int, max_line_bytes: int, on_end: Callable[[], None]) -> None:
        self._reader = ByteReader(stdin)
        self._writer = LineWriter(stdout)
        self._splitter = LineSplitter(max_line_bytes)
        self._max_line_bytes = max_line_bytes
        self._on_end = on_end
        self._lines: deque[bytes | Overlong] = deque()
        self._running: set[str | int] = set()
        self._settled = asyncio.Event()
        self._ended = False
        self.stopped = False

    def stop(self) -> None:
        """The client has gone or is to go: read no more, and wait for nothing."""
        self.stopped = True
        self._reader.close()
        self._settled.set()
        self._end()

    async def receive(self) -> SessionMessage | Exception:
        """The next message. Raises anyio.EndOfStream when the client is gone."""
        while not self.stopped:
            if self._lines:
                message = await self._message(self._lines.popleft())
                if message is not None:
                    return SessionMessage(message)
            elif self._ended:
                break
            else:
                await self._read()
        await self._last_answers()
        raise anyio.EndOfStream

    async def send(self, message: JSONRPCMessage) -> None:
        """Write one message. Raises anyio.BrokenResourceError when nobody reads any more."""
        line = message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n"
        try:
            await self._writer.send(line)
        finally:
            if isinstance(message, JSONRPCResponse | JSONRPCError) and message.id is not None:
                self._settle(message.id)

    async def flush(self, seconds: float) -> None:
        """Give the client up to `seconds` to take what is still queued."""
        with anyio.move_on_after(seconds, shield=True):
            try:
                await self._writer.until_below(0)
            except anyio.BrokenResourceError:
                logger.debug("the client left before its last answers")

    async def _read(self) -> None:
        chunk = await self._reader.read()
        if chunk:
            self._lines.extend(self._splitter.feed(chunk))
            return
        self._lines.append(self._splitter.finish())
        self._end()

    def _end(self) -> None:
        if not self._ended:
            self._ended = True
            self._on_end()

    async def _message(self, line: bytes | Overlong) -> JSONRPCMessage | None:
        """The message on a line; None for a blank line and for one that has been answered with an error."""
        if isinstance(line, bytes) and not line.strip():
            return None
        message = refuse_overlong(line, self._max_line_bytes) if isinstance(line, Overlong) else parse(line)
        if isinstance(message, Refusal):
            logger.debug("refused a line: %d", message.code)
        try:
            if isinstance(message, Refusal):
                await self.send(message.answer())
                return None
            await self._writer.until_below(_PAUSE_ABOVE)
        except anyio.BrokenResourceError:
            self.stop()
            return None
        self._note(message)
        return message

    def _note(self, message: JSONRPCMessage) -> None:
        if isinstance(message, JSONRPCRequest):
            self._running.add(message.id)
        elif isinstance(message, JSONRPCNotification) and message.method == "notifications/cancelled":
            self._settle((message.params or {}).get("requestId"))

    def _settle(self, request_id: object) -> None:
        if isinstance(request_id, str | int):
            self._running.discard(request_id)
        if not self._running and self._ended:
            self._settled.set()

    async def _last_answers(self) -> None:
        if self._running:
            with anyio.move_on_after(_LAST_ANSWERS):
                await self._settled.wait()

    async def aclose(self) -> None:
        """Stop reading."""
        self.stop()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        await self.aclose()


class _Answers:
    """The write stream of one connection; closing it closes nothing, since refusals are written until the end."""

    def __init__(self, wire: _Wire) -> None:
        self._wire = wire

    async def send(self, item: SessionMessage, /) -> None:
        """Write one message as one line."""
        await self._wire.send(item.message)

    async def aclose(self) -> None:
        """Nothing to do."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        await self.aclose()
