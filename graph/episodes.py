"""What is remembered: episodes as they were told, and the entities and facts that were found in them."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

from conversation.errors import InvalidInput
from conversation.messages import Frozen
from memory._sql import stamp

Source = Literal["text", "json", "message"]
State = Literal["queued", "running", "done", "failed"]

MAX_NAME, MAX_DESCRIPTION, MAX_BODY = 300, 1_000, 200_000
"""Characters. An episode is read by a model as a whole, so that more than this would not fit its window."""
_GROUP = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


class NewEpisode(Frozen):
    """An episode on its way into the inbox. `uuid` is the caller's own: the same one told twice is one episode.

    `at` is when it was told, ISO 8601 with its offset from UTC; empty is now. "Last week" in it is a week before that.
    """

    name: str
    body: str
    group_id: str
    uuid: str
    source: Source = "text"
    source_description: str = ""
    at: str = ""


class Episode(Frozen):
    """An episode as it is kept. Times are ISO 8601, UTC; `tries` counts how often its facts were looked for, `error` says why in vain."""

    name: str
    body: str
    group_id: str
    uuid: str
    source: Source = "text"
    source_description: str = ""
    created_at: str
    state: State
    tries: int = 0
    error: str | None = None


class Entity(Frozen):
    """Somebody or something that episodes speak of."""

    uuid: str
    group_id: str
    name: str
    created_at: str
    labels: tuple[str, ...] = ()
    summary: str = ""


class Fact(Frozen):
    """What episodes say of two entities. It holds from `valid_at` to `invalid_at`, where these are known.

    `expired_at` is when another fact was found to contradict it.
    """

    uuid: str
    group_id: str
    source: str
    target: str
    name: str
    fact: str
    created_at: str
    valid_at: str | None = None
    invalid_at: str | None = None
    expired_at: str | None = None
    episodes: tuple[str, ...] = ()

    def has_ended(self, now: str) -> bool:
        """Tell whether it is no longer true."""
        return self.expired_at is not None or (self.invalid_at is not None and self.invalid_at <= now)


class Vector(Frozen):
    """What an embedding model makes of a fact or of an episode: as graph.embedding.packed returns it."""

    kind: Literal["fact", "episode"]
    uuid: str
    numbers: bytes


class Found(Frozen):
    """All that was found in one episode: the entities it mentions, and the facts that are new or have changed by it.

    `vectors` are those of the episode and of its facts, where an embedding model makes any.
    """

    mentions: tuple[str, ...] = ()
    entities: tuple[Entity, ...] = ()
    facts: tuple[Fact, ...] = ()
    vectors: tuple[Vector, ...] = ()


class Told(Frozen):
    """Where a fact comes from: the episode that says it, when that was told, and of what source.

    `excerpt` is what it says in its own words: with the first of its facts that a search finds, and if all it says is still true.
    """

    uuid: str
    name: str
    created_at: str
    source: Source
    source_description: str = ""
    excerpt: str = ""


class FoundFact(Frozen):
    """A fact as it is found: with the names of both ends, whether it is no longer true, and the episodes that say it, oldest first.

    `score` is for the order within one search alone, of which the best has 1.
    """

    fact: Fact
    source_name: str
    target_name: str
    superseded: bool
    told: tuple[Told, ...] = ()
    score: float = 0.0


class FoundEpisode(Frozen):
    """An episode whose own words are found. `superseded` tells that some of what it says is no longer true."""

    episode: Episode
    superseded: bool
    score: float = 0.0


class Findings(Frozen):
    """What a search finds: facts, and the episodes that none of these facts is from, each the best first.

    `notice` says what was not searched, nothing when all was. `by_words` says why the search went by words alone, nothing when it went
    by meaning as well.
    """

    facts: tuple[FoundFact, ...] = ()
    episodes: tuple[FoundEpisode, ...] = ()
    notice: str = ""
    by_words: str = ""


class Wanted(Frozen):
    """What is searched for. `center` is the uuid of an entity to which what is found should be near."""

    query: str
    group_ids: tuple[str, ...]
    limit: int = 10
    include_superseded: bool = False
    center: str | None = None


class Queue(Frozen):
    """How many episodes are in which state."""

    queued: int = 0
    running: int = 0
    done: int = 0
    failed: int = 0


def checked(new: NewEpisode) -> NewEpisode:
    """Return the episode with its id in canonical form. Raises InvalidInput."""
    if not new.name.strip():
        raise InvalidInput("name is empty.")
    if not new.body.strip():
        raise InvalidInput("episode_body is empty.")
    described = ("source_description", new.source_description, MAX_DESCRIPTION)
    for what, text, most in (("name", new.name, MAX_NAME), ("episode_body", new.body, MAX_BODY), described):
        if len(text) > most:
            raise InvalidInput(f"{what} has {len(text):,} characters; at most {most:,} are taken.", hint="Tell it in several episodes.")
    return new.model_copy(update={"uuid": checked_uuid(new.uuid), "group_id": checked_group(new.group_id), "at": _checked_time(new.at)})


def checked_uuid(text: str) -> str:
    """Return the canonical form of a uuid. Raises InvalidInput."""
    try:
        return str(uuid.UUID(text.strip()))
    except ValueError:
        raise InvalidInput("uuid is not a UUID.") from None


def checked_group(text: str) -> str:
    """Return a group's name. Raises InvalidInput for one that not every graph can have."""
    if not _GROUP.fullmatch(text):
        raise InvalidInput("group_id is not a name of up to 64 letters, digits, - and _.")
    return text


def checked_groups(group_ids: Sequence[str]) -> tuple[str, ...]:
    """Return groups' names, each once. Raises InvalidInput."""
    return tuple(dict.fromkeys(map(checked_group, group_ids)))


def _checked_time(text: str) -> str:
    """Return a time in UTC, nothing for nothing. Raises InvalidInput."""
    if not text:
        return ""
    try:
        at = datetime.fromisoformat(text)
        return stamp(at.timestamp()) if at.tzinfo else stamp(at.replace(tzinfo=UTC).timestamp())
    except (ValueError, OverflowError, OSError):
        raise InvalidInput("at is not a time in ISO 8601, such as 2026-01-31T12:00:00Z.") from None


def group_of(workspace: str) -> str:
    """Return the name of the group that a workspace's memory is in: the same one for the same folder, on this machine."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", workspace.rstrip("/").rpartition("/")[2]).strip("-")[:40]
    return f"{name or 'workspace'}-{hashlib.blake2b(workspace.encode('utf-8', 'replace'), digest_size=6).hexdigest()}"
