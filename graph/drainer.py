"""The drainer: takes episodes out of the inbox and has their facts found, one process at a time for each PARLEY_HOME.

It alone opens the embedded graph, which one process can open at a time. It goes on where one that was killed stopped, in order within
a group and side by side across groups, and ends when there has been nothing to do for a while.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from conversation.errors import MemoryUnavailable, ParleyError
from conversation.scrub import scrub, where
from graph.episodes import Episode, Found
from graph.extraction import NotAsAsked, can_wait
from graph.inbox import Inbox, Removal

log = logging.getLogger(__name__)

MAX_TRIES = 5
AT_ONCE = 4
IDLE_SECONDS = 60.0
PAUSE_SECONDS = 3.0
"""Before the first try is repeated; before each further one twice as long."""
_LONGEST_REASON = 500
_LOOK_SECONDS = 0.25
_LONGEST_WAIT = 300.0
_AWAY_SECONDS = 15.0
"""Before a graph database that is away is asked again."""


class Remembering(Protocol):
    """A graph that is open."""

    async def remember(self, episode: Episode) -> Found:
        """Look for the entities and facts in an episode. Done again, it changes nothing. Raises whatever goes wrong."""
        ...

    async def forget_episode(self, uuid: str, group_id: str) -> None: ...
    async def forget_fact(self, uuid: str, group_id: str) -> None: ...
    async def forget_group(self, group_id: str) -> None: ...
    async def aclose(self) -> None: ...


Open = Callable[[int], Awaitable[Remembering]]
"""Opens the graph of a number; that may take seconds. Raises MemoryUnavailable when it cannot be used: everything stays queued then."""


class Drainer:
    """Drains an inbox into the graph of the number it names, which is opened when there is something to do."""

    def __init__(
        self,
        inbox: Inbox,
        open_graph: Open,
        *,
        idle_s: float = IDLE_SECONDS,
        max_tries: int = MAX_TRIES,
        pause_s: float = PAUSE_SECONDS,
        scrub: Callable[[str], str] = scrub,
    ) -> None:
        """`scrub` takes secrets and home paths out of the reasons that are kept of what cannot be read."""
        self._inbox, self._open_graph = inbox, open_graph
        self._idle_s, self._max_tries, self._pause_s = idle_s, max_tries, pause_s
        self._scrub = scrub
        self._rest_until = 0.0
        self._graph: Remembering | None = None
        self._generation = 0
        """The number of the graph that is open."""
        self._running: dict[str, asyncio.Task[None]] = {}
        """By group."""

    async def run(self) -> None:
        """Drain until there was nothing to do for a while. To be called by whoever is alone, after `Inbox.recover`.

        Raises StoreError for the inbox, and MemoryUnavailable for the graph.
        """
        try:
            await self._until_idle()
        finally:
            for task in self._running.values():
                task.cancel()
            await asyncio.gather(*self._running.values(), return_exceptions=True)
            if self._graph is not None:
                await self._graph.aclose()

    async def _until_idle(self) -> None:
        loop = asyncio.get_running_loop()
        idle_since = loop.time()
        while self._running or loop.time() - idle_since < self._idle_s:  # waiting may take longer than that while a library is loaded
            if await self._step() or self._running or await self._is_near():
                idle_since = loop.time()
            await self._wait()

    async def _is_near(self) -> bool:
        """Tell whether there will be something to do before it is worth ending."""
        due = await self._inbox.due_in()
        return due is not None and due < max(self._idle_s, IDLE_SECONDS)

    async def _step(self) -> bool:
        """Do what is to be done now, and tell whether that was anything. What was deleted, and another graph, wait for what is running."""
        removals = await self._inbox.removals()
        target = await self._inbox.target()
        if removals or (target != self._generation and self._graph is not None):
            if self._running:
                return True
            await self._turn_to(target)
            for removal in removals:
                await self._remove(await self._opened(target), removal)
        return await self._start_next(target) or await self._inbox.built()

    async def _remove(self, graph: Remembering, removal: Removal) -> None:
        number, kind, name, group_id = removal
        if kind == "group":
            await graph.forget_group(name)
        else:
            await (graph.forget_episode if kind == "episode" else graph.forget_fact)(name, group_id)
        await self._inbox.removed(number)

    async def _turn_to(self, generation: int) -> None:
        """Close the graph that is open, unless it is the one of that number."""
        if self._graph is not None and self._generation != generation:
            graph, self._graph = self._graph, None
            await graph.aclose()

    async def _start_next(self, target: int) -> bool:
        """Start looking at as many episodes as may be looked at now; whether there was one."""
        is_any = False
        if asyncio.get_running_loop().time() < self._rest_until:
            return False
        while len(self._running) < AT_ONCE and await self._inbox.due_in() == 0:
            graph = await self._opened(target)
            episode = await self._inbox.claim(busy=self._running.keys())
            if episode is None:
                break
            is_any = True
            self._running[episode.group_id] = asyncio.create_task(self._look_at(episode, graph), name=f"episode {episode.uuid}")
        return is_any

    async def _wait(self) -> None:
        """Wait until one is done, or for a moment in which another may have been told."""
        if self._running:
            await asyncio.wait(self._running.values(), timeout=_LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        else:
            await asyncio.sleep(_LOOK_SECONDS)
        for group, task in list(self._running.items()):
            if task.done():
                del self._running[group]
                task.result()

    async def _look_at(self, episode: Episode, graph: Remembering) -> None:
        generation = self._generation
        try:
            found = await graph.remember(episode)
        except ParleyError as error:
            await self._put_off(episode, error)
        except NotAsAsked as error:
            await self._again(episode, str(error), self._pause(episode))
        except Exception as error:  # the engine's and Graphiti's own: one episode is given up for it, not the others
            log.warning("episode %s: %s at %s", episode.uuid, type(error).__name__, where(error))
            await self._again(episode, f"{type(error).__name__}: {error}", self._pause(episode))
        else:
            await self._inbox.done(episode.uuid, found, generation, episode.group_id)

    async def _put_off(self, episode: Episode, error: ParleyError) -> None:
        reason = f"{error.message} {error.hint}".rstrip()
        if isinstance(error, MemoryUnavailable) and error.retryable:
            self._rest_until = asyncio.get_running_loop().time() + _AWAY_SECONDS
            await self._inbox.postpone(episode.uuid, self._scrub(reason)[:_LONGEST_REASON], _AWAY_SECONDS, counted=False)
        elif isinstance(error, MemoryUnavailable):  # what the database objects to may be this one episode
            await self._again(episode, reason, self._pause(episode))
        elif can_wait(error):
            await self._inbox.postpone(episode.uuid, self._scrub(reason)[:_LONGEST_REASON], _LONGEST_WAIT, counted=False)
        else:
            after = self._pause(episode) if error.retry_after is None else error.retry_after
            if error.retryable:  # it is not this episode's fault, and the next one would fare no better
                self._rest_until = asyncio.get_running_loop().time() + min(after, _LONGEST_WAIT)
            await self._again(episode, reason, after, is_final=not error.retryable)

    def _pause(self, episode: Episode) -> float:
        """Return the seconds before another try."""
        return self._pause_s * 2.0 ** (episode.tries - 1)

    async def _again(self, episode: Episode, reason: str, after: float, *, is_final: bool = False) -> None:
        told = self._scrub(reason)[:_LONGEST_REASON]
        if is_final or episode.tries >= self._max_tries:
            await self._inbox.fail(episode.uuid, told)
        else:
            await self._inbox.postpone(episode.uuid, told, min(after, _LONGEST_WAIT))

    async def _opened(self, generation: int) -> Remembering:
        if self._graph is None:
            self._graph, self._generation = await self._open_graph(generation), generation
        return self._graph
