"""An embedding model in this process, and a memory that was read with it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from conversation.errors import ParleyError
from graph import _made
from graph._made import Made
from graph.embedding import Meaning, packed
from graph.episodes import Entity, Fact, Found, NewEpisode, Vector
from graph.inbox import Inbox
from simulator.meaning import vector

NAME = "openrouter/openai/text-embedding-3-small"
DIMENSION = 64


class Model:
    """Implements graph.embedding.Embedder with simulated vectors."""

    def __init__(self, name: str = NAME, dimension: int = DIMENSION) -> None:
        self.name, self.dimension = name, dimension
        self.asked: list[str] = []
        self.queries: list[tuple[str, float | None]] = []
        self.error: ParleyError | None = None

    async def embed(self, texts: Sequence[str], *, is_query: bool = False, within_s: float | None = None) -> list[list[float]]:
        self.asked += texts
        self.queries += [(text, within_s) for text in texts if is_query]
        if self.error is not None:
            raise self.error
        return [vector(text, self.dimension) for text in texts]

    @property
    def meaning(self) -> Meaning:
        return Meaning(self.name, lambda: self)


def entity(name: str, group: str = "g") -> Entity:
    return Entity(uuid=str(uuid.uuid5(uuid.NAMESPACE_OID, name)), group_id=group, name=name, created_at="2026-01-01")


def fact(words: str, *episodes: str, group: str = "g") -> Fact:
    known = str(uuid.uuid5(uuid.NAMESPACE_OID, words + group))
    ends = entity("We", group).uuid, entity("It", group).uuid
    return Fact(
        uuid=known, group_id=group, source=ends[0], target=ends[1], name="DID", fact=words, created_at="2026-01-01", episodes=episodes
    )


def of_fact(one: Fact, dimension: int = DIMENSION) -> Vector:
    return Vector(kind="fact", uuid=one.uuid, numbers=packed(vector(one.fact, dimension)))


async def read(inbox: Inbox, words: str, *, group: str = "g", generation: int = 1, vectors: bool = True) -> str:
    """The uuid of an episode that says a fact in these words, as the drainer leaves it."""
    told = await inbox.add(NewEpisode(name="a note", body=f"Note: {words}", group_id=group, uuid=str(uuid.uuid4())))
    one = fact(words, told.uuid, group=group)
    of_episode = Vector(kind="episode", uuid=told.uuid, numbers=packed(vector(words, DIMENSION)))
    kept = (of_episode, of_fact(one)) if vectors else ()
    ends = (entity("We", group), entity("It", group))
    await inbox.done(told.uuid, Found(mentions=tuple(end.uuid for end in ends), entities=ends, facts=(one,), vectors=kept), generation)
    return told.uuid


async def made_with(inbox: Inbox, embedding: str = NAME, dimension: int = DIMENSION, generation: int = 1) -> None:
    await _made.note(inbox, generation, Made(backend="kuzu", embedding=embedding, dimension=dimension))
