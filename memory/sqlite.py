"""Threads in an SQLite file that many processes share: the embedded store, and the only door to the library behind it.

Every transaction runs in one worker thread of its own, so that neither a disk nor a lock ever holds up the event loop.
The file is opened on first use. A commit is on the disk when a call returns (WAL with synchronous=FULL).
"""

from __future__ import annotations

import asyncio
import builtins
import random
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from conversation.errors import InvalidInput, StoreBusy, StoreError, StoreUnavailable
from conversation.threads import NewTurn, Started, Thread, ThreadSummary, Turn, parse_thread_id
from memory import _exchanges, _rows, _schema, _search
from memory._home import private_folder
from memory._owner import Owners
from memory._sql import Clock, Instant, Sql, clean

if TYPE_CHECKING:
    import apsw

T = TypeVar("T")
Work = Callable[[Sql], T]

# secure_delete: what is deleted is overwritten, so that a deleted conversation cannot be read from the file.
_PRAGMAS = ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "secure_delete = ON", "journal_size_limit = 67108864")
_PURGE_EVERY_S = 3600.0

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


class SqliteThreadStore:
    """A ThreadStore in one file, shared by all processes that name it.

    `ttl_days` is how long a thread is kept after its last exchange, None for ever; `clock` returns seconds since the epoch;
    `busy_timeout_s` is how long a call waits for other writers before StoreBusy. Nothing is touched before the first call.
    """

    def __init__(self, path: Path, *, ttl_days: float | None = None, clock: Clock = time.time, busy_timeout_s: float = 5.0) -> None:
        self._database = Database(path, busy_timeout_s=busy_timeout_s)
        self._owners = Owners(path.parent / "owners")
        self._ttl_days = ttl_days
        self._clock = clock
        self._purged = float("-inf")
        self._waited_for: set[str] = set()

    async def begin(
        self,
        turn: NewTurn,
        *,
        workspace: str,
        thread_id: str | None = None,
        branch_from: int | None = None,
        exchange_id: str | None = None,
        expected_seq: int | None = None,
    ) -> Started:
        if branch_from is not None and thread_id is None:
            raise InvalidInput("branch_from needs the continuation_id of the thread to branch from.")
        given = _exchanges.Beginning(
            turn=turn,
            workspace=clean(workspace),
            exchange_id=str(uuid.uuid4()) if exchange_id is None else clean(exchange_id),
            thread_id=None if thread_id is None else parse_thread_id(thread_id),
            branch_from=branch_from,
            expected_seq=expected_seq,
        )
        try:
            started = await self._database.run(lambda sql: _exchanges.begin(sql, self._now(), self._owners, given), write=True)
        except asyncio.CancelledError:
            # Nobody will complete it; without this it would look pending for as long as this process lives.
            with suppress(StoreError):
                self._database.post(lambda sql: _exchanges.interrupt(sql, given.exchange_id), write=True)
            raise
        self._purge_now_and_then()  # afterwards: a held lock would be waited for twice
        return started

    async def complete(self, exchange_id: str, answers: Sequence[NewTurn]) -> tuple[Turn, ...]:
        try:
            return await self._database.run(lambda sql: _exchanges.complete(sql, self._now(), clean(exchange_id), answers), write=True)
        except StoreBusy:
            self._waited_for.add(exchange_id)
            raise

    async def interrupt(self, exchange_id: str) -> None:
        done = self._database.post(lambda sql: _exchanges.interrupt(sql, clean(exchange_id)), write=True)
        if exchange_id in self._waited_for:  # by `complete`, in vain: the answer is not held up a second time
            self._waited_for.discard(exchange_id)
            return
        await asyncio.shield(asyncio.wrap_future(done))

    async def append(self, thread_id: str, turn: NewTurn, *, uid: str) -> Turn:
        known = parse_thread_id(thread_id)
        return await self._database.run(lambda sql: _exchanges.append(sql, self._now(), known, turn, clean(uid)), write=True)

    async def restore(self, turns: Sequence[Turn], *, workspace: str) -> str:
        return await self._database.run(lambda sql: _exchanges.restore(sql, self._now(), turns, clean(workspace)), write=True)

    async def load(self, thread_id: str) -> Thread:
        known = parse_thread_id(thread_id)

        def read(sql: Sql) -> Thread:
            _rows.last_seq(sql, known, self._now())
            return _rows.load(sql, known)

        return await self._settled(read, known)

    async def list(self, *, workspace: str | None, limit: int = 20) -> builtins.list[ThreadSummary]:
        where = None if workspace is None else clean(workspace)
        return await self._settled(lambda sql: _rows.summaries(sql, where, limit, self._now()), None)

    async def search(self, query: str, *, workspace: str | None, limit: int = 20) -> builtins.list[ThreadSummary]:
        where = None if workspace is None else clean(workspace)
        return await self._settled(lambda sql: _search.search(sql, query, where, limit, self._now()), None)

    async def delete(self, thread_id: str) -> None:
        known = parse_thread_id(thread_id)
        await self._database.run(lambda sql: _exchanges.delete(sql, self._now(), known), write=True)

    async def ping(self) -> None:
        await self._database.run(lambda sql: sql.execute("INSERT OR REPLACE INTO pings VALUES (1, ?)", (self._now().now,)), write=True)

    async def aclose(self) -> None:
        try:
            if self._database.used:
                await self._database.run(self._leave, write=True)
        except StoreError:
            pass  # whoever reads next sees that the lock below is free, and interrupts them
        finally:
            await self._database.aclose()
            self._owners.release()

    def _now(self) -> Instant:
        return Instant.of(self._clock(), self._ttl_days)

    async def _settled(self, read: Work[T], thread_id: str | None) -> T:
        """Return what `read` returns, after the exchanges of processes that died are interrupted."""
        found = await self._database.run(lambda sql: (_exchanges.dead_owners(sql, self._owners, thread_id), read(sql)), write=False)
        if not found[0]:
            return found[1]

        def settle_and_read(sql: Sql) -> T:
            _exchanges.settle(sql, self._owners, thread_id)
            return read(sql)

        return await self._database.run(settle_and_read, write=True)

    def _purge_now_and_then(self) -> None:
        if self._ttl_days is not None and self._clock() - self._purged >= _PURGE_EVERY_S:
            self._purged = self._clock()
            self._database.post(lambda sql: _exchanges.purge(sql, self._now()), write=True)

    def _leave(self, sql: Sql) -> None:
        if self._owners.claimed:
            _exchanges.interrupt_all(sql, self._owners.mine())
