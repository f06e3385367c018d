"""The inbox: every episode that was ever told, kept from the moment it is acknowledged, and what was found in it.

Any process writes here; what is told is on the disk when `add` returns. One drainer at a time (graph.drainer) takes episodes out, in
order within a group, and puts back what it found. The graph can be made anew from here, in another engine too.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

from graph import _found, _rows
from graph._rows import scope
from graph._tables import MEMORY
from graph.episodes import Episode, Found, NewEpisode, Queue, checked, checked_uuid
from memory._database import Database
from memory._sql import Clock, Sql, clean, stamp

Removal = tuple[int, Literal["episode", "fact", "group"], str, str]
"""Its number, of what kind, the uuid or the name of what is to be removed from the graph, and the group it is in."""

CRASHED = "The graph's engine crashed when it was read."
CRASHES_OF_AN_EPISODE = 3
"""Tries that end so, after which an episode is given up."""
CRASHES_OF_A_GRAPH = 6
"""In a row, with nothing read between them, after which the graph is made anew: two episodes' worth."""


class Inbox:
    """The file of a PARLEY_HOME, shared by all its processes. Every method raises StoreBusy and StoreUnavailable."""

    def __init__(self, path: Path, *, clock: Clock = time.time, busy_timeout_s: float = 5.0) -> None:
        self.database = Database(path, busy_timeout_s=busy_timeout_s, tables=MEMORY)
        """Shared with graph.read_model, which only reads."""
        self._clock = clock

    async def add(self, new: NewEpisode) -> Episode:
        """Keep an episode and return it; one whose uuid is there already stays as it is. Raises InvalidInput."""
        given = checked(new)
        texts = map(clean, (given.name, given.body, given.source, given.source_description))
        row = (given.uuid, given.group_id, *texts, given.at or stamp(self._clock()), scope(given.group_id))

        def put(sql: Sql) -> Episode:
            columns = "uuid, group_id, name, body, source, source_description, created_at, scope, state"
            sql.execute(f"INSERT INTO episodes({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'queued') ON CONFLICT DO NOTHING", row)  # noqa: S608
            return _rows.episodes(sql, [given.uuid])[given.uuid]

        return await self.database.run(put, write=True)

    async def get(self, uuid: str) -> Episode | None:
        """Return an episode, None when there is none with this uuid. Raises InvalidInput."""
        known = checked_uuid(uuid)
        return await self.database.run(lambda sql: _rows.episodes(sql, [known]).get(known), write=False)

    async def episodes(self, group_ids: Sequence[str] | None = None, limit: int = 10) -> list[Episode]:
        """Return the episodes of these groups, of all when None, the newest first."""
        where = "?1 IS NULL OR group_id IN (SELECT value FROM json_each(?1))"
        bindings = (None if group_ids is None else _rows.listed(group_ids), max(0, limit))
        statement = f"{_rows.EPISODES} WHERE {where} ORDER BY n DESC LIMIT ?2"
        rows = await self.database.run(lambda sql: sql.execute(statement, bindings).fetchall(), write=False)
        return list(map(_rows.episode, rows))

    async def queue(self) -> Queue:
        """Return how many episodes are in which state."""
        rows = await self.database.run(
            lambda sql: sql.execute("SELECT state, count(*) FROM episodes GROUP BY state").fetchall(), write=False
        )
        return Queue(**dict(rows))

    async def retry(self, uuid: str | None = None) -> int:
        """Queue a failed episode once more, or one that was put off for now, or all of them, and return how many that were."""
        known = None if uuid is None else checked_uuid(uuid)

        def again(sql: Sql) -> int:
            where = "(state = 'failed' OR (state = 'queued' AND not_before <> '')) AND (?1 IS NULL OR uuid = ?1)"
            changed = "UPDATE episodes SET state = 'queued', tries = 0, error = NULL, not_before = ''"
            return len(sql.execute(f"{changed} WHERE {where} RETURNING 1", (known,)).fetchall())

        return await self.database.run(again, write=True)

    async def rebuild(self) -> int:
        """Have the graph made anew from all episodes, and return how many these are. Until it is, the one there is is searched."""
        return await self.database.run(_rebuild, write=True)

    async def delete(self, uuid: str) -> bool:
        """Remove an episode with what it alone says; False when there is none with this uuid."""
        known = checked_uuid(uuid)

        def remove(sql: Sql) -> bool:
            gone = sql.execute("DELETE FROM episodes WHERE uuid = ? RETURNING tries, group_id", (known,)).fetchone()
            if gone is None:
                return False
            _found.forget_episode(sql, known)
            if gone[0] or _target(sql) > 1:  # when the graph is made anew, the tries begin anew
                _note(sql, "episode", known, gone[1])
            return True

        return await self.database.run(remove, write=True)

    async def delete_fact(self, uuid: str, group_id: str | None = None) -> bool:
        """Remove a fact; False when there is none with this uuid.

        With the group it is in, it is removed from the graph even if it is not known here: others may have told it.
        """
        known = checked_uuid(uuid)

        def remove(sql: Sql) -> bool:
            group = _found.group_of_fact(sql, known) or group_id
            if group is None:
                return False
            _found.forget_fact(sql, known)
            _note(sql, "fact", known, group)
            return True

        return await self.database.run(remove, write=True)

    async def clear(self, group_ids: Sequence[str]) -> None:
        """Remove the episodes of these groups and all that was found in them."""

        def remove(sql: Sql) -> None:
            _found.forget_groups(sql, group_ids)
            for group in group_ids:
                _note(sql, "group", group, group)

        await self.database.run(remove, write=True)

    async def aclose(self) -> None:
        """Let go of the file."""
        await self.database.aclose()

    # --- for the drainer, of which there is one --------------------------------------------------------------------

    async def recover(self, *, crashed: bool = False) -> int:
        """Queue again what a drainer that is gone was at, and return how many episodes that were.

        When it was not killed but the graph's engine `crashed`, an episode that was there several times is given up, and when
        nothing is read any more the graph is made anew.
        """

        def again(sql: Sql) -> int:
            if crashed:
                given_up = "UPDATE episodes SET state = 'failed', error = ? WHERE state = 'running' AND tries >= ?"
                sql.execute(given_up, (CRASHED, CRASHES_OF_AN_EPISODE))
            queued = sql.execute("UPDATE episodes SET state = 'queued' WHERE state = 'running' RETURNING 1").fetchall()
            crashes = int(_setting(sql, "crashes") or 0) + 1 if crashed else 0
            is_any_read = sql.execute("SELECT 1 FROM episodes WHERE state = 'done' LIMIT 1").fetchone() is not None
            if crashes >= CRASHES_OF_A_GRAPH and is_any_read:
                _rebuild(sql)
                crashes = 0
            if crashed:
                _set(sql, "crashes", str(crashes))
            return len(queued)

        return await self.database.run(again, write=True)

    async def claim(self, busy: Collection[str] = ()) -> Episode | None:
        """Return the next episode, running now: the oldest of a group that is none of these and has none running.

        One that was put off is passed by the others of its group: when it is read later, what it says is still known to be older.
        """
        now = stamp(self._clock())

        def take(sql: Sql) -> Episode | None:
            firsts = "SELECT min(n) FROM episodes WHERE state = 'queued' AND not_before <= ? GROUP BY group_id"
            due = f"n IN ({firsts}) AND group_id NOT IN (SELECT group_id FROM episodes WHERE state = 'running')"  # noqa: S608
            rows = sql.execute(f"{_rows.EPISODES} WHERE {due} ORDER BY n", (now,)).fetchall()
            next_one = next((one for one in map(_rows.episode, rows) if one.group_id not in busy), None)
            if next_one is None:
                return None
            sql.execute("UPDATE episodes SET state = 'running', tries = tries + 1 WHERE uuid = ?", (next_one.uuid,))
            return next_one.model_copy(update={"state": "running", "tries": next_one.tries + 1})

        return await self.database.run(take, write=True)

    async def waiting(self) -> float | None:
        """Return the seconds until there is something to do for a drainer, None when there is nothing."""
        statement = (
            "SELECT EXISTS (SELECT 1 FROM removals) OR EXISTS (SELECT 1 FROM episodes WHERE state = 'running') "
            "OR EXISTS (SELECT 1 FROM settings WHERE name = 'building')"
        )
        ((is_any,),) = await self.database.run(lambda sql: sql.execute(statement).fetchall(), write=False)
        due = await self.due_in()
        return 0.0 if is_any and (due is None or due > 0) else due

    async def due_in(self) -> float | None:
        """Return the seconds until an episode may be claimed, None when none is queued."""
        statement = "SELECT min(not_before) FROM episodes WHERE state = 'queued'"
        (at,) = await self.database.run(lambda sql: sql.execute(statement).fetchone(), write=False)
        return None if at is None else max(0.0, seconds_of(at) - self._clock())

    async def done(self, uuid: str, found: Found, generation: int = 1, group_id: str = "") -> None:
        """Keep what was found in an episode, of this group, by the graph of that number.

        One that was deleted meanwhile is to be removed from the graph as well; one for whose graph another is being made is queued.
        """

        def keep(sql: Sql) -> None:
            state = "done" if generation == _target(sql) else "queued"
            ended = "UPDATE episodes SET state = ?, error = NULL WHERE uuid = ? RETURNING 1"
            if not sql.execute(ended, (state, uuid)).fetchall():
                _note(sql, "episode", uuid, group_id)
            elif state == "done":
                _found.put(sql, uuid, found, generation)
                sql.execute("DELETE FROM settings WHERE name = 'crashes'")

        await self.database.run(keep, write=True)

    async def target(self) -> int:
        """Return the number of the graph that episodes are put into: the one being made, or the one there is."""
        return await self.database.run(_target, write=False)

    async def is_building(self) -> bool:
        """Tell whether the graph is being made anew."""
        return await self.database.run(lambda sql: _building(sql) is not None, write=False)

    async def built(self) -> bool:
        """Search the graph that was being made, once no episode is left for it; whether it is that far."""

        def switch(sql: Sql) -> bool:
            building = _building(sql)
            if building is None or sql.execute("SELECT 1 FROM episodes WHERE state IN ('queued', 'running') LIMIT 1").fetchone():
                return False
            _set(sql, "generation", str(building))
            sql.execute("DELETE FROM settings WHERE name = 'building'")
            _found.forget_before(sql, building)
            return True

        return await self.database.run(switch, write=True)

    async def postpone(self, uuid: str, error: str, seconds: float, *, counted: bool = True) -> None:
        """Queue an episode again, to be claimed after some time; a try that was none of its own fault is not counted."""
        row = (clean(error), stamp(self._clock() + seconds), 0 if counted else 1, uuid)
        statement = "UPDATE episodes SET state = 'queued', error = ?, not_before = ?, tries = max(0, tries - ?) WHERE uuid = ?"
        await self.database.run(lambda sql: sql.execute(statement, row).fetchall(), write=True)

    async def fail(self, uuid: str, error: str) -> None:
        """Give an episode up, with the reason."""
        statement = "UPDATE episodes SET state = 'failed', error = ? WHERE uuid = ?"
        await self.database.run(lambda sql: sql.execute(statement, (clean(error), uuid)).fetchall(), write=True)

    async def removals(self) -> list[Removal]:
        """Return what is still to be removed from the graph, the oldest first."""
        statement = "SELECT n, kind, name, group_id FROM removals ORDER BY n"
        return await self.database.run(lambda sql: sql.execute(statement).fetchall(), write=False)

    async def removed(self, number: int) -> None:
        """Note that one of them is done."""
        await self.database.run(lambda sql: sql.execute("DELETE FROM removals WHERE n = ?", (number,)).fetchall(), write=True)

    async def setting(self, name: str) -> str | None:
        """Return what is noted under a name."""
        return await self.database.run(lambda sql: _setting(sql, name), write=False)

    async def set(self, name: str, value: str) -> None:
        """Note something under a name."""
        await self.database.run(lambda sql: _set(sql, name, value), write=True)


def seconds_of(at: str) -> float:
    """Return a time, ISO 8601 or empty for long ago, in seconds since the epoch."""
    return datetime.fromisoformat(at).timestamp() if at else 0.0


def _rebuild(sql: Sql) -> int:
    _set(sql, "building", str(_target(sql) + 1))
    sql.execute("UPDATE episodes SET state = 'queued', tries = 0, error = NULL, not_before = '' WHERE state <> 'running'")
    return int(sql.execute("SELECT count(*) FROM episodes").fetchone()[0])


def _note(sql: Sql, kind: str, name: str, group_id: str) -> None:
    sql.execute("INSERT INTO removals(kind, name, group_id) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (kind, name, group_id))


def _set(sql: Sql, name: str, value: str) -> None:
    sql.execute("INSERT INTO settings VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value", (name, value))


def _setting(sql: Sql, name: str) -> str | None:
    row = sql.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
    return None if row is None else str(row[0])


def _building(sql: Sql) -> int | None:
    found = _setting(sql, "building")
    return None if found is None else int(found)


def _target(sql: Sql) -> int:
    return _building(sql) or _rows.generation(sql)
