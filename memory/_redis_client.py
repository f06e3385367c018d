"""The way to Redis: one client per URL, its errors in our words. The redis library is imported on first use only.

Every command Parley sends may be sent twice, so that one whose connection broke is sent again. Nothing waits longer than some
seconds for Redis, and once it was found to be away nobody tries again for half a second.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import logging
import time
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar, cast

from conversation.errors import StoreUnavailable
from memory._redis_address import Address, address_of
from memory._redis_scripts import whole

if TYPE_CHECKING:
    from redis.asyncio import Redis, RedisCluster

log = logging.getLogger(__name__)
T = TypeVar("T")
Command = Sequence[str | int | float]

ANSWER_SECONDS = 2.0
"""How long a command may take before Redis counts as away."""
BULK_SECONDS = 60.0
"""How long one may take with megabytes of files or turns, over a slow line."""
_BULK = 256_000
CONNECT_SECONDS = 1.0
AWAY_SECONDS = 0.5
_TRIES = 3
_REPLICAS_SECONDS = 2.0
_HINT = "Check that Redis runs and that REDIS_URL is right; without REDIS_URL threads are kept in PARLEY_HOME."


class RedisLink:
    """A client of one Redis, on the event loop it is first used on. Its methods raise StoreUnavailable."""

    def __init__(self, url: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._address = address_of(url)
        self._clock = clock
        self._clients: dict[float, Redis | RedisCluster] = {}
        """By the seconds for which they wait for an answer."""
        self._opening = asyncio.Lock()
        self._away_until = 0.0
        self._away: StoreUnavailable | None = None
        self._shas: dict[str, str] = {}
        self._replicas: dict[str, tuple[int, float]] = {}
        """By node of a cluster, how many follow it, and when it was asked."""
        self._closed = False
        self._running: set[asyncio.Future[Any]] = set()
        self.breaks = 0
        """How often a connection broke: what was written last may then be lost, when another server took over."""

    @property
    def is_closed(self) -> bool:
        return self._closed

    @property
    def is_away(self) -> bool:
        """Whether Redis could not be reached a moment ago."""
        return self._clock() < self._away_until

    async def call(self, *command: str | int | float, bulk: bool = False) -> Any:
        """Return the answer to one command; `bulk` tells that it may be large."""
        return await self._with(lambda client: client.execute_command(*command), bulk=bulk)

    async def ping(self) -> None:
        """Ask every server that takes writes."""

        async def ask(client: Any) -> None:
            await client.execute_command("PING", **({"target_nodes": client.PRIMARIES} if _is_cluster(client) else {}))

        await self._with(ask)

    async def pipe(self, commands: Sequence[Command]) -> list[Any]:
        """Return the answers to commands that are sent together; each stands for itself."""

        async def send(client: Any) -> list[Any]:
            return await _piped(client.pipeline() if _is_cluster(client) else client.pipeline(transaction=False), commands)

        return await self._with(send)

    async def script(self, body: str, keys: Sequence[str], *arguments: str | int | float, bulk: bool = False) -> list[Any]:
        """Return what a script answers; one the server does not know, after a restart, is sent whole."""
        is_large = sum(len(one) for one in arguments if isinstance(one, str)) > _BULK

        async def run(client: Any) -> list[Any]:
            from redis.exceptions import NoScriptError

            sha = self._shas.get(body)
            if sha is not None:
                try:
                    return await client.execute_command("EVALSHA", sha, len(keys), *keys, *arguments)
                except NoScriptError:
                    pass
            text = whole(body)
            answer = await client.execute_command("EVAL", text, len(keys), *keys, *arguments)
            self._shas[body] = _sha(text)
            return answer

        return await self._with(run, bulk=bulk or is_large)

    async def replicated(self, script: str, keys: Sequence[str], *arguments: str | int | float, within_ms: int) -> tuple[list[Any], bool]:
        """Return what a script answers, and whether a replica has it as well; True where there is none."""
        commands = (("EVAL", whole(script), len(keys), *keys, *arguments), ("WAIT", 1, within_ms))

        async def run(client: Any) -> tuple[list[Any], bool] | None:
            node = await _node(client, keys[0])
            if not await self._has_replicas(client, node):
                return None
            answer, copies = await _on_one_connection(client, node, commands)  # WAIT counts what its own connection wrote
            return answer, copies > 0

        found = await self._with(run)
        return (await self.script(script, keys, *arguments), True) if found is None else found

    async def _has_replicas(self, client: Any, node: Any) -> bool:
        name = "" if node is None else node.name
        known, asked = self._replicas.get(name, (0, -_REPLICAS_SECONDS))
        if self._clock() - asked >= _REPLICAS_SECONDS:
            told = await _info(client, "replication", **({} if node is None else {"target_nodes": node}))
            known = int(told.get("connected_slaves", 0))
            self._replicas[name] = known, self._clock()
        return known > 0

    async def info(self, section: str = "default") -> dict[str, Any]:
        """Return what the server says of itself, of a cluster one of its nodes; nothing to a user who may not ask."""
        told = await self._with(lambda client: _info(client, section))
        one: Any = next(iter(told.values()), None)
        return cast("dict[str, Any]", one) if isinstance(one, dict) else told

    async def aclose(self) -> None:
        """Close every connection; later calls raise StoreUnavailable."""
        self._closed = True
        await asyncio.gather(*self._running, return_exceptions=True)
        clients: list[Any] = list(self._clients.values())
        self._clients.clear()
        for one in (*clients, *(client.sentinels for client in clients if hasattr(client, "sentinels"))):
            await one.aclose()
            if _is_cluster(one):  # it closes nothing when it was about to look for its nodes anew
                for nodes in ("nodes_cache", "startup_nodes"):
                    await one.nodes_manager.aclose(nodes)

    # --- underneath ------------------------------------------------------------------------------------------------

    async def _with(self, work: Callable[[Any], Awaitable[T]], *, bulk: bool = False) -> T:
        if self._closed:
            raise StoreUnavailable("The thread store is closed.", hint="The server is shutting down.")
        if self._away is not None and self.is_away:
            raise StoreUnavailable(self._away.message, hint=self._away.hint)
        if bulk:
            await self.ping()  # whoever hangs is not waited for so long, and a break is noticed
        # A caller that goes away does not break a command off: the library would leave a connection open that was being made.
        running = asyncio.ensure_future(self._done(work, BULK_SECONDS if bulk else ANSWER_SECONDS))
        self._running.add(running)
        running.add_done_callback(self._forget)
        return await asyncio.shield(running)

    def _forget(self, running: asyncio.Future[Any]) -> None:
        self._running.discard(running)
        if not running.cancelled():
            running.exception()  # told to the caller, if that is still there

    async def _done(self, work: Callable[[Any], Awaitable[T]], seconds: float) -> T:
        if not self._clients:
            await asyncio.to_thread(importlib.import_module, "redis.asyncio")
        with self._translated():
            found = await self._tried(work, seconds)
        self._away = None
        return found

    async def _tried(self, work: Callable[[Any], Awaitable[T]], seconds: float) -> T:
        """Return what `work` returns, tried again at once on another connection when one breaks."""
        from redis.exceptions import ConnectionError as Broken
        from redis.exceptions import TimeoutError as Silent

        client = self._clients.get(seconds) or await self._opened(seconds)
        left = _TRIES
        while True:
            try:
                return await _unclosed(work(client))
            except (Broken, Silent) as error:
                if _is_refusal(error):
                    raise
                self.breaks += 1
                left -= 1
                if isinstance(error, Silent) or not left:
                    raise

    async def _opened(self, seconds: float) -> Redis | RedisCluster:
        async with self._opening:
            if seconds not in self._clients:
                self._clients[seconds] = await _client(self._address, seconds)
        return self._clients[seconds]

    @contextmanager
    def _translated(self) -> Generator[None]:
        from redis.exceptions import RedisClusterException, RedisError

        try:
            yield
        except (RedisError, RedisClusterException, OSError) as error:
            found, is_away = in_our_words(error)
            if is_away:
                self._away, self._away_until = found, self._clock() + AWAY_SECONDS
            raise found from None


async def _client(address: Address, seconds: float) -> Redis | RedisCluster:
    """Return a client of the address that waits so long for answers; of a cluster's when the one server that is named is part of one."""
    from redis.asyncio import Redis

    if address.kind == "cluster":
        return _cluster(address, seconds)
    if address.kind == "sentinel":
        return _sentinel(address, seconds)
    options = _options(address, seconds)
    if address.path:
        return Redis(unix_socket_path=address.path, db=address.database, **options)
    host, port = address.hosts[0]
    client: Any = Redis(host=host, port=port, db=address.database, **options)
    is_one = False
    try:
        is_one = not (await _info(client, "cluster")).get("cluster_enabled")
    finally:
        if not is_one:
            await client.aclose()
    return client if is_one else _cluster(address, seconds)


async def _info(client: Any, section: str, **where: Any) -> dict[str, Any]:
    from redis.exceptions import NoPermissionError

    try:
        return await client.execute_command("INFO", section, **where)
    except NoPermissionError:
        return {}


async def _unclosed(work: Awaitable[T]) -> T:
    """Return what `work` returns, and take for broken what the library closes in one task while it writes to it in another."""
    from redis.exceptions import ConnectionError as Broken

    try:
        return await work
    except AttributeError as error:
        if error.obj is not None:
            raise
        raise Broken("closed by another task") from None


async def _piped(pipeline: Any, commands: Sequence[Command]) -> list[Any]:
    for command in commands:
        pipeline.execute_command(*command)
    return await pipeline.execute()


def _is_cluster(client: Any) -> bool:
    return hasattr(client, "get_node_from_key")


async def _node(client: Any, key: str) -> Any:
    """Return the node of a cluster that leads the key; None where there is one server."""
    if not _is_cluster(client):
        return None
    await client.initialize()
    return client.get_node_from_key(key)


async def _on_one_connection(client: Any, node: Any, commands: Sequence[Command]) -> list[Any]:
    """Return what two commands answer that are sent over one connection, the second 0 when the first had to go to another node."""
    if node is None:
        return await _piped(client.pipeline(transaction=False), commands)
    from redis.asyncio.cluster import PipelineCommand
    from redis.exceptions import ConnectionError as Broken

    first, second = (PipelineCommand(number, *command) for number, command in enumerate(commands))
    try:
        has_failed = await node.execute_pipeline([first, second])
    except Broken:
        has_failed = True
    # The client finds the node that leads now, or finds out that it has to look for it.
    return [await client.execute_command(*commands[0]), 0] if has_failed else [first.result, second.result]


def _cluster(address: Address, seconds: float) -> RedisCluster:
    from redis.asyncio import RedisCluster
    from redis.asyncio.cluster import ClusterNode

    return RedisCluster(startup_nodes=[ClusterNode(host, port) for host, port in address.hosts], **_options(address, seconds))


def _sentinel(address: Address, seconds: float) -> Redis:
    from memory._redis_sentinel import Sentinels

    options = _options(address, seconds)
    asking = {
        "socket_timeout": CONNECT_SECONDS,
        "socket_connect_timeout": CONNECT_SECONDS,
        "retry": options["retry"],
        "password": address.options.get("sentinel_password"),
    }
    sentinel: Any = Sentinels(list(address.hosts), sentinel_kwargs={name: value for name, value in asking.items() if value})
    primary = sentinel.master_for(address.service, db=address.database, **options)
    primary.sentinels = sentinel  # to be closed with it
    return primary


def _options(address: Address, seconds: float) -> dict[str, Any]:
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    tls: dict[str, Any] = {name: value for name, value in address.options.items() if name.startswith("ssl_")}
    if "ssl_check_hostname" in tls:
        tls["ssl_check_hostname"] = str(tls["ssl_check_hostname"]).lower() not in ("false", "no", "0")
    return {
        "username": address.user,
        "password": address.password,
        "socket_timeout": seconds,
        "socket_connect_timeout": CONNECT_SECONDS,
        "decode_responses": True,
        "retry": Retry(NoBackoff(), 0),
        **({"ssl": True, **tls} if address.tls else {}),
    }


async def risks(link: RedisLink) -> list[str]:
    """Return what of a server's settings may lose threads, a sentence each. Raises StoreUnavailable."""
    memory, disk = await link.info("memory"), await link.info("persistence")
    found: list[str] = []
    if not memory:
        found.append(
            "The Redis user may not ask for INFO: whether settings lose threads is not known, and no replica is waited for. Allow it +info."
        )
    policy = memory.get("maxmemory_policy", "noeviction")
    if policy != "noeviction" and int(memory.get("maxmemory", 0)):
        found.append(f"Redis drops threads when its memory is full (maxmemory-policy is {policy}): set it to noeviction.")
    if not disk.get("aof_enabled", 1):
        found.append("Redis keeps what was said last in memory only (appendonly is no): a crash loses it. Set appendonly to yes.")
    return found


_WORDS: tuple[tuple[str, str, str, bool], ...] = (
    ("NoPermissionError", "The Redis user may not do what threads need.", "Its ACL has to allow the keys ~parley:*; see README.", False),
    ("AuthenticationError", "Redis does not take the user and password of REDIS_URL.", "Correct them in REDIS_URL.", True),
    ("AuthorizationError", "Redis does not take the user and password of REDIS_URL.", "Correct them in REDIS_URL.", True),
    ("BusyLoadingError", "Redis is still loading its data.", "Try again in a moment.", True),
    ("OutOfMemoryError", "Redis is out of memory.", "Raise its maxmemory, or delete threads that are not needed.", False),
    ("ReadOnlyError", "This Redis is a replica, which takes no writes.", "Name its primary in REDIS_URL, or its Sentinels.", True),
    ("ClusterDownError", "The Redis cluster is down.", _HINT, True),
    ("TimeoutError", f"Redis did not answer within {ANSWER_SECONDS:g} s.", _HINT, True),
    ("MasterNotFoundError", "The Sentinels know of no primary.", _HINT, True),
)  # fmt: skip
"""By the class of the library's error: what is wrong, what to do, and whether Redis counts as away. Its own words may hold addresses."""


def _is_refusal(error: Exception) -> bool:
    """Tell whether it was the server that broke the connection off, which trying again does not mend."""
    from redis.exceptions import AuthenticationError, AuthorizationError, BusyLoadingError

    return isinstance(error, AuthenticationError | AuthorizationError | BusyLoadingError)


def in_our_words(error: Exception) -> tuple[StoreUnavailable, bool]:
    """Return the error for one of the library's, and whether Redis cannot be reached. Raises what is not the library's."""
    from redis.exceptions import RedisClusterException, RedisError, ResponseError

    if not isinstance(error, RedisError | RedisClusterException | OSError):
        raise error
    kinds = [one.__name__ for one in type(error).__mro__]
    for kind, said, hint, is_away in _WORDS:
        if kind in kinds:
            return StoreUnavailable(said, hint=hint), is_away
    text = str(error)
    if text.startswith(("OOM", "MISCONF", "NOREPLICAS")):
        hint = "See what its log says of memory, disk and replicas."
        return StoreUnavailable(f"Redis refuses to write ({text.split()[0]}).", hint=hint), False
    if "DB index" in text:
        hint = "Correct it in REDIS_URL; there are 16, from 0, unless its settings say otherwise."
        return StoreUnavailable("Redis has no database of this number.", hint=hint), True
    if isinstance(error, ResponseError):
        return StoreUnavailable(f"Redis refused a command ({type(error).__name__})."), False
    return StoreUnavailable("Redis cannot be reached.", hint=_HINT), True


def _sha(text: str) -> str:
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
