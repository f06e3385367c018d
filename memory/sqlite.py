"""Threads in an SQLite file that many processes share: the embedded store."""

from __future__ import annotations

import asyncio
import builtins
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from conversation.errors import InvalidInput, StoreBusy, StoreError, StoreUnavailable
from conversation.threads import NewTurn, Started, Thread, ThreadSummary, Turn, parse_thread_id
from memory import _exchanges, _retention, _rows, _search
from memory._database import Database, Work
from memory._owner import Owners
from memory._sql import Clock, Instant, Sql, clean

T = TypeVar("T")

_TIDY_EVERY_S = 3600.0


class SqliteThreadStore:
    """A ThreadStore in one file, shared by all processes that name it.

    `ttl_days` is how long a thread is kept after its last exchange, None for ever; `max_mb` (of 1,000,000 bytes) is how much is kept of
    all before those used longest ago expire, None for any number; `clock` returns seconds since the epoch; `busy_timeout_s` is how long
    a call waits for other writers before StoreBusy. Nothing is touched before the first call.
    """

    def __init__(
        self,
        path: Path,
        *,
        ttl_days: float | None = None,
        max_mb: float | None = None,
        clock: Clock = time.time,
        busy_timeout_s: float = 5.0,
    ) -> None:
        self._database = Database(path, busy_timeout_s=busy_timeout_s)
        self._owners = Owners(path.parent / "owners")
        self._ttl_days = ttl_days
        self._max_bytes = None if max_mb is None else int(max_mb * 1_000_000)
        self._clock = clock
        self._tidied = float("-inf")
        self._waited_for: set[str] = set()
        self._given_up: set[str] = set()
        """Exchanges that could not be interrupted when they should have been; it is done with whatever is written next."""

    async def begin(
        self,
        turn: NewTurn,
        *,
        workspace: str,
        thread_id: str | None = None,
        branch_from: int | None = None,
        exchange_id: str | None = None,
        expected_seq: int | None = None,
        recent: int | None = None,
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
            recent=recent,
        )
        try:
            started = await self._settling(lambda sql: _exchanges.begin(sql, self._now(), self._owners, given))
        except asyncio.CancelledError:
            # Nobody will complete it; without this it would look pending for as long as this process lives.
            with suppress(StoreError):
                self._interrupt_soon(given.exchange_id)
            raise
        self._tidy_now_and_then()  # afterwards: a held lock would be waited for twice
        return started

    async def complete(self, exchange_id: str, answers: Sequence[NewTurn]) -> tuple[Turn, ...]:
        try:
            turns = await self._database.run(lambda sql: _exchanges.complete(sql, self._now(), clean(exchange_id), answers), write=True)
        except StoreBusy:
            self._waited_for.add(exchange_id)
            raise
        self._tidy_now_and_then()
        return turns

    async def interrupt(self, exchange_id: str) -> None:
        done = self._interrupt_soon(clean(exchange_id))
        if exchange_id in self._waited_for:  # by `complete`, in vain: the answer is not held up a second time
            self._waited_for.discard(exchange_id)
            return
        await asyncio.shield(asyncio.wrap_future(done))

    async def append(self, thread_id: str, turn: NewTurn, *, uid: str) -> Turn:
        known = parse_thread_id(thread_id)
        return await self._database.run(lambda sql: _exchanges.append(sql, self._now(), known, turn, clean(uid)), write=True)

    async def restore(self, turns: Sequence[Turn], *, workspace: str) -> str:
        made = await self._database.run(lambda sql: _exchanges.restore(sql, self._now(), turns, clean(workspace)), write=True)
        self._tidy_now_and_then()
        return made

    async def load(self, thread_id: str, *, recent: int | None = None) -> Thread:
        known = parse_thread_id(thread_id)

        def read(sql: Sql) -> Thread:
            _rows.last_seq(sql, known, self._now())
            return _rows.load(sql, known, recent=recent)

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
        self._tidy_soon()

    async def ping(self) -> None:
        await self._database.run(lambda sql: sql.execute("INSERT OR REPLACE INTO pings VALUES (1, ?)", (self._now().now,)), write=True)

    async def risks(self) -> builtins.list[str]:
        return []

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

    def _interrupt_soon(self, exchange_id: str) -> Future[None]:
        """Queue it; when that fails, as on a full disk, it is done later."""

        def note(done: Future[None]) -> None:
            if done.exception() is not None:
                self._given_up.add(exchange_id)

        done = self._database.post(lambda sql: _exchanges.interrupt(sql, exchange_id), write=True)
        done.add_done_callback(note)
        return done

    async def _settling(self, work: Work[T]) -> T:
        """Return what `work` returns, after the exchanges that were given up are interrupted."""
        given_up = frozenset(self._given_up)

        def settle_and_work(sql: Sql) -> T:
            for exchange_id in given_up:
                _exchanges.interrupt(sql, exchange_id)
            return work(sql)

        result = await self._database.run(settle_and_work, write=True)
        self._given_up -= given_up
        return result

    async def _settled(self, read: Work[T], thread_id: str | None) -> T:
        """Return what `read` returns, after the exchanges of processes that died are interrupted, if the disk takes that."""
        found = await self._database.run(lambda sql: (_exchanges.dead_owners(sql, self._owners, thread_id), read(sql)), write=False)
        if not found[0] and not self._given_up:
            return found[1]

        def settle_and_read(sql: Sql) -> T:
            _exchanges.settle(sql, self._owners, thread_id)
            return read(sql)

        try:
            return await self._settling(settle_and_read)
        except StoreUnavailable:
            return found[1]

    def _tidy_now_and_then(self) -> None:
        """Have removed what is too old, once an hour, and what is too much."""
        due = self._ttl_days is not None and self._clock() - self._tidied >= _TIDY_EVERY_S
        if due:
            self._tidied = self._clock()
        if due or self._max_bytes is not None:
            self._tidy_soon()

    def _tidy_soon(self) -> None:
        """Queue a step of it, behind the calls that are there; nobody waits for it, and when it fails the next one does it."""
        with suppress(StoreError):
            self._database.post(self._tidy, write=None)

    def _tidy(self, sql: Sql) -> None:
        if _retention.tidy(sql, _retention.Bounds(self._now(), self._owners, self._max_bytes)):
            self._tidy_soon()

    def _leave(self, sql: Sql) -> None:
        if self._owners.claimed:
            _exchanges.interrupt_all(sql, self._owners.mine())
