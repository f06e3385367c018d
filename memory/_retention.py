"""What is not kept for ever: threads that are too old or too many, and room on the disk that nothing needs any more.

It is done in short steps, so that neither other processes nor other calls of this one wait for long.
"""

from __future__ import annotations

from dataclasses import dataclass

from memory import _exchanges
from memory._database import transact
from memory._owner import Owners
from memory._sql import Instant, Sql

CHARACTERS, PAGES = 100_000, 500
"""How many are removed, or given back, in one step."""
_AT_ONCE = 100
_SPARE = 256
"""Pages (1 MB) that may lie idle: the next turns use them."""
_OLDEST = """
    SELECT id FROM threads h WHERE n <> (SELECT n FROM threads ORDER BY updated DESC, n DESC LIMIT 1)
    AND NOT EXISTS (SELECT 1 FROM exchanges e WHERE e.thread_id = h.id AND e.state = 'pending') ORDER BY updated, n LIMIT ?
"""


@dataclass(frozen=True)
class Bounds:
    """What may stay: threads used since the instant's cutoff, and `most` bytes of them (None: any number)."""

    at: Instant
    owners: Owners
    most: int | None


def tidy(sql: Sql, bounds: Bounds) -> bool:
    """Do one step and tell whether there is more to do. To be called in no transaction."""
    if _any_expired(sql, bounds.at):
        transact(sql, lambda sql: _exchanges.purge(sql, bounds.at, CHARACTERS), write=True)
        return True
    most = bounds.most
    if most is not None and used(sql) > most and transact(sql, lambda sql: _expire_oldest(sql, bounds, most), write=True):
        return True
    return _give_back(sql, make_it_possible=most is not None)


def used(sql: Sql) -> int:
    """Return how many bytes of the file hold something."""
    return (_number(sql, "page_count") - _number(sql, "freelist_count")) * _number(sql, "page_size")


def _any_expired(sql: Sql, at: Instant) -> bool:
    return sql.execute("SELECT 1 FROM threads WHERE updated < ? LIMIT 1", (at.cutoff,)).fetchone() is not None


def _expire_oldest(sql: Sql, bounds: Bounds, most: int) -> bool:
    """Make the threads expire that were used longest ago, but not the one used last nor one that waits; tell whether there are any."""
    _exchanges.settle(sql, bounds.owners, None)
    over = 1 - most / used(sql)
    threads = int(sql.execute("SELECT count(*) FROM threads").fetchone()[0] * over / 2)  # by half, for the oldest may be the largest
    oldest = sql.execute(_OLDEST, (min(max(threads, 1), _AT_ONCE),)).fetchall()
    for (thread_id,) in oldest:
        _exchanges.expire(sql, thread_id)
    return bool(oldest)


def _give_back(sql: Sql, *, make_it_possible: bool) -> bool:
    """Make the file smaller by some of the pages that hold nothing. A file of earlier times has to be written anew for that, once."""
    before = _number(sql, "freelist_count")
    if before < _SPARE:
        return False
    if _number(sql, "auto_vacuum"):
        sql.execute(f"PRAGMA incremental_vacuum({PAGES})").fetchall()
    elif make_it_possible:
        sql.execute("PRAGMA auto_vacuum = INCREMENTAL")
        sql.execute("VACUUM")
    else:
        return False
    if _SPARE <= _number(sql, "freelist_count") < before:
        return True
    _empty_the_log(sql)
    return False


def _empty_the_log(sql: Sql) -> None:
    """Bring what is in the log into the file, which only then is smaller, unless somebody reads or writes just now."""
    patience = _number(sql, "busy_timeout")
    sql.execute("PRAGMA busy_timeout = 0").fetchall()
    sql.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    sql.execute(f"PRAGMA busy_timeout = {patience}").fetchall()


def _number(sql: Sql, pragma: str) -> int:
    return sql.execute(f"PRAGMA {pragma}").fetchone()[0]
