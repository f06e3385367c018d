"""What was spent on which day: one sum a day, shared by every process on the same state folder."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path

from memory._sql import Sql
from memory.sqlite import Database


class SpendLedger:
    """A ledger in the database of threads. Days are written YYYY-MM-DD; raises StoreBusy and StoreUnavailable."""

    def __init__(self, path: Path, *, busy_timeout_s: float = 5.0) -> None:
        self._database = Database(path, busy_timeout_s=busy_timeout_s)

    async def spent(self, day: str) -> float:
        """Return what all processes spent on a day, in USD."""

        def read(sql: Sql) -> float:
            row = sql.execute("SELECT usd FROM spend WHERE day = ?", (day,)).fetchone()
            return 0.0 if row is None else row[0]

        return await self._database.run(read, write=False)

    async def add(self, day: str, usd: float) -> None:
        """Add to a day; what is not a positive number of dollars is passed over."""
        if not _counts(usd):
            return
        text = "INSERT INTO spend(day, usd) VALUES (?, ?) ON CONFLICT (day) DO UPDATE SET usd = usd + excluded.usd"
        await self._database.run(lambda sql: sql.execute(text, (day, usd)), write=True)

    async def aclose(self) -> None:
        """Close the file."""
        await self._database.aclose()


class InProcessLedger:
    """A ledger that ends with the process."""

    def __init__(self) -> None:
        self._days: defaultdict[str, float] = defaultdict(float)

    async def spent(self, day: str) -> float:
        """Return what this process spent on a day, in USD."""
        return self._days.get(day, 0.0)

    async def add(self, day: str, usd: float) -> None:
        """Add to a day; what is not a positive number of dollars is passed over."""
        if _counts(usd):
            self._days[day] += usd

    async def aclose(self) -> None:
        """Nothing is held."""


def _counts(usd: float) -> bool:
    return math.isfinite(usd) and usd > 0
