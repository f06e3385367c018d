"""A graph database as what is searched; while it is away, what this machine told is, and says so."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from conversation.errors import BudgetExceeded, MemoryUnavailable, ProviderError
from graph import lexical
from graph.config import GraphConfig
from graph.embedding import Meaning, by_words_since
from graph.episodes import Entity, Findings, FoundFact, Wanted
from graph.knowledge import Knowledge

if TYPE_CHECKING:
    from graph._graphiti_search import GraphKnowledge

log = logging.getLogger(__name__)

REST_SECONDS = 15.0
"""How long a server that is away is not asked again."""
ANSWER_SECONDS = 20.0
LOCAL = "Only what this machine told was searched."
Opened = Callable[[GraphConfig], Awaitable["GraphKnowledge"]]
T = TypeVar("T")


async def opened(config: GraphConfig, meaning: Meaning | None = None) -> GraphKnowledge:
    """Return a server's knowledge. Graphiti is imported for it, which takes seconds: not on the loop of events."""
    if config.server is None:
        raise MemoryUnavailable("No graph database is set.")
    loaded = await asyncio.to_thread(_loaded)
    if meaning is None:
        return await loaded.open(config.server, lexical.embed)
    return await loaded.open(config.server, meaning.of_queries, by_meaning=True)


def _loaded() -> type[GraphKnowledge]:
    from graph._graphiti_search import GraphKnowledge

    return GraphKnowledge


class ServerKnowledge:
    """Implements Knowledge over the server of the settings, which is connected to on the first search; `local` is what this machine told.

    What was told here and has not been read yet is found in `local` alone. `meaning` is the embedding model, where one is set.
    """

    def __init__(
        self,
        config: GraphConfig,
        local: Knowledge,
        *,
        meaning: Meaning | None = None,
        open_server: Opened | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config, self._local, self._clock = config, local, clock
        self._open_server = open_server or partial(opened, meaning=meaning)
        self._server: GraphKnowledge | None = None
        self._opening = asyncio.Lock()
        self._away: MemoryUnavailable | None = None
        self._asked_again_at = 0.0

    async def search(self, wanted: Wanted) -> Findings:
        """Return what answers best; `notice` says so when only what this machine told was searched. See Knowledge."""
        here = await self._local.search(wanted)
        try:
            found = await self._searched(wanted, here.by_words)
        except MemoryUnavailable as error:
            if not error.retryable:
                raise
            return here.model_copy(update={"notice": f"{error.message} {LOCAL}"})
        unread = [one for one in here.episodes if one.episode.state != "done"]
        return found.model_copy(update={"episodes": (*found.episodes, *unread)[: wanted.limit]}) if unread else found

    async def nodes(self, wanted: Wanted) -> Sequence[Entity]:
        """Return the entities that fit best, by their words. See Knowledge."""
        return await self._asked(lambda server: server.nodes(wanted, by_words=True))

    async def _searched(self, wanted: Wanted, by_words: str) -> Findings:
        """Return what the server finds, by words alone for that reason, if there is one, or if the embedding model fails."""
        if not by_words:
            try:
                return await self._asked(lambda server: server.search(wanted))
            except (ProviderError, BudgetExceeded) as error:
                by_words = by_words_since(error)
        found = await self._asked(lambda server: server.search(wanted, by_words=True))
        return found.model_copy(update={"by_words": by_words})

    async def fact(self, uuid: str) -> FoundFact | None:
        """Return a fact. See Knowledge."""
        return await self._asked(lambda server: server.fact(uuid))

    async def aclose(self) -> None:
        """Let go of the connections."""
        if self._server is not None:
            await self._server.aclose()

    async def _asked(self, question: Callable[[GraphKnowledge], Awaitable[T]]) -> T:
        """Return what the server answers. Raises MemoryUnavailable, at once for one that was away a moment ago."""
        if self._away is not None and self._clock() < self._asked_again_at:
            raise MemoryUnavailable(self._away.message, hint=self._away.hint, retryable=True)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                found = await question(await self._connected())
        except (MemoryUnavailable, TimeoutError) as error:
            told = error if isinstance(error, MemoryUnavailable) else self._too_slow()
            if told.retryable:
                self._away, self._asked_again_at = told, self._clock() + REST_SECONDS
            log.warning("%s", told.message)
            raise told from None
        self._away = None
        return found

    async def _connected(self) -> GraphKnowledge:
        async with self._opening:
            if self._server is None:
                self._server = await self._open_server(self._config)
            return self._server

    def _too_slow(self) -> MemoryUnavailable:
        address = self._config.server.address if self._config.server else ""
        return MemoryUnavailable(f"The graph database at {address} takes too long.", hint="Try again in a moment.", retryable=True)
