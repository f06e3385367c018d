"""What was found in the inbox's episodes, searched by words: no drainer, no graph and no library of one is needed for that."""

from __future__ import annotations

import time
from collections.abc import Sequence

from graph import _rows
from graph._rows import ENTITY
from graph._search import DEPTH, Search
from graph.episodes import Entity, Findings, FoundFact, Wanted, checked_uuid
from memory._database import Database
from memory._sql import Clock, Sql, stamp

_NODES = (
    f"SELECT {', '.join('n.' + name for name in ENTITY)} FROM (SELECT rowid AS n, bm25(entities_fts, 4.0, 1.0, 0.0) AS score "  # noqa: S608
    f"FROM entities_fts WHERE entities_fts MATCH ? ORDER BY score LIMIT {DEPTH}) b JOIN entities n ON n.n = b.n ORDER BY b.score"
)


class ReadModel:
    """Implements Knowledge over the file of an inbox. Every method raises StoreBusy and StoreUnavailable."""

    def __init__(self, database: Database, clock: Clock = time.time) -> None:
        self._database, self._clock = database, clock

    async def search(self, wanted: Wanted) -> Findings:
        """Return what answers best. See Knowledge."""
        now = stamp(self._clock())
        return await self._database.run(lambda sql: Search(sql, wanted, now).findings(), write=False)

    async def nodes(self, wanted: Wanted) -> Sequence[Entity]:
        """Return the entities that fit best. See Knowledge."""
        return await self._database.run(lambda sql: _nodes(sql, wanted), write=False)

    async def fact(self, uuid: str) -> FoundFact | None:
        """Return a fact. See Knowledge."""
        known, now = checked_uuid(uuid), stamp(self._clock())
        found = await self._database.run(lambda sql: _rows.facts(sql, [known], now), write=False)
        return found.get(known)

    async def aclose(self) -> None:
        """Do nothing: the file is the inbox's. See Knowledge."""


def _nodes(sql: Sql, wanted: Wanted) -> list[Entity]:
    near = _rows.near(sql, wanted.center)
    number = _rows.generation(sql)
    words = _rows.match(wanted.query, (_rows.scope(group, number) for group in wanted.group_ids))
    rows = sql.execute(_NODES, (words,)).fetchall()
    found = sorted(map(_rows.entity, rows), key=lambda one: near.get(one.uuid, _rows.FAR))
    return found[: wanted.limit]
