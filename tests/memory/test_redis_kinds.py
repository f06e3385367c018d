"""The contract over every kind of Redis a URL can name: with TLS, for a user with few rights, a cluster, behind sentinels."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from conversation.errors import StoreUnavailable
from memory._redis_client import RedisLink
from memory.redis import RedisThreadStore
from tests.memory.contract import TTL_DAYS, Clock, OpenStore, ThreadStoreContract
from tests.redis_servers import Server, acl_server, cluster, replicated, tls_server

Place = tuple[str, tuple[Server, ...]]
"""A URL, and the servers behind it that are emptied between tests."""


class Kind(ThreadStoreContract):
    """The contract in a `place` that a module's worth of tests shares."""

    @pytest.fixture
    async def open_store(self, place: Place, parley_home: Path, clock: Clock) -> AsyncIterator[OpenStore]:
        url, servers = place
        for server in servers:
            with server.client() as client:
                client.flushall()
        opened: list[RedisThreadStore] = []

        def make() -> RedisThreadStore:
            opened.append(RedisThreadStore(RedisLink(url), parley_home / "owners", ttl_days=TTL_DAYS, clock=clock))
            return opened[-1]

        yield make
        for store in opened:
            await store.aclose()


@pytest.fixture(scope="class")
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """What the class opens, for all its tests."""
    with ExitStack() as stack:
        kind: Any = request.cls
        yield kind.opened(stack, tmp_path_factory.mktemp(kind.__name__))


class TestTls(Kind):
    @staticmethod
    def opened(stack: ExitStack, folder: Path) -> Place:
        one = stack.enter_context(tls_server(folder))
        return f"{one.url}&ssl_check_hostname=false", (one,)


class TestLimitedUser(Kind):
    @staticmethod
    def opened(stack: ExitStack, folder: Path) -> Place:
        one = stack.enter_context(acl_server(folder))
        return one.url, (one,)


class TestCluster(Kind):
    @staticmethod
    def opened(stack: ExitStack, folder: Path) -> Place:
        nodes = stack.enter_context(cluster(folder))
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes), nodes


class TestSentinel(Kind):
    @staticmethod
    def opened(stack: ExitStack, folder: Path) -> Place:
        pair = stack.enter_context(replicated(folder))
        hosts = ",".join(f"127.0.0.1:{one.port}" for one in pair.sentinels)
        return f"redis+sentinel://{hosts}/{pair.name}/0", pair.nodes[:1]


async def test_one_server_of_a_cluster_stands_for_all_of_it(tmp_path: Path) -> None:
    with cluster(tmp_path / "c") as nodes:
        link = RedisLink(f"redis://127.0.0.1:{nodes[0].port}")
        for number in range(12):
            await link.call("SET", f"parley:{number}", number)
        assert [await link.call("GET", f"parley:{number}") for number in range(12)] == [str(number) for number in range(12)]
        await link.aclose()


@pytest.mark.parametrize(
    ("rules", "words"), [("~other:* +@all", "may not do"), ("~parley:* +get", "may not do")], ids=["other keys", "few commands"]
)
async def test_a_user_without_the_rights_is_told_so(tmp_path: Path, rules: str, words: str) -> None:
    with acl_server(tmp_path / "r", rules) as one:
        link = RedisLink(one.url)
        with pytest.raises(StoreUnavailable, match=words):
            await link.call("SET", "parley:x", 1)
        await link.aclose()
        wrong = RedisLink(one.url.replace(":secret@", ":wrong-word@"))
        with pytest.raises(StoreUnavailable, match="user and password") as caught:
            await wrong.call("SET", "parley:x", 1)
        assert "wrong-word" not in f"{caught.value} {caught.value.hint}"
        await wrong.aclose()


async def test_a_user_who_is_turned_away_later_is_told_so_too(tmp_path: Path) -> None:
    with acl_server(tmp_path / "r") as one, one.client() as keeper:
        link = RedisLink(one.url)
        await link.call("SET", "parley:x", 1)
        keeper.execute_command("ACL", "SETUSER", "parley", "resetpass", ">another")
        keeper.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        with pytest.raises(StoreUnavailable, match="user and password"):
            await link.call("SET", "parley:x", 1)
        await link.aclose()
