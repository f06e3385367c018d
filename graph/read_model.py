"""What was found in the episodes of an inbox, searched by words and by meaning: no drainer, no graph and no library of one is needed."""

from __future__ import annotations

import time
from collections.abc import Sequence

from conversation.errors import ParleyError
from graph import _made, _rows
from graph._likeness import Likeness, Vectors
from graph._order import FAR
from graph._rows import ENTITY
from graph._search import DEPTH, search
from graph.embedding import NO_MODEL, Meaning, by_words_since, why_by_words
from graph.episodes import Entity, Findings, FoundFact, Wanted, checked_uuid
from memory._database import Database
from memory._sql import Clock, Sql, stamp

_NODES = (
    f"SELECT {', '.join('n.' + name for name in ENTITY)} FROM (SELECT rowid AS n, bm25(entities_fts, 4.0, 1.0, 0.0) AS score "  # noqa: S608
    f"FROM entities_fts WHERE entities_fts MATCH ? ORDER BY score LIMIT {DEPTH}) b JOIN entities n ON n.n = b.n ORDER BY b.score"
)


class ReadModel:
    """Implements Knowledge over the file of an inbox. Every method raises StoreBusy and StoreUnavailable.

    Without `meaning`, or where its model cannot be asked, searches go by words alone, and say why.
    """

    def __init__(self, database: Database, clock: Clock = time.time, meaning: Meaning | None = None) -> None:
        self._database, self._clock = database, clock
        self._meaning = meaning
        self._vectors = Vectors()

    async def search(self, wanted: Wanted) -> Findings:
        """Return what answers best. See Knowledge."""
        now = stamp(self._clock())
        vector, by_words = await self._asked(wanted.query)
        return await self._database.run(lambda sql: self._searched(sql, wanted, now, vector, by_words), write=False)

    async def _asked(self, query: str) -> tuple[list[float], str]:
        """Return the vector of a question, or none and why there is none."""
        if self._meaning is None:
            return [], NO_MODEL
        by_words = why_by_words(await self._database.run(_made.searched, write=False), self._meaning.name)
        if by_words:
            return [], by_words
        try:
            return await self._meaning.of_query(query), ""
        except ParleyError as error:
            return [], by_words_since(error)

    def _searched(self, sql: Sql, wanted: Wanted, now: str, vector: list[float], by_words: str) -> Findings:
        like: Likeness | None = None
        if self._meaning is not None and not by_words:
            searched = _made.searched(sql)  # another graph may have taken its place while the model was asked
            by_words = why_by_words(searched, self._meaning.name, len(vector))
            like = None if by_words else self._vectors.likeness(sql, vector, searched.generation, wanted.group_ids)
        return search(sql, wanted, now, like).model_copy(update={"by_words": by_words})

    async def nodes(self, wanted: Wanted) -> Sequence[Entity]:
        """Return the entities that fit best; those of which nothing is true any more come last, unless that is wanted. See Knowledge."""
        now = stamp(self._clock())
        return await self._database.run(lambda sql: _nodes(sql, wanted, now), write=False)

    async def fact(self, uuid: str) -> FoundFact | None:
        """Return a fact. See Knowledge."""
        known, now = checked_uuid(uuid), stamp(self._clock())
        found = await self._database.run(lambda sql: _rows.facts(sql, [known], now), write=False)
        return found.get(known)

    async def aclose(self) -> None:
        """Do nothing: the file is the inbox's. See Knowledge."""


def _nodes(sql: Sql, wanted: Wanted, now: str) -> list[Entity]:
    near = _rows.near(sql, wanted.center)
    number = _rows.generation(sql)
    words = _rows.match(wanted.query, (_rows.scope(group, number) for group in wanted.group_ids))
    rows = sql.execute(_NODES, (words,)).fetchall()
    entities = list(map(_rows.entity, rows))
    ended: set[str] = set() if wanted.include_superseded else _ended(sql, [one.uuid for one in entities], now)
    found = sorted(entities, key=lambda one: (near.get(one.uuid, FAR), one.uuid in ended))
    return found[: wanted.limit]


def _ended(sql: Sql, entities: Sequence[str], now: str) -> set[str]:
    """Return the entities of which facts were told, and none is true any more."""
    statement = (
        "SELECT e.value FROM json_each(?1) e JOIN facts f ON f.source = e.value OR f.target = e.value "  # noqa: S608
        f"WHERE f.generation = {_rows.CURRENT} GROUP BY e.value "
        f"HAVING min({_rows.ENDED}) = 1"
    )
    return set(_rows.column(sql, statement, _rows.listed(entities), now))
