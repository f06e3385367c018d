"""What seldom happens to threads in Redis: calls that are given up, processes that die, spools that cannot be written."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from conversation.errors import NotSavedYet, StoreUnavailable
from conversation.messages import Usage
from conversation.threads import Turn
from memory._redis_client import RedisLink
from memory._spool_folder import Spool
from memory.config import MemoryConfig
from memory.health_file import HealthFile
from memory.ledger import SpendLedger
from memory.redis import RedisThreadStore, new_thread_id
from memory.redis_stores import stores
from memory.spool import SpoolingThreadStore
from tests.memory.contract import answer, attachment, said, say, user
from tests.memory.test_redis_faults import emptied
from tests.redis_servers import Server, replicated, server
from tests.waiting import a_while

ROOT = Path(__file__).parents[2]
HOLDS = """
import asyncio, sys
from pathlib import Path
from conversation.threads import NewTurn
from memory._redis_client import RedisLink
from memory.redis import RedisThreadStore
async def main():
    store = RedisThreadStore(RedisLink(sys.argv[1]), Path(sys.argv[2]))
    await store.begin(NewTurn(role="user", content="held"), workspace="/w", thread_id=sys.argv[3])
    print("begun", flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Server]:
    with server(tmp_path / "redis", appendfsync="always") as one:
        yield one


def plain(url: str, home: Path) -> RedisThreadStore:
    return RedisThreadStore(RedisLink(url), home / "owners")


def spooling(url: str, home: Path) -> SpoolingThreadStore:
    link = RedisLink(url)
    return SpoolingThreadStore(RedisThreadStore(link, home / "owners"), link, Spool(home / "spool"))


async def test_a_begin_that_is_given_up_leaves_nothing_pending(redis: Server, parley_home: Path) -> None:
    store = plain(redis.url, parley_home)
    thread_id = await say(store, "one")
    for turns in range(0, 120, 2):
        beginning = asyncio.create_task(store.begin(user(f"given up {turns}"), workspace="/w", thread_id=thread_id))
        for _ in range(turns):
            await asyncio.sleep(0)
        beginning.cancel()
        started = (await asyncio.gather(beginning, return_exceptions=True))[0]
        if not isinstance(started, BaseException):
            await store.interrupt(started.exchange_id)
    await store.aclose()
    again = plain(redis.url, parley_home)
    thread = await again.load(thread_id)
    assert {turn.state for turn in thread.turns[2:]} <= {"interrupted"} and len(thread.turns) > 2
    await again.aclose()


async def test_what_a_killed_process_had_begun_is_interrupted(redis: Server, parley_home: Path) -> None:
    store = plain(redis.url, parley_home)
    thread_id = await say(store, "one")
    for _ in range(2):
        command = [sys.executable, "-c", HOLDS, redis.url, str(parley_home / "owners"), thread_id]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None and process.stdout.readline() == b"begun\n"
            assert said(await store.load(thread_id))[-1][1:] == ("held", "pending")
            process.kill()
    assert [state for _, _, state in said(await store.load(thread_id))[2:]] == ["interrupted"] * 2
    await say(store, "two", thread_id)
    assert [turn.content for turn in (await store.load(thread_id)).landed] == ["one", "one!", "two", "two!"]
    await store.aclose()


async def test_a_long_thread_is_loaded_as_it_was(redis: Server, parley_home: Path) -> None:
    store = plain(redis.url, parley_home)
    thread_id = await say(store, "one")
    turns = (await store.load(thread_id)).turns * 400
    long = await store.load(await store.restore(turns, workspace="/w"))
    assert [turn.content for turn in long.turns] == ["one", "one!"] * 400 and long.turns[-1].seq == 800
    await store.aclose()


async def test_where_even_the_spool_takes_nothing_it_is_not_said_to_be_kept(redis: Server, parley_home: Path) -> None:
    store = spooling(redis.url, parley_home)
    thread_id = await say(store, "one")
    (parley_home / "spool").write_text("in the way")
    redis.kill()
    started = await store.begin(user("two"), workspace="/w", thread_id=thread_id)
    with pytest.raises(StoreUnavailable) as caught:
        await store.complete(started.exchange_id, [answer("two!")])
    assert not isinstance(caught.value, NotSavedYet)
    await store.aclose()


async def test_what_was_kept_for_a_thread_that_is_deleted_since_is_dropped(redis: Server, parley_home: Path) -> None:
    store, other = spooling(redis.url, parley_home), plain(redis.url, parley_home)
    thread_id = await say(store, "one")
    redis.kill()
    started = await store.begin(user("two"), workspace="/w", thread_id=thread_id)
    with pytest.raises(NotSavedYet):
        await store.complete(started.exchange_id, [answer("two!")])
    await asyncio.to_thread(redis.start)
    await other.delete(thread_id)
    await a_while(0.6)
    assert await store.list(workspace=None) == [] and Spool(parley_home / "spool").names() == []
    await store.aclose()
    await other.aclose()


async def test_an_exchange_that_no_replica_has_is_kept_until_one_does(tmp_path: Path, parley_home: Path) -> None:
    with replicated(tmp_path / "pair") as pair, pair.nodes[0].client() as keeper:
        store, spool = spooling(pair.nodes[0].url, parley_home), Spool(parley_home / "spool")
        thread_id = await say(store, "one")
        await emptied(spool)
        pair.nodes[1].pause()
        try:
            await say(store, "two", thread_id)
            assert len(spool.names()) == 1
            keeper.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            assert len((await store.load(thread_id)).turns) == 4
            assert len(spool.names()) > 1, "what was landed again after the break has no replica either"
        finally:
            pair.nodes[1].resume()
        await emptied(spool)
        assert [turn.content for turn in (await store.load(thread_id)).turns] == ["one", "one!", "two", "two!"]
        await store.aclose()


async def until_none_tends() -> None:
    """Wait until nothing is looked after in the background any more."""
    for _ in range(100):
        if not any(task.get_name() == "look after what is kept" for task in asyncio.all_tasks()):
            return
        await a_while(0.1)
    pytest.fail("what was said long ago is still looked after")


async def test_as_many_threads_are_known_as_fit_and_exchanges_for_some_seconds(redis: Server, parley_home: Path) -> None:
    now = [0.0]
    link = RedisLink(redis.url)
    store = SpoolingThreadStore(RedisThreadStore(link, parley_home / "owners"), link, Spool(parley_home / "spool"), tick=lambda: now[0])
    threads = [await say(store, f"t{number}") for number in range(70)]
    now[0] = 20.0
    await until_none_tends()
    redis.kill()
    with pytest.raises(StoreUnavailable):
        await store.begin(user("x"), workspace="/w", thread_id=threads[0])
    assert (await store.begin(user("x"), workspace="/w", thread_id=threads[-1])).thread.id == threads[-1]
    await store.aclose()


async def test_a_thread_whose_files_are_lost_is_shown_without_them(
    redis: Server, parley_home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store, other = plain(redis.url, parley_home), plain(redis.url, parley_home)
    thread_id = await say(store, "one", None, attachment("a.py", "a"))
    with redis.client() as keeper:
        keeper.delete(f"parley:{{{thread_id}}}:files")
    assert [(turn.content, turn.attachments) for turn in (await store.load(thread_id)).turns] == [("one", ()), ("one!", ())]
    assert (await store.begin(user("two"), workspace="/w", thread_id=thread_id)).thread.landed[0].content == "one"
    assert "Redis has lost files of the thread" in caplog.text
    await store.aclose()
    await other.aclose()


async def test_what_a_later_version_writes_of_a_turn_is_passed_over(redis: Server, parley_home: Path) -> None:
    store = plain(redis.url, parley_home)
    thread_id = await say(store, "one")
    with redis.client() as keeper:
        usage = '"usage":{"input_tokens":1,"thought_tokens":3}'
        later = f'd{{"role":"assistant","content":"two","uid":"u","exchange_id":"e","at":"2026-01-01","mood":"x",{usage}}}'
        keeper.rpush(f"parley:{{{thread_id}}}:turns", later)
    turn = (await store.load(thread_id)).turns[-1]
    assert (turn.content, turn.usage) == ("two", Usage(input_tokens=1))
    assert Turn.model_validate(turn.model_dump()) == turn
    await store.aclose()


async def test_a_thread_that_a_server_has_lost_is_made_by_whoever_repeats_its_exchange(redis: Server, parley_home: Path) -> None:
    store = plain(redis.url, parley_home)
    thread_id = await say(store, "one")
    with redis.client() as keeper:
        for name in ("e1", "e2"):
            keeper.set(f"parley:exchange:{name}", new_thread_id(name))
    made = await store.begin(user("new"), workspace="/w", exchange_id="e1")
    assert [turn.content for turn in await store.complete("e1", [answer("new!")])] == ["new", "new!"]
    assert said(await store.load(made.thread.id)) == [(1, "new", "done"), (2, "new!", "done")]
    branch = await store.begin(user("from there"), workspace="/w", thread_id=thread_id, branch_from=2, exchange_id="e2")
    assert [turn.content for turn in branch.thread.turns] == ["one", "one!"]
    await store.aclose()


async def test_all_stores_of_a_url_are_made_and_closed_one_after_the_other(redis: Server, parley_home: Path) -> None:
    memory = MemoryConfig.from_env({"PARLEY_HOME": str(parley_home), "REDIS_URL": redis.url})
    threads, ledger, keeper = stores(redis.url, memory, SpendLedger(memory.database), HealthFile(memory.health))
    thread_id = await say(threads, "one")
    assert len((await threads.load(thread_id)).turns) == 2 and await ledger.spent("2026-11-29") == 0 and not keeper.read().parked
    await threads.aclose()
    assert await ledger.accounts("2026-11-29", "2026-11-29") == []
    await ledger.aclose()
