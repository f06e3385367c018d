"""Writing what was found in episodes, beside the inbox: each function is one step of a write transaction."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from graph import _rows
from graph._rows import scope
from graph.episodes import Entity, Fact, Found, Vector
from memory._sql import Sql


def put(sql: Sql, episode: str, found: Found, generation: int) -> None:
    """Put what was found in an episode into the place of what is known of it in one graph."""
    for entity in found.entities:
        _put_entity(sql, entity, generation)
    sql.execute("DELETE FROM mentions WHERE episode = ? AND generation = ?", (episode, generation))
    for entity in dict.fromkeys(found.mentions):
        sql.execute("INSERT INTO mentions VALUES (?, ?, ?)", (generation, episode, entity))
    for fact in found.facts:
        _put_fact(sql, fact, generation)
    for vector in found.vectors:
        _put_vector(sql, episode, vector, generation)


def with_vectors(sql: Sql, facts: Iterable[Fact], generation: int) -> set[str]:
    """Return the uuids of those of these facts whose vectors are kept; those of facts that had other words are not."""
    statement = (
        "SELECT f.uuid, f.fact FROM facts f JOIN vectors v ON v.uuid = f.uuid AND v.kind = 'fact' AND v.generation = f.generation "
        "WHERE f.uuid IN (SELECT value FROM json_each(?)) AND f.generation = ?"
    )
    words = {fact.uuid: fact.fact for fact in facts}
    return {uuid for uuid, fact in sql.execute(statement, (_rows.listed(words), generation)) if fact == words[uuid]}


def forget_episode(sql: Sql, episode: str) -> None:
    """Remove what only this episode says, and those only it mentions, from every graph."""
    facts = _rows.column(sql, "SELECT DISTINCT fact FROM provenance WHERE episode = ?", episode)
    entities = _rows.column(sql, "SELECT DISTINCT entity FROM mentions WHERE episode = ?", episode)
    sql.execute("DELETE FROM provenance WHERE episode = ?", (episode,))
    sql.execute("DELETE FROM mentions WHERE episode = ?", (episode,))
    _forget_vector(sql, "episode", episode)
    for fact in facts:
        if sql.execute("SELECT 1 FROM provenance WHERE fact = ? LIMIT 1", (fact,)).fetchone() is None:
            forget_fact(sql, fact)
    for entity in entities:
        _forget_unless_used(sql, entity)


def group_of_fact(sql: Sql, fact: str) -> str | None:
    """Return the group a fact is in, None when there is none with this uuid."""
    row = sql.execute("SELECT group_id FROM facts WHERE uuid = ? LIMIT 1", (fact,)).fetchone()
    return None if row is None else str(row[0])


def forget_fact(sql: Sql, fact: str) -> None:
    """Remove a fact, if it is there."""
    for row in sql.execute("SELECT n FROM facts WHERE uuid = ?", (fact,)).fetchall():
        sql.execute("DELETE FROM facts_fts WHERE rowid = ?", row)
        sql.execute("DELETE FROM facts WHERE n = ?", row)
    sql.execute("DELETE FROM provenance WHERE fact = ?", (fact,))
    _forget_vector(sql, "fact", fact)


def forget_groups(sql: Sql, groups: Sequence[str]) -> None:
    """Remove all that was found in the episodes of these groups, and the episodes."""
    for group in groups:
        for fact in _rows.column(sql, "SELECT uuid FROM facts WHERE group_id = ?", group):
            forget_fact(sql, fact)
        for entity in _rows.column(sql, "SELECT uuid FROM entities WHERE group_id = ?", group):
            _forget_entity(sql, entity)
        sql.execute("DELETE FROM mentions WHERE episode IN (SELECT uuid FROM episodes WHERE group_id = ?)", (group,))
        sql.execute("DELETE FROM episodes WHERE group_id = ?", (group,))
        sql.execute("DELETE FROM vectors WHERE group_id = ?", (group,))


def forget_before(sql: Sql, generation: int) -> None:
    """Remove what is known of graphs before this one."""
    for words, rows in (("facts_fts", "facts"), ("entities_fts", "entities")):
        sql.execute(f"DELETE FROM {words} WHERE rowid IN (SELECT n FROM {rows} WHERE generation < ?)", (generation,))  # noqa: S608
    for table in ("facts", "entities", "mentions", "provenance", "vectors"):
        sql.execute(f"DELETE FROM {table} WHERE generation < ?", (generation,))  # noqa: S608


def _put_entity(sql: Sql, entity: Entity, generation: int) -> None:
    known = "ON CONFLICT(uuid, generation) DO UPDATE SET name = excluded.name, labels = excluded.labels, summary = excluded.summary"
    row = (generation, entity.uuid, entity.group_id, entity.name, json.dumps(entity.labels), entity.summary, entity.created_at)
    columns = "generation, uuid, group_id, name, labels, summary, created_at"
    statement = f"INSERT INTO entities({columns}) VALUES (?, ?, ?, ?, ?, ?, ?) {known} RETURNING n"  # noqa: S608
    ((number,),) = sql.execute(statement, row).fetchall()
    sql.execute("DELETE FROM entities_fts WHERE rowid = ?", (number,))
    words = (number, entity.name, entity.summary, scope(entity.group_id, generation))
    sql.execute("INSERT INTO entities_fts(rowid, name, summary, scope) VALUES (?, ?, ?, ?)", words)


def _put_fact(sql: Sql, fact: Fact, generation: int) -> None:
    changing = ("source", "target", "name", "fact", "valid_at", "invalid_at", "expired_at")
    columns = ("uuid", "group_id", "created_at", *changing)
    known = ", ".join(f"{name} = excluded.{name}" for name in changing)
    marks = ", ".join("?" for _ in columns)
    statement = (
        f"INSERT INTO facts(generation, {', '.join(columns)}) VALUES (?, {marks}) "  # noqa: S608
        f"ON CONFLICT(uuid, generation) DO UPDATE SET {known} RETURNING n"
    )
    ((number,),) = sql.execute(statement, (generation, *(getattr(fact, name) for name in columns))).fetchall()
    named = "SELECT DISTINCT name FROM entities WHERE uuid IN (?, ?)"
    ends = " ".join(_rows.column(sql, named, fact.source, fact.target))
    sql.execute("DELETE FROM facts_fts WHERE rowid = ?", (number,))
    words = (number, fact.fact, ends, scope(fact.group_id, generation))
    sql.execute("INSERT INTO facts_fts(rowid, fact, ends, scope) VALUES (?, ?, ?, ?)", words)
    sql.execute("DELETE FROM provenance WHERE fact = ? AND generation = ?", (fact.uuid, generation))
    for position, episode in enumerate(dict.fromkeys(fact.episodes)):
        sql.execute("INSERT INTO provenance VALUES (?, ?, ?, ?)", (generation, fact.uuid, episode, position))


def _put_vector(sql: Sql, episode: str, vector: Vector, generation: int) -> None:
    group = "SELECT group_id FROM episodes WHERE uuid = ?"
    statement = f"INSERT OR REPLACE INTO vectors(generation, group_id, kind, uuid, numbers) VALUES (?, ({group}), ?, ?, ?)"  # noqa: S608
    sql.execute(statement, (generation, episode, vector.kind, vector.uuid, vector.numbers))


def _forget_vector(sql: Sql, kind: str, uuid: str) -> None:
    sql.execute("DELETE FROM vectors WHERE uuid = ? AND kind = ?", (uuid, kind))


def _forget_unless_used(sql: Sql, entity: str) -> None:
    used = "SELECT 1 FROM mentions WHERE entity = ?1 UNION ALL SELECT 1 FROM facts WHERE source = ?1 OR target = ?1 LIMIT 1"
    if sql.execute(used, (entity,)).fetchone() is None:
        _forget_entity(sql, entity)


def _forget_entity(sql: Sql, entity: str) -> None:
    for row in sql.execute("SELECT n FROM entities WHERE uuid = ?", (entity,)).fetchall():
        sql.execute("DELETE FROM entities_fts WHERE rowid = ?", row)
        sql.execute("DELETE FROM entities WHERE n = ?", row)
