"""Threads remembered on their own, for who asked for that: once nobody has gone on with them for a while."""

from __future__ import annotations

import time
from datetime import datetime

from conversation.errors import ThreadExpired, ThreadNotFound
from conversation.threads import ThreadStore, ThreadSummary
from graph.conversations import episodes_of
from graph.memory import Memory
from memory._sql import Clock, stamp

FINISHED_SECONDS = 1_800.0
_LOOKED_AT = 100
"""Threads, those used last."""


class Finished:
    """Tells the memory of a workspace's threads. What was said before it was first asked to is left alone."""

    def __init__(self, store: ThreadStore, memory: Memory, workspace: str, *, clock: Clock = time.time) -> None:
        self._store, self._memory, self._workspace, self._clock = store, memory, workspace, clock

    async def tell(self) -> int:
        """Tell what was said in threads that have come to rest since, and return how many these are. Raises StoreError."""
        inbox, mark = self._memory.inbox, f"threads of {self._memory.group}"
        since = await inbox.setting(mark)
        rested = stamp(self._clock() - FINISHED_SECONDS)
        if since is None:
            await inbox.set(mark, stamp(self._clock()))
            return 0
        found = await self._store.list(workspace=self._workspace, limit=_LOOKED_AT)
        due = [one for one in found if since < _at(one) <= rested]
        for one in reversed(due):
            await self._tell(one)
            await inbox.set(mark, _at(one))
        return len(due)

    async def _tell(self, one: ThreadSummary) -> None:
        mark = f"thread {one.id}"
        after = int(await self._memory.inbox.setting(mark) or 0)
        try:
            thread = await self._store.load(one.id)
        except (ThreadNotFound, ThreadExpired):
            return
        for episode in episodes_of(thread, after):
            await self._memory.add(episode)
        await self._memory.inbox.set(mark, str(max((turn.seq for turn in thread.landed), default=after)))


def _at(one: ThreadSummary) -> str:
    return stamp(datetime.fromisoformat(one.updated).timestamp())
