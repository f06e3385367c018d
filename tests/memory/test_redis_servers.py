"""The Redis servers of the tests are what they are taken for."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import pytest
import redis
from redis.asyncio import RedisCluster
from redis.exceptions import MovedError, NoPermissionError

from tests.redis_servers import acl_server, cluster, replicated, server, tls_server


def at(url: str, **options: object) -> redis.Redis:
    """A client that tries nothing twice."""
    return redis.Redis.from_url(url, decode_responses=True, retry=None, **options)


def test_what_was_written_outlives_a_killed_server(tmp_path: Path) -> None:
    with server(tmp_path, appendfsync="always") as one:
        with at(one.url) as client:
            client.set("said", "hello")
        one.kill()
        with at(one.url) as client, pytest.raises(redis.ConnectionError):
            client.ping()
        one.start()
        with at(one.url) as client:
            assert client.get("said") == "hello"


def test_a_paused_server_is_silent_until_it_is_resumed(tmp_path: Path) -> None:
    with server(tmp_path) as one, at(one.url, socket_timeout=0.2) as client:
        client.set("said", "hello")
        one.pause()
        with pytest.raises(redis.TimeoutError):
            client.get("said")
        one.resume()
        assert client.get("said") == "hello"


def test_no_server_outlives_a_test_that_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), server(tmp_path) as one:
        one.pause()
        _ = 1 / 0
    with pytest.raises(ProcessLookupError):
        os.kill(one.pid, 0)


def test_tls_is_spoken_and_nothing_else(tmp_path: Path) -> None:
    with tls_server(tmp_path) as one:
        with at(one.url) as client:
            client.set("said", "hello")
            assert client.get("said") == "hello"
        with at(f"redis://127.0.0.1:{one.port}") as plain, pytest.raises(redis.ConnectionError):
            plain.ping()


def test_a_server_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    with tls_server(tmp_path) as one:
        stranger = f"rediss://127.0.0.1:{one.port}/0"
        with at(stranger) as client, pytest.raises(redis.ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
            client.ping()


def test_a_limited_user_reaches_its_own_keys_alone(tmp_path: Path) -> None:
    with acl_server(tmp_path) as one:
        with at(one.url) as client:
            client.set("parley:said", "hello")
            assert client.get("parley:said") == "hello"
            with pytest.raises(NoPermissionError):
                client.set("said", "hello")
            with pytest.raises(NoPermissionError):
                client.flushall()
        with at(f"redis://127.0.0.1:{one.port}") as nobody, pytest.raises(redis.AuthenticationError):
            nobody.get("parley:said")
        with one.client() as keeper:
            assert keeper.get("parley:said") == "hello"


def test_sentinels_put_the_replica_in_the_place_of_a_killed_leader_and_lead_clients_there(tmp_path: Path) -> None:
    with replicated(tmp_path) as pair, ExitStack() as stack:
        leader, replica = pair.nodes
        watch = redis.Sentinel([("127.0.0.1", one.port) for one in pair.sentinels], decode_responses=True)
        for one in watch.sentinels:
            stack.callback(one.close)
        client = stack.enter_context(watch.master_for(pair.name))
        client.set("said", "hello")
        client.wait(1, 5000)
        leader.kill()
        pair.until_led_by(replica)
        assert client.get("said") == "hello"
        client.set("said", "hello again")
        leader.start()
        leader.until(lambda: leader.info("replication").get("master_link_status") == "up")
        with at(leader.url) as follower:
            assert follower.get("said") == "hello again"


async def test_a_cluster_spreads_keys_and_says_where_each_is(tmp_path: Path) -> None:
    with cluster(tmp_path) as nodes:
        async with RedisCluster.from_url(nodes[0].url, decode_responses=True) as client:
            for number in range(20):
                await client.set(f"said:{number}", number)
            assert [await client.get(f"said:{number}") for number in range(20)] == [str(number) for number in range(20)]
        held = [node.info("keyspace")["db0"]["keys"] for node in nodes]
        assert sum(held) == 20 and all(held)
        with at(nodes[0].url) as one, pytest.raises(MovedError):
            one.set("foo", "slot 12182 is the third's")
