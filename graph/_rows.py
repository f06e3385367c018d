"""Facts, entities and episodes as rows of the file of an inbox: read within one transaction."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

from graph import ranking
from graph._order import Head
from graph.episodes import Entity, Episode, Fact, FoundFact, Told, checked_uuid
from memory._sql import Sql

FACT = ("uuid", "group_id", "source", "target", "name", "fact", "created_at", "valid_at", "invalid_at", "expired_at")
_FACTS = ", ".join(f"f.{name}" for name in FACT)
ENTITY = ("uuid", "group_id", "name", "created_at", "labels", "summary")
EPISODE = ("uuid", "group_id", "name", "body", "source", "source_description", "created_at", "state", "tries", "error")
EPISODES = f"SELECT {', '.join(EPISODE)} FROM episodes"  # noqa: S608
"""All episodes; a condition and an order may follow."""
_TOLD = ("uuid", "name", "created_at", "source", "source_description")
ENDED = "(f.expired_at IS NOT NULL OR coalesce(f.invalid_at <= ?2, 0))"
"""Whether a fact f is no longer true at the time ?2: graph.episodes.Fact.has_ended."""
CURRENT = "(SELECT CAST(value AS INTEGER) FROM settings WHERE name = 'generation')"
"""The number of the graph that is searched."""


def facts(sql: Sql, uuids: Iterable[str], now: str) -> dict[str, FoundFact]:
    """Return facts by uuid, with the names of both ends and where they come from; one that is not there is left out."""
    named = listed(uuids)
    statement = (
        f"SELECT {_FACTS}, s.name, t.name FROM facts f "  # noqa: S608
        "LEFT JOIN entities s ON s.uuid = f.source AND s.generation = f.generation "
        "LEFT JOIN entities t ON t.uuid = f.target AND t.generation = f.generation "
        f"WHERE f.uuid IN (SELECT value FROM json_each(?)) AND f.generation = {CURRENT}"
    )
    told = _told(sql, named)
    found: dict[str, FoundFact] = {}
    for *row, source, target in sql.execute(statement, (named,)):
        known = dict(zip(FACT, row, strict=True))
        sources = told.get(known["uuid"], ())
        fact = Fact.of_checked({**known, "episodes": tuple(one.uuid for one in sources)})
        found[fact.uuid] = FoundFact.of_checked(
            {
                "fact": fact,
                "source_name": source or "",
                "target_name": target or "",
                "superseded": fact.has_ended(now),
                "told": tuple(sources),
                "score": 0.0,
            }
        )
    return found


def heads(sql: Sql, uuids: Iterable[str], now: str) -> dict[str, Head]:
    """Return the heads of facts by uuid: a search looks at hundreds of facts for the ten it shows."""
    statement = (
        f"SELECT f.uuid, f.source, f.target, {ENDED} FROM facts f "  # noqa: S608
        f"WHERE f.uuid IN (SELECT value FROM json_each(?1)) AND f.generation = {CURRENT}"
    )
    rows = sql.execute(statement, (listed(uuids), now))
    return {uuid: Head(source, target, bool(superseded)) for uuid, source, target, superseded in rows}


def _told(sql: Sql, named: str) -> dict[str, list[Told]]:
    statement = (
        f"SELECT p.fact, {', '.join('e.' + name for name in _TOLD)} FROM provenance p "  # noqa: S608
        "JOIN episodes e ON e.uuid = p.episode "
        f"WHERE p.fact IN (SELECT value FROM json_each(?)) AND p.generation = {CURRENT} ORDER BY p.fact, p.position"
    )
    found: dict[str, list[Told]] = {}
    for fact, *row in sql.execute(statement, (named,)):
        found.setdefault(fact, []).append(Told.of_checked({**dict(zip(_TOLD, row, strict=True)), "excerpt": ""}))
    return found


def episodes(sql: Sql, uuids: Iterable[str]) -> dict[str, Episode]:
    """Return episodes by uuid."""
    rows = sql.execute(f"{EPISODES} WHERE uuid IN (SELECT value FROM json_each(?))", (listed(uuids),))  # noqa: S608
    return {one.uuid: one for one in map(episode, rows)}


def episode(row: Sequence[Any]) -> Episode:
    """Return an episode, given the columns EPISODE."""
    return Episode.of_checked(dict(zip(EPISODE, row, strict=True)))


def entity(row: Sequence[Any]) -> Entity:
    """Return an entity, given the columns ENTITY."""
    known = dict(zip(ENTITY, row, strict=True))
    return Entity.of_checked({**known, "labels": tuple(json.loads(known["labels"]))})


def near(sql: Sql, center: str | None) -> dict[str, int]:
    """Return how far the entities near one are from it: it itself, and those that a fact joins with it. Raises InvalidInput."""
    if center is None:
        return {}
    statement = (
        f"SELECT target FROM facts WHERE source = ?1 AND generation = {CURRENT} "  # noqa: S608
        f"UNION SELECT source FROM facts WHERE target = ?1 AND generation = {CURRENT}"
    )
    known = checked_uuid(center)
    return {**dict.fromkeys(column(sql, statement, known), 1), known: 0}


NOTHING = '""'
"""What FTS5 finds nothing for."""


def match(query: str, scopes: Iterable[str], *, every: bool = False) -> str:
    """Return the query as FTS5 reads it: any of its words within any of the scopes, nothing of it obeyed as syntax.

    With `every` also the words that many texts have.
    """
    words = " OR ".join(f'"{word}"' for word in ranking.terms(query, every=every)) or NOTHING
    return f"scope : ({' OR '.join(scopes) or NOTHING}) AND ({words})"


def scope(group: str, generation: int | None = None) -> str:
    """Return the group as one word, in the graph of that number where one is named."""
    return f"g{hashlib.blake2b(group.encode(), digest_size=8).hexdigest()}{'' if generation is None else f'n{generation}'}"


def generation(sql: Sql) -> int:
    """Return the number of the graph that is searched."""
    return int(sql.execute(f"SELECT {CURRENT}").fetchone()[0])


def listed(values: Iterable[str]) -> str:
    """Return values as one binding, for json_each."""
    return json.dumps(list(values))


def column(sql: Sql, statement: str, *bindings: Any) -> list[str]:
    """Return the only column of a query."""
    return [value for (value,) in sql.execute(statement, bindings)]
