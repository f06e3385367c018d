"""Is a thread database whole? What is looked at, in bounded time, and what mends its search."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from conversation.errors import StoreBusy, StoreUnavailable
from memory import _places, _schema
from memory._database import STORE, Damaged, OutOfTime, connected, transact, translated, within
from memory._sql import Connection, Sql

T = TypeVar("T")

SECONDS, LOCKED_SECONDS = 10.0, 2.0
"""For how long a database in use is looked at, and for how much of it writers wait, who give up after five."""
_MOST = 20
_INDEX = "turns_fts"
_TABLES = ("threads", "tombstones", "exchanges", "turns", "attachments", "contents", _INDEX)
_RULES = (
    ("SELECT count(*) FROM pragma_foreign_key_check", "rows of threads that are not there: {}"),
    (
        "SELECT count(*) FROM attachments a WHERE NOT EXISTS (SELECT 1 FROM contents c WHERE c.digest = a.digest AND c.kind = a.kind)",
        "files of turns whose content is lost: {}",
    ),
    (
        "SELECT count(*) FROM threads h LEFT JOIN (SELECT thread_id, count(*) AS held, max(seq) AS last FROM turns GROUP BY thread_id) t"
        " ON t.thread_id = h.id WHERE h.updated <> '' AND (h.last_seq <> ifnull(t.held, 0) OR h.last_seq <> ifnull(t.last, 0))",
        "threads with turns missing or too many: {}",
    ),
)


@dataclass(frozen=True)
class Checkup:
    """What a database holds, and what is wrong with it.

    `damage` is done to what was said, `index` to the search alone, which can be built anew. `cut`: time ran out before the end.
    """

    bytes: int
    threads: int = 0
    turns: int = 0
    damage: tuple[str, ...] = ()
    index: str = ""
    cut: bool = False


def examine(path: Path, *, what: str = STORE, seconds: float | None = SECONDS, locked_seconds: float | None = LOCKED_SECONDS) -> Checkup:
    """Look at a database that others may be using; with None for seconds, to the end.

    Raises StoreBusy, and StoreUnavailable for a file that cannot be opened or is none of Parley's.
    """
    try:
        with translated(what), opened(path, what) as sql:
            return _examined(sql, path, seconds, locked_seconds)
    except Damaged:
        return Checkup(path.stat().st_size, damage=("it cannot be read",))


def _examined(sql: Connection, path: Path, seconds: float | None, locked_seconds: float | None) -> Checkup:
    known = Checkup(path.stat().st_size, _count(sql, "threads"), _count(sql, "turns"))
    wrong = _in_time(sql, seconds, _wrong)
    if wrong is None:
        return Checkup(known.bytes, known.threads, known.turns, cut=True)
    damage = tuple(one for one in wrong if _INDEX not in one)
    index = next((one for one in wrong if _INDEX in one), "")
    if wrong:
        return Checkup(known.bytes, known.threads, known.turns, damage, index)
    unlike = _in_time(sql, locked_seconds, _index_problem)
    return Checkup(known.bytes, known.threads, known.turns, index=unlike or "", cut=unlike is None)


def _in_time(sql: Connection, seconds: float | None, look: Callable[[Sql], T]) -> T | None:
    """Return what a look finds, None when it takes too long or another holds the database all that time."""
    try:
        with translated(), within(sql, seconds):
            return look(sql)
    except (OutOfTime, StoreBusy):
        return None


def _count(sql: Sql, table: str) -> int:
    return sql.execute(f"SELECT count(*) FROM {table}").fetchone()[0]  # noqa: S608


def _wrong(sql: Sql) -> list[str]:
    """Return what is wrong with the pages of the file, or else with what the rows say of each other."""
    found = [line for (text,) in sql.execute(f"PRAGMA integrity_check({_MOST})").fetchall() if text != "ok" for line in text.splitlines()]
    if found:
        return found
    counted = ((sql.execute(query).fetchone()[0], said) for query, said in _RULES)
    return [said.format(number) for number, said in counted if number]


def _index_problem(sql: Sql) -> str:
    """Return what is wrong with the search. The library looks at that as a writer only."""

    def compare(sql: Sql) -> None:
        sql.execute("INSERT INTO turns_fts(turns_fts, rank) VALUES ('integrity-check', 1)")

    try:
        with translated():
            transact(sql, compare, write=True)
    except Damaged:
        return f"{_INDEX} is not an index of what the turns say"
    return ""


@contextmanager
def opened(path: Path, what: str = STORE) -> Generator[Connection]:
    """Give a connection to a database of Parley's that is there. Raises StoreUnavailable, and what the library raises."""
    with _places.locked(path.parent):
        connection = connected(path, busy_timeout_s=LOCKED_SECONDS, make=False)
        with closing(connection):
            _check_ours(connection, what)
            yield connection


def _check_ours(sql: Sql, what: str) -> None:
    seen = _schema.version(sql)
    if seen > len(_schema.MIGRATIONS):
        raise StoreUnavailable(f"{what} was made by a newer Parley.", hint="Upgrade Parley.")
    names = ", ".join(f"'{name}'" for name in _TABLES)
    there = sql.execute(f"SELECT count(*) FROM sqlite_schema WHERE name IN ({names})").fetchone()[0]  # noqa: S608
    if not seen or there != len(_TABLES):
        raise StoreUnavailable(f"{what} is no database of Parley's threads.", hint="Nothing was changed.")


def reindex(path: Path) -> None:
    """Build the search anew out of the turns. Raises StoreBusy and StoreUnavailable."""

    def build(sql: Sql) -> None:
        sql.execute("INSERT INTO turns_fts(turns_fts) VALUES ('rebuild')")

    with translated(), opened(path) as sql:
        transact(sql, build, write=True)
