"""The graph of a number, opened for the drainer: with what it was made with, or not at all."""

from __future__ import annotations

import json
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
        """Return the graph of that number. Raises MemoryUnavailable when it was made with other settings."""
        await self._check(generation)
        from graph._graphiti import NEAR_BY_WORDS, Graph

        path = self._config.graph(generation)
        private_folder(path.parent)
        return await Graph.open(path, self._extraction, lexical.embed, Known(self._inbox.database, generation), NEAR_BY_WORDS)

    async def _check(self, generation: int) -> None:
        """Note what a new graph is made with; one that is there has to have been made with the same."""
        mine = {"backend": self._config.backend, "embedding": self._config.embedding, "dimension": await self._dimension()}
        known = await self._inbox.setting(f"made:{generation}")
        made = mine if known is None else json.loads(known)
        if known is None:
            await self._inbox.set(f"made:{generation}", json.dumps(mine))
        for name in mine:
            if made[name] != mine[name]:
                raise MemoryUnavailable(f"The graph was made with {name} {made[name]}, the settings say {mine[name]}.", hint=REBUILD)

    async def _dimension(self) -> int:
        if self._config.embedding == LEXICAL:
            return lexical.DIMENSION
        raise MemoryUnavailable("Embedding models cannot be used yet.", hint="Leave PARLEY_EMBEDDING_MODEL out.")
