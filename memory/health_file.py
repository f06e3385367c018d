"""A health record in a file of the state folder, so that what one process learned of a provider all know.

The file is small, and written only when a provider fails or comes back. Whoever reads looks whether it is another than the one read
last, which takes some microseconds. Writers take turns by a lock, and replace the file whole. A lock that is not to be had within
50 ms and a disk that refuses cost nothing but the sharing: no request waits for either.
"""

from __future__ import annotations

import fcntl
import logging
import os
import random
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from memory._home import private_folder
from memory.health import State

log = logging.getLogger(__name__)

MOST_BYTES = 1_000_000
LONGEST_SECONDS = 3_700.0
"""Nothing is remembered for longer: a time further off was written under a clock that was wrong."""

LOCK_SECONDS = 0.05
_PAUSES = (0.0001, 0.001)
_STATE = TypeAdapter(State)
_T = TypeVar("_T")


class HealthFile:
    """Keeps a state in `path` for every process that names it.

    `clock` is seconds since the epoch, since processes share no other; `patience` how long a change waits for the writers' lock before it
    stays with this process.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time, patience: float = LOCK_SECONDS) -> None:
        self._path, self._clock, self._patience = path, clock, patience
        self._state = State()
        self._seen: tuple[int, int, int] | None = None
        self._told = False

    def read(self) -> State:
        """Return what the file holds, as far as it can be read; else what this process knows."""
        try:
            found = os.stat(self._path)
        except OSError:
            return self._state  # nothing was ever written, or nothing can be
        mark = found.st_ino, found.st_mtime_ns, found.st_size
        if mark != self._seen:
            self._seen = mark
            with suppress(OSError, ValidationError):
                self._state = self._plausible(_STATE.validate_json(self._content()))
        return self._state

    def change(self, work: Callable[[State], _T]) -> _T:
        """Return what `work` returns, after its change is written."""
        with self._locked() as locked:
            self.read()
            result = work(self._state)
            if locked:
                self._write()
        return result

    def _content(self) -> bytes:
        with self._path.open("rb") as file:
            return file.read(MOST_BYTES)

    def _plausible(self, state: State) -> State:
        latest = self._clock() + LONGEST_SECONDS
        for hold in (*state.parked.values(), *state.aside.values()):
            hold.until = min(hold.until, latest)
        for breaker in state.breakers.values():
            breaker.failed_at = min(breaker.failed_at, self._clock())
            breaker.open_until = None if breaker.open_until is None else min(breaker.open_until, latest)
            breaker.probing_until = None if breaker.probing_until is None else min(breaker.probing_until, latest)
        return state

    @contextmanager
    def _locked(self) -> Generator[bool]:
        """Hold the writers' lock, and tell whether it could be had."""
        try:
            private_folder(self._path.parent)
            handle = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            self._tell(error)
            yield False
            return
        try:
            yield _lock(handle, self._patience)
        finally:
            os.close(handle)

    def _write(self) -> None:
        fresh = self._path.with_suffix(".new")
        try:
            handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with open(handle, "wb") as file:
                file.write(_STATE.dump_json(self._state))
            os.replace(fresh, self._path)
            found = os.stat(self._path)
            self._seen = found.st_ino, found.st_mtime_ns, found.st_size
        except OSError as error:
            self._tell(error)

    def _tell(self, error: OSError) -> None:
        """Say once that the record is this process's own."""
        if not self._told:
            self._told = True
            log.warning("the health of providers is not shared with other processes: %s", error.strerror)


def _lock(handle: int, patience: float) -> bool:
    end = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                return False
            time.sleep(random.uniform(*_PAUSES))  # noqa: S311 - spreads the writers out, no secret
        else:
            return True
