"""Notes told to a memory, and what a model would find in them."""

from __future__ import annotations

import uuid
from pathlib import Path

from graph.config import GraphConfig
from graph.episodes import Entity, Fact, Found, NewEpisode
from graph.inbox import Inbox
from graph.memory import Memory
from graph.read_model import ReadModel

GROUP = "work-0"


def remembering(home: Path, group: str = GROUP, unread: str = "") -> Memory:
    """A memory whose notes nobody reads but the tests."""
    inbox = Inbox(home / "memory.db")
    return Memory(GraphConfig(home=home), inbox, ReadModel(inbox.database), group=group, unread=lambda: unread)


def entity(name: str, group: str = GROUP) -> Entity:
    """The same one for the same name."""
    return Entity(uuid=str(uuid.uuid5(uuid.NAMESPACE_OID, f"{group} {name}")), group_id=group, name=name, created_at="2026-01-01T00:00:00Z")


Said = tuple[str, str, str]
"""Source, words, target."""


async def tell(
    memory: Memory,
    name: str,
    body: str,
    *said: Said,
    ends: tuple[str, ...] = (),
    group: str = "",
    at: str = "2026-01-01T00:00:00Z",
    source_description: str = "",
) -> str:
    """Tell a note in which these facts are found, by which those others have ended; return its uuid."""
    known = str(uuid.uuid4())
    kept = await memory.add(
        NewEpisode(name=name, body=body, group_id=group, uuid=known, at=at, source_description=source_description)
    )
    facts = [fact(kept.group_id, known, kept.created_at, *one) for one in said]
    ended = [
        one.fact.model_copy(update={"invalid_at": kept.created_at, "expired_at": kept.created_at})
        for words in ends
        if (one := await memory.fact(fact_uuid(kept.group_id, words)))
    ]
    entities = {end: entity(end, kept.group_id) for source, _, target in said for end in (source, target)}
    mentions = tuple(one.uuid for one in entities.values())
    await memory.inbox.claim()
    await memory.inbox.done(known, Found(mentions=mentions, entities=tuple(entities.values()), facts=(*facts, *ended)))
    return known


def fact_uuid(group: str, words: str) -> str:
    """The uuid of the fact of these words."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{group} {words}"))


def fact(group: str, episode: str, at: str, source: str, words: str, target: str) -> Fact:
    """A fact that a note says."""
    return Fact(
        uuid=fact_uuid(group, words),
        group_id=group,
        source=entity(source, group).uuid,
        target=entity(target, group).uuid,
        name="SAYS",
        fact=words,
        created_at=at,
        valid_at=at,
        episodes=(episode,),
    )
