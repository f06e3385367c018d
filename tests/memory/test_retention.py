"""Bounds on what is kept: the threads used longest ago go first, and the disk gets its room back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from conversation.errors import ThreadExpired, ThreadNotFound
from memory._schema import MIGRATIONS
from memory.checkup import examine
from memory.sqlite import SqliteThreadStore
from tests.memory.contract import DAY, Clock, answer, attachment, said, say, user
from tests.memory.test_sqlite import holding, query

MB = 1_000_000
LONG = "".join(f"word{number % 100} " for number in range(14_000))
"""A turn of about 90 KB, and half as much again in the index."""


Open = Callable[..., SqliteThreadStore]


@pytest.fixture
async def opened(file: Path, clock: Clock) -> AsyncIterator[Open]:
    stores: list[SqliteThreadStore] = []

    def make(**bounds: Any) -> SqliteThreadStore:
        stores.append(SqliteThreadStore(file, clock=clock, **bounds))
        return stores[-1]

    yield make
    for store in stores:
        await store.aclose()


async def filled(store: SqliteThreadStore, clock: Clock, threads: int, text: str = LONG) -> list[str]:
    """So many threads, each used a second after the one before."""
    made: list[str] = []
    for number in range(threads):
        clock.now += 1
        made.append(await say(store, f"{number} {text}"))
    return made


async def until(store: SqliteThreadStore, is_so: Callable[[], bool]) -> None:
    """Let the store do what it has queued."""
    async with asyncio.timeout(10):
        while not is_so():
            await store.search("nothing", workspace=None)


def used(file: Path) -> int:
    return (query(file, "PRAGMA page_count")[0][0] - query(file, "PRAGMA freelist_count")[0][0]) * 4096  # pyright: ignore[reportOperatorIssue]


def size(file: Path) -> int:
    """What the disk has given for it, the log included."""
    return sum(path.stat().st_size for path in file.parent.glob("threads.db*") if not path.name.endswith("-shm"))


async def test_the_threads_used_longest_ago_go_when_there_are_too_many(opened: Open, file: Path, clock: Clock) -> None:
    store = opened(max_mb=2)
    threads = await filled(store, clock, 5)
    clock.now += 1
    await say(store, "again", threads[0])
    clock.now += 1
    threads += await filled(store, clock, 6)
    await until(store, lambda: used(file) <= 2 * MB)
    kept = [one.id for one in await store.list(workspace=None)]
    assert kept[-1] != threads[1] and kept == [one for one in [*reversed(threads[5:]), threads[0]] if one in kept]
    assert 3 <= len(kept) <= 8, "as many as there is room for"
    for gone in set(threads) - set(kept):
        for call in (store.load(gone), store.begin(user("x"), workspace="/w", thread_id=gone)):
            with pytest.raises(ThreadExpired):
                await call
    assert examine(file).damage == () and examine(file).index == ""


async def test_a_thread_that_waits_for_an_answer_and_the_one_used_last_stay(opened: Open, file: Path, clock: Clock) -> None:
    free, store = opened(), opened(max_mb=1)
    waiting, *others, last = await filled(free, clock, 8)
    asked = await free.begin(user("still there?"), workspace="/w", thread_id=waiting)
    for thread_id in (*others, last):
        clock.now += 1
        await say(free, LONG, thread_id)
    await say(store, LONG, last)
    await until(store, lambda: {one for (one,) in query(file, "SELECT id FROM threads")} <= {waiting, last})
    await free.complete(asked.exchange_id, [answer("yes")])
    assert said(await free.load(waiting))[2:] == [(3, "still there?", "done"), (4, "yes", "done")]


async def test_one_thread_alone_may_be_larger_than_all_should_be(opened: Open, file: Path, clock: Clock) -> None:
    store = opened(max_mb=1)
    thread_id = await say(store, LONG)
    for _ in range(8):
        await say(store, LONG, thread_id)
    assert used(file) > 1 * MB
    assert len((await store.load(thread_id)).turns) == 18


async def test_a_thread_whose_process_died_in_the_middle_goes_like_any_other(opened: Open, file: Path, clock: Clock) -> None:
    store = opened()
    thread_id = await say(store, LONG)
    with holding(file, thread_id) as (process, _):
        process.kill()
        process.wait()
    with closing(apsw.Connection(str(file))) as sql:
        sql.execute("UPDATE threads SET updated = '2001-01-01T00:00:00.000000Z'")
    bound = opened(max_mb=1)
    await filled(bound, clock, 6)
    await until(bound, lambda: used(file) <= 1 * MB)
    with pytest.raises(ThreadExpired):
        await bound.load(thread_id)


async def test_the_room_of_threads_that_went_is_given_back(opened: Open, file: Path, clock: Clock) -> None:
    free = opened()
    threads = await filled(free, clock, 60)
    await free.aclose()
    before = size(file)
    store = opened(max_mb=3)
    await store.load(threads[-1])
    assert size(file) >= before > 9 * MB
    await say(store, "more", threads[-1])
    await until(store, lambda: size(file) < 4.5 * MB)
    assert used(file) <= 3 * MB
    assert len(query(file, "SELECT 1 FROM tombstones WHERE reason = 'expired'")) > 30, "which takes several steps"
    assert examine(file).damage == ()


async def test_room_is_given_back_while_somebody_reads_too(opened: Open, file: Path, clock: Clock) -> None:
    free, store = opened(), opened(max_mb=1)
    threads = await filled(free, clock, 12)
    with closing(apsw.Connection(str(file))) as reader:
        reader.execute("BEGIN; SELECT count(*) FROM threads")
        await say(store, "more", threads[-1])
        await until(store, lambda: query(file, "PRAGMA page_count")[0][0] < 600)  # pyright: ignore[reportOperatorIssue]
        assert reader.execute("SELECT count(*) FROM threads").fetchall() == [(12,)]
    await say(store, "and more", threads[-1])


async def test_a_file_of_earlier_times_is_made_one_that_can_shrink(opened: Open, file: Path, clock: Clock) -> None:
    file.parent.mkdir()
    with closing(apsw.Connection(str(file))) as sql:
        sql.execute(MIGRATIONS[0])
        sql.execute("PRAGMA user_version = 1")
    free = opened()
    threads = await filled(free, clock, 20)
    for thread_id in threads[:10]:
        await free.delete(thread_id)
    await free.aclose()
    assert query(file, "PRAGMA auto_vacuum") == [(0,)] and size(file) > 3 * MB, "nobody asked for less"
    store = opened(max_mb=1)
    await say(store, "more", threads[-1])
    await until(store, lambda: size(file) < 2.5 * MB)
    assert query(file, "PRAGMA auto_vacuum") == [(2,)]
    assert len((await store.load(threads[-1])).turns) == 4
    assert examine(file).damage == () and examine(file).index == ""


async def test_the_room_of_a_deleted_thread_is_given_back_without_any_bound(opened: Open, file: Path, clock: Clock) -> None:
    store = opened()
    thread_id = (await filled(store, clock, 1, LONG * 20))[0]
    kept = await say(store, "kept")
    assert size(file) > 3 * MB
    await store.delete(thread_id)
    await until(store, lambda: size(file) < 1.2 * MB)
    with pytest.raises(ThreadNotFound, match="deleted"):
        await store.load(thread_id)
    assert len((await store.load(kept)).turns) == 2


async def test_a_long_thread_goes_in_pieces_and_is_out_of_sight_from_the_first_on(opened: Open, file: Path, clock: Clock) -> None:
    free = opened()
    thread_id = (await filled(free, clock, 1))[0]
    for _ in range(5):
        await say(free, LONG, thread_id)
    kept = await say(free, "kept")
    clock.now += 31 * DAY
    await say(free, "used", kept)
    bound = opened(ttl_days=30)
    begun = await bound.begin(user("x"), workspace="/w")
    await until(bound, lambda: query(file, "SELECT 1 FROM threads WHERE updated = ''") == [(1,)])
    assert query(file, "SELECT count(*) >= 8 FROM turns") == [(1,)], "it has only begun"
    for store in (bound, free):
        with pytest.raises(ThreadExpired):
            await store.load(thread_id)
        assert {one.title for one in await store.list(workspace=None)} == {"kept", "x"}
    assert await free.search("word7", workspace=None) == []
    assert examine(file).damage == ()
    await until(bound, lambda: query(file, "SELECT reason FROM tombstones") == [("expired",)])
    await bound.interrupt(begun.exchange_id)


async def test_more_threads_than_one_step_removes_expire_all_at_once(opened: Open, file: Path, clock: Clock) -> None:
    free = opened()
    await filled(free, clock, 45, "short")
    clock.now += 31 * DAY
    store = opened(ttl_days=30)
    await say(store, "new")
    await until(store, lambda: query(file, "SELECT count(*) FROM tombstones WHERE reason = 'expired'") == [(45,)])
    assert [one.title for one in await store.list(workspace=None)] == ["new"]


async def test_a_file_that_another_thread_carries_too_stays(opened: Open, file: Path, clock: Clock) -> None:
    store = opened()
    shared, own = attachment("shared", "shared"), attachment("own", "own")
    first = await say(store, "one", None, shared, own)
    second = await say(store, "two", None, shared)
    await store.delete(first)
    assert query(file, "SELECT content FROM contents") == [("shared",)]
    await store.delete(second)
    assert query(file, "SELECT content FROM contents") == []


async def test_an_imported_thread_counts_too(opened: Open, file: Path, clock: Clock) -> None:
    store = opened(max_mb=1)
    first = await say(store, LONG)
    turns = (await store.load(first)).turns
    clock.now += 1
    last = await store.restore([*turns, *turns, *turns, *turns, *turns, *turns], workspace="/w")
    await until(store, lambda: query(file, "SELECT id FROM threads") == [(last,)])
