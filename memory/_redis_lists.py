"""Lists of the threads in Redis: two sorted sets, of all threads and of each workspace's, by when they were used last."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Sequence
from datetime import datetime
from typing import NamedTuple

from conversation.threads import ThreadSummary
from memory._redis_client import RedisLink
from memory._redis_scripts import PREFIX, keys_of
from memory._redis_turns import Kept
from memory._search import holds

_ALL = f"{PREFIX}:threads"
_LISTED_AT_ONCE = 100


class Head(NamedTuple):
    """A thread without its turns."""

    id: str
    title: str
    workspace: str
    created: str
    updated: str
    parent_id: str | None
    parent_seq: int | None
    made: int

    @classmethod
    def of(cls, fields: dict[str, str]) -> Head:
        parent = fields.get("parent_seq")
        return cls(
            fields["id"],
            fields["title"],
            fields["workspace"],
            fields["created"],
            fields["updated"],
            fields.get("parent_id"),
            None if parent is None else int(parent),
            int(fields.get("made", 0)),
        )

    def summary(self, turns: int, text: str | None = None) -> ThreadSummary:
        """Return the thread's line of a list."""
        return ThreadSummary(id=self.id, title=self.title, workspace=self.workspace, turns=turns, updated=self.updated, snippet=text)


def entries(thread_id: str, workspace: str, at: str) -> list[Sequence[str | float]]:
    """Return the commands that enter a thread into the lists, as used at a time."""
    return [("ZADD", key, score(at), thread_id) for key in (_ALL, of_workspace(workspace))]


def score(at: str) -> float:
    """Return a time, ISO 8601, as what lists are sorted by."""
    return datetime.fromisoformat(at).timestamp()


def of_workspace(workspace: str | None) -> str:
    """Return the name of a workspace's list, or of that of all."""
    if workspace is None:
        return _ALL
    digest = hashlib.blake2b(workspace.encode(), digest_size=16).hexdigest()
    return f"{_ALL}:{digest}"


async def recent(link: RedisLink, workspace: str | None, cutoff: str) -> AsyncGenerator[tuple[Head, int]]:
    """Yield threads that are there, last used first, with the number of their turns."""
    key, start = of_workspace(workspace), 0
    while ids := await link.call("ZREVRANGE", key, start, start + _LISTED_AT_ONCE - 1):
        start += len(ids)
        keys = [keys_of(thread_id) for thread_id in ids]
        asked = [[("HGETALL", one[0]), ("LLEN", one[1]), ("LLEN", one[4])] for one in keys]
        told = await link.pipe([command for commands in asked for command in commands])
        rows = [(Head.of(fields), landed + waiting) for fields, landed, waiting in zip(*[iter(told)] * 3, strict=True) if "made" in fields]
        for head, count in sorted(rows, key=lambda row: (row[0].updated, row[0].made), reverse=True):
            if head.updated >= cutoff:
                yield head, count


async def holding(link: RedisLink, thread_id: str, words: Sequence[str]) -> tuple[str | None, int]:
    """Return the newest landed turn of a thread that holds every word, and how much was looked through."""
    rows = await link.call("LRANGE", keys_of(thread_id)[1], 0, -1)

    def look() -> str | None:
        texts = (Kept.landed(row).content for row in reversed(rows))
        return next((text for text in texts if holds(text, words)), None)

    return await asyncio.to_thread(look), sum(map(len, rows))
