"""The graph of a number, opened for the drainer: with what it was made with, or not at all."""

from __future__ import annotations

import sys

from conversation.errors import MemoryUnavailable
from graph import _made, lexical
from graph._made import Made
from graph.config import GraphConfig
from graph.drainer import Remembering
from graph.embedding import Meaning
from graph.extraction import Extraction
from graph.inbox import Inbox
from graph.known import Known
from graph.vectored import Kept, WithVectors
from memory._home import private_folder


class Opener:
    """Implements graph.drainer.Open for the settings of one process. Without `meaning`, vectors are of words."""

    def __init__(self, config: GraphConfig, inbox: Inbox, extraction: Extraction, meaning: Meaning | None = None) -> None:
        self._config, self._inbox, self._extraction = config, inbox, extraction
        self._meaning = meaning

    async def __call__(self, generation: int) -> Remembering:
        """Return the graph of that number.

        Raises MemoryUnavailable when it was made with other settings, its vectors cannot be made, or a server is away.

        On a server all numbers are one graph, which others write to as well: what this inbox told is removed before it is told anew.
        """
        made = await _made.noted(self._inbox, generation)
        mine = await self._checked(made)
        graph = await self._open(generation)
        try:
            if made is None:
                if self._config.server is not None and generation > 1:
                    await self._forget_all(graph)
                await _made.note(self._inbox, generation, mine)
        except BaseException:
            await graph.aclose()
            raise
        return graph

    async def _checked(self, made: Made | None) -> Made:
        """Return what a graph is made with now; one that is there has to have been made with the same."""
        mine = Made(backend=self._config.backend, embedding=self._config.embedding)
        # What is known to be different needs no model to be asked.
        different = "" if made is None else _made.difference(made, mine)
        if not different:
            mine = mine.model_copy(update={"dimension": await self._dimension()})
            different = "" if made is None else _made.difference(made, mine)
        if different:
            raise MemoryUnavailable(different, hint=_made.REBUILD)
        return mine

    async def _open(self, generation: int) -> Remembering:
        from graph._graphiti import NEAR_BY_MEANING, NEAR_BY_WORDS, Graph

        path = self._config.graph(generation)
        if self._config.server is None:
            private_folder(path.parent)
        where, known = self._config.server or path, Known(self._inbox.database, generation)
        if self._meaning is None:
            return await Graph.open(where, self._extraction, lexical.embed, known, NEAR_BY_WORDS)
        embed = Kept(self._meaning.embedder())
        return WithVectors(await Graph.open(where, self._extraction, embed, known, NEAR_BY_MEANING), embed, self._inbox, generation)

    async def _forget_all(self, graph: Remembering) -> None:
        for episode in await self._inbox.episodes(None, sys.maxsize):
            await graph.forget_episode(episode.uuid, episode.group_id)

    async def _dimension(self) -> int:
        return lexical.DIMENSION if self._meaning is None else await self._meaning.dimension()
