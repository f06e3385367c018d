"""Who is alive: a lock file for every process that has exchanges under way.

A process holds an flock on PARLEY_HOME/owners/<id>.lock for as long as it lives. The kernel lets go of it however the
process ends, so a lock that can be taken belongs to a process that is gone. No clock and no heartbeat is involved.
"""

from __future__ import annotations

import fcntl
import os
import uuid
from contextlib import suppress
from pathlib import Path

from memory._home import private_folder


class Owners:
    """The owners' folder as one store of one process sees it. Every method may raise OSError."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mine: tuple[str, int] | None = None

    @property
    def claimed(self) -> bool:
        return self._mine is not None

    def mine(self) -> str:
        """Return this store's id, whose lock is held from now on; the first call also clears away locks of the dead."""
        if self._mine is None:
            private_folder(self._folder)
            for path in self._folder.glob("*.lock"):
                self.is_dead(path.stem)
            self._mine = self._claim()
        return self._mine[0]

    def is_mine(self, owner: str) -> bool:
        return self._mine is not None and self._mine[0] == owner

    def is_dead(self, owner: str) -> bool:
        """Tell whether the owner is gone, and remove what it left behind."""
        if self.is_mine(owner):
            return False
        path = self._path(owner)
        try:
            handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return True
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
        except BlockingIOError:
            return False
        finally:
            os.close(handle)
        return True

    def release(self) -> None:
        """Let go of this store's own lock and remove its file."""
        if self._mine is not None:
            owner, handle = self._mine
            self._mine = None
            with suppress(OSError):
                self._path(owner).unlink(missing_ok=True)
            os.close(handle)

    def _claim(self) -> tuple[str, int]:
        while True:
            owner = uuid.uuid4().hex
            handle = os.open(self._path(owner), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            # Between making the file and locking it, another process may have found it unlocked and cleared it away.
            with suppress(BlockingIOError, FileNotFoundError):
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if self._path(owner).stat().st_ino == os.fstat(handle).st_ino:
                    return owner, handle
            os.close(handle)

    def _path(self, owner: str) -> Path:
        return self._folder / f"{owner}.lock"
