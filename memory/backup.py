"""Whole copies of the thread database: made while others write, and put back while others have the old one open."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Generator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from conversation.errors import InvalidInput, StoreUnavailable, ThreadConflict
from memory import _places
from memory._database import STORE, Damaged, connected, copy, translated
from memory._home import private_folder
from memory._sql import Connection, Sql
from memory.checkup import Checkup, examine, opened, reindex

WAIT_SECONDS = 5.0
"""For others to let go of the database, which they hold for moments."""
Standing = Mapping[str, tuple[str, int]]
"""By thread: when it was used last, and its last turn."""


@dataclass(frozen=True)
class Restored:
    """What stands in the place now, and where the database is that stood there before."""

    found: Checkup
    replaced: Path | None


def back_up(database: Path, target: Path, *, replace: bool = False) -> Checkup:
    """Copy the database as it is at one moment into a file of mode 0600, which is there whole or not at all; return what it holds.

    Raises InvalidInput for a file that is there already, unless it is to be replaced, StoreBusy and StoreUnavailable.
    """
    if not database.exists():
        raise StoreUnavailable("There are no threads yet.", hint="Nothing was written.")
    _tell_apart(database, target)
    with _scratch(target) as fresh:
        if not replace:
            _reserve(target)
        try:
            with translated(), opened(database) as source:
                _copied(source, fresh, "The copy")
            found = _whole(fresh, STORE)
            with translated(str(target)), _places.locked(target.parent) as folder:
                os.replace(fresh, target)
                os.fsync(folder)
        except BaseException:
            if not replace:
                target.unlink(missing_ok=True)
            raise
    return found


def restore(database: Path, source: Path, *, lose: bool = False) -> Restored:
    """Put what a file holds into the place of the database, which is kept beside under another name.

    Others may have it open: they go on with the new one. Unless newer threads may be lost, there is ThreadConflict when there are any.
    Raises InvalidInput, StoreBusy and StoreUnavailable as well; nothing was changed then.
    """
    _tell_apart(database, source)
    if database.is_symlink():
        raise InvalidInput(f"{database} is a link.", hint="Restore with PARLEY_HOME set to the folder it leads to.")
    with translated():
        private_folder(database.parent)
    with _scratch(database) as fresh:
        with translated(str(source)), opened(source, str(source)) as sql:
            _copied(sql, fresh, "The copy in PARLEY_HOME")
        found = _whole(fresh, str(source))
        with translated(), opened(fresh) as sql:
            known = _standing(sql)
        return Restored(found, _put_in_place(database, fresh, known, lose=lose))


def _tell_apart(database: Path, other: Path) -> None:
    if other.exists() and database.exists() and other.samefile(database):
        raise InvalidInput(f"{other} is the thread database itself.", hint="Name another file.")


@contextmanager
def _scratch(path: Path) -> Generator[Path]:
    """Give the path of a new private file in the same folder, which is gone afterwards unless it was moved."""
    fresh = _places.beside(path, f".{uuid.uuid4().hex}")
    with translated(str(path)):
        os.close(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        yield fresh
    finally:
        fresh.unlink(missing_ok=True)


def _reserve(target: Path) -> None:
    """Make an empty file, so that no other can come into its place meanwhile."""
    with translated(str(target)):
        try:
            target.touch(0o600, exist_ok=False)
        except FileExistsError:
            raise InvalidInput(f"{target} is there already.", hint="Name another file, or pass --force to replace it.") from None


def _copied(source: Connection, fresh: Path, what: str) -> None:
    with translated(what), closing(connected(fresh, make=False)) as made:
        copy(source, made)


def _whole(fresh: Path, what: str) -> Checkup:
    """Return what a copy holds. Raises StoreUnavailable when that is damaged; a search that is broken is built anew."""
    found = examine(fresh, what=what, seconds=None, locked_seconds=None)
    if found.damage:
        hint = "`parley doctor` says more." if what == STORE else "Nothing was changed."
        raise Damaged(f"{what} is damaged: {found.damage[0]}.", hint=hint)
    if found.index:
        reindex(fresh)
    return found


def _standing(sql: Sql) -> Standing:
    return {thread_id: (updated, last) for thread_id, updated, last in sql.execute("SELECT id, updated, last_seq FROM threads").fetchall()}


# --- the place -----------------------------------------------------------------------------------------------------


def _put_in_place(database: Path, fresh: Path, known: Standing, *, lose: bool) -> Path | None:
    """Put the new file into the place and return where the old one is now. From the first line to the last nobody can open it."""
    with translated(), _alone(database.parent) as folder:
        if not database.exists():
            os.replace(fresh, _places.ready(database))
            _places.put_in_place(database, folder)
            return None
        with closing(connected(database, busy_timeout_s=WAIT_SECONDS / 2, make=False)) as old:
            _hold(old, known, lose=lose)
            return _exchange(database, fresh, folder)


@contextmanager
def _alone(folder: Path) -> Generator[int]:
    """Hold the lock of the folder alone, once those who are just opening the database have done so."""
    end = time.monotonic() + WAIT_SECONDS
    with ExitStack() as stack:
        while True:
            try:
                handle = stack.enter_context(_places.locked(folder, alone=True))
                break
            except BlockingIOError:
                if time.monotonic() >= end:
                    raise
                time.sleep(0.01)
        yield handle


def _hold(old: Sql, known: Standing, *, lose: bool) -> None:
    """Keep writers off the old database and compare what it holds, both as far as it can be read. Raises ThreadConflict and Damaged."""
    try:
        with translated():
            old.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()  # so that it is one file, if nobody reads
            old.execute("BEGIN IMMEDIATE")
            there = _standing(old)
    except Damaged as error:
        if lose:
            return
        hint = "It cannot be told what it holds that the file does not; --force restores it all the same and keeps the present one beside."
        raise Damaged(error.message, hint=hint) from None
    newer = [one for one, (updated, last) in there.items() if one not in known or updated > known[one][0] or last > known[one][1]]
    if newer and not lose:
        hint = "--force restores the file all the same and keeps the present database beside."
        raise ThreadConflict(f"Threads that are not in the file, or newer than there: {len(newer)}, such as {newer[-1]}.", hint=hint)


def _exchange(database: Path, fresh: Path, folder: int) -> Path:
    """Move the old database away, its log with it if there is anything in that, and the new one into its place."""
    kept = _places.beside(database, f".replaced-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}")
    log, waiting = _places.beside(database, "-wal"), _places.ready(database)
    if log.exists() and log.stat().st_size:
        os.link(log, _places.beside(kept, "-wal"))
    os.replace(fresh, waiting)
    os.rename(database, kept)  # whoever finds no database from here on does the rest
    _places.put_in_place(database, folder)
    return kept
