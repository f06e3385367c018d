"""What breaks under the store in Redis: cut connections, a server that hangs, is full, is killed, loses its last writes, is replaced.

Whatever happens, an exchange is there once when it was acknowledged, or was said to be saved later; never in another thread.
"""

from __future__ import annotations

import asyncio
import shutil
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from conversation.errors import NotSavedYet, StoreError, ThreadNotFound
from conversation.threads import ThreadStore
from memory._redis_client import RedisLink
from memory._spool_folder import Spool
from memory.redis import RedisThreadStore
from memory.spool import SpoolingThreadStore
from tests.memory.contract import answer, attachment, said, say, user
from tests.redis_servers import cluster, replicated, server
from tests.waiting import a_while

Open = Callable[[str], SpoolingThreadStore]
PATIENCE = 20.0


@pytest.fixture
async def opened(parley_home: Path) -> AsyncIterator[Open]:
    stores: list[SpoolingThreadStore] = []

    def make(url: str) -> SpoolingThreadStore:
        link = RedisLink(url)
        stores.append(SpoolingThreadStore(RedisThreadStore(link, parley_home / "owners"), link, Spool(parley_home / "spool")))
        return stores[-1]

    yield make
    for store in stores:
        await store.aclose()


async def spoken(store: ThreadStore, text: str, thread_id: str | None) -> str | None:
    """Say something; the thread's id, None when the store would not even begin."""
    try:
        started = await store.begin(user(text), workspace="/w", thread_id=thread_id)
    except StoreError:
        return None
    with suppress(NotSavedYet):
        await store.complete(started.exchange_id, [answer(f"{text}!")])
    return started.thread.id


async def emptied(spool: Spool) -> None:
    """Wait until nothing is kept any more."""
    for _ in range(100):
        if not spool.names():
            return
        await a_while(0.1)
    assert spool.names() == []


async def landed(store: ThreadStore, thread_id: str) -> list[str]:
    return [turn.content for turn in (await store.load(thread_id)).landed]


async def eventually(store: ThreadStore, thread_id: str, expected: list[str]) -> None:
    """Wait until a thread holds just this, in whatever order of exchanges."""
    found: list[str] = []
    for _ in range(int(PATIENCE / 0.1)):
        try:
            found = await landed(store, thread_id)
        except StoreError:
            found = []
        if sorted(found) == sorted(expected):
            return
        await a_while(0.1)
    assert sorted(found) == sorted(expected)


async def test_connections_that_are_cut_cost_nothing_and_mix_nothing(tmp_path: Path, opened: Open) -> None:
    with server(tmp_path / "r") as one, one.client() as keeper:
        store = opened(one.url)
        threads = [await say(store, f"t{number}") for number in range(4)]
        done = asyncio.Event()

        async def cut() -> None:
            while not done.is_set():
                await asyncio.to_thread(keeper.execute_command, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                await a_while(0.004)

        async def write(number: int) -> list[str]:
            texts = [f"t{number} says {turn}" for turn in range(25)]
            for text in texts:
                assert await spoken(store, text, threads[number]) == threads[number]
            return [f"t{number}", f"t{number}!", *(part for text in texts for part in (text, f"{text}!"))]

        cutting = asyncio.create_task(cut())
        expected = await asyncio.gather(*(write(number) for number in range(4)))
        done.set()
        await cutting
        for thread_id, texts in zip(threads, expected, strict=True):
            await eventually(store, thread_id, texts)


async def test_a_server_that_hangs_is_not_waited_for_and_nothing_is_doubled_when_it_goes_on(tmp_path: Path, opened: Open) -> None:
    with server(tmp_path / "r") as one:
        store = opened(one.url)
        thread_id = await say(store, "one")
        started = await store.begin(user("two"), workspace="/w", thread_id=thread_id)
        one.pause()
        try:
            with pytest.raises(NotSavedYet):
                async with asyncio.timeout(4):
                    await store.complete(started.exchange_id, [answer("two!")])
            assert await spoken(store, "three", thread_id) == thread_id
            await a_while(3)
        finally:
            one.resume()
        await eventually(store, thread_id, ["one", "one!", "two", "two!", "three", "three!"])
        seqs = [turn.seq for turn in (await store.load(thread_id)).turns]
        assert seqs == list(range(1, 7))


async def test_a_full_server_is_told_of_and_what_was_said_is_saved_when_there_is_room(tmp_path: Path, opened: Open) -> None:
    with server(tmp_path / "r", maxmemory_policy="noeviction") as one, one.client() as keeper:
        store = opened(one.url)
        thread_id = await say(store, "one")
        keeper.config_set("maxmemory", "1mb")
        started = await store.begin(user("two"), workspace="/w", thread_id=thread_id)
        assert [turn.content for turn in started.thread.landed] == ["one", "one!"]
        with pytest.raises(NotSavedYet, match="kept in PARLEY_HOME"):
            await store.complete(started.exchange_id, [answer("two!")])
        keeper.config_set("maxmemory", "0")
        await eventually(store, thread_id, ["one", "one!", "two", "two!"])


async def test_a_killed_server_that_comes_back_is_gone_on_with_within_two_seconds(tmp_path: Path, opened: Open) -> None:
    with server(tmp_path / "r", appendfsync="always") as one:
        store = opened(one.url)
        thread_id = await say(store, "one")
        one.kill()
        assert await spoken(store, "two", thread_id) == thread_id
        await asyncio.to_thread(one.start)
        async with asyncio.timeout(2):
            while True:
                started = await store.begin(user("three"), workspace="/w", thread_id=thread_id)
                try:
                    await store.complete(started.exchange_id, [answer("three!")])
                    break
                except NotSavedYet:
                    await a_while(0.05)
        assert (await landed(store, thread_id))[:4] == ["one", "one!", "two", "two!"]


async def test_a_server_that_comes_back_without_its_last_writes_is_given_them_again(tmp_path: Path, opened: Open) -> None:
    with server(tmp_path / "r") as one:
        store = opened(one.url)
        thread_id = await say(store, "one")
        await say(store, "two", thread_id)
        one.kill()
        for path in one.folder.glob("append*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        await asyncio.to_thread(one.start)
        await eventually(store, thread_id, ["one", "one!", "two", "two!"])
        assert [state for _, _, state in said(await store.load(thread_id))] == ["done"] * 4


async def through_a_failover(store: ThreadStore, threads: list[str], failover: Callable[[], None]) -> None:
    """Go on with these threads while a server takes the place of another, and look for what was acknowledged."""
    done = asyncio.Event()

    async def write(number: int) -> list[str]:
        expected = [f"t{number}", f"t{number}!"]
        turn = 0
        while not done.is_set():
            turn += 1
            text = f"t{number} says {turn}"
            if await spoken(store, text, threads[number]) is not None:
                expected += [text, f"{text}!"]
            await a_while(0.02)
        return expected

    writing = asyncio.gather(*(write(number) for number in range(len(threads))))
    await a_while(0.3)
    await asyncio.to_thread(failover)
    await a_while(0.5)
    done.set()
    for thread_id, texts in zip(threads, await writing, strict=True):
        await eventually(store, thread_id, texts)


async def test_a_failover_loses_nothing_that_was_acknowledged(tmp_path: Path, opened: Open) -> None:
    with replicated(tmp_path / "r") as pair:
        hosts = ",".join(f"127.0.0.1:{one.port}" for one in pair.sentinels)
        store = opened(f"redis+sentinel://{hosts}/{pair.name}/0")

        def failover() -> None:
            pair.nodes[0].kill()
            pair.until_led_by(pair.nodes[1])

        await through_a_failover(store, [await say(store, f"t{number}") for number in range(2)], failover)


async def test_a_failover_within_a_cluster_loses_nothing_that_was_acknowledged(tmp_path: Path, opened: Open) -> None:
    with cluster(tmp_path / "c", replicas=1) as nodes:
        leader, replica = nodes[0], nodes[3]
        store = opened("redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes))
        threads = [await say(store, f"t{number}") for number in range(8)]

        def failover() -> None:
            leader.kill()
            replica.until(lambda: replica.info("replication")["role"] == "master")

        await through_a_failover(store, threads, failover)


async def test_answers_that_come_while_a_part_of_a_cluster_is_down_are_kept(tmp_path: Path, parley_home: Path, opened: Open) -> None:
    with cluster(tmp_path / "c", replicas=1) as nodes:
        store = opened("redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes))
        threads = [await say(store, f"t{number}") for number in range(20)]
        begun = [await store.begin(user("and?"), workspace="/w", thread_id=thread_id) for thread_id in threads]
        await emptied(Spool(parley_home / "spool"))
        nodes[0].kill()
        for started in begun:
            with suppress(NotSavedYet):
                await store.complete(started.exchange_id, [answer("so")])
        kept = len(Spool(parley_home / "spool").waiting())
        assert 0 < kept <= 20
        await asyncio.to_thread(nodes[3].until, lambda: nodes[3].info("replication")["role"] == "master")
        for number, thread_id in enumerate(threads):
            await eventually(store, thread_id, [f"t{number}", f"t{number}!", "and?", "so"])


async def test_what_a_replica_of_a_cluster_does_not_have_is_kept_as_well(tmp_path: Path, parley_home: Path, opened: Open) -> None:
    with cluster(tmp_path / "c", replicas=3) as nodes:
        store = opened("redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes))
        thread_id = await say(store, "one")
        await emptied(Spool(parley_home / "spool"))
        for node in nodes[3:]:
            node.pause()
        try:
            assert await say(store, "two", thread_id) == thread_id
            assert len(Spool(parley_home / "spool").names()) == 1
        finally:
            for node in nodes[3:]:
                node.resume()
        await eventually(store, thread_id, ["one", "one!", "two", "two!"])
        await emptied(Spool(parley_home / "spool"))


async def test_no_sentinel_is_forgotten_when_the_first_is_away_and_many_ask_at_once(tmp_path: Path, opened: Open) -> None:
    with replicated(tmp_path / "r") as pair:
        first, *others = pair.sentinels
        store = opened(f"redis+sentinel://{','.join(f'127.0.0.1:{one.port}' for one in pair.sentinels)}/{pair.name}/0")
        first.kill()
        threads = await asyncio.gather(*(say(store, f"t{number}") for number in range(4)))
        await asyncio.to_thread(first.start)
        for one in others:
            one.kill()
        with pair.nodes[0].client() as keeper:
            keeper.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        for number, thread_id in enumerate(threads):
            await eventually(store, thread_id, [f"t{number}", f"t{number}!"])


async def test_two_processes_that_empty_one_spool_land_each_exchange_once(tmp_path: Path, parley_home: Path, opened: Open) -> None:
    with server(tmp_path / "r", appendfsync="always") as one:
        store = opened(one.url)
        thread_id = await say(store, "one")
        one.kill()
        for number in range(10):
            await spoken(store, f"q{number}", thread_id)
        assert len(Spool(parley_home / "spool").names()) == 10
        await asyncio.to_thread(one.start)
        others = [opened(one.url) for _ in range(3)]
        await asyncio.gather(*(other.list(workspace=None) for other in others))
        expected = ["one", "one!", *(part for number in range(10) for part in (f"q{number}", f"q{number}!"))]
        await eventually(others[0], thread_id, expected)
        assert await landed(others[0], thread_id) == expected
        assert Spool(parley_home / "spool").names() == []


def test_a_spool_sets_aside_what_it_cannot_read(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    (tmp_path / "1.json").write_text("{")
    assert spool.get("1.json") is None and spool.get("2.json") is None
    assert [path.name for path in tmp_path.iterdir()] == ["1.broken"]
    spool.drop("2.json")


async def test_an_exchange_whose_beginning_was_lost_lands_whole(tmp_path: Path, opened: Open) -> None:
    with server(tmp_path / "r") as one:
        store = opened(one.url)
        thread_id = await say(store, "one")
        started = await store.begin(user("two"), workspace="/w", thread_id=thread_id)
        with one.client() as client:
            for name in ("exchanges", "asked", "pending"):
                client.delete(f"parley:{{{thread_id}}}:{name}")
        assert [turn.seq for turn in await store.complete(started.exchange_id, [answer("two!")])] == [3, 4]
        assert await landed(store, thread_id) == ["one", "one!", "two", "two!"]
        gone = await store.begin(user("three"), workspace="/w", thread_id=thread_id)
        await opened(one.url).delete(thread_id)
        with pytest.raises(ThreadNotFound, match="deleted"):
            await store.complete(gone.exchange_id, [answer("three!")])


async def test_files_of_threads_that_are_not_there_do_not_stay(tmp_path: Path, opened: Open) -> None:
    with server(tmp_path / "r") as one:
        store = opened(one.url)
        unknown = str(uuid.uuid4())
        with pytest.raises(ThreadNotFound):
            await store.begin(user("x", attachment("a", "b")), workspace="/w", thread_id=unknown)
        thread_id = await say(store, "one", None, attachment("a", "b"))
        with one.client() as client:
            assert 0 < client.ttl(f"parley:{{{unknown}}}:files") <= 3600
            assert client.ttl(f"parley:{{{thread_id}}}:files") == -1
