"""Threads in an SQLite file: the contract, and what only a file shared by processes has to stand."""

from __future__ import annotations

import asyncio
import os
import resource
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import apsw
import pytest

from conversation.errors import StoreBusy, StoreError, StoreUnavailable, ThreadConflict, ThreadNotFound
from conversation.threads import NewTurn
from memory._database import Database
from memory._schema import MIGRATIONS
from memory.ledger import SpendLedger
from memory.sqlite import SqliteThreadStore
from tests.memory.contract import DAY, TTL_DAYS, Clock, OpenStore, ThreadStoreContract, answer, attachment, said, say, user

ROOT = Path(__file__).parents[2]


@pytest.fixture
async def open_store(file: Path, clock: Clock) -> AsyncIterator[OpenStore]:
    opened: list[SqliteThreadStore] = []

    def make() -> SqliteThreadStore:
        opened.append(SqliteThreadStore(file, ttl_days=TTL_DAYS, clock=clock, busy_timeout_s=20))
        return opened[-1]

    yield make
    for store in opened:
        await store.aclose()


def start_writer(file: Path, thread_id: str, count: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.memory.writer", str(file), thread_id, count]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@contextmanager
def holding(file: Path, thread_id: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that has begun an exchange and waits; it and the exchange's id."""
    with start_writer(file, thread_id, "hold") as process:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
        if process.poll() is None:
            process.kill()


def query(file: Path, text: str) -> Sequence[tuple[object, ...]]:
    with closing(apsw.Connection(str(file))) as connection:
        return connection.execute(text).fetchall()


class TestSqlite(ThreadStoreContract):
    pass


# --- several processes ---------------------------------------------------------------------------------------------


async def test_two_stores_on_one_file_see_each_others_turns(open_store: OpenStore) -> None:
    one, two = open_store(), open_store()
    thread_id = await say(one, "one")
    started = await two.begin(user("two"), workspace="/w", thread_id=thread_id)
    assert [turn.content for turn in started.thread.landed] == ["one", "one!"]
    assert said(await one.load(thread_id))[2:] == [(3, "two", "pending")]
    await one.complete(started.exchange_id, [answer("from the other")])
    assert len((await two.load(thread_id)).landed) == 4


async def test_sixteen_writers_in_eight_processes_lose_no_exchange_and_no_cent(open_store: OpenStore, file: Path) -> None:
    store = open_store()
    thread_id = await say(store, "start")
    writers = [start_writer(file, thread_id, "3") for _ in range(8)]
    for writer in writers:
        await asyncio.to_thread(writer.communicate)
        assert writer.returncode == 0
    thread = await store.load(thread_id)
    assert [turn.seq for turn in thread.landed] == list(range(1, 2 + 16 * 3 * 2 + 1))
    pairs = [(thread.turns[at].content, thread.turns[at + 1].content) for at in range(2, len(thread.turns), 2)]
    assert all(asked + "!" == answered for asked, answered in pairs)
    assert len(set(pairs)) == 48
    ledger = SpendLedger(file)
    assert await ledger.spent("2027-01-01") == 12.0
    await ledger.aclose()


async def test_an_exchange_whose_process_was_killed_shows_as_interrupted(open_store: OpenStore, file: Path) -> None:
    store = open_store()
    thread_id = await say(store, "start")
    with holding(file, thread_id) as (process, exchange_id):
        assert said(await store.load(thread_id))[2:] == [(3, "held", "pending")]
        assert len(list((file.parent / "owners").iterdir())) == 2
        process.kill()
        process.wait()
        assert said(await store.load(thread_id))[2:] == [(3, "held", "interrupted")]
    with pytest.raises(ThreadConflict):
        await store.complete(exchange_id, [answer("late")])
    assert said(await open_store().load(thread_id))[2:] == [(3, "held", "interrupted")]
    assert len(list((file.parent / "owners").iterdir())) == 1


async def test_a_list_and_a_new_exchange_find_the_dead_too(open_store: OpenStore, file: Path) -> None:
    store = open_store()
    threads = [await say(store, "start") for _ in range(2)]
    for thread_id in threads:
        with holding(file, thread_id) as (process, _):
            process.kill()
            process.wait()
    started = await store.begin(user("next"), workspace="/w", thread_id=threads[0])
    assert said(started.thread)[2:] == [(3, "held", "interrupted")]
    await store.list(workspace=None)
    assert query(file, "SELECT count(*) FROM exchanges WHERE state = 'interrupted'") == [(2,)]


async def test_a_process_that_leaves_in_order_takes_its_lock_and_its_pending_exchange_along(open_store: OpenStore, file: Path) -> None:
    store = open_store()
    thread_id = await say(store, "start")
    with holding(file, thread_id) as (process, _):
        await asyncio.to_thread(process.communicate, "")
        assert process.returncode == 0
    assert query(file, "SELECT state FROM turns WHERE content = 'held'") == [("interrupted",)]
    await store.aclose()
    assert list((file.parent / "owners").iterdir()) == []


async def test_many_readers_settle_a_dead_process_once(open_store: OpenStore, file: Path) -> None:
    stores = [open_store() for _ in range(4)]
    thread_id = await say(stores[0], "start")
    with holding(file, thread_id) as (process, _):
        process.kill()
        process.wait()
    threads = await asyncio.gather(*(store.load(thread_id) for store in stores for _ in range(4)))
    assert {tuple(said(thread)) for thread in threads} == {((1, "start", "done"), (2, "start!", "done"), (3, "held", "interrupted"))}


async def test_twenty_stores_open_a_new_file_at_once(open_store: OpenStore) -> None:
    stores = [open_store() for _ in range(20)]
    await asyncio.gather(*(store.ping() for store in stores))
    await asyncio.gather(*(say(store, "x") for store in stores))
    assert len(await stores[0].list(workspace=None)) == 20


async def test_threads_outlive_the_store(open_store: OpenStore) -> None:
    store = open_store()
    thread_id = await say(store, "one", None, attachment("a", "b"))
    before = await store.load(thread_id)
    await store.aclose()
    assert await open_store().load(thread_id) == before


# --- the event loop and cancellation -------------------------------------------------------------------------------


async def test_a_held_lock_holds_up_neither_the_event_loop_nor_the_process(file: Path) -> None:
    store = SqliteThreadStore(file, busy_timeout_s=0.2)
    await store.ping()
    with closing(apsw.Connection(str(file))) as other:
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(store.begin(user("x"), workspace="/w"))
        ticks = 0
        while not waiting.done():
            await asyncio.sleep(0)
            ticks += 1
        with pytest.raises(StoreBusy) as busy:
            await waiting
        other.execute("ROLLBACK")
    assert ticks > 100
    assert busy.value.retryable
    await say(store, "now")
    await store.aclose()


async def test_an_answer_that_found_the_store_held_waits_for_it_once(file: Path) -> None:
    store = SqliteThreadStore(file, busy_timeout_s=0.2)
    started = await store.begin(user("q"), workspace="/w")
    with closing(apsw.Connection(str(file))) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusy):
            await store.complete(started.exchange_id, [answer("a")])
        await store.interrupt(started.exchange_id)  # returns while the lock is held, and is done after it
        other.execute("ROLLBACK")
    assert said(await store.load(started.thread.id)) == [(1, "q", "interrupted")]
    await store.aclose()


async def test_expired_threads_are_removed_after_a_begin_and_not_before_it(file: Path) -> None:
    long_ago = SqliteThreadStore(file, clock=lambda: 0.0)
    await say(long_ago, "old")
    await long_ago.aclose()
    store = SqliteThreadStore(file, ttl_days=1, busy_timeout_s=0.2)
    with closing(apsw.Connection(str(file))) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreBusy):  # and nothing that waited for the lock before it
            await store.begin(user("x"), workspace="/w")
        other.execute("ROLLBACK")
    assert query(file, "SELECT count(*) FROM tombstones") == [(0,)]
    await say(store, "now")
    assert query(file, "SELECT reason FROM tombstones") == [("expired",)]
    await store.aclose()


async def test_a_begin_that_is_cancelled_leaves_nothing_pending(open_store: OpenStore, file: Path) -> None:
    store = open_store()
    thread_id = await say(store, "start")
    with closing(apsw.Connection(str(file))) as other:
        other.execute("BEGIN IMMEDIATE")
        task = asyncio.create_task(store.begin(user("x"), workspace="/w", thread_id=thread_id))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        other.execute("ROLLBACK")
    assert said(await store.load(thread_id))[2:] == [(3, "x", "interrupted")]


async def test_a_complete_that_is_cancelled_lands_all_the_same(open_store: OpenStore) -> None:
    store = open_store()
    started = await store.begin(user("q"), workspace="/w")
    task = asyncio.create_task(store.complete(started.exchange_id, [answer("a")]))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [turn.content for turn in (await store.load(started.thread.id)).landed] == ["q", "a"]


async def test_a_store_touches_nothing_before_the_first_call(file: Path) -> None:
    before = threading.active_count()
    store = SqliteThreadStore(file)
    assert threading.active_count() == before
    assert not file.parent.exists()
    await store.aclose()


# --- faults --------------------------------------------------------------------------------------------------------


def assert_discreet(error: StoreError, file: Path) -> None:
    for text in (error.message, error.hint):
        assert str(file.parent) not in text
        assert text
    assert error.__cause__ is None


async def failing(file: Path) -> StoreUnavailable:
    store = SqliteThreadStore(file)
    with pytest.raises(StoreUnavailable) as caught:
        await store.begin(user("x"), workspace="/w")
    await store.aclose()
    assert_discreet(caught.value, file)
    return caught.value


async def test_a_file_that_is_no_database_is_unavailable(file: Path) -> None:
    file.parent.mkdir()
    file.write_bytes(b"not a database, but long enough to be read as one" * 50)
    error = await failing(file)
    assert "not a database" in error.message
    assert "away" in error.hint


async def test_a_damaged_database_is_unavailable(open_store: OpenStore, file: Path) -> None:
    store = open_store()
    for n in range(20):
        await say(store, f"{n} " + "x" * 5000)
    await store.aclose()
    content = file.read_bytes()
    file.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    assert "damaged" in (await failing(file)).message


async def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    assert "it is, or lies in, something that is not a folder" in (await failing(tmp_path / "file" / "home" / "threads.db")).message


async def test_a_folder_in_the_place_of_the_file_is_unavailable(file: Path) -> None:
    file.mkdir(parents=True)
    assert "cannot be opened" in (await failing(file)).message


async def test_a_database_of_a_newer_version_is_left_alone(open_store: OpenStore, file: Path) -> None:
    await open_store().ping()
    with closing(apsw.Connection(str(file))) as connection:
        connection.execute("PRAGMA user_version = 99")
    error = await failing(file)
    assert "newer" in error.message
    assert query(file, "PRAGMA user_version") == [(99,)]


@pytest.mark.parametrize(("pragma", "message"), [("query_only = 1", "read-only"), ("max_page_count = 1", "full")])
async def test_a_write_that_fails_is_undone_and_the_next_one_works(file: Path, pragma: str, message: str) -> None:
    database = Database(file)
    await database.run(lambda sql: sql.execute("INSERT INTO tombstones VALUES ('a', 'deleted', '')").fetchall(), write=True)
    await database.run(lambda sql: sql.execute(f"PRAGMA {pragma}").fetchall(), write=False)
    with pytest.raises(StoreUnavailable, match=message) as caught:
        await database.run(
            lambda sql: [sql.execute("INSERT INTO tombstones VALUES (?, 'deleted', '')", (f"{n}" + "x" * 5000,)) for n in range(100)],
            write=True,
        )
    assert_discreet(caught.value, file)
    rows = await database.run(lambda sql: sql.execute("SELECT thread_id FROM tombstones").fetchall(), write=False)
    assert rows == [("a",)]
    await database.run(lambda sql: sql.execute("INSERT INTO tombstones VALUES ('b', 'deleted', '')").fetchall(), write=True)
    await database.aclose()


async def test_what_a_file_of_the_first_schema_says_was_spent_is_kept(file: Path) -> None:
    file.parent.mkdir()
    with closing(apsw.Connection(str(file))) as connection:
        connection.execute(MIGRATIONS[0])
        connection.execute("INSERT INTO spend VALUES ('2027-01-01', 1.5), ('2027-01-02', 0.25); PRAGMA user_version = 1")
    ledger = SpendLedger(file)
    assert (await ledger.spent("2027-01-01"), await ledger.spent("2027-01-02")) == (1.5, 0.25)
    await ledger.aclose()


async def test_a_fault_without_a_sentence_of_its_own_is_named_by_its_kind(file: Path) -> None:
    database = Database(file)
    with pytest.raises(StoreUnavailable, match="SQLError"):
        await database.run(lambda sql: sql.execute("SELECT nonsense"), write=False)
    await database.aclose()


async def test_closing_a_store_that_is_held_by_another_lets_go_of_the_lock_all_the_same(file: Path) -> None:
    store = SqliteThreadStore(file, busy_timeout_s=0.1)
    started = await store.begin(user("q"), workspace="/w")
    with closing(apsw.Connection(str(file))) as other:
        other.execute("BEGIN IMMEDIATE")
        await store.aclose()
        other.execute("ROLLBACK")
    assert query(file, "SELECT state FROM exchanges") == [("pending",)]
    later = SqliteThreadStore(file)
    assert said(await later.load(started.thread.id)) == [(1, "q", "interrupted")]
    await later.aclose()


async def test_a_file_that_was_removed_is_made_anew(open_store: OpenStore, file: Path) -> None:
    store = open_store()
    thread_id = await say(store, "one")
    for left in file.parent.glob("threads.db*"):
        left.unlink()
    with pytest.raises(ThreadNotFound):
        await store.load(thread_id)
    await say(store, "two")
    assert len(await open_store().list(workspace=None)) == 1


# --- the file ------------------------------------------------------------------------------------------------------


async def test_only_the_owner_can_read_what_is_stored(open_store: OpenStore, file: Path) -> None:
    file.parent.mkdir(mode=0o755)
    store = open_store()
    await store.begin(user("x"), workspace="/w")
    found = [path for path in file.parent.rglob("*") if path.is_file()]
    assert {path.suffix for path in found} == {".db", ".db-wal", ".db-shm", ".lock"}
    for path in found:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    for folder in (file.parent, file.parent / "owners"):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


async def test_a_folder_shared_on_purpose_keeps_its_mode(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    store = SqliteThreadStore(shared / "threads.db")
    await store.ping()
    await store.aclose()
    assert stat.S_IMODE(shared.stat().st_mode) == 0o1777


async def test_turns_are_only_added(open_store: OpenStore, file: Path) -> None:
    await say(open_store(), "one")
    with pytest.raises(apsw.ConstraintError, match="only added"):
        query(file, "UPDATE turns SET content = 'forged'")


async def test_a_file_carried_by_many_turns_is_stored_once(open_store: OpenStore, file: Path) -> None:
    store = open_store()
    thread_id = await say(store, "one", None, attachment("a.py", "x" * 1000))
    for _ in range(3):
        await say(store, "again", thread_id, attachment("b.py", "x" * 1000))
    assert query(file, "SELECT count(*) FROM contents") == [(1,)]


async def test_nothing_of_a_deleted_thread_is_left_in_the_file(open_store: OpenStore, file: Path) -> None:
    store = open_store()
    kept = await say(store, "kept", None, attachment("shared", "sharedcontent"))
    gone = await say(store, "xylophone " * 400, None, attachment("a", "quixotic" * 1000), attachment("shared", "sharedcontent"))
    await store.begin(NewTurn(role="user", content="zeppelin"), workspace="/w", thread_id=gone)
    await store.delete(gone)
    assert query(file, "SELECT content FROM contents") == [("sharedcontent",)]
    await store.aclose()
    content = file.read_bytes()
    for word in (b"xylophone", b"quixotic", b"zeppelin"):
        assert word not in content
    assert (await open_store().load(kept)).turns[0].attachments[0].content == "sharedcontent"


async def test_an_expired_thread_is_purged_when_the_next_one_begins(open_store: OpenStore, clock: Clock, file: Path) -> None:
    store = open_store()
    expired = await say(store, "old", None, attachment("a", "content"))
    clock.now += 31 * DAY
    await say(store, "new")
    assert query(file, "SELECT thread_id, reason FROM tombstones") == [(expired, "expired")]
    assert query(file, "SELECT title FROM threads") == [("new",)]
    assert query(file, "SELECT count(*) FROM contents") == [(0,)]
    with pytest.raises(ThreadNotFound, match="expired"):
        await store.delete(expired)


async def test_an_expired_thread_can_be_deleted(open_store: OpenStore, clock: Clock) -> None:
    store = open_store()
    expired = await say(store, "old")
    clock.now += 31 * DAY
    await store.delete(expired)
    with pytest.raises(ThreadNotFound, match="deleted"):
        await store.load(expired)


async def test_without_a_time_to_live_threads_stay(file: Path, clock: Clock) -> None:
    store = SqliteThreadStore(file, clock=clock)
    thread_id = await say(store, "old")
    clock.now += 10_000 * DAY
    await say(store, "new")
    assert len((await store.load(thread_id)).turns) == 2
    await store.aclose()


async def test_a_store_works_in_a_folder_with_an_odd_name(tmp_path: Path) -> None:
    store = SqliteThreadStore(tmp_path / "a ?#%20'\u00e9" / "threads.db")
    await say(store, "x")
    await store.aclose()
    assert os.listdir(tmp_path) == ["a ?#%20'\u00e9"]


# --- a disk that refuses, for a while ------------------------------------------------------------------------------


@contextmanager
def refusing() -> Iterator[None]:
    """Let no file of this process grow: what a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_on_a_disk_that_refuses_threads_can_be_read_and_nothing_is_half_written(open_store: OpenStore, file: Path) -> None:
    store = open_store()
    thread_id = await say(store, "one")
    with holding(file, thread_id) as (process, _):
        process.kill()
        process.wait()
    started = await store.begin(user("two"), workspace="/w", thread_id=thread_id)
    before = query(file, "SELECT * FROM turns")
    with refusing():
        for call in (
            store.complete(started.exchange_id, [answer("two!")]),
            store.interrupt(started.exchange_id),
            store.begin(user("three"), workspace="/w"),
            store.append(thread_id, answer("notes"), uid="s"),
            store.restore((await store.load(thread_id)).turns, workspace="/w"),
            store.delete(thread_id),
            store.ping(),
        ):
            with pytest.raises(StoreUnavailable, match="cannot be read or written") as refused:
                await call
            assert_discreet(refused.value, file)
        assert [turn.content for turn in (await store.load(thread_id)).turns] == ["one", "one!", "held", "two"]
        assert [one.turns for one in await store.list(workspace=None)] == [4]
        assert len(await store.search("one", workspace=None)) == 1
    assert query(file, "SELECT * FROM turns") == before


@pytest.mark.parametrize("next_call", ["load", "begin"])
async def test_an_exchange_that_could_not_be_interrupted_is_so_as_soon_as_the_disk_takes_it(
    open_store: OpenStore, next_call: str
) -> None:
    store = open_store()
    started = await store.begin(user("two"), workspace="/w")
    thread_id = started.thread.id
    with refusing():
        with pytest.raises(StoreUnavailable):
            await store.complete(started.exchange_id, [answer("two!")])
        with pytest.raises(StoreUnavailable):
            await store.interrupt(started.exchange_id)
        assert said(await store.load(thread_id)) == [(1, "two", "pending")]
    if next_call == "load":
        assert said(await store.load(thread_id)) == [(1, "two", "interrupted")]
    else:
        assert said((await store.begin(user("x"), workspace="/w", thread_id=thread_id)).thread) == [(1, "two", "interrupted")]
    assert said(await open_store().load(thread_id))[:1] == [(1, "two", "interrupted")]


async def test_a_file_its_owner_made_read_only_stays_so(open_store: OpenStore, file: Path) -> None:
    store = open_store()
    await say(store, "one")
    await store.aclose()
    file.chmod(0o444)
    await open_store().list(workspace=None)
    assert stat.S_IMODE(file.stat().st_mode) == 0o400
