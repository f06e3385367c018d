"""What a database file holds, to the last byte of every row."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import apsw

Rows = list[tuple[Any, ...]]


def rows(file: Path) -> dict[str, Rows]:
    """Every table's rows, each value with its type; those of the index included."""
    with closing(apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READWRITE)) as sql:
        names = [name for (name,) in sql.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]
        return {name: sorted(sql.execute(f'SELECT * FROM "{name}"').fetchall(), key=repr) for name in names}  # noqa: S608


def schema(file: Path) -> Rows:
    """Every statement that made the tables, and which migrations they have seen."""
    with closing(apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READWRITE)) as sql:
        return [*sql.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY name"), *sql.execute("PRAGMA user_version")]
