"""Reading threads: rows into Thread, Turn and ThreadSummary."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from conversation.errors import ThreadExpired, ThreadNotFound
from conversation.messages import Usage
from conversation.threads import Attachment, NewTurn, Thread, ThreadSummary, Turn
from memory._sql import Instant, Sql

_TURN = "uid, seq, exchange_id, role, state, content, tool, provider, model, usage, meta, at"
_THREAD = "id, title, workspace, created, updated, parent_id, parent_seq, last_seq"
_COUNT = """(SELECT count(*) FROM turns t WHERE t.thread_id = h.id)
    + (SELECT count(*) FROM exchanges e WHERE e.thread_id = h.id AND e.state = 'pending')"""
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


def load(sql: Sql, thread_id: str, *, upto: int | None = None, without: str = "") -> Thread:
    """Return a thread that is there: landed turns up to a number, and pending ones but for one exchange's."""
    *head, last = sql.execute(f"SELECT {_THREAD} FROM threads WHERE id = ?", (thread_id,)).fetchone()  # noqa: S608
    last = last if upto is None else upto
    files = _attachments(sql, thread_id)
    rows = sql.execute(f"SELECT {_TURN} FROM turns WHERE thread_id = ? AND seq <= ? ORDER BY seq", (thread_id, last))  # noqa: S608
    turns = [_turn(row, files) for row in rows]
    pending = sql.execute(
        "SELECT id, begun, asked FROM exchanges WHERE thread_id = ? AND state = 'pending' AND id <> ? ORDER BY n", (thread_id, without)
    )
    for seq, (exchange_id, begun, asked) in enumerate(pending, last + 1):
        uid = f"{exchange_id}:0"
        known = NewTurn.model_validate_json(asked).model_copy(update={"attachments": files.get(uid, ())})
        turns.append(Turn(**_fields(known), uid=uid, seq=seq, exchange_id=exchange_id, state="pending", at=begun))
    names = ("id", "title", "workspace", "created", "updated", "parent_id", "parent_seq")
    return Thread(**dict(zip(names, head, strict=True)), turns=tuple(turns))


def turns_of(sql: Sql, thread_id: str, exchange_id: str) -> tuple[Turn, ...]:
    """Return the landed turns of an exchange, or the one that belongs to none. They are found by their uid, however long the thread is."""
    files = _attachments(sql, thread_id)
    where = "uid >= ?1 AND uid < ?1 || ';' AND +thread_id = ?2 AND exchange_id = ?1 ORDER BY seq"
    rows = sql.execute(f"SELECT {_TURN} FROM turns WHERE {where}", (exchange_id, thread_id))  # noqa: S608
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
    values = dict(zip(_TURN.split(", "), row, strict=True))
    values["usage"] = None if values["usage"] is None else Usage.model_validate_json(values["usage"])
    values["meta"] = None if values["meta"] is None else json.loads(values["meta"])
    return Turn(**values, attachments=files.get(values["uid"], ()))


def _attachments(sql: Sql, thread_id: str) -> dict[str, tuple[Attachment, ...]]:
    """Return the files of a thread's turns, by turn; a content that stands in many turns is read once."""
    contents = sql.execute(
        "SELECT digest, kind, content FROM contents WHERE (digest, kind) IN (SELECT digest, kind FROM attachments WHERE thread_id = ?)",
        (thread_id,),
    )
    by_key = {(digest, kind): content for digest, kind, content in contents}
    rows = sql.execute(
        "SELECT turn_uid, path, kind, media_type, digest FROM attachments WHERE thread_id = ? ORDER BY turn_uid, position", (thread_id,)
    )
    found: dict[str, tuple[Attachment, ...]] = {}
    for uid, path, kind, media_type, digest in rows:
        item = Attachment(path=path, kind=kind, media_type=media_type, content=by_key[digest, kind], digest=digest)
        found[uid] = (*found.get(uid, ()), item)
    return found
