"""The graph of a number, opened for the drainer: with what it was made with, or not at all."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from conversation.errors import MemoryUnavailable
from graph import lexical
from graph.config import LEXICAL, GraphConfig
from graph.extraction import Extraction
from graph.inbox import Inbox
from graph.known import Known
from memory._home import private_folder

if TYPE_CHECKING:
    from graph._graphiti import Graph

QUIET_ENVIRONMENT: Mapping[str, str] = {"GRAPHITI_TELEMETRY_ENABLED": "false", "PYTHON_DOTENV_DISABLED": "1"}
"""To be set before Graphiti is imported: it tells nobody of its use, and takes no project's .env for its own."""
REBUILD = "Run `parley memory rebuild` to have it made anew from all episodes, or set it back."


class Opener:
    """Implements graph.drainer.Open for the settings of one process."""

    def __init__(self, config: GraphConfig, inbox: Inbox, extraction: Extraction) -> None:
        self._config, self._inbox, self._extraction = config, inbox, extraction

    async def __call__(self, generation: int) -> Graph:
        """Return the graph of that number. Raises MemoryUnavailable when it was made with other settings, or a server is away.

        On a server all numbers are one graph, which others write to as well: what this inbox told is removed before it is told anew.
        """
        mine = json.dumps({"backend": self._config.backend, "embedding": self._config.embedding, "dimension": await self._dimension()})
        known = await self._inbox.setting(f"made:{generation}")
        if known is not None:
            _compare(json.loads(known), json.loads(mine))
        graph = await self._open(generation)
        try:
            if known is None:
                if self._config.server is not None and generation > 1:
                    await self._forget_all(graph)
                await self._inbox.set(f"made:{generation}", mine)
        except BaseException:
            await graph.aclose()
            raise
        return graph

    async def _open(self, generation: int) -> Graph:
        from graph._graphiti import NEAR_BY_WORDS, Graph

        path = self._config.graph(generation)
        if self._config.server is None:
            private_folder(path.parent)
        known = Known(self._inbox.database, generation)
        return await Graph.open(self._config.server or path, self._extraction, lexical.embed, known, NEAR_BY_WORDS)

    async def _forget_all(self, graph: Graph) -> None:
        for episode in await self._inbox.episodes(None, sys.maxsize):
            await graph.forget_episode(episode.uuid, episode.group_id)

    async def _dimension(self) -> int:
        if self._config.embedding == LEXICAL:
            return lexical.DIMENSION
        raise MemoryUnavailable("Embedding models cannot be used yet.", hint="Leave PARLEY_EMBEDDING_MODEL out.")


def _compare(made: Mapping[str, object], mine: Mapping[str, object]) -> None:
    for name in mine:
        if made[name] != mine[name]:
            raise MemoryUnavailable(f"The graph was made with {name} {made[name]}, the settings say {mine[name]}.", hint=REBUILD)
