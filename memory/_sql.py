"""What the queries of this folder need from a database connection, so that only one module knows the library behind it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

Clock = Callable[[], float]
"""Returns seconds since the epoch, as time.time does."""


class Rows(Protocol):
    """The rows of a statement, each a tuple of columns."""

    def __iter__(self) -> Iterator[Any]: ...
    def fetchone(self) -> Any: ...
    def fetchall(self) -> Any: ...
    def close(self) -> None: ...


class Sql(Protocol):
    """A connection inside a transaction."""

    def execute(self, statements: str, bindings: Any = None, /) -> Rows: ...
    @property
    def in_transaction(self) -> bool: ...


class Connection(Sql, Protocol):
    """A connection to a file, for what is done with all of it."""

    def set_progress_handler(self, callable: Callable[[], bool] | None, nsteps: int = ..., /) -> None: ...
    def backup(self, databasename: str, sourceconnection: Any, sourcedatabasename: str, /) -> Any: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class Instant:
    """The time of a transaction, and the last moment of activity that counts as expired at that time."""

    now: str
    cutoff: str
    """When threads never expire, no timestamp is before it, but that of a thread that was made to expire is: it is empty."""

    @classmethod
    def of(cls, seconds: float, ttl_days: float | None) -> Instant:
        return cls(stamp(seconds), "0" if ttl_days is None else stamp(max(0.0, seconds - ttl_days * 86400)))


def stamp(seconds: float) -> str:
    """Return ISO 8601 in UTC, always of the same length, so that text order is time order."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def clean(text: str) -> str:
    """Return the text with what UTF-8 cannot hold (lone surrogates, as in odd file names) replaced."""
    return text.encode("utf-8", "replace").decode()
