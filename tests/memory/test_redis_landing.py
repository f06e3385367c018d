"""Landing what was said while Redis was away: nobody who goes on meanwhile misses it, whoever lands it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from conversation.errors import NotSavedYet, StoreUnavailable, ThreadNotFound
from conversation.threads import ThreadStore
from memory import _redis_owner
from memory.spool import Spool, SpoolingThreadStore
from tests.memory.contract import answer, say, user
from tests.memory.test_redis_odd import emptied, plain, spooling
from tests.redis_servers import Server, replicated, server
from tests.waiting import a_while

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


async def test_a_replica_that_is_behind_holds_up_no_call_for_what_was_said_before(tmp_path: Path, parley_home: Path) -> None:
    with replicated(tmp_path / "pair") as pair:
        store, spool = spooling(pair.nodes[0].url, parley_home), Spool(parley_home / "spool")
        thread_id = await say(store, "one")
        await emptied(spool)
        pair.nodes[1].pause()
        try:
            for number in range(6):
                await say(store, f"q{number}", thread_id)
            assert len(spool.copying()) == 6 and not spool.waiting()
            with pair.nodes[0].client() as keeper:
                keeper.config_resetstat()
                await store.load(thread_id)
                assert "cmdstat_wait" not in keeper.info("commandstats")
        finally:
            pair.nodes[1].resume()
        await emptied(spool)
        await store.aclose()


async def test_what_lands_and_has_no_replica_yet_is_kept_for_it(tmp_path: Path, parley_home: Path) -> None:
    with replicated(tmp_path / "pair") as pair:
        store, spool = spooling(pair.nodes[0].url, parley_home), Spool(parley_home / "spool")
        thread_id = await say(store, "one")
        await emptied(spool)
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
