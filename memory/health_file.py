"""A health record in a file of the state folder, so that what one process learned of a provider all know.

The file is small, and written only when a provider fails or comes back. Whoever reads looks whether it is another than the one read
last, which takes some microseconds. Writers take turns by a lock, and replace the file whole. A lock that is not to be had within
50 ms and a disk that refuses cost nothing but the sharing.
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
LOCK_SECONDS = 0.05
_PAUSES = (0.0001, 0.001)
_STATE = TypeAdapter(State)
_T = TypeVar("_T")


class HealthFile:
    """Keeps a state in `path` for every process that names it.

    `patience` is how long a change waits for the writers' lock before it stays with this process.
    """

    def __init__(self, path: Path, *, patience: float = LOCK_SECONDS) -> None:
        self._path, self._patience = path, patience
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
                self._state = _STATE.validate_json(self._content())
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
            yield self._lock(handle)
        finally:
            os.close(handle)

    def _lock(self, handle: int) -> bool:
        end = time.monotonic() + self._patience
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= end:
                    return False
                time.sleep(random.uniform(*_PAUSES))  # noqa: S311 - spreads the writers out, no secret
            except OSError as error:  # some network file systems have no locks
                self._tell(error)
                return False
            else:
                return True

    def _write(self) -> None:
        fresh = self._path.with_suffix(".new")
        try:
            handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with open(handle, "wb") as file:
                file.write(_STATE.dump_json(self._state))
            # A file may get the number of the one before, and clocks of files may be coarse: so that no two look the same.
            later = max(time.time_ns(), self._seen[1] + 1 if self._seen else 0)
            os.utime(fresh, ns=(later, later))
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
