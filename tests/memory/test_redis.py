"""The store in Redis: the contract, against a real server."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from conversation.errors import NotSavedYet, StoreUnavailable
from memory._redis_client import RedisLink
from memory._sql import stamp
from memory.redis import RedisThreadStore
from memory.spool import Spool, SpoolingThreadStore
from tests.memory.contract import TTL_DAYS, Clock, OpenStore, ThreadStoreContract, answer, attachment, said, say, user
from tests.redis_servers import Server, server


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server(tmp_path_factory.mktemp("redis")) as one:
        yield one


@pytest.fixture
def redis(running: Server) -> Server:
    """The module's server, empty."""
    with running.client() as client:
        client.flushall()
    return running


@pytest.fixture
async def open_store(redis: Server, parley_home: Path, clock: Clock) -> AsyncIterator[OpenStore]:
    opened: list[RedisThreadStore] = []

    def make() -> RedisThreadStore:
        opened.append(RedisThreadStore(RedisLink(redis.url), parley_home / "owners", ttl_days=TTL_DAYS, clock=clock))
        return opened[-1]

    yield make
    for store in opened:
        await store.aclose()


class TestRedis(ThreadStoreContract):
    pass


@pytest.fixture
async def open_spooling(redis: Server, parley_home: Path, clock: Clock) -> AsyncIterator[Callable[[], SpoolingThreadStore]]:
    opened: list[SpoolingThreadStore] = []

    def make() -> SpoolingThreadStore:
        link = RedisLink(redis.url)
        threads = RedisThreadStore(link, parley_home / "owners", ttl_days=TTL_DAYS, clock=clock)
        opened.append(SpoolingThreadStore(threads, link, Spool(parley_home / "spool"), clock=clock))
        return opened[-1]

    yield make
    for store in opened:
        await store.aclose()


class TestSpooling(ThreadStoreContract):
    @pytest.fixture
    def open_store(self, open_spooling: Callable[[], SpoolingThreadStore]) -> OpenStore:
        return open_spooling


async def test_what_is_said_while_redis_is_away_is_saved_once_when_it_is_back(
    redis: Server, parley_home: Path, open_spooling: Callable[[], SpoolingThreadStore], clock: Clock
) -> None:
    store = open_spooling()
    known = await say(store, "before")
    redis.kill()
    clock.now += 60
    at = stamp(clock.now)
    going_on = await store.begin(user("going on"), workspace="/w", thread_id=known)
    assert [turn.content for turn in going_on.thread.landed] == ["before", "before!"]
    with pytest.raises(NotSavedYet):
        await store.complete(going_on.exchange_id, [answer("going on!")])
    new = await store.begin(user("new", attachment("a.py", "x = 1")), workspace="/w")
    with pytest.raises(NotSavedYet):
        await store.complete(new.exchange_id, [answer("new!")])
    again = await store.begin(user("again"), workspace="/w", thread_id=new.thread.id)
    assert [turn.content for turn in again.thread.landed] == ["new", "new!"]
    with pytest.raises(NotSavedYet):
        await store.complete(again.exchange_id, [answer("again!")])
    await store.interrupt(again.exchange_id)
    with pytest.raises(StoreUnavailable):
        await store.begin(user("x"), workspace="/w", thread_id=str(uuid.uuid4()))
    redis.start()
    clock.now += 60
    others = open_spooling()
    for _ in range(2):
        thread = await others.load(known)
        assert said(thread) == [(1, "before", "done"), (2, "before!", "done"), (3, "going on", "done"), (4, "going on!", "done")]
        assert [turn.at for turn in thread.turns[2:]] == [at, at]
        made = await others.load(new.thread.id)
        assert [turn.content for turn in made.turns] == ["new", "new!", "again", "again!"]
        assert made.turns[0].attachments == (attachment("a.py", "x = 1"),)
    assert {one.id for one in await others.list(workspace="/w")} == {known, new.thread.id}
    assert Spool(parley_home / "spool").names() == []
