"""Reading threads: rows into Thread, Turn and ThreadSummary."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from conversation.errors import ThreadExpired, ThreadNotFound
from conversation.messages import Usage
from conversation.summaries import SUMMARY_TOOL
from conversation.threads import LEAST_RECENT, Attachment, NewTurn, Thread, ThreadSummary, Turn
from memory._sql import Instant, Sql

_TURN = "uid, seq, exchange_id, role, state, content, tool, provider, model, usage, meta, at"
_TURN_NAMES = _TURN.split(", ")
_SEQ, _STATE, _CONTENT = (_TURN_NAMES.index(name) for name in ("seq", "state", "content"))
_THREAD = "id, title, workspace, created, updated, parent_id, parent_seq, last_seq"
_COUNT = """(SELECT count(*) FROM turns t WHERE t.thread_id = h.id)
    + (SELECT count(*) FROM exchanges e WHERE e.thread_id = h.id AND e.state = 'pending')"""
Row = tuple[Any, ...]
_SUMMARY = f"h.id, h.title, h.workspace, {_COUNT}, h.updated"


def last_seq(sql: Sql, thread_id: str, at: Instant) -> int:
    """Return the thread's last number. Raises ThreadNotFound or ThreadExpired: every call on a thread passes here first."""
    row = sql.execute("SELECT updated, last_seq FROM threads WHERE id = ?", (thread_id,)).fetchone()
    if row is None:
        raise gone(sql, thread_id)
    if row[0] < at.cutoff:
        raise ThreadExpired("The thread has expired.")
    return row[1]


def gone(sql: Sql, thread_id: str) -> ThreadNotFound | ThreadExpired:
    """Return the error for a thread that is not there."""
    row = sql.execute("SELECT reason FROM tombstones WHERE thread_id = ?", (thread_id,)).fetchone()
    if row is None:
        return ThreadNotFound("There is no thread with this continuation_id.")
    if row[0] == "expired":
        return ThreadExpired("The thread has expired.")
    return ThreadNotFound("The thread has been deleted.")


def load(sql: Sql, thread_id: str, *, upto: int | None = None, without: str = "", recent: int | None = None) -> Thread:
    """Return a thread that is there: landed turns up to a number, or the most recent of them, and pending ones but for one exchange's."""
    *head, last = sql.execute(f"SELECT {_THREAD} FROM threads WHERE id = ?", (thread_id,)).fetchone()  # noqa: S608
    last = last if upto is None else upto
    rows = _landed(sql, thread_id, last) if recent is None else _recent(sql, thread_id, last, recent)
    pending = sql.execute(
        "SELECT id, begun, asked FROM exchanges WHERE thread_id = ? AND state = 'pending' AND id <> ? ORDER BY n", (thread_id, without)
    ).fetchall()
    files = _attachments(sql, thread_id, None if len(rows) == last else [*(row[0] for row in rows), *(f"{row[0]}:0" for row in pending)])
    turns = [_turn(row, files) for row in rows]
    for seq, (exchange_id, begun, asked) in enumerate(pending, last + 1):
        uid = f"{exchange_id}:0"
        known = NewTurn.model_validate_json(asked).model_copy(update={"attachments": files.get(uid, ())})
        turns.append(Turn(**_fields(known), uid=uid, seq=seq, exchange_id=exchange_id, state="pending", at=begun))
    names = ("id", "title", "workspace", "created", "updated", "parent_id", "parent_seq")
    return Thread(**dict(zip(names, head, strict=True)), turns=tuple(turns), earlier=last - len(rows))


def _landed(sql: Sql, thread_id: str, last: int) -> list[Row]:
    return sql.execute(f"SELECT {_TURN} FROM turns WHERE thread_id = ? AND seq <= ? ORDER BY seq", (thread_id, last)).fetchall()  # noqa: S608


def _recent(sql: Sql, thread_id: str, last: int, size: int) -> list[Row]:
    """Return the newest rows whose landed turns say so much together, after the summaries before them."""
    rows: list[Row] = []
    least = LEAST_RECENT
    for row in sql.execute(f"SELECT {_TURN} FROM turns WHERE thread_id = ? AND seq <= ? ORDER BY seq DESC", (thread_id, last)):  # noqa: S608
        rows.append(row)
        if row[_STATE] == "done":
            size, least = size - len(row[_CONTENT].encode()), least - 1
        if size <= 0 and least <= 0:
            break
    first = rows[-1][_SEQ] if rows else 1
    where = f"thread_id = ? AND seq < ? AND tool = '{SUMMARY_TOOL}' ORDER BY seq"  # as text, or the index would not be used
    return [*sql.execute(f"SELECT {_TURN} FROM turns WHERE {where}", (thread_id, first)), *reversed(rows)]  # noqa: S608


def turns_of(sql: Sql, thread_id: str, exchange_id: str) -> tuple[Turn, ...]:
    """Return the landed turns of an exchange, or the one that belongs to none. They are found by their uid, however long the thread is."""
    where = "uid >= ?1 AND uid < ?1 || ';' AND +thread_id = ?2 AND exchange_id = ?1 ORDER BY seq"
    rows = sql.execute(f"SELECT {_TURN} FROM turns WHERE {where}", (exchange_id, thread_id)).fetchall()  # noqa: S608
    files = _attachments(sql, thread_id, [row[0] for row in rows])
    return tuple(_turn(row, files) for row in rows)


def summaries(sql: Sql, workspace: str | None, limit: int, at: Instant) -> list[ThreadSummary]:
    """Return threads, last updated first; each counts the turns that `load` returns, interrupted and pending ones too."""
    where = "(?1 IS NULL OR h.workspace = ?1) AND h.updated >= ?2 ORDER BY h.updated DESC, h.n DESC LIMIT ?3"
    rows = sql.execute(f"SELECT {_SUMMARY} FROM threads h WHERE {where}", (workspace, at.cutoff, max(limit, 0)))  # noqa: S608
    return [_summary(row, None) for row in rows]


def summary(sql: Sql, thread_id: str, snippet: str) -> ThreadSummary:
    """Return one line for a thread that is there."""
    return _summary(sql.execute(f"SELECT {_SUMMARY} FROM threads h WHERE h.id = ?", (thread_id,)).fetchone(), snippet)  # noqa: S608


def content(sql: Sql, turn: int) -> str:
    """Return what a landed turn says, by the number of its row."""
    return sql.execute("SELECT content FROM turns WHERE n = ?", (turn,)).fetchone()[0]


def _summary(row: Iterable[Any], snippet: str | None) -> ThreadSummary:
    names = ("id", "title", "workspace", "turns", "updated")
    return ThreadSummary(**dict(zip(names, row, strict=True)), snippet=snippet)


def _fields(turn: NewTurn) -> dict[str, Any]:
    return {name: getattr(turn, name) for name in NewTurn.model_fields}


def _turn(row: Iterable[Any], files: dict[str, tuple[Attachment, ...]]) -> Turn:
    values: dict[str, Any] = dict(zip(_TURN_NAMES, row, strict=True))
    values["usage"] = None if values["usage"] is None else Usage.model_validate_json(values["usage"])
    values["meta"] = None if values["meta"] is None else json.loads(values["meta"])
    values["attachments"] = files.get(values["uid"], ())
    return Turn.of_checked(values)


def _attachments(sql: Sql, thread_id: str, turns: Sequence[str] | None) -> dict[str, tuple[Attachment, ...]]:
    """Return the files of a thread's turns, of all or of those with these uids, by turn; a content that stands in many is read once."""
    if turns is None:
        which, given = "thread_id = ?", thread_id
    else:
        which, given = "turn_uid IN (SELECT value FROM json_each(?))", json.dumps(turns)
    rows = sql.execute(
        f"SELECT turn_uid, path, kind, media_type, digest FROM attachments WHERE {which} ORDER BY turn_uid, position",  # noqa: S608
        (given,),
    ).fetchall()
    keys = {(kind, digest) for _, _, kind, _, digest in rows}
    by_key = {key: sql.execute("SELECT content FROM contents WHERE kind = ? AND digest = ?", key).fetchone()[0] for key in keys}
    found: dict[str, tuple[Attachment, ...]] = {}
    for uid, path, kind, media_type, digest in rows:
        item = Attachment(path=path, kind=kind, media_type=media_type, content=by_key[kind, digest], digest=digest)
        found[uid] = (*found.get(uid, ()), item)
    return found
