"""Landing what was said while Redis was away: nobody who goes on meanwhile misses it, whoever lands it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from conversation.errors import NotSavedYet, StoreUnavailable, ThreadNotFound
from conversation.threads import ThreadStore
from memory import _redis_owner
from memory._redis_client import RedisLink
from memory._spool_folder import Spool
from memory.redis import RedisThreadStore
from memory.spool import SpoolingThreadStore
from tests.memory.contract import answer, attachment, say, user
from tests.memory.test_redis_faults import emptied
from tests.memory.test_redis_odd import plain, spooling
from tests.redis_servers import Replicated, Server, cluster, replicated, server
from tests.waiting import a_while, until

AWAY = 0.6
"""Seconds after which nobody takes Redis for away any more."""


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Server]:
    with server(tmp_path / "redis", appendfsync="always") as one:
        yield one


@pytest.fixture
async def store(redis: Server, parley_home: Path) -> AsyncIterator[SpoolingThreadStore]:
    one = spooling(redis.url, parley_home)
    yield one
    await one.aclose()


async def said_while_away(store: ThreadStore, thread_id: str | None, *texts: str) -> str:
    """Say something that has to be saved later, and return the thread's id."""
    for text in texts:
        started = await store.begin(user(text), workspace="/w", thread_id=thread_id)
        with pytest.raises(NotSavedYet):
            await store.complete(started.exchange_id, [answer(f"{text}!")])
        thread_id = started.thread.id
    assert thread_id is not None
    return thread_id


async def test_two_calls_at_once_both_see_what_was_kept(redis: Server, store: SpoolingThreadStore) -> None:
    known = await say(store, "one")
    redis.kill()
    texts = [f"q{number}" for number in range(30)]
    await said_while_away(store, known, *texts)
    new = await said_while_away(store, None, "new")
    await asyncio.to_thread(redis.start)
    await a_while(AWAY)
    loaded, started = await asyncio.gather(store.load(known), store.begin(user("follow"), workspace="/w", thread_id=new))
    assert [turn.content for turn in loaded.landed][2::2] == texts
    assert [turn.content for turn in started.thread.landed] == ["new", "new!"]


async def test_a_call_waits_for_another_process_that_is_landing_and_then_says_what_is_the_matter(
    redis: Server, store: SpoolingThreadStore, parley_home: Path
) -> None:
    known = await say(store, "one")
    redis.kill()
    new = await said_while_away(store, None, "new")
    await asyncio.to_thread(redis.start)
    other = spooling(redis.url, parley_home)
    with Spool(parley_home / "spool").alone() as alone:
        assert alone
        with pytest.raises(StoreUnavailable, match="still being saved"):
            await other.load(new)
        assert len((await other.load(known)).turns) == 2
    assert [turn.content for turn in (await other.load(new)).landed] == ["new", "new!"]
    with pytest.raises(ThreadNotFound):
        await other.load("00000000-0000-4000-8000-000000000000")
    await other.aclose()


async def test_an_answer_whose_process_was_taken_for_dead_is_kept(
    redis: Server, store: SpoolingThreadStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = await store.begin(user("one"), workspace="/w")
    with redis.client() as keeper:
        keeper.delete(*keeper.keys("parley:owner:*"))
    monkeypatch.setattr(_redis_owner, "ALIVE_SECONDS", -1)  # as if Redis had been up for longer
    elsewhere = plain(redis.url, tmp_path / "elsewhere")
    assert [turn.state for turn in (await elsewhere.load(started.thread.id)).turns] == ["interrupted"]
    monkeypatch.undo()
    assert [turn.content for turn in await store.complete(started.exchange_id, [answer("one!")])] == ["one", "one!"]
    assert [turn.content for turn in (await elsewhere.load(started.thread.id)).landed] == ["one", "one!"]
    await elsewhere.aclose()


async def copied(pair: Replicated, home: Path) -> tuple[SpoolingThreadStore, Spool, str]:
    """Return a store over the first of a pair, its spool, and a thread of one exchange that the replica has too."""
    store, spool = spooling(pair.nodes[0].url, home), Spool(home / "spool")
    thread_id = await say(store, "one")
    await emptied(spool)
    return store, spool, thread_id


def waits(keeper: Redis) -> int:
    """How often a server was asked to wait for its replica."""
    told: Any = keeper.info("commandstats")
    return told.get("cmdstat_wait", {}).get("calls", 0)


async def test_a_replica_that_is_behind_holds_up_no_call_for_what_was_said_before(tmp_path: Path, parley_home: Path) -> None:
    with replicated(tmp_path / "pair") as pair:
        store, spool, thread_id = await copied(pair, parley_home)
        pair.nodes[1].pause()
        try:
            for number in range(6):
                await say(store, f"q{number}", thread_id)
            assert len(spool.copying()) == 6 and not spool.waiting()
            with pair.nodes[0].client() as keeper:
                keeper.config_resetstat()
                await store.load(thread_id)
                assert waits(keeper) == 0
                await asyncio.to_thread(until, lambda: waits(keeper) >= 2)  # it was found to be behind once, and is asked again
            assert len(spool.copying()) == 6, "what was said is kept while it is looked after"
        finally:
            pair.nodes[1].resume()
        await emptied(spool)
        await store.aclose()


async def test_what_lands_and_has_no_replica_yet_is_kept_for_it(tmp_path: Path, parley_home: Path) -> None:
    with replicated(tmp_path / "pair") as pair:
        store, spool, thread_id = await copied(pair, parley_home)
        pair.nodes[0].kill()
        await said_while_away(store, thread_id, "two")
        pair.nodes[1].pause()
        try:
            await asyncio.to_thread(pair.nodes[0].start)
            pair.nodes[1].resume()
            await asyncio.to_thread(pair.nodes[1].until, lambda: pair.nodes[1].info("replication")["master_link_status"] == "up")
            pair.nodes[1].pause()
            await a_while(AWAY)
            assert [turn.content for turn in (await store.load(thread_id)).landed] == ["one", "one!", "two", "two!"]
            assert spool.names() == spool.copying() != []
        finally:
            pair.nodes[1].resume()
        await emptied(spool)
        await store.aclose()


async def test_what_is_known_of_a_thread_does_not_shrink_when_only_its_newest_turns_are_read(
    redis: Server, store: SpoolingThreadStore
) -> None:
    thread_id = await say(store, "HERON")
    for number in range(80):
        await say(store, f"q{number}", thread_id)
    started = await store.begin(user("review"), workspace="/w", thread_id=thread_id, recent=0)
    assert started.thread.earlier > 0
    await store.complete(started.exchange_id, [answer("review!")])
    redis.kill()
    known = (await store.begin(user("away"), workspace="/w", thread_id=thread_id)).thread
    assert (len(known.landed), known.landed[0].content, known.earlier) == (164, "HERON", 0)


async def test_a_thread_that_is_gone_on_with_while_redis_is_away_gets_no_summary(redis: Server, store: SpoolingThreadStore) -> None:
    thread_id = await say(store, "one")
    redis.kill()
    started = await store.begin(user("two"), workspace="/w", thread_id=thread_id)
    await asyncio.to_thread(redis.start)
    await a_while(AWAY)
    with pytest.raises(StoreUnavailable, match="may have changed"):
        await store.append(thread_id, answer("notes"), uid="notes")
    with pytest.raises(NotSavedYet):
        await store.complete(started.exchange_id, [answer("two!")])
    await store.append(thread_id, answer("notes"), uid="notes")


async def test_what_was_acknowledged_survives_an_outage_longer_than_it_is_remembered(tmp_path: Path, parley_home: Path) -> None:
    now = [0.0]
    with server(tmp_path / "r", appendfsync="always") as one:
        link = RedisLink(one.url)
        threads, spool = RedisThreadStore(link, parley_home / "owners"), Spool(parley_home / "spool")
        store = SpoolingThreadStore(threads, link, spool, tick=lambda: now[0])
        thread_id = await say(store, "old")
        await say(store, "new", thread_id)
        one.kill()
        for path in one.folder.glob("append*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        now[0] = 3600.0
        await asyncio.to_thread(one.start)
        await a_while(AWAY)
        assert [turn.content for turn in (await store.load(thread_id)).landed] == ["old", "old!", "new", "new!"]
        await store.aclose()


async def test_an_idle_connection_to_a_part_of_a_cluster_that_lost_its_writes_is_noticed(tmp_path: Path, parley_home: Path) -> None:
    with cluster(tmp_path / "c", appendfsync="always") as nodes:
        store = spooling("redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes), parley_home)
        threads = [await say(store, f"t{number}") for number in range(40)]
        lost = nodes[1]
        with lost.client() as keeper:
            assert keeper.keys("parley:{*}:turns"), "some of the threads are there"
            keeper.execute_command("FLUSHALL")
            keeper.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        for number, thread_id in enumerate(threads):
            assert [turn.content for turn in (await store.load(thread_id)).landed] == [f"t{number}", f"t{number}!"]
        await store.aclose()


async def test_calls_on_one_thread_while_redis_is_away_see_each_other(redis: Server, store: SpoolingThreadStore) -> None:
    thread_id = await say(store, "one")
    redis.kill()
    first = await store.begin(user("x"), workspace="/w", thread_id=thread_id)
    await said_while_away(store, thread_id, "y")
    with pytest.raises(NotSavedYet):
        await store.complete(first.exchange_id, [answer("x!")])
    known = (await store.begin(user("z"), workspace="/w", thread_id=thread_id)).thread
    assert [turn.content for turn in known.landed] == ["one", "one!", "y", "y!", "x", "x!"]
    assert [turn.seq for turn in known.landed] == [1, 2, 3, 4, 5, 6]


async def test_calls_that_were_at_once_before_redis_went_away_are_both_known(redis: Server, store: SpoolingThreadStore) -> None:
    thread_id = await say(store, "one")
    first = await store.begin(user("x"), workspace="/w", thread_id=thread_id)
    await say(store, "y", thread_id)
    await store.complete(first.exchange_id, [answer("x!")])
    redis.kill()
    known = (await store.begin(user("z"), workspace="/w", thread_id=thread_id)).thread
    assert [(turn.seq, turn.content) for turn in known.landed] == [(1, "one"), (2, "one!"), (3, "y"), (4, "y!"), (5, "x"), (6, "x!")]


async def test_what_is_said_while_redis_refuses_to_write_is_gone_on_with(tmp_path: Path, parley_home: Path) -> None:
    with server(tmp_path / "r", maxmemory_policy="noeviction") as one, one.client() as keeper:
        store = spooling(one.url, parley_home)
        known = await say(store, "one")
        keeper.config_set("maxmemory", "1mb")
        await said_while_away(store, known, "two")
        new = await said_while_away(store, None, "new")
        for thread_id, texts in ((known, ["one", "one!", "two", "two!"]), (new, ["new", "new!"])):
            begun = await store.begin(user("and?"), workspace="/w", thread_id=thread_id)
            assert [turn.content for turn in begun.thread.landed] == texts
        keeper.config_set("maxmemory", "0")
        await store.aclose()


async def test_what_redis_has_is_told_as_saved_though_neither_replica_nor_spool_takes_it(tmp_path: Path, parley_home: Path) -> None:
    with replicated(tmp_path / "pair") as pair:
        store, _, thread_id = await copied(pair, parley_home)
        shutil.rmtree(parley_home / "spool", ignore_errors=True)
        (parley_home / "spool").write_text("in the way")
        pair.nodes[1].pause()
        try:
            await say(store, "two", thread_id)
        finally:
            pair.nodes[1].resume()
        assert [turn.content for turn in (await store.load(thread_id)).landed] == ["one", "one!", "two", "two!"]
        await store.aclose()


async def test_what_the_spool_holds_is_not_interrupted_by_leaving(redis: Server, parley_home: Path) -> None:
    store = spooling(redis.url, parley_home)
    thread_id = await say(store, "one")
    started = await store.begin(user("question"), workspace="/w", thread_id=thread_id)
    redis.kill()
    with pytest.raises(NotSavedYet):
        await store.complete(started.exchange_id, [answer("answer")])
    await asyncio.to_thread(redis.start)
    await a_while(AWAY)
    with Spool(parley_home / "spool").alone():  # so that leaving does not land it first
        await store.aclose()
    next_one = spooling(redis.url, parley_home)
    turns = [(turn.content, turn.state) for turn in (await next_one.load(thread_id)).turns]
    assert turns[2:] == [("question", "done"), ("answer", "done")]
    await next_one.aclose()


async def test_a_new_thread_whose_beginning_was_done_and_not_answered_is_one_thread(
    redis: Server, store: SpoolingThreadStore, parley_home: Path
) -> None:
    await say(store, "warm")
    with redis.client() as keeper:
        keeper.execute_command("CLIENT PAUSE", 2_500, "WRITE")
        begun = await store.begin(user("my one question"), workspace="/w")
        with pytest.raises(NotSavedYet):
            await store.complete(begun.exchange_id, [answer("the answer")])
        await a_while(AWAY)
        keeper.execute_command("CLIENT UNPAUSE")
    await emptied(Spool(parley_home / "spool"))
    found = [(one.title, one.turns) for one in await store.list(workspace=None)]
    assert sorted(found) == [("my one question", 2), ("warm", 2)]


async def test_a_thread_that_was_to_expire_and_is_used_without_a_time_to_live_stays(redis: Server, parley_home: Path) -> None:
    short = RedisThreadStore(RedisLink(redis.url), parley_home / "owners", ttl_days=1)
    long = plain(redis.url, parley_home)
    first, second = await say(short, "one"), await say(short, "two")
    await say(long, "and on", first)
    with redis.client() as keeper:
        left = {name: keeper.ttl(f"parley:{{{first}}}:{name}") for name in ("thread", "turns", "exchanges")}
        assert set(left.values()) == {-1}
        keeper.delete(f"parley:{{{second}}}:thread")
        third = await say(short, "three")
        assert set(keeper.zrange("parley:threads", 0, -1)) == {first, third}, "of those that are there, none is left out of the lists"
    await short.aclose()
    await long.aclose()


@asynccontextmanager
async def slow_line(port: int, bytes_a_second: int) -> AsyncGenerator[int]:
    """A port of a server that is far away: what goes there and comes back takes its time."""

    carrying: set[asyncio.Task[None] | None] = set()

    async def carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError):
                while data := await source.read(65_536):
                    target.write(data)
                    await target.drain()
                    await a_while(len(data) / bytes_a_second)
        finally:
            target.close()
            with suppress(ConnectionError):
                await target.wait_closed()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        carrying.add(asyncio.current_task())
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(carry(reader, back), carry(there, writer))

    line = await asyncio.start_server(connect, "127.0.0.1", 0)
    try:
        yield line.sockets[0].getsockname()[1]
    finally:
        line.close()
        await asyncio.gather(*(task for task in carrying if task is not None))


async def test_files_that_take_long_to_send_and_to_fetch_are_saved(redis: Server, parley_home: Path) -> None:
    async with slow_line(redis.port, 1_000_000) as port:
        store = spooling(f"redis://127.0.0.1:{port}/0", parley_home)
        item = attachment("large.txt", "x" * 2_600_000)
        thread_id = await say(store, "look", None, item)
        assert Spool(parley_home / "spool").names() == []
        assert (await store.load(thread_id)).landed[0].attachments == (item,)
        await store.aclose()


async def test_one_that_cannot_be_landed_holds_up_no_other(redis: Server, store: SpoolingThreadStore, parley_home: Path) -> None:
    redis.kill()
    first = await said_while_away(store, None, "one")
    (parley_home / "spool" / "00000000-odd.json").mkdir()
    await asyncio.to_thread(redis.start)
    await a_while(AWAY)
    assert [turn.content for turn in (await store.load(first)).landed] == ["one", "one!"]
    assert [path.name for path in (parley_home / "spool").glob("*odd*")] == ["00000000-odd.broken"]


async def test_one_that_has_no_room_holds_up_no_other(tmp_path: Path, parley_home: Path) -> None:
    with server(tmp_path / "r", maxmemory_policy="noeviction") as one, one.client() as keeper:
        store, other = spooling(one.url, parley_home), plain(one.url, parley_home)
        gone = await say(store, "gone")
        keeper.config_set("maxmemory", "1mb")
        room = await said_while_away(store, None, "kept")
        await said_while_away(store, gone, "for nobody")
        with Spool(parley_home / "spool").alone():  # so that nothing lands meanwhile
            keeper.config_set("maxmemory", "0")
            await other.delete(gone)
            keeper.config_set("maxmemory", "1mb")
        with pytest.raises(StoreUnavailable):
            await store.load(room)
        assert len(Spool(parley_home / "spool").waiting()) == 1, "the one whose thread is gone is dropped all the same"
        keeper.config_set("maxmemory", "0")
        assert [turn.content for turn in (await store.load(room)).landed] == ["kept", "kept!"]
        await store.aclose()
        await other.aclose()
