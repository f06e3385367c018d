"""Which file stands where: a database is opened by name, and another may be put into its place while processes have it open.

The library finds a database's log (-wal) and its index of that log (-shm) by name. So nobody may open them by the same name while
they belong to different files. Whoever opens holds the folder's lock with others, whoever puts another database into the place holds it
alone; those who have the old one open notice by the number of the file at the latest when they hold its write lock.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

Inode = tuple[int, int]


@contextmanager
def locked(folder: Path, *, alone: bool = False) -> Generator[int]:
    """Hold the lock of the folder and give its descriptor. Raises BlockingIOError while it cannot be had."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | fcntl.LOCK_NB)
        yield handle
    finally:
        os.close(handle)


def inode(path: Path) -> Inode | None:
    """Return what tells the file from every other, None when there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def ready(path: Path) -> Path:
    """Return where the database that is to take the place of `path` waits, whole, for the old one to be gone."""
    return beside(path, ".restored")


def beside(path: Path, ending: str) -> Path:
    """Return the path of a file with a longer name in the same folder."""
    return path.with_name(path.name + ending)


def make_way(path: Path) -> None:
    """Take away what a database that is not there any more has left behind, and put the one that waits into its place.

    Whoever was killed in the middle of it is finished by who comes next. Raises BlockingIOError and other kinds of OSError.
    """
    left = (beside(path, "-wal"), beside(path, "-shm"), ready(path))
    if path.exists() or not any(one.exists() for one in left):
        return
    with locked(path.parent, alone=True) as folder:
        if not path.exists():  # nobody was faster
            put_in_place(path, folder)


def put_in_place(path: Path, folder: int) -> None:
    """The same, by one who holds the lock alone and knows that there is no file."""
    for ending in ("-wal", "-shm"):
        beside(path, ending).unlink(missing_ok=True)
    if ready(path).exists():
        os.rename(ready(path), path)
    os.fsync(folder)
