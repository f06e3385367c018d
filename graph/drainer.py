"""The drainer: takes episodes out of the inbox and has their facts found, one process at a time for each PARLEY_HOME.

It alone opens the embedded graph, which one process can open at a time. It goes on where one that was killed stopped, in order within
a group and side by side across groups, and ends when there has been nothing to do for a while.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from conversation.errors import ParleyError
from graph.episodes import Episode, Found
from graph.inbox import Inbox
from memory._home import private_folder

log = logging.getLogger(__name__)

MAX_TRIES = 5
AT_ONCE = 4
IDLE_SECONDS = 60.0
_LOOK_SECONDS = 0.25
_LONGEST_WAIT = 300.0


class Remembering(Protocol):
    """A graph that is open."""

    async def remember(self, episode: Episode) -> Found:
        """Look for the entities and facts in an episode. Done again, it changes nothing. Raises whatever goes wrong."""
        ...

    async def forget_episode(self, uuid: str) -> None: ...
    async def forget_fact(self, uuid: str) -> None: ...
    async def forget_group(self, group_id: str) -> None: ...
    async def aclose(self) -> None: ...


@contextmanager
def alone(path: Path) -> Generator[bool]:
    """Tell whether this process may drain now: the kernel lets go of the lock however a process ends. Raises OSError."""
    private_folder(path.parent)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield _locked(handle)
    finally:
        os.close(handle)


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class Drainer:
    """Drains an inbox into a graph. `open_graph` is called when there is something to do, and may take seconds."""

    def __init__(
        self, inbox: Inbox, open_graph: Callable[[], Awaitable[Remembering]], *, idle_s: float = IDLE_SECONDS, max_tries: int = MAX_TRIES
    ) -> None:
        self._inbox, self._open_graph = inbox, open_graph
        self._idle_s, self._max_tries = idle_s, max_tries
        self._graph: Remembering | None = None
        self._opening = asyncio.Lock()
        self._running: dict[str, asyncio.Task[None]] = {}
        """By group."""

    async def run(self) -> None:
        """Drain until there was nothing to do for a while. To be called by whoever is alone. Raises StoreError for the inbox."""
        await self._inbox.recover()
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
        while loop.time() - idle_since < self._idle_s:
            if not self._running:
                await self._forget()
            if await self._start_next() or self._running or await self._inbox.due_in() is not None:
                idle_since = loop.time()
            await self._wait()

    async def _start_next(self) -> bool:
        """Start looking at as many episodes as may be looked at now; whether there was one."""
        is_any = False
        while len(self._running) < AT_ONCE and await self._inbox.due_in() == 0:
            episode = await self._inbox.claim(busy=self._running.keys())
            if episode is None:
                break
            is_any = True
            self._running[episode.group_id] = asyncio.create_task(self._look_at(episode), name=f"episode {episode.uuid}")
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

    async def _look_at(self, episode: Episode) -> None:
        try:
            graph = await self._opened()
            found = await graph.remember(episode)
        except ParleyError as error:
            after = error.retry_after if error.retry_after is not None else 5.0 * 2.0**episode.tries
            await self._again(episode, f"{error.message} {error.hint}".rstrip(), after, is_final=not error.retryable)
        except Exception as error:  # the engine's and Graphiti's own: one episode is given up for it, not the others
            log.warning("episode %s: %s", episode.uuid, type(error).__name__)
            await self._again(episode, f"{type(error).__name__}: {error}", 1.0)
        else:
            await self._inbox.done(episode.uuid, found)

    async def _again(self, episode: Episode, reason: str, after: float, *, is_final: bool = False) -> None:
        if is_final or episode.tries >= self._max_tries:
            await self._inbox.fail(episode.uuid, reason)
        else:
            await self._inbox.postpone(episode.uuid, reason, min(after, _LONGEST_WAIT))

    async def _forget(self) -> None:
        """Remove from the graph what was deleted."""
        for number, kind, name in await self._inbox.removals():
            graph = await self._opened()
            await {"episode": graph.forget_episode, "fact": graph.forget_fact, "group": graph.forget_group}[kind](name)
            await self._inbox.removed(number)

    async def _opened(self) -> Remembering:
        async with self._opening:
            if self._graph is None:
                self._graph = await self._open_graph()
            return self._graph
