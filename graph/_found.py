"""Writing what was found in episodes, beside the inbox: each function is one step of a write transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from graph.episodes import Entity, Fact, Found
from memory._sql import Sql


def put(sql: Sql, episode: str, found: Found) -> None:
    """Put what was found in an episode into the place of what is known of it."""
    for entity in found.entities:
        _put_entity(sql, entity)
    sql.execute("DELETE FROM mentions WHERE episode = ?", (episode,))
    for entity in dict.fromkeys(found.mentions):
        sql.execute("INSERT INTO mentions VALUES (?, ?)", (episode, entity))
    for fact in found.facts:
        _put_fact(sql, fact)


def forget_episode(sql: Sql, episode: str) -> None:
    """Remove what only this episode says, and those only it mentions."""
    facts = _column(sql, "SELECT fact FROM provenance WHERE episode = ?", episode)
    entities = _column(sql, "SELECT entity FROM mentions WHERE episode = ?", episode)
    sql.execute("DELETE FROM provenance WHERE episode = ?", (episode,))
    sql.execute("DELETE FROM mentions WHERE episode = ?", (episode,))
    for fact in facts:
        if sql.execute("SELECT 1 FROM provenance WHERE fact = ? LIMIT 1", (fact,)).fetchone() is None:
            forget_fact(sql, fact)
    for entity in entities:
        _forget_unless_used(sql, entity)


def forget_fact(sql: Sql, fact: str) -> bool:
    """Remove a fact; False when there is none with this uuid."""
    row = sql.execute("SELECT n FROM facts WHERE uuid = ?", (fact,)).fetchone()
    if row is None:
        return False
    sql.execute("DELETE FROM facts_fts WHERE rowid = ?", row)
    sql.execute("DELETE FROM facts WHERE n = ?", row)
    sql.execute("DELETE FROM provenance WHERE fact = ?", (fact,))
    return True


def forget_groups(sql: Sql, groups: Sequence[str]) -> None:
    """Remove all that was found in the episodes of these groups, and the episodes."""
    for group in groups:
        for fact in _column(sql, "SELECT uuid FROM facts WHERE group_id = ?", group):
            forget_fact(sql, fact)
        for entity in _column(sql, "SELECT uuid FROM entities WHERE group_id = ?", group):
            _forget_entity(sql, entity)
        sql.execute("DELETE FROM mentions WHERE episode IN (SELECT uuid FROM episodes WHERE group_id = ?)", (group,))
        sql.execute("DELETE FROM episodes WHERE group_id = ?", (group,))


def _put_entity(sql: Sql, entity: Entity) -> None:
    known = "ON CONFLICT(uuid) DO UPDATE SET name = excluded.name, labels = excluded.labels, summary = excluded.summary"
    row = (entity.uuid, entity.group_id, entity.name, json.dumps(entity.labels), entity.summary, entity.created_at)
    columns = "uuid, group_id, name, labels, summary, created_at"
    sql.execute(f"INSERT INTO entities({columns}) VALUES (?, ?, ?, ?, ?, ?) {known}", row)  # noqa: S608
    (number,) = sql.execute("SELECT n FROM entities WHERE uuid = ?", (entity.uuid,)).fetchone()
    sql.execute("DELETE FROM entities_fts WHERE rowid = ?", (number,))
    sql.execute("INSERT INTO entities_fts(rowid, name, summary) VALUES (?, ?, ?)", (number, entity.name, entity.summary))


def _put_fact(sql: Sql, fact: Fact) -> None:
    changing = ("source", "target", "name", "fact", "valid_at", "invalid_at", "expired_at")
    columns = ("uuid", "group_id", "created_at", *changing)
    known = ", ".join(f"{name} = excluded.{name}" for name in changing)
    marks = ", ".join("?" for _ in columns)
    statement = f"INSERT INTO facts({', '.join(columns)}) VALUES ({marks}) ON CONFLICT(uuid) DO UPDATE SET {known}"  # noqa: S608
    sql.execute(statement, tuple(getattr(fact, name) for name in columns))
    (number,) = sql.execute("SELECT n FROM facts WHERE uuid = ?", (fact.uuid,)).fetchone()
    named = "SELECT name FROM entities WHERE uuid IN (?, ?)"
    ends = " ".join(_column(sql, named, fact.source, fact.target))
    sql.execute("DELETE FROM facts_fts WHERE rowid = ?", (number,))
    sql.execute("INSERT INTO facts_fts(rowid, fact, ends) VALUES (?, ?, ?)", (number, fact.fact, ends))
    sql.execute("DELETE FROM provenance WHERE fact = ?", (fact.uuid,))
    for position, episode in enumerate(dict.fromkeys(fact.episodes)):
        sql.execute("INSERT INTO provenance VALUES (?, ?, ?)", (fact.uuid, episode, position))


def _forget_unless_used(sql: Sql, entity: str) -> None:
    used = "SELECT 1 FROM mentions WHERE entity = ?1 UNION ALL SELECT 1 FROM facts WHERE source = ?1 OR target = ?1 LIMIT 1"
    if sql.execute(used, (entity,)).fetchone() is None:
        _forget_entity(sql, entity)


def _forget_entity(sql: Sql, entity: str) -> None:
    row = sql.execute("SELECT n FROM entities WHERE uuid = ?", (entity,)).fetchone()
    if row is not None:
        sql.execute("DELETE FROM entities_fts WHERE rowid = ?", row)
        sql.execute("DELETE FROM entities WHERE n = ?", row)


def _column(sql: Sql, statement: str, *bindings: str) -> list[str]:
    rows: Iterable[tuple[str]] = sql.execute(statement, bindings).fetchall()
    return [value for (value,) in rows]
