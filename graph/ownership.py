"""Who drains: one process at a time for each PARLEY_HOME, whichever starts first when there is something to do."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import random
import subprocess
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from conversation.errors import StoreError
from graph.inbox import Inbox
from memory._home import private_folder

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
"""How often a process looks whether what is queued is being drained."""
LONGEST_REST_SECONDS = 60.0
"""Between two starts of a drainer that ends at once, at most."""
_LARGEST_LOG = 1_000_000


@contextmanager
def alone(path: Path) -> Generator[bool]:
    """Tell whether this process may drain now: the kernel lets go of the lock however a process ends. Raises OSError."""
    handle = _opened(path)
    try:
        is_alone = _locked(handle, fcntl.LOCK_EX)
        if is_alone:
            os.truncate(handle, 0)
            os.pwrite(handle, str(os.getpid()).encode("ascii"), 0)
        yield is_alone
    finally:
        os.close(handle)


def owner(path: Path) -> int | None:
    """Return the number of the process that drains, None when none does; 0 for one that has only just begun."""
    if not os.path.exists(path):  # Path.exists raises where a folder is closed
        return None
    handle = _opened(path)
    try:
        if _locked(handle, fcntl.LOCK_SH):
            return None
        digits = os.pread(handle, 20, 0)
        return int(digits) if digits.isdigit() else 0
    finally:
        os.close(handle)


def _opened(path: Path) -> int:
    private_folder(path.parent)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _locked(handle: int, kind: int) -> bool:
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def start(command: Sequence[str], env: Mapping[str, str], folder: Path, log_file: Path) -> None:
    """Start a process that goes on when this one ends, and is nobody's child. Raises OSError.

    It works in `folder`, to which paths in its settings are relative; in that of its log when there is no such folder any more.
    """
    home = private_folder(log_file.parent)
    mode = os.O_TRUNC if log_file.exists() and log_file.stat().st_size > _LARGEST_LOG else os.O_APPEND
    handle = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | mode, 0o600)
    try:
        # The shell ends at once, and whoever takes up orphans takes up its child.
        words = ["/bin/sh", "-c", '"$@" &', "sh", *command]
        subprocess.run(  # noqa: S603 - the command is our own
            words,
            env=dict(env),
            cwd=folder if folder.is_dir() else home,
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=handle,
            start_new_session=True,
            check=False,
        )
    finally:
        os.close(handle)


class Watch:
    """Sees to it that a drainer is there as long as there is something to do, and starts one when there is none.

    `start_one` may block. As long as nothing changes in the file of the inbox, looking costs two calls of the system.
    """

    def __init__(self, inbox: Inbox, database: Path, lock: Path, start_one: Callable[[], None], *, look_s: float = LOOK_SECONDS) -> None:
        self._inbox, self._database, self._lock, self._start_one = inbox, database, lock, start_one
        self._look_s = look_s
        self._task: asyncio.Task[None] | None = None
        self._hurry = asyncio.Event()
        self.looks = 0
        """How often it was looked."""
        self.is_quiet = False
        """Whether there was nothing to do when it was looked last."""
        self._starts = 0
        """In a row, without a drainer being seen."""
        self._not_before = 0.0

    def begin(self) -> None:
        """Watch from now on, and look at once."""
        self._hurry.set()
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run(), name="watch the memory")

    async def look(self) -> None:
        """Start a drainer if there is none and something to do. Raises StoreError."""
        await self._looked()

    async def aclose(self) -> None:
        """Watch no longer; a drainer that is there goes on."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        seen: object = None
        due: float | None = 0.0
        while True:
            now = self._state()
            if now != seen or due is not None:
                seen = now
                with suppress(StoreError, OSError):  # what is wrong with the store is told to those who use it
                    due = await self._looked()
                self.is_quiet = due is None
            self.looks += 1
            with suppress(TimeoutError):
                async with asyncio.timeout(self._look_s * random.uniform(0.75, 1.25)):  # noqa: S311 - parts the windows
                    await self._hurry.wait()
            self._hurry.clear()

    async def _looked(self) -> float | None:
        due = await self._inbox.waiting()
        if due is None or due > 0:
            return due
        if owner(self._lock) is not None:
            self._starts, self._not_before = 0, 0.0
        elif time.monotonic() >= self._not_before:
            self._starts += 1
            rest = min(LONGEST_REST_SECONDS, self._look_s * 2.0 ** min(self._starts, 10))
            self._not_before = time.monotonic() + rest
            await asyncio.to_thread(self._start_one)
        return due

    def _state(self) -> object:
        """Return what changes whenever somebody writes into the inbox."""
        found: list[tuple[int, int]] = []
        for path in (self._database, self._database.with_name(f"{self._database.name}-wal")):
            with suppress(OSError):
                known = path.stat()
                found.append((known.st_mtime_ns, known.st_size))
        return found
