"""The two ends of the stdio wire: taken from the process, read and written without ever blocking the loop on the client.

No descriptor is switched to non-blocking mode: the mode belongs to the open file, which the client, a terminal or stderr may share.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import select
import socket
import stat
import sys
from collections import deque

from anyio import BrokenResourceError

_CHUNK = 65536
_WRITES_AT_ONCE = 256
_HIGH_WATER = 1 << 20


def claim_stdio() -> tuple[int, int]:
    """Private descriptors of stdin and stdout, in that order.

    From here on fd 0 is the null device and fd 1 is stderr, so that a stray print or a child process can neither read from the wire nor
    write to it. They stay so until the process ends, for a print at exit would reach the wire as well.

    Raises RuntimeError when the process was started without one of them.
    """
    # Had they been closed, 0 and 1 would by now belong to something else, such as the event loop.
    if sys.__stdin__ is None or sys.__stdout__ is None:
        raise RuntimeError("stdio needs an open stdin and stdout")
    private = tuple(fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3) for descriptor in (0, 1))
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    try:
        os.dup2(2, 1)
    except OSError:  # started without stderr
        os.dup2(null, 1)
    if null > 2:
        os.close(null)
    return private[0], private[1]


class ByteReader:
    """Chunks of bytes from a pipe, socket or terminal as they come, and from a regular file as fast as they are wanted."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._loop = asyncio.get_running_loop()
        self._waiter: asyncio.Future[None] | None = None
        self._closed = False

    async def read(self) -> bytes:
        """The next bytes; none at the end of the stream or after `close`."""
        while not self._closed:
            await self._readable()
            if self._closed:
                break
            try:
                # Readable means that this returns at once, so blocking mode does no harm.
                return os.read(self._descriptor, _CHUNK)
            except BlockingIOError:  # whoever started us made the file non-blocking, and someone else was faster
                continue
            except OSError:  # the terminal is gone, the socket was reset
                break
        return b""

    def close(self) -> None:
        """End a read that waits and all later ones."""
        self._closed = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _readable(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            self._loop.add_reader(self._descriptor, self._wake)
        except PermissionError:  # a regular file or the null device is always readable
            await asyncio.sleep(0)
            return
        try:
            await self._waiter
        finally:
            self._loop.remove_reader(self._descriptor)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class LineWriter:
    """Whole lines to a descriptor, in the order they were given; a caller that is cancelled leaves no half line behind."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._loop = asyncio.get_running_loop()
        self._queue: deque[memoryview] = deque()
        self._pending = 0
        self._registered = False
        self._broken = False
        self._waiters: set[asyncio.Future[None]] = set()
        self._socket = socket.socket(fileno=descriptor) if stat.S_ISSOCK(os.fstat(descriptor).st_mode) else None

    async def send(self, line: bytes) -> None:
        """Queue a line (newline included) and wait while the client is behind.

        Raises anyio.BrokenResourceError once nobody reads any more.
        """
        if self._broken:
            raise BrokenResourceError
        self._queue.append(memoryview(line))
        self._pending += len(line)
        if not self._registered:
            self._pump()
        await self.until_below(_HIGH_WATER)

    async def until_below(self, limit: int) -> None:
        """Wait until at most `limit` bytes are queued.

        Raises anyio.BrokenResourceError once nobody reads any more.
        """
        while self._pending > limit and not self._broken:
            waiter: asyncio.Future[None] = self._loop.create_future()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)
        if self._broken:
            raise BrokenResourceError

    def abort(self) -> None:
        """Drop what is queued and refuse what follows."""
        self._broken = True
        self._queue.clear()
        self._pending = 0
        self._listen(False)
        self._wake()

    def _pump(self) -> None:
        """Write what fits without blocking, at most a megabyte at a time."""
        try:
            for _ in range(_WRITES_AT_ONCE):
                if not self._queue:
                    break
                written = self._write(self._queue[0])
                if not written:
                    break
                self._pending -= written
                rest = self._queue.popleft()[written:]
                if rest:
                    self._queue.appendleft(rest)
        except OSError:  # the pipe is broken, the disk full: nobody will read this
            self.abort()
            return
        self._listen(bool(self._queue))
        self._wake()

    def _write(self, line: memoryview) -> int:
        try:
            if self._socket is not None:
                return self._socket.send(line[:_CHUNK], socket.MSG_DONTWAIT)
            if not _is_writable(self._descriptor):
                return 0
            # POSIX: a pipe reported writable takes PIPE_BUF bytes without blocking.
            return os.write(self._descriptor, line[: select.PIPE_BUF])
        except BlockingIOError:
            return 0

    def _listen(self, wanted: bool) -> None:
        if wanted and not self._registered:
            self._loop.add_writer(self._descriptor, self._pump)
        elif self._registered and not wanted:
            self._loop.remove_writer(self._descriptor)
        self._registered = wanted

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)


def _is_writable(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(0))
