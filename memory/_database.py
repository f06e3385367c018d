"""One SQLite file that many processes share, and the only door to the library behind it.

Every transaction runs in one worker thread of its own, so that neither a disk nor a lock ever holds up the event loop.
The file is opened on first use. A commit is on the disk when a call returns (WAL with synchronous=FULL).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from conversation.errors import StoreBusy, StoreUnavailable
from memory import _schema
from memory._home import private_folder
from memory._sql import Sql

if TYPE_CHECKING:
    import apsw

T = TypeVar("T")
Work = Callable[[Sql], T]

# secure_delete: what is deleted is overwritten, so that a deleted conversation cannot be read from the file.
_PRAGMAS = ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = ON", "journal_size_limit = 67108864")

# By the class of the library's error: what is wrong, and what to do. SQLite's own words may name paths.
_FAULTS = {
    "FullError": ("The disk is full.", "Make room on the disk that holds PARLEY_HOME."),
    "ReadOnlyError": ("The thread store is read-only.", "Make PARLEY_HOME and the files in it writable, or point PARLEY_HOME elsewhere."),
    "CantOpenError": ("The thread store cannot be opened.", None),
    "PermissionsError": ("The thread store may not be opened.", None),
    "CorruptError": ("The thread store is damaged.", "Move the database in PARLEY_HOME away; a new one is made on the next call."),
    "NotADBError": ("The thread store is not a database.", "Move the database in PARLEY_HOME away; a new one is made on the next call."),
    "IOError": ("The disk failed under the thread store.", None),
}


class Database:
    """One SQLite file and the worker thread that alone touches it."""

    def __init__(self, path: Path, *, busy_timeout_s: float = 5.0) -> None:
        self._path = path
        self._busy_timeout_s = busy_timeout_s
        self._worker: ThreadPoolExecutor | None = None
        self._connection: apsw.Connection | None = None
        self._inode: tuple[int, int] | None = None
        self._closed = False

    @property
    def used(self) -> bool:
        return self._worker is not None

    async def run(self, work: Work[T], *, write: bool) -> T:
        """Return what `work` returns, run as one transaction. Raises StoreBusy, StoreUnavailable, and what `work` raises.

        A task that is cancelled while it waits does not take the transaction with it: that happens whole all the same.
        """
        return await asyncio.shield(asyncio.wrap_future(self.post(work, write=write)))

    def post(self, work: Work[T], *, write: bool) -> Future[T]:
        """Queue a transaction; nobody has to wait for it."""
        if self._closed:
            raise StoreUnavailable("The thread store is closed.", hint="The server is shutting down.")
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

    def _run(self, work: Work[T], write: bool) -> T:
        import apsw

        deadline = time.monotonic() + self._busy_timeout_s
        while True:
            try:
                return _transact(self._open(), work, write)
            except (apsw.BusyError, apsw.LockedError):
                if time.monotonic() >= deadline:
                    raise StoreBusy("Another process holds the thread store.", retry_after=1.0) from None
                time.sleep(random.uniform(0.005, 0.05))  # noqa: S311 - spreads the writers out, no secret
            except apsw.Error as error:
                self._drop_connection()
                said, hint = _FAULTS.get(type(error).__name__, (f"The thread store failed ({type(error).__name__}).", None))
                raise StoreUnavailable(said, hint=hint) from None
            except OSError as error:
                self._drop_connection()
                in_its_place = isinstance(error, (FileExistsError, NotADirectoryError))
                reason = "it is, or lies in, something that is not a folder" if in_its_place else error.strerror
                raise StoreUnavailable(f"The state folder, PARLEY_HOME, cannot be used: {reason}.") from None

    def _open(self) -> apsw.Connection:
        import apsw

        if self._connection is not None and self._inode == self._found():
            return self._connection
        self._drop_connection()  # the file was moved or removed under us: go on with the one that is there
        private_folder(self._path.parent)
        connection = apsw.Connection(str(self._path))
        try:
            self._path.chmod(0o600)
            connection.set_busy_timeout(max(1, round(self._busy_timeout_s * 250)))
            _prepare(connection)
        except BaseException:
            connection.close()
            raise
        self._connection, self._inode = connection, self._found()
        return connection

    def _found(self) -> tuple[int, int] | None:
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino

    def _drop_connection(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _transact(sql: Sql, work: Work[T], write: bool) -> T:
    sql.execute("BEGIN IMMEDIATE" if write else "BEGIN")
    try:
        result = work(sql)
        sql.execute("COMMIT")
        return result
    finally:
        # Some errors, such as a full disk, have rolled back already.
        if sql.in_transaction:
            sql.execute("ROLLBACK")


def _prepare(sql: Sql) -> None:
    for pragma in _PRAGMAS:
        sql.execute(f"PRAGMA {pragma}")
    if _schema.version(sql) != len(_schema.MIGRATIONS):
        _transact(sql, _migrate, write=True)


def _migrate(sql: Sql) -> None:
    if _schema.version(sql) > len(_schema.MIGRATIONS):
        raise StoreUnavailable("The thread store was made by a newer Parley.", hint="Upgrade Parley, or point PARLEY_HOME elsewhere.")
    _schema.migrate(sql)
