"""The engines that are servers, for many machines: Neo4j 5.26 or later, and FalkorDB. No server of either was at hand to try this on.

What is mended here of Graphiti's drivers: that they make indexes at moments of their own, that they wait for minutes for a server that
is away, and that for FalkorDB a group with a hyphen in its name is found by no words and that no certificate is asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from falkordb.asyncio import FalkorDB  # pyright: ignore[reportMissingTypeStubs]
from graphiti_core.driver.driver import GraphDriver
from graphiti_core.driver.falkordb.fulltext import build_falkor_fulltext_query
from graphiti_core.driver.falkordb_driver import FalkorDriver
from graphiti_core.driver.neo4j_driver import Neo4jDriver
from graphiti_core.edges import EntityEdge
from graphiti_core.nodes import EntityNode
from graphiti_core.search.search_config_recipes import EDGE_HYBRID_SEARCH_RRF
from neo4j import AsyncGraphDatabase, NotificationMinimumSeverity
from neo4j import exceptions as neo4j_errors
from redis import exceptions as redis_errors

from conversation.errors import MemoryUnavailable
from graph.config import Server

CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 30.0
_AWAY = (
    neo4j_errors.ServiceUnavailable, neo4j_errors.SessionExpired, neo4j_errors.TransientError, neo4j_errors.ConnectionPoolError,
    redis_errors.ConnectionError, redis_errors.TimeoutError, redis_errors.TryAgainError, redis_errors.ClusterDownError, OSError,
)  # fmt: skip
_REFUSED = (
    neo4j_errors.AuthError, neo4j_errors.Forbidden, redis_errors.AuthenticationError, redis_errors.AuthorizationError,
    redis_errors.NoPermissionError,
)  # fmt: skip
_FOREIGN = (neo4j_errors.GqlError, redis_errors.RedisError, redis_errors.RedisClusterException, OSError)


class _Driver(Protocol):
    _init_task: asyncio.Task[None] | None


def _without_indexing(driver: _Driver) -> None:
    """Call off the making of indexes that a driver has begun by itself: it would be under way with nobody waiting for it."""
    task, driver._init_task = driver._init_task, None  # pyright: ignore[reportPrivateUsage]
    if task is not None:
        task.cancel()


def unavailable(error: Exception, address: str) -> MemoryUnavailable:
    """Return what one of another library's errors means. None of its words are repeated: they may hold what was asked."""
    if isinstance(error, _REFUSED):
        return MemoryUnavailable(f"The graph database at {address} refuses us.", hint="Check user and password in PARLEY_GRAPH_URL.")
    if isinstance(error, _AWAY):
        hint = "Start it, or mend PARLEY_GRAPH_URL; what is told meanwhile is kept and read later."
        return MemoryUnavailable(f"The graph database at {address} is away.", hint=hint, retryable=True)
    code = getattr(error, "code", None)
    named = f"{type(error).__name__} {code}" if isinstance(code, str) else type(error).__name__
    return MemoryUnavailable(f"The graph database at {address} cannot do what it is asked: {named}.", hint="Its own log says more.")


class _Speaking:
    """What both have in common: facts as relationships."""

    fact = "()-[e:RELATES_TO]->()"
    fact_of = "(n:Entity)-[e:RELATES_TO]-(:Entity)"

    def __init__(self, address: str) -> None:
        self._address = address

    def learn(self, nodes: Iterable[EntityNode], edges: Iterable[EntityEdge]) -> None:
        """Do nothing: what new facts are compared with is looked for in the database, where others put some as well."""

    @contextmanager
    def speaking(self) -> Generator[None]:
        try:
            yield
        except _FOREIGN as error:
            raise unavailable(error, self._address) from None


class Neo4j(_Speaking):
    """Implements graph._graphiti.Engine: all groups in one database, each node and relationship with its group."""

    def __init__(self, driver: GraphDriver, address: str) -> None:
        super().__init__(address)
        self._driver = driver

    @classmethod
    async def open(cls, server: Server) -> Neo4j:
        """Connect, and make the indexes that are not there yet. Raises MemoryUnavailable."""
        driver = Neo4jDriver(server.address, None, None, server.database or "neo4j")
        _without_indexing(driver)
        await driver.client.close()  # it was never connected, and waits for too long
        driver.client = AsyncGraphDatabase.driver(  # pyright: ignore[reportUnknownMemberType]
            server.address,
            auth=(server.user, server.password.get_secret_value()) if server.user else None,
            connection_timeout=CONNECT_SECONDS,
            connection_acquisition_timeout=2 * CONNECT_SECONDS,
            max_transaction_retry_time=CONNECT_SECONDS,
            notifications_min_severity=NotificationMinimumSeverity.OFF,
        )
        engine = cls(driver, server.address)
        try:
            with engine.speaking():
                await driver.client.verify_connectivity()  # pyright: ignore[reportUnknownMemberType]
                await driver.build_indices_and_constraints()  # pragma: no cover - takes a server
                await driver.execute_query("CALL db.awaitIndexes(30)")  # pragma: no cover - seconds at most
        except BaseException:
            await engine.aclose()
            raise
        return engine  # pragma: no cover - takes a server

    async def to_write(self, group_id: str) -> GraphDriver:
        return self._driver

    async def to_read(self, group_id: str) -> GraphDriver | None:
        return self._driver

    async def everywhere(self) -> Sequence[GraphDriver]:
        return [self._driver]

    async def aclose(self) -> None:
        """Let go of the connections."""
        await self._driver.close()


class _Group(FalkorDriver):
    """One graph of FalkorDB, named as its group."""

    def __init__(self, client: FalkorDB, group_id: str) -> None:
        super().__init__(falkor_db=client, database=group_id)
        _without_indexing(self)

    def clone(self, database: str) -> GraphDriver:
        """Return the graph of another group; Graphiti's own would make its indexes each time."""
        return self if database == self._database else _Group(self.client, database)

    def build_fulltext_query(self, query: str, group_ids: list[str] | None = None, max_query_length: int = 128) -> str:
        """Return a query without the condition for the group, which the graph and the rest of the query see to.

        Graphiti escapes the hyphens of a group's name, while RediSearch parted it there:
        https://github.com/getzep/graphiti/pull/1845
        """
        return build_falkor_fulltext_query(query, None, max_query_length).strip()


class Falkor(_Speaking):
    """Implements graph._graphiti.Engine: a graph for each group."""

    def __init__(self, client: FalkorDB, address: str) -> None:
        super().__init__(address)
        self._client = client
        self._groups: dict[str, _Group] = {}
        self._prepared: set[str] = set()

    @classmethod
    async def open(cls, server: Server) -> Falkor:
        """Connect. Raises MemoryUnavailable."""
        password = server.password.get_secret_value()
        options: dict[str, Any] = {"ssl": True, "ssl_check_hostname": True} if server.is_tls else {}

        def connect() -> FalkorDB:
            return FalkorDB(
                host=server.host,
                port=server.port,
                username=server.user or None,
                password=password or None,
                socket_connect_timeout=CONNECT_SECONDS,
                socket_timeout=_ANSWER_SECONDS,
                **options,
            )

        with _Speaking(server.address).speaking():
            client = await asyncio.to_thread(connect)  # it asks the server, and blocks for that, whether it is one of a cluster
        return cls(client, server.address)

    async def to_write(self, group_id: str) -> GraphDriver:
        """Return the group's graph, with the indexes that are not there yet."""
        driver = self._of(group_id)
        if group_id not in self._prepared:
            await driver.build_indices_and_constraints()
            self._prepared.add(group_id)
        return driver

    async def to_read(self, group_id: str) -> GraphDriver | None:
        """Return the group's graph; a question to one that is not there would make it."""
        return self._of(group_id) if group_id in await self._client.list_graphs() else None

    async def everywhere(self) -> Sequence[GraphDriver]:
        return [self._of(name) for name in await self._client.list_graphs()]

    async def aclose(self) -> None:
        """Let go of the connections."""
        await self._client.connection.aclose()

    def _of(self, group_id: str) -> _Group:
        return self._groups.setdefault(group_id, _Group(self._client, group_id))


async def connect(server: Server) -> Neo4j | Falkor:
    """Return the engine at an address. Raises MemoryUnavailable."""
    return await (Neo4j if server.backend == "neo4j" else Falkor).open(server)


def compare_from(cosine: float) -> None:
    """Have a new fact compared with those whose vectors have this cosine or more. Both servers map it to 0 to 1 before they compare."""
    if EDGE_HYBRID_SEARCH_RRF.edge_config is not None:
        EDGE_HYBRID_SEARCH_RRF.edge_config.sim_min_score = (1.0 + cosine) / 2.0
