"""The store in Redis: the contract, against a real server."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from conversation.errors import InvalidInput, NotSavedYet, StoreUnavailable
from conversation.threads import FoundInSome
from memory._redis_address import address_of
from memory._redis_client import RedisLink
from memory._spool_folder import Spool
from memory._sql import stamp
from memory.redis import RedisThreadStore
from memory.spool import SpoolingThreadStore
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


async def test_a_search_that_looks_through_some_threads_only_says_so(redis: Server, parley_home: Path) -> None:
    store = RedisThreadStore(RedisLink(redis.url), parley_home / "owners", most_searched=2)
    for word in ("heron", "otter", "heron marmot"):
        await say(store, word)
    found = await store.search("heron", workspace=None)
    assert [one.title for one in found] == ["heron marmot"]
    assert isinstance(found, FoundInSome) and "2 threads used last" in found.note
    assert not isinstance(await store.search("marmot", workspace=None, limit=1), FoundInSome)
    await store.aclose()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, []),
        ({"maxmemory": "100mb", "maxmemory_policy": "allkeys-lru"}, ["allkeys-lru"]),
        ({"appendonly": False, "maxmemory_policy": "allkeys-lru"}, ["appendonly"]),
    ],
)
async def test_settings_of_a_server_that_may_lose_threads_are_warned_of_once(
    tmp_path: Path, parley_home: Path, caplog: pytest.LogCaptureFixture, settings: dict[str, object], words: list[str]
) -> None:
    with server(tmp_path / "s", **settings) as one:
        link = RedisLink(one.url)
        store = SpoolingThreadStore(RedisThreadStore(link, parley_home / "owners"), link, Spool(parley_home / "spool"))
        for _ in range(2):
            await say(store, "hello")
        found = await store.risks()
        await store.aclose()
    assert len(found) == len(words) and all(word in text for word, text in zip(words, found, strict=True))
    assert [record.message for record in caplog.records if record.name == "memory.spool"] == found


@pytest.mark.parametrize(
    ("url", "host", "kind"),
    [
        ("redis://", ("localhost", 6379), ""),
        ("redis://h:1/2", ("h", 1), ""),
        ("rediss://u:p%40ss@h", ("h", 6379), ""),
        ("redis+sentinel://a:1,b/name/3", ("a", 1), "sentinel"),
        ("rediss-cluster://[::1]:7000,b", ("::1", 7000), "cluster"),
    ],
)
def test_an_address_is_read(url: str, host: tuple[str, int], kind: str) -> None:
    found = address_of(url)
    assert (found.hosts[0], found.kind) == (host, kind)
    assert found.tls == url.startswith("rediss")
    if "p%40ss" in url:
        assert (found.user, found.password) == ("u", "p@ss")
    if kind == "sentinel":
        assert (found.service, found.database, found.hosts[1]) == ("name", 3, ("b", 26379))


@pytest.mark.parametrize(
    "url",
    [
        *("", "localhost", "http://h", "redis+other://h", "redis://h/x", "redis://h:port", "redis+sentinel://h", "redis://a,b"),
        *("redis://h/1/2", "redis+cluster://h/1", "redis://h:99999", "redis://[::1", "redis://u:hidden-word:1@h:x", "redis://h/\u0662"),
    ],
)
def test_an_address_that_makes_no_sense_is_an_error_that_does_not_repeat_it(url: str) -> None:
    with pytest.raises(InvalidInput, match="REDIS_URL cannot be read") as caught:
        address_of(f"{url}?password=hidden-word")
    assert "hidden-word" not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize("password", ["hid/den", "hid?den", "hid#den", "1234/5", "hid/den@more", "\u2100hidden"])
def test_a_password_that_is_not_encoded_is_not_told(password: str) -> None:
    with pytest.raises(InvalidInput, match="REDIS_URL cannot be read") as caught:
        address_of(f"redis://user:{password}@host:6379/0")
    said = f"{caught.value} {caught.value.hint}"
    assert not any(part in said for part in ("hid", "den", "1234", "more"))


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        ("ssl_bogus=1", "an option that is not known"),
        ("ssl_min_version=1.2", "an option that is not known"),
        ("ssl_ca_certs=/nowhere/ca.pem", "ssl_ca_certs names no file that can be read"),
        ("ssl_cert_reqs=perhaps", "ssl_cert_reqs has no value that makes sense"),
        ("ssl_check_hostname=", "ssl_check_hostname has no value that makes sense"),
        ("sentinel_password=x", "an option that is not known"),
        ("db=x", "db has no value that makes sense"),
    ],
)
def test_an_option_that_would_fail_later_is_told_at_once(option: str, complaint: str) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        address_of(f"rediss://h?{option}")


@pytest.mark.parametrize("url", ["unix://u:p%40@/run/redis.sock", "unix:///run/redis.sock?username=u&password=p%40", "redis://u:p%40@h"])
def test_credentials_are_read_wherever_they_stand(url: str) -> None:
    found = address_of(url)
    assert (found.user, found.password, found.path) == ("u", "p@", "/run/redis.sock" if url.startswith("unix") else "")


async def test_a_database_that_is_not_there_is_told(tmp_path: Path) -> None:
    with server(tmp_path / "d") as one:
        link = RedisLink(one.url.replace("/0", "/999"))
        with pytest.raises(StoreUnavailable, match="no database of this number"):
            await link.call("GET", "parley:x")
        await link.aclose()


async def test_a_socket_file_is_an_address_too(tmp_path: Path) -> None:
    with server(tmp_path / "u", unixsocket=str(tmp_path / "s")) as one:
        assert one.runs
        link = RedisLink(f"unix://{tmp_path}/s?db=1")
        await link.call("SET", "parley:x", "y")
        assert await link.call("GET", "parley:x") == "y"
        await link.aclose()
