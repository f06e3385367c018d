"""A graph whose drainer asks an embedding model: the vectors of what is found are told with it, and kept with it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from graph import _found
from graph.drainer import Remembering
from graph.embedding import PASSAGE, Embedder, packed
from graph.episodes import Episode, Fact, Found, Vector
from graph.inbox import Inbox

_KEPT = 256
"""Vectors of texts that are kept at hand: Graphiti and we ask for the same ones."""


class Kept:
    """An embedding model that is not asked again for what it was asked for lately. Implements graph._graphiti.Embed."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._vectors: OrderedDict[str, list[float]] = OrderedDict()

    async def __call__(self, texts: Sequence[str]) -> list[list[float]]:
        """Return a vector for each text. Raises ParleyError."""
        missing = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        found = dict(zip(missing, await self._embedder.embed(missing), strict=True)) if missing else {}
        answer = [found[text] if text in found else self._vectors[text] for text in texts]
        self._vectors |= found
        for text in texts:
            self._vectors.move_to_end(text)
        while len(self._vectors) > _KEPT:
            self._vectors.popitem(last=False)
        return answer


class WithVectors:
    """A graph that tells the vectors of what it finds as well. Implements graph.drainer.Remembering."""

    def __init__(self, graph: Remembering, embed: Kept, inbox: Inbox, generation: int) -> None:
        self._graph, self._embed = graph, embed
        self._inbox, self._generation = inbox, generation
        self.forget_episode, self.forget_fact, self.forget_group = graph.forget_episode, graph.forget_fact, graph.forget_group
        self.aclose = graph.aclose

    async def remember(self, episode: Episode) -> Found:
        """Return what is found in an episode, with the vectors that are not kept yet."""
        (passage,) = await self._embed([f"{episode.name}\n{episode.body}"[:PASSAGE]])
        found = await self._graph.remember(episode)
        new = await self._without_vectors(found.facts)
        vectors = await self._embed([fact.fact for fact in new])
        of_facts = (Vector(kind="fact", uuid=fact.uuid, numbers=packed(one)) for fact, one in zip(new, vectors, strict=True))
        return found.model_copy(update={"vectors": (Vector(kind="episode", uuid=episode.uuid, numbers=packed(passage)), *of_facts)})

    async def _without_vectors(self, facts: Sequence[Fact]) -> list[Fact]:
        database, generation = self._inbox.database, self._generation
        known = await database.run(lambda sql: _found.with_vectors(sql, facts, generation), write=False)
        return [fact for fact in facts if fact.uuid not in known]
