"""One SQLite file that many processes share, and the only door to the library behind it.

Every transaction runs in one worker thread of its own, so that neither a disk nor a lock ever holds up the event loop.
The file is opened on first use. A commit is on the disk when a call returns (WAL with synchronous=FULL).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from conversation.errors import StoreBusy, StoreUnavailable
from memory import _places, _schema
from memory._home import make_private, private_folder
from memory._sql import Connection, Sql

T = TypeVar("T")
Work = Callable[[Sql], T]

# secure_delete: what is deleted is overwritten, so that a deleted conversation cannot be read from the file.
_PRAGMAS = ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = ON", "journal_size_limit = 67108864")

_IS_MENDED = "what is mended by"
# By the class of the library's error: what is wrong, and what to do. SQLite's own words may name paths.
_FAULTS = {
    "FullError": ("{} cannot grow: the disk is full.", "Make room on the disk that holds PARLEY_HOME."),
    "ReadOnlyError": ("{} is read-only.", "Make PARLEY_HOME and the files in it writable, or point PARLEY_HOME elsewhere."),
    "CantOpenError": ("{} cannot be opened.", None),
    "PermissionsError": ("{} may not be opened.", None),
    "CorruptError": ("{} is damaged.", _IS_MENDED),
    "NotADBError": ("{} is not a database.", _IS_MENDED),
    "IOError": ("{} cannot be read or written: the disk refuses.", None),
}
STORE = "The thread store"
_PAGES = 4096
"""Copied at a time: 16 MB."""


@dataclass(frozen=True)
class Tables:
    """What a file of ours holds: its name at the beginning of a sentence, its migrations, and what to do when it is damaged."""

    what: str
    migrations: Sequence[str]
    mended: str


THREADS = Tables(
    STORE,
    _schema.MIGRATIONS,
    "`parley threads restore` puts a backup into its place; without one, move it away: a new one is made on the next call.",
)


class Damaged(StoreUnavailable):
    """What is in the file is not what a database has in it."""


class OutOfTime(Exception):
    """The library was told to give up what it did."""


class _Moved(Exception):
    """Another file stands in the place of the one that is open."""


class Database:
    """One SQLite file and the worker thread that alone touches it."""

    def __init__(self, path: Path, *, busy_timeout_s: float = 5.0, tables: Tables = THREADS) -> None:
        self._path = path
        self._tables = tables
        self._busy_timeout_s = busy_timeout_s
        self._worker: ThreadPoolExecutor | None = None
        self._connection: Connection | None = None
        self._inode: _places.Inode | None = None
        self._closed = False

    @property
    def used(self) -> bool:
        return self._worker is not None

    async def run(self, work: Work[T], *, write: bool | None) -> T:
        """Return what `work` returns, run as one transaction, with None in none: `work` begins its own.

        Raises StoreBusy, StoreUnavailable, and what `work` raises.

        A task that is cancelled while it waits does not take the transaction with it: that happens whole all the same.
        """
        return await asyncio.shield(asyncio.wrap_future(self.post(work, write=write)))

    def post(self, work: Work[T], *, write: bool | None) -> Future[T]:
        """Queue a transaction; nobody has to wait for it."""
        if self._closed:
            raise StoreUnavailable(f"{self._tables.what} is closed.", hint="The server is shutting down.")
        if self._worker is None:
            self._worker = ThreadPoolExecutor(1, thread_name_prefix="parley-sqlite")
        return self._worker.submit(self._run, work, write)

    async def aclose(self) -> None:
        """Close the file after what is queued; later calls raise StoreUnavailable."""
        self._closed = True
        if self._worker is not None:
            worker, self._worker = self._worker, None
            await asyncio.wrap_future(worker.submit(self._drop_connection))
            worker.shutdown(wait=False)

    # --- in the worker thread --------------------------------------------------------------------------------------

    def _run(self, work: Work[T], write: bool | None) -> T:
        import apsw

        deadline = time.monotonic() + self._busy_timeout_s
        while True:
            try:
                return work(self._open()) if write is None else transact(self._open(), work, write=write, check=self._check)
            except _Moved:
                self._drop_connection()
            except (apsw.BusyError, apsw.LockedError, BlockingIOError):
                if time.monotonic() >= deadline:
                    raise _busy(self._tables.what) from None
                time.sleep(random.uniform(0.005, 0.05))  # noqa: S311 - spreads the writers out, no secret
            except (apsw.Error, OSError) as error:
                if not _only_refused(error):
                    self._drop_connection()
                raise fault(error, self._tables.what, self._tables.mended) from None

    def _open(self) -> Connection:
        if self._connection is not None and self._inode == _places.inode(self._path):
            return self._connection
        self._drop_connection()  # the file was moved or removed under us: go on with the one that is there
        private_folder(self._path.parent)
        _places.make_way(self._path)
        with _places.locked(self._path.parent):
            connection = connected(self._path, busy_timeout_s=self._busy_timeout_s / 4)
            try:
                make_private(self._path)
                _prepare(connection, self._tables)
            except BaseException:
                connection.close()
                raise
            self._connection, self._inode = connection, _places.inode(self._path)
        return connection

    def _check(self) -> None:
        """Called with the write lock held: what is written now counts only if the file still stands in its place."""
        if self._inode != _places.inode(self._path):
            raise _Moved

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def connected(path: Path, *, busy_timeout_s: float = 0.0, make: bool = True) -> Connection:
    """Return a connection to the file; unless it may be made, it has to be there. Raises what the library raises."""
    import apsw

    flags = apsw.SQLITE_OPEN_READWRITE | (apsw.SQLITE_OPEN_CREATE if make else 0)
    connection = apsw.Connection(str(path), flags=flags)
    connection.set_busy_timeout(max(1, round(busy_timeout_s * 1000)))
    return connection


def transact(sql: Sql, work: Work[T], *, write: bool, check: Callable[[], None] = lambda: None) -> T:
    """Return what `work` returns, run as one transaction; `check` is called first and may raise."""
    sql.execute("BEGIN IMMEDIATE" if write else "BEGIN")
    try:
        if write:
            check()
        result = work(sql)
        sql.execute("COMMIT")
        return result
    finally:
        # Some errors, such as a full disk, have rolled back already.
        if sql.in_transaction:
            sql.execute("ROLLBACK")


def _only_refused(error: Exception) -> bool:
    """Tell whether the disk took no more, and all else is well: what there is can be read, but the file could not be opened again."""
    import apsw

    return isinstance(error, apsw.FullError) or getattr(error, "extendedresult", 0) == apsw.SQLITE_IOERR_WRITE


@contextmanager
def translated(what: str = STORE) -> Generator[None]:
    """Turn what the library and the system raise into StoreBusy, StoreUnavailable (Damaged), and OutOfTime for `within`."""
    import apsw

    try:
        yield
    except (apsw.BusyError, apsw.LockedError, BlockingIOError):
        raise _busy(what) from None
    except apsw.InterruptError:
        raise OutOfTime from None
    except (apsw.Error, OSError) as error:
        raise fault(error, what, THREADS.mended if what == STORE else None) from None


def _busy(what: str) -> StoreBusy:
    return StoreBusy(f"Another process holds {what[0].lower()}{what[1:]}.", retry_after=1.0)


def fault(error: Exception, what: str = STORE, mended: str | None = None) -> StoreUnavailable:
    """Return what to tell of an error of the library or of the system.

    `what` begins a sentence; `mended` says what to do about damage of a file of ours, None stands for any other file.
    """
    name = type(error).__name__
    if isinstance(error, OSError) and mended is not None:
        in_its_place = isinstance(error, (FileExistsError, NotADirectoryError))
        reason = "it is, or lies in, something that is not a folder" if in_its_place else error.strerror
        return StoreUnavailable(f"The state folder, PARLEY_HOME, cannot be used: {reason}.")
    if isinstance(error, OSError):
        return StoreUnavailable(f"{what} cannot be used: {error.strerror}.", hint="Nothing was changed.")
    said, hint = _FAULTS.get(name, (f"{{}} failed ({name}).", None))
    kind = Damaged if name in ("CorruptError", "NotADBError") else StoreUnavailable
    if mended is None:
        return kind(said.format(what), hint="Nothing was changed.")
    return kind(said.format(what), hint=mended if hint == _IS_MENDED else hint)


@contextmanager
def within(connection: Connection, seconds: float | None) -> Generator[None]:
    """Have the library give up what takes longer: OutOfTime, where it is translated."""
    if seconds is None:
        yield
        return
    end = time.monotonic() + seconds
    connection.set_progress_handler(lambda: time.monotonic() > end, 250)
    try:
        yield
    finally:
        connection.set_progress_handler(None)


def copy(source: Connection, target: Connection) -> None:
    """Make `target` what `source` is at one moment, whoever writes meanwhile, and a file that needs no other beside it."""
    source.execute("BEGIN")
    source.execute("SELECT 1 FROM sqlite_schema").fetchall()  # from here on it sees nothing new
    with target.backup("main", source, "main") as work:
        while not work.done:
            work.step(_PAGES)
    source.execute("ROLLBACK")
    target.execute("PRAGMA journal_mode = DELETE")


def _prepare(sql: Sql, tables: Tables) -> None:
    if not sql.execute("PRAGMA page_count").fetchone()[0]:
        sql.execute("PRAGMA auto_vacuum = INCREMENTAL")  # for a file that can shrink; in one that is not new it would write every time
    for pragma in _PRAGMAS:
        sql.execute(f"PRAGMA {pragma}")
    if _schema.version(sql) != len(tables.migrations):
        transact(sql, partial(_migrate, tables), write=True)


def _migrate(tables: Tables, sql: Sql) -> None:
    if _schema.version(sql) > len(tables.migrations):
        raise StoreUnavailable(f"{tables.what} was made by a newer Parley.", hint="Upgrade Parley, or point PARLEY_HOME elsewhere.")
    _schema.migrate(sql, tables.migrations)
