"""What the read model knows of one graph, for the drainer: the entities and facts that new ones are compared with.

Graphiti looks for these in the graph; there it takes longer the more there is, and an index of words that Kuzu 0.11 reads back after a
kill makes it crash. Here the same words are found in a millisecond or two.
"""

from __future__ import annotations

from collections.abc import Sequence

from graph import _rows
from graph.episodes import Entity, Fact
from memory._database import Database
from memory._sql import Sql

_ENTITY = ", ".join(f"n.{name}" for name in _rows.ENTITY)
_FACT = ", ".join(f"f.{name}" for name in _rows.FACT)
_FACTS_LIKE = (
    f"SELECT {_FACT} FROM (SELECT rowid AS n, bm25(facts_fts, 1.0, 0.5, 0.0) AS score FROM facts_fts "  # noqa: S608
    "WHERE facts_fts MATCH ?2 ORDER BY score LIMIT ?3) b JOIN facts f ON f.n = b.n WHERE f.generation = ?1 ORDER BY b.score"
)
_FACTS_BETWEEN = (
    f"SELECT {_FACT} FROM facts f WHERE f.source IN (SELECT value FROM json_each(?2)) "  # noqa: S608
    "AND f.target IN (SELECT value FROM json_each(?2)) AND f.generation = ?1 ORDER BY f.n DESC LIMIT ?3"
)
_FACTS = f"SELECT {_FACT} FROM facts f WHERE f.generation = ?1 AND f.uuid IN (SELECT value FROM json_each(?2))"  # noqa: S608
_ENTITIES = f"SELECT {_ENTITY} FROM entities n WHERE n.generation = ?1 AND n.uuid IN (SELECT value FROM json_each(?2))"  # noqa: S608
_EPISODES_OF = "SELECT episode FROM provenance WHERE generation = ? AND fact = ? ORDER BY position"


class Known:
    """The entities and facts of the graph of one number. Every method raises StoreError."""

    def __init__(self, database: Database, generation: int) -> None:
        self._database, self._generation = database, generation

    async def facts_like(self, text: str, groups: Sequence[str], limit: int) -> list[Fact]:
        """Return the facts that share words with a text, the likest first."""
        return await self._facts(_FACTS_LIKE, self._words(text, groups), limit)

    async def facts_between(self, ends: Sequence[str], limit: int) -> list[Fact]:
        """Return the facts of which both ends are among these entities, the newest first."""
        return await self._facts(_FACTS_BETWEEN, _rows.listed(ends), limit)

    async def facts(self, uuids: Sequence[str]) -> list[Fact]:
        """Return facts in the order of their uuids; one that is not there is left out."""
        found = {one.uuid: one for one in await self._facts(_FACTS, _rows.listed(uuids))}
        return [found[uuid] for uuid in uuids if uuid in found]

    async def entities(self, uuids: Sequence[str]) -> list[Entity]:
        """Return entities in the order of their uuids; one that is not there is left out."""
        found = {one.uuid: one for one in await self._entities(_ENTITIES, _rows.listed(uuids))}
        return [found[uuid] for uuid in uuids if uuid in found]

    def _words(self, text: str, groups: Sequence[str]) -> str:
        return _rows.match(text, (_rows.scope(group, self._generation) for group in groups))

    async def _facts(self, statement: str, *bindings: object) -> list[Fact]:
        def read(sql: Sql) -> list[Fact]:
            rows = sql.execute(statement, (self._generation, *bindings)).fetchall()
            return [self._fact(sql, dict(zip(_rows.FACT, row, strict=True))) for row in rows]

        return await self._database.run(read, write=False)

    def _fact(self, sql: Sql, known: dict[str, str]) -> Fact:
        episodes = _rows.column(sql, _EPISODES_OF, self._generation, known["uuid"])
        return Fact.of_checked({**known, "episodes": tuple(episodes)})

    async def _entities(self, statement: str, *bindings: object) -> list[Entity]:
        def read(sql: Sql) -> list[Entity]:
            return [_rows.entity(row) for row in sql.execute(statement, (self._generation, *bindings)).fetchall()]

        return await self._database.run(read, write=False)
