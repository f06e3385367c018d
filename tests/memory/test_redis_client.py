"""The client of Redis, its errors, and who is alive."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import exceptions
from redis.asyncio.connection import AbstractConnection
from redis.crc import key_slot

from conversation.errors import StoreUnavailable
from memory import _redis_owner
from memory import _redis_scripts as scripts
from memory._redis_client import RedisLink, in_our_words, risks
from memory._redis_owner import Heartbeat
from tests.memory.contract import Clock
from tests.redis_servers import LIMITED, Server, acl_server, cluster, replicated, server
from tests.waiting import a_while


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Server]:
    with server(tmp_path / "redis") as one:
        yield one


async def test_who_found_redis_away_does_not_try_again_for_a_moment(redis: Server, clock: Clock) -> None:
    link = RedisLink(redis.url, clock=clock)
    await link.call("PING")
    redis.kill()
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        await link.call("PING")
    await asyncio.to_thread(redis.start)
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        await link.call("PING")
    assert link.is_away
    clock.now += 1
    assert not link.is_away and await link.call("PING")
    await link.aclose()
    with pytest.raises(StoreUnavailable, match="closed"):
        await link.call("PING")


async def test_a_script_that_the_server_forgot_is_sent_again(redis: Server) -> None:
    link = RedisLink(redis.url)
    keys = [f"parley:{{x}}:{name}" for name in "abcdefg"]
    for _ in range(2):
        assert await link.script("return {'ok', #KEYS}", keys) == ["ok", 7]
    await link.call("SCRIPT", "FLUSH")
    assert await link.script("return {'ok', #KEYS}", keys) == ["ok", 7]
    await link.aclose()


async def test_a_replica_says_that_it_takes_no_writes(tmp_path: Path) -> None:
    with replicated(tmp_path / "pair") as pair:
        link = RedisLink(pair.nodes[1].url)
        with pytest.raises(StoreUnavailable, match="is a replica"):
            await link.call("SET", "parley:x", 1)
        await link.aclose()


@pytest.mark.parametrize(
    ("error", "words", "is_away"),
    [
        (exceptions.BusyLoadingError("LOADING"), "still loading", True),
        (exceptions.OutOfMemoryError("OOM command not allowed"), "out of memory", False),
        (exceptions.ResponseError("OOM command not allowed"), "refuses to write (OOM)", False),
        (exceptions.ResponseError("MISCONF cannot persist to /srv/redis"), "refuses to write (MISCONF)", False),
        (exceptions.ResponseError("ERR unknown command /srv"), "refused a command", False),
        (exceptions.ClusterDownError("CLUSTERDOWN"), "cluster is down", True),
        (exceptions.RedisClusterException("no node of 10.0.0.1"), "cannot be reached", True),
        (exceptions.TimeoutError("Timeout reading from 10.0.0.1"), "did not answer within 2 s", True),
        (OSError("no route to 10.0.0.1"), "cannot be reached", True),
    ],
)
def test_the_librarys_errors_in_our_words(error: Exception, words: str, is_away: bool) -> None:
    found, away = in_our_words(error)
    assert words in found.message and away == is_away
    assert "10.0.0.1" not in found.message + found.hint and "/srv" not in found.message + found.hint


def test_an_error_that_is_not_the_librarys_stays_what_it_is() -> None:
    with pytest.raises(ZeroDivisionError):
        in_our_words(ZeroDivisionError())


async def test_a_process_shows_that_it_is_alive_until_it_ends(redis: Server, parley_home: Path, tmp_path: Path) -> None:
    link = RedisLink(redis.url)
    one, two, far = (Heartbeat(link, folder, renew_seconds=0.05) for folder in (parley_home, parley_home, tmp_path / "elsewhere"))
    mine = await one.mine()
    assert await one.mine() == mine
    await far.mine()
    assert [await other.is_dead(mine) for other in (one, two, far)] == [False, False, False]
    with redis.client() as client:
        client.delete(f"parley:owner:{mine}")
        await a_while(0.3)
        assert client.get(f"parley:owner:{mine}") == "1"
    await one.aclose()
    assert [await two.is_dead(mine), await far.is_dead(mine)] == [True, False]  # Redis has not been up for long enough to be sure
    await far.aclose()
    await link.aclose()


async def test_where_redis_does_not_say_how_long_it_is_up_a_process_without_a_sign_is_dead(tmp_path: Path, parley_home: Path) -> None:
    with acl_server(tmp_path / "acl", LIMITED.removesuffix(" +info")) as one:
        link = RedisLink(one.url)
        (risk,) = await risks(link)
        assert "Allow it +info." in risk
        heart = Heartbeat(link, parley_home)
        assert await heart.is_dead("elsewhere/someone")
        await heart.aclose()
        await link.aclose()


async def test_a_process_that_can_lock_nothing_is_known_by_its_sign(redis: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    link = RedisLink(redis.url)
    heart = Heartbeat(link, tmp_path / "file")
    mine = await heart.mine()
    assert mine.startswith("-/") and not await heart.is_dead(mine)
    await heart.aclose()
    await link.aclose()
    monkeypatch.setattr(_redis_owner, "BOOT_ID", tmp_path / "none")
    assert Heartbeat(link, tmp_path).place() == Heartbeat(link, tmp_path).place()


async def test_a_part_of_a_cluster_that_is_down_is_tried_and_told(tmp_path: Path) -> None:
    with cluster(tmp_path / "c", replicas=1) as nodes:
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in nodes)
        link = RedisLink(f"redis+cluster://{hosts}", clock=lambda: 0.0)  # so that it is not asked again who follows whom
        led = next(keys for keys in (scripts.keys_of(str(number)) for number in range(1_000)) if key_slot(keys[0].encode()) < 16_384 // 3)
        found, _ = await link.replicated(scripts.INTERRUPT, led, "none", within_ms=5_000)
        assert found == ["ok"] and link.breaks == 0
        nodes[0].kill()
        with pytest.raises(StoreUnavailable):
            await link.replicated(scripts.INTERRUPT, led, "none", within_ms=100)
        assert link.breaks == 3
        await link.aclose()


async def test_a_connection_that_another_task_closes_while_it_is_written_to_is_a_break(
    redis: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = RedisLink(redis.url)
    await link.call("SET", "parley:x", "y")
    send, closed = AbstractConnection._send_packed_command, [True]  # pyright: ignore[reportPrivateUsage]

    async def close_first(self: AbstractConnection, command: Any) -> None:
        if closed and closed.pop():
            await self.disconnect(nowait=True)
        await send(self, command)

    monkeypatch.setattr(AbstractConnection, "_send_packed_command", close_first)
    assert await link.call("GET", "parley:x") == "y" and link.breaks == 1
    monkeypatch.undo()

    async def wrong(client: Any) -> None:
        client.nothing_of_the_kind  # noqa: B018

    with pytest.raises(AttributeError):
        await link._with(wrong)  # pyright: ignore[reportPrivateUsage]
    await link.aclose()
