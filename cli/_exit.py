"""Ends a serving process in time: a thread that notices who left and does not wait for anything that is stuck.

The event loop ends a server politely: calls are cancelled, sockets and stores closed. It cannot do so when it is itself stuck in a C call,
nor can it stop a worker thread that is. So a daemon thread of its own watches the same facts, and once the process should be gone it
gives it `grace` seconds and then ends it, with the logs flushed.
"""

from __future__ import annotations

import asyncio
import logging
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import NoReturn

logger = logging.getLogger(__name__)

EXIT_FORCED = 1
"""Exit status when something stuck had to be cut off; a server that ended by itself exits with 0."""

_PARENT_POLL_MS = 1000
_FLUSH_SECONDS = 0.5
# Absent on macOS, where a closed peer shows as POLLHUP.
_PEER_SHUT: int = getattr(select, "POLLRDHUP", 0)


class ExitWatch:
    """Calls `on_leave(reason)` on the loop when it is time to go, and ends the process `grace` seconds later at the latest.

    Reasons are a signal, a closed stdout, a parent that ended, or a call of `leave`. A hung-up stdin only starts the clock, once: lines
    it sent before are still being read. Signal handlers stay in place to the end, so that a second signal does not cut the clean end short.
    """

    def __init__(self, *, grace: float, on_leave: Callable[[str], None]) -> None:
        self._grace = grace
        self._on_leave = on_leave
        self._loop = asyncio.get_running_loop()
        self._deadline: float | None = None
        self._signals: frozenset[int] = frozenset()
        self._parent: int | None = None
        self._stdin: int | None = None
        self._stdout: int | None = None
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        self._poll = select.poll()
        self._poll.register(self._wake_read, select.POLLIN)

    def watch_signals(self, signals: Iterable[signal.Signals]) -> None:
        """Leave on these signals. Python handles signals in its main thread only; elsewhere this does nothing."""
        if threading.current_thread() is not threading.main_thread():
            return
        self._signals = frozenset(number for number in signals if not _is_nohup(number))
        for number in self._signals:
            signal.signal(number, lambda _number, _frame: None)
        # The C handler writes the number even while the main thread is inside a C call, where no Python handler would run.
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)

    def watch_client(self, stdin: int, stdout: int) -> None:
        """Leave when nobody can read `stdout` any more, when `stdin` hangs up, or when the parent process ends."""
        self._stdin, self._stdout = stdin, stdout
        self._poll.register(stdin, _PEER_SHUT)
        self._poll.register(stdout, 0)
        self._parent = os.getppid()

    def start(self) -> None:
        """Begin watching."""
        threading.Thread(target=self._watch, name="exit-watch", daemon=True).start()

    def leave(self, reason: str) -> None:
        """Start the clock and tell the loop. Safe from any thread; the first reason starts the clock."""
        self.arm()
        try:
            self._loop.call_soon_threadsafe(self._on_leave, reason)
        except RuntimeError:  # the loop has closed: the process is on its way out
            logger.debug("leaving after the loop closed: %s", reason)

    def arm(self) -> None:
        """Start the clock and leave the loop to what it is doing."""
        if self._deadline is None:
            self._deadline = time.monotonic() + self._grace
            os.write(self._wake_write, b"\0")

    def _watch(self) -> None:
        while (wait := self._milliseconds_left()) is None or wait > 0:
            for descriptor, events in self._poll.poll(_PARENT_POLL_MS if wait is None else wait):
                self._notice(descriptor, events)
            if self._parent is not None and os.getppid() != self._parent:
                self._parent = None
                self.leave("the parent process ended")
        _end_now()

    def _milliseconds_left(self) -> int | None:
        return None if self._deadline is None else max(0, int((self._deadline - time.monotonic()) * 1000))

    def _notice(self, descriptor: int, events: int) -> None:
        if descriptor == self._wake_read:
            for number in os.read(self._wake_read, 64):
                if number in self._signals:
                    self.leave(signal.Signals(number).name)
            return
        # A hang-up is reported for ever: one report is enough.
        self._poll.unregister(descriptor)
        if events & select.POLLNVAL:  # a kind of file this system cannot poll; its end is noticed by reading or writing
            return
        if descriptor == self._stdin:
            self.arm()
        elif descriptor == self._stdout:
            self.leave("the client closed stdout")


def end_process(status: int = 0) -> NoReturn:
    """End the process here and now, logs and output flushed, without the interpreter taking itself apart.

    That stops daemon threads wherever they are. One stopped in the middle of an import keeps the import lock, and whatever a library's
    finaliser imports then waits for it for ever, with nobody left to watch.
    """
    logging.shutdown()
    for stream in (sys.__stdout__, sys.__stderr__):
        with suppress(OSError, ValueError):
            if stream is not None:
                stream.flush()
    os._exit(status)


def _is_nohup(number: signal.Signals) -> bool:
    return number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN


def _end_now() -> None:
    """End the process without waiting for threads; logs are flushed unless a stuck thread holds their lock."""
    busy = [thread.name for thread in threading.enumerate() if not thread.daemon and thread is not threading.main_thread()]

    def flush() -> None:
        logger.warning("ended while still busy: %s", ", ".join(busy) or "the main thread")
        logging.shutdown()
        sys.stderr.flush()

    try:
        flusher = threading.Thread(target=flush, daemon=True)
        flusher.start()  # refused by an interpreter that is already shutting down
        flusher.join(_FLUSH_SECONDS)
    finally:
        os._exit(EXIT_FORCED)
