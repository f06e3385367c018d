"""Writing threads: exchanges begin, land whole or are interrupted; threads are deleted and purged.

Every function here is one step of a write transaction; either all of it is stored or none.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from conversation.errors import InvalidInput, ThreadConflict, ThreadNotFound
from conversation.threads import NewTurn, Started, Turn, TurnState, title_of
from memory import _rows
from memory._owner import Owners
from memory._sql import Instant, Sql


@dataclass(frozen=True)
class Beginning:
    """The arguments of ThreadStore.begin, checked as far as they can be without the store."""

    turn: NewTurn
    workspace: str
    exchange_id: str
    thread_id: str | None = None
    branch_from: int | None = None
    expected_seq: int | None = None
    recent: int | None = None


def begin(sql: Sql, at: Instant, owners: Owners, given: Beginning) -> Started:
    """Record the exchange as pending and return the thread as it stood."""
    settle(sql, owners, given.thread_id)
    known = sql.execute("SELECT thread_id, seq_then FROM exchanges WHERE id = ?", (given.exchange_id,)).fetchone()
    if known is None:
        known = _place(sql, at, given)
        _insert_exchange(sql, at, owners.mine(), given, *known)
    thread_id, seq_then = known
    thread = _rows.load(sql, thread_id, upto=seq_then, without=given.exchange_id, recent=given.recent)
    return Started(exchange_id=given.exchange_id, thread=thread)


def _place(sql: Sql, at: Instant, given: Beginning) -> tuple[str, int]:
    """Return the thread the exchange goes to, made if need be, and its last number."""
    last = 0 if given.thread_id is None else _rows.last_seq(sql, given.thread_id, at)
    if given.expected_seq is not None and given.expected_seq != last:
        raise ThreadConflict(f"The thread stands at turn {last}, not at turn {given.expected_seq}.")
    if given.expected_seq is not None and given.branch_from is None and _is_waiting(sql, given.thread_id):
        raise ThreadConflict(f"Another exchange is pending on the thread, which will not stay at turn {given.expected_seq}.")
    if given.thread_id is not None and given.branch_from is None:
        sql.execute("UPDATE threads SET updated = ? WHERE id = ?", (at.now, given.thread_id))
        return given.thread_id, last
    if given.branch_from is not None and not 1 <= given.branch_from <= last:
        raise InvalidInput(f"branch_from is {given.branch_from}, but the thread has the turns 1 to {last}.")
    thread_id, seq = str(uuid.uuid4()), given.branch_from or 0
    sql.execute(
        "INSERT INTO threads(id, title, workspace, created, updated, last_seq, parent_id, parent_seq) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (thread_id, title_of(given.turn.content), given.workspace, at.now, at.now, seq, given.thread_id, given.branch_from),
    )
    if given.thread_id is not None:
        _copy(sql, given.thread_id, thread_id, seq)
    return thread_id, seq


def _is_waiting(sql: Sql, thread_id: str | None) -> bool:
    return sql.execute("SELECT 1 FROM exchanges WHERE thread_id = ? AND state = 'pending' LIMIT 1", (thread_id,)).fetchone() is not None


def _copy(sql: Sql, source: str, target: str, upto: int) -> None:
    """Copy the turns 1..upto, with their numbers and their files."""
    rows = sql.execute("SELECT uid, seq FROM turns WHERE thread_id = ? AND seq <= ? ORDER BY seq", (source, upto)).fetchall()
    kept = "seq, exchange_id, role, state, content, tool, provider, model, usage, meta, at"
    for uid, seq in rows:
        copy = f"{target}:{seq}"
        sql.execute(f"INSERT INTO turns(uid, thread_id, {kept}) SELECT ?, ?, {kept} FROM turns WHERE uid = ?", (copy, target, uid))  # noqa: S608
        sql.execute(
            "INSERT INTO attachments SELECT ?, position, ?, path, kind, media_type, digest FROM attachments WHERE turn_uid = ?",
            (copy, target, uid),
        )


def _insert_exchange(sql: Sql, at: Instant, owner: str, given: Beginning, thread_id: str, seq: int) -> None:
    asked = given.turn.model_dump_json(exclude={"attachments"})
    sql.execute(
        "INSERT INTO exchanges(id, thread_id, state, owner, begun, seq_then, asked) VALUES (?, ?, 'pending', ?, ?, ?, ?)",
        (given.exchange_id, thread_id, owner, at.now, seq, asked),
    )
    _attach(sql, thread_id, f"{given.exchange_id}:0", given.turn)


def _attach(sql: Sql, thread_id: str, uid: str, turn: NewTurn) -> None:
    for position, item in enumerate(turn.attachments):
        row = (uid, position, thread_id, item.path, item.kind, item.media_type, item.digest)
        sql.execute("INSERT INTO attachments VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        sql.execute(
            "INSERT INTO contents(digest, kind, content) VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (item.digest, item.kind, item.content)
        )


def complete(sql: Sql, at: Instant, exchange_id: str, answers: Sequence[NewTurn]) -> tuple[Turn, ...]:
    """Land the caller's turn and the answers; what has landed already is returned as it is."""
    row = sql.execute("SELECT thread_id, state, begun, asked FROM exchanges WHERE id = ?", (exchange_id,)).fetchone()
    if row is None:
        raise ThreadNotFound("The exchange is not there: its thread was deleted or has expired.")
    thread_id, state, begun, asked = row
    if state == "interrupted":
        raise ThreadConflict("The exchange was interrupted before its answer came.")
    if state == "pending":
        seq = _land(sql, exchange_id, thread_id, begun, asked, "done")
        for number, answer in enumerate(answers, 1):
            uid = f"{exchange_id}:{number}"
            _insert_turn(sql, thread_id, uid, seq + number, exchange_id, answer, "done", at.now)
            _attach(sql, thread_id, uid, answer)
        sql.execute("UPDATE threads SET last_seq = ?, updated = ? WHERE id = ?", (seq + len(answers), at.now, thread_id))
    return _rows.turns_of(sql, thread_id, exchange_id)


def append(sql: Sql, at: Instant, thread_id: str, turn: NewTurn, uid: str) -> Turn:
    """Land one turn that belongs to no exchange; what is there under its uid is returned as it is."""
    seq = _rows.last_seq(sql, thread_id, at) + 1
    found = _rows.turns_of(sql, thread_id, uid)
    if not found:
        _insert_turn(sql, thread_id, uid, seq, uid, turn, "done", at.now)
        _attach(sql, thread_id, uid, turn)
        sql.execute("UPDATE threads SET last_seq = ? WHERE id = ?", (seq, thread_id))
        found = _rows.turns_of(sql, thread_id, uid)
    return found[0]


def restore(sql: Sql, at: Instant, turns: Sequence[Turn], workspace: str) -> str:
    """Make a thread of turns that were landed elsewhere, and return its id."""
    thread_id = str(uuid.uuid4())
    sql.execute(
        "INSERT INTO threads(id, title, workspace, created, updated, last_seq) VALUES (?, ?, ?, ?, ?, ?)",
        (thread_id, title_of(turns[0].content), workspace, at.now, at.now, len(turns)),
    )
    for seq, turn in enumerate(turns, 1):
        uid, state = f"{thread_id}:{seq}", "interrupted" if turn.state == "pending" else turn.state
        _insert_turn(sql, thread_id, uid, seq, turn.exchange_id, turn, state, turn.at or at.now)
        _attach(sql, thread_id, uid, turn)
    return thread_id


def interrupt(sql: Sql, exchange_id: str) -> None:
    """Land the caller's turn alone, if it is still pending."""
    row = sql.execute("SELECT thread_id, begun, asked FROM exchanges WHERE id = ? AND state = 'pending'", (exchange_id,)).fetchone()
    if row is not None:
        thread_id, begun, asked = row
        _land(sql, exchange_id, thread_id, begun, asked, "interrupted")


def _land(sql: Sql, exchange_id: str, thread_id: str, begun: str, asked: str, state: TurnState) -> int:
    """Give the caller's turn its number, which is returned."""
    seq = sql.execute("SELECT last_seq FROM threads WHERE id = ?", (thread_id,)).fetchone()[0] + 1
    _insert_turn(sql, thread_id, f"{exchange_id}:0", seq, exchange_id, NewTurn.model_validate_json(asked), state, begun)
    sql.execute("UPDATE exchanges SET state = ?, asked = NULL WHERE id = ?", (state, exchange_id))
    sql.execute("UPDATE threads SET last_seq = ? WHERE id = ?", (seq, thread_id))
    return seq


def _insert_turn(sql: Sql, thread_id: str, uid: str, seq: int, exchange_id: str, turn: NewTurn, state: str, at: str) -> None:
    usage = None if turn.usage is None else turn.usage.model_dump_json()
    meta = None if turn.meta is None else json.dumps(turn.model_dump(mode="json", include={"meta"})["meta"])
    said = (turn.role, state, turn.content, turn.tool, turn.provider, turn.model, usage, meta, at)
    columns = "uid, thread_id, seq, exchange_id, role, state, content, tool, provider, model, usage, meta, at"
    marks = ", ".join("?" * 13)
    sql.execute(f"INSERT INTO turns({columns}) VALUES ({marks})", (uid, thread_id, seq, exchange_id, *said))  # noqa: S608


def dead_owners(sql: Sql, owners: Owners, thread_id: str | None) -> set[str]:
    """Return the owners of pending exchanges, of one thread or of all, whose process is gone."""
    rows = sql.execute("SELECT DISTINCT owner FROM exchanges WHERE state = 'pending' AND (?1 IS NULL OR thread_id = ?1)", (thread_id,))
    return {owner for (owner,) in rows.fetchall() if owners.is_dead(owner)}


def settle(sql: Sql, owners: Owners, thread_id: str | None) -> None:
    """Interrupt the pending exchanges, of one thread or of all, whose process is gone."""
    for owner in dead_owners(sql, owners, thread_id):
        interrupt_all(sql, owner)


def interrupt_all(sql: Sql, owner: str) -> None:
    """Interrupt every pending exchange of an owner."""
    rows = sql.execute("SELECT id FROM exchanges WHERE state = 'pending' AND owner = ? ORDER BY n", (owner,))
    for (exchange_id,) in rows.fetchall():
        interrupt(sql, exchange_id)


def delete(sql: Sql, at: Instant, thread_id: str) -> None:
    """Remove a thread, expired or not."""
    if sql.execute("SELECT 1 FROM threads WHERE id = ?", (thread_id,)).fetchone() is None:
        raise ThreadNotFound(_rows.gone(sql, thread_id).message)
    _bury(sql, at, thread_id, "deleted")


def expire(sql: Sql, thread_id: str) -> None:
    """Make a thread one that has expired, whenever it was used; it is removed by and by."""
    sql.execute("UPDATE threads SET updated = '' WHERE id = ?", (thread_id,))


def purge(sql: Sql, at: Instant, most: int) -> None:
    """Remove threads that have expired, oldest first, until about so many characters are gone; their ids stay known as expired.

    The words of a turn are taken out of the index one by one: a megabyte takes seconds, in which nobody else could write.
    """
    rows = sql.execute("SELECT id FROM threads WHERE updated < ? ORDER BY updated LIMIT 100", (at.cutoff,)).fetchall()
    for (thread_id,) in rows:
        expire(sql, thread_id)  # what has begun to go does not come back when threads are to be kept for longer
        most -= _shorten(sql, thread_id, most)
        if most <= 0:
            return
        _bury(sql, at, thread_id, "expired")


def _shorten(sql: Sql, thread_id: str, most: int) -> int:
    """Remove a thread's first turns until so many characters are gone or no turn is left, and return how many characters that were."""
    gone = 0
    for number, length in sql.execute("SELECT n, length(content) FROM turns WHERE thread_id = ? ORDER BY seq", (thread_id,)).fetchall():
        if gone >= most:
            break
        sql.execute("DELETE FROM turns WHERE n = ?", (number,))
        gone += length
    return gone


def _bury(sql: Sql, at: Instant, thread_id: str, reason: str) -> None:
    held = sql.execute("SELECT DISTINCT digest, kind FROM attachments WHERE thread_id = ?", (thread_id,)).fetchall()
    sql.execute("INSERT OR REPLACE INTO tombstones VALUES (?, ?, ?)", (thread_id, reason, at.now))
    sql.execute("DELETE FROM threads WHERE id = ?", (thread_id,))
    for one in held:
        in_use = "SELECT 1 FROM attachments a WHERE a.digest = contents.digest AND a.kind = contents.kind"
        sql.execute(f"DELETE FROM contents WHERE digest = ? AND kind = ? AND NOT EXISTS ({in_use})", one)  # noqa: S608
