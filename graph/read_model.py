"""What was found in the inbox's episodes, searched by words: no drainer, no graph and no library of one is needed for that."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from graph import ranking
from graph.episodes import Entity, Episode, Fact, Findings, FoundEpisode, FoundFact, Told, Wanted, checked_uuid
from memory._database import Database
from memory._sql import Clock, Sql, stamp

_DEPTH = 60
"""Of each order of candidates."""
_OF_THE_EPISODE = 0.5
"""What the place of an episode counts for its facts, beside their own."""
_FACT = ("uuid", "group_id", "source", "target", "name", "fact", "created_at", "valid_at", "invalid_at", "expired_at")
_FACTS = ", ".join(f"f.{name}" for name in _FACT)
_ENTITY = ("uuid", "group_id", "name", "created_at", "labels", "summary")
_EPISODE = ("uuid", "group_id", "name", "body", "source", "source_description", "created_at", "state", "tries", "error")
_CURRENT = "(SELECT CAST(value AS INTEGER) FROM settings WHERE name = 'generation')"


class ReadModel:
    """Implements Knowledge over the file of an inbox. Every method raises StoreBusy and StoreUnavailable."""

    def __init__(self, database: Database, clock: Clock = time.time) -> None:
        self._database, self._clock = database, clock

    async def search(self, wanted: Wanted) -> Findings:
        """Return what answers best. See Knowledge."""
        now = stamp(self._clock())
        return await self._database.run(lambda sql: _Search(sql, wanted, now).findings(), write=False)

    async def nodes(self, wanted: Wanted) -> Sequence[Entity]:
        """Return the entities that fit best. See Knowledge."""
        return await self._database.run(lambda sql: _nodes(sql, wanted), write=False)

    async def fact(self, uuid: str) -> FoundFact | None:
        """Return a fact. See Knowledge."""
        known, now = checked_uuid(uuid), stamp(self._clock())
        found = await self._database.run(lambda sql: _facts(sql, [known], now), write=False)
        return found.get(known)


class _Search:
    """One search, within one transaction."""

    def __init__(self, sql: Sql, wanted: Wanted, now: str) -> None:
        self._sql, self._wanted, self._now = sql, wanted, now
        self._of_the_past = ranking.asks_for_the_past(wanted.query)
        self._words = _match(wanted.query)

    def findings(self) -> Findings:
        by_words = self._matching_facts()
        by_episode = self._matching_episodes()
        scores = ranking.fused([(1.0, by_words), (_OF_THE_EPISODE, self._facts_of(by_episode))])
        scores = _passed_on(self._sql, scores)
        facts = self._ordered(_facts(self._sql, list(scores), self._now), scores)
        shown = {told.uuid for found in facts for told in found.told}
        rest = [uuid for uuid in by_episode if uuid not in shown]
        return Findings(facts=tuple(facts), episodes=tuple(self._episodes(rest, ranking.fused([(1.0, by_episode)]))))

    def _matching_facts(self) -> list[str]:
        statement = (
            "SELECT f.uuid FROM facts_fts JOIN facts f ON f.n = facts_fts.rowid "  # noqa: S608
            f"WHERE facts_fts MATCH ?1 AND f.generation = {_CURRENT} AND {_within('f.group_id')} "
            "ORDER BY bm25(facts_fts, 1.0, 0.6) LIMIT ?3"
        )
        return _column(self._sql, statement, self._words, _list(self._wanted.group_ids), _DEPTH)

    def _matching_episodes(self) -> list[str]:
        statement = (
            "SELECT e.uuid FROM episodes_fts JOIN episodes e ON e.n = episodes_fts.rowid "  # noqa: S608
            f"WHERE episodes_fts MATCH ?1 AND {_within('e.group_id')} ORDER BY bm25(episodes_fts, 1.0, 1.0) LIMIT ?3"
        )
        return _column(self._sql, statement, self._words, _list(self._wanted.group_ids), _DEPTH)

    def _facts_of(self, episodes: Sequence[str]) -> list[str]:
        """Return the facts of episodes, in the order of these."""
        statement = (
            "SELECT p.fact FROM json_each(?1) e JOIN provenance p ON p.episode = e.value "  # noqa: S608
            f"WHERE p.generation = {_CURRENT} ORDER BY e.key"
        )
        return list(dict.fromkeys(_column(self._sql, statement, _list(episodes))))

    def _ordered(self, found: dict[str, FoundFact], scores: Mapping[str, float]) -> list[FoundFact]:
        """Return as many facts as are wanted: those near the center first, then what is true, then the best."""
        wanted = self._wanted
        near = _near(self._sql, wanted.center)
        kept = [one for one in found.values() if not one.superseded or wanted.include_superseded or self._of_the_past]

        def place(one: FoundFact) -> tuple[int, bool, float]:
            distance = min(near.get(one.fact.source, 2), near.get(one.fact.target, 2))
            return distance, one.superseded and not self._of_the_past, -scores[one.fact.uuid]

        ordered = sorted(kept, key=place)[: wanted.limit]
        return [one.model_copy(update={"score": round(scores[one.fact.uuid], 4)}) for one in ordered]

    def _episodes(self, uuids: Sequence[str], scores: Mapping[str, float]) -> list[FoundEpisode]:
        """Return episodes in this order; one that says what is not true any more only where that is wanted."""
        statement = f"SELECT {', '.join(_EPISODE)} FROM episodes WHERE uuid IN (SELECT value FROM json_each(?))"  # noqa: S608
        rows = {row[0]: Episode.of_checked(dict(zip(_EPISODE, row, strict=True))) for row in self._sql.execute(statement, (_list(uuids),))}
        ended = set(_column(self._sql, _ENDED, _list(uuids), self._now))
        shown = [uuid for uuid in uuids if uuid not in ended or self._wanted.include_superseded or self._of_the_past]
        return [
            FoundEpisode(episode=rows[uuid], superseded=uuid in ended, score=round(scores[uuid] * _OF_THE_EPISODE, 4))
            for uuid in shown[: self._wanted.limit]
        ]


def _passed_on(sql: Sql, scores: Mapping[str, float]) -> Mapping[str, float]:
    """Return the scores with those of facts that have ended passed on to the facts that took their places."""
    found = dict(scores)
    ending = list(scores)
    for _ in range(_SUCCESSIONS):
        rows: list[tuple[str, str]] = sql.execute(_SUCCESSORS, (_list(ending),)).fetchall()
        ending: list[str] = []
        for old, new in rows:
            if found[old] > found.get(new, 0.0):
                found[new] = found[old]
                ending.append(new)
    return found


_SUCCESSIONS = 8
"""How often a fact may have been replaced."""
# Graphiti ends a fact at the moment from which the one that contradicts it holds.
_SUCCESSORS = (
    "SELECT old.uuid, new.uuid FROM json_each(?) e JOIN facts old ON old.uuid = e.value "  # noqa: S608
    "JOIN facts new ON new.group_id = old.group_id AND new.valid_at = old.invalid_at AND new.generation = old.generation "
    "AND (new.source IN (old.source, old.target) OR new.target IN (old.source, old.target)) "
    f"WHERE old.generation = {_CURRENT} AND old.expired_at IS NOT NULL AND new.uuid <> old.uuid"
)
_ENDED = (
    "SELECT DISTINCT p.episode FROM provenance p JOIN facts f ON f.uuid = p.fact AND f.generation = p.generation "  # noqa: S608
    f"WHERE p.episode IN (SELECT value FROM json_each(?1)) AND p.generation = {_CURRENT} "
    "AND (f.expired_at IS NOT NULL OR f.invalid_at <= ?2)"
)


def _nodes(sql: Sql, wanted: Wanted) -> list[Entity]:
    statement = (
        f"SELECT {', '.join('n.' + name for name in _ENTITY)} FROM entities_fts JOIN entities n ON n.n = entities_fts.rowid "  # noqa: S608
        f"WHERE entities_fts MATCH ?1 AND n.generation = {_CURRENT} AND {_within('n.group_id')} "
        "ORDER BY bm25(entities_fts, 4.0, 1.0) LIMIT ?3"
    )
    rows = sql.execute(statement, (_match(wanted.query), _list(wanted.group_ids), _DEPTH)).fetchall()
    near = _near(sql, wanted.center)
    found = sorted((_entity(row) for row in rows), key=lambda one: near.get(one.uuid, 2))
    return found[: wanted.limit]


def _entity(row: Sequence[Any]) -> Entity:
    known = dict(zip(_ENTITY, row, strict=True))
    return Entity.of_checked({**known, "labels": tuple(json.loads(known["labels"]))})


def _facts(sql: Sql, uuids: Sequence[str], now: str) -> dict[str, FoundFact]:
    """Return facts with their ends and where they come from, by uuid."""
    statement = (
        f"SELECT {_FACTS}, s.name, t.name FROM facts f "  # noqa: S608
        "LEFT JOIN entities s ON s.uuid = f.source AND s.generation = f.generation "
        "LEFT JOIN entities t ON t.uuid = f.target AND t.generation = f.generation "
        f"WHERE f.uuid IN (SELECT value FROM json_each(?)) AND f.generation = {_CURRENT}"
    )
    told = _told(sql, uuids)
    found: dict[str, FoundFact] = {}
    for *row, source, target in sql.execute(statement, (_list(uuids),)):
        known = dict(zip(_FACT, row, strict=True))
        sources = told.get(known["uuid"], ())
        fact = Fact.of_checked({**known, "episodes": tuple(one.uuid for one in sources)})
        superseded = fact.expired_at is not None or (fact.invalid_at is not None and fact.invalid_at <= now)
        found[fact.uuid] = FoundFact(
            fact=fact, source_name=source or "", target_name=target or "", superseded=superseded, told=tuple(sources)
        )
    return found


def _told(sql: Sql, facts: Sequence[str]) -> dict[str, list[Told]]:
    statement = (
        "SELECT p.fact, e.uuid, e.name, e.created_at, e.source, e.source_description FROM provenance p "  # noqa: S608
        "JOIN episodes e ON e.uuid = p.episode "
        f"WHERE p.fact IN (SELECT value FROM json_each(?)) AND p.generation = {_CURRENT} ORDER BY p.fact, p.position"
    )
    found: dict[str, list[Told]] = {}
    for fact, *row in sql.execute(statement, (_list(facts),)):
        found.setdefault(fact, []).append(Told.of_checked(dict(zip(Told.model_fields, row, strict=True))))
    return found


def _near(sql: Sql, center: str | None) -> dict[str, int]:
    """Return how far the entities near one are from it: it itself, and those that a fact joins with it."""
    if center is None:
        return {}
    statement = (
        f"SELECT target FROM facts WHERE source = ?1 AND generation = {_CURRENT} "  # noqa: S608
        f"UNION SELECT source FROM facts WHERE target = ?1 AND generation = {_CURRENT}"
    )
    known = checked_uuid(center)
    return {**dict.fromkeys(_column(sql, statement, known), 1), known: 0}


def _match(query: str) -> str:
    """Return the query as FTS5 reads it: any of its words, nothing of it obeyed as syntax."""
    return " OR ".join(f'"{word}"' for word in ranking.terms(query)) or '""'


def _within(column: str) -> str:
    return column + " IN (SELECT value FROM json_each(?2))"  # noqa: S608 - the names of columns are our own


def _list(values: Iterable[str]) -> str:
    return json.dumps(list(values))


def _column(sql: Sql, statement: str, *bindings: Any) -> list[str]:
    return [value for (value,) in sql.execute(statement, bindings)]
