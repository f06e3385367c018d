"""What was spent: an account for every day, provider, model and session, shared by every process on the same state folder."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from conversation.spending import Account, Rows, Spent
from memory._database import Database
from memory._sql import Sql, clean

_ADD = """
INSERT INTO spending VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (day, provider, model, session) DO UPDATE SET
    requests = requests + excluded.requests, input_tokens = input_tokens + excluded.input_tokens,
    output_tokens = output_tokens + excluded.output_tokens, cached_tokens = cached_tokens + excluded.cached_tokens,
    usd = usd + excluded.usd, unpriced = unpriced + excluded.unpriced
"""
_MOST = 10**15
"""Of anything: an upstream may tell any number of tokens."""
_WHOLE = len(Account._fields)


class SpendLedger:
    """A ledger in the database of threads. Days are written YYYY-MM-DD; raises StoreBusy and StoreUnavailable."""

    def __init__(self, path: Path, *, busy_timeout_s: float = 5.0) -> None:
        self._database = Database(path, busy_timeout_s=busy_timeout_s)

    async def spent(self, day: str) -> float:
        """Return what all processes spent on a day, in USD."""
        text = "SELECT total(usd) FROM spending WHERE day = ?"
        return await self._database.run(lambda sql: sql.execute(text, (day,)).fetchone()[0], write=False)

    async def add(self, rows: Mapping[Account, Spent]) -> None:
        """Add to accounts, in one transaction; what is not a number of dollars is counted as a price that is not known."""

        def write(sql: Sql) -> None:
            for account, spent in rows.items():
                sql.execute(_ADD, (*map(clean, account), *(min(count, _MOST) for count in _sound(spent))))

        await self._database.run(write, write=True)

    async def accounts(self, since: str, until: str) -> Rows:
        """Return every account of the days from `since` to `until`, both included, the oldest day first."""

        def read(sql: Sql) -> Rows:
            found = sql.execute("SELECT * FROM spending WHERE day BETWEEN ? AND ? ORDER BY day", (since, until)).fetchall()
            return [(Account(*row[:_WHOLE]), Spent(*row[_WHOLE:])) for row in found]

        return await self._database.run(read, write=False)

    async def aclose(self) -> None:
        """Close the file."""
        await self._database.aclose()


def _sound(spent: Spent) -> Spent:
    if math.isfinite(spent.usd) and spent.usd >= 0:
        return spent
    return spent._replace(usd=0.0, unpriced=spent.requests)
