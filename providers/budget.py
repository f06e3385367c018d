"""What is spent, counted in a ledger that every process shares, and the limit of a day."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

from conversation.errors import BudgetExceeded
from conversation.messages import Usage
from conversation.spending import Account, Rows, Spent, told
from providers.base import ModelInfo

log = logging.getLogger(__name__)

GATHER_SECONDS = 0.05
"""Where there is no limit, how long what was spent waits for more, to be counted with it: each sum is a write to the disk."""
NEAR = 0.8
"""From this part of the limit on, answers carry the warning budget_near."""


class Ledger(Protocol):
    """The accounts, kept for good."""

    async def spent(self, day: str) -> float:
        """Return the sum of a day, in USD. Raises StoreError."""
        ...

    async def add(self, rows: Mapping[Account, Spent]) -> None:
        """Add to accounts, all or none. Raises StoreError."""
        ...

    async def accounts(self, since: str, until: str) -> Rows:
        """Return the accounts of the days from `since` to `until`, the oldest day first. Raises StoreError."""
        ...


def today() -> str:
    """Return the day it is, in UTC."""
    return time.strftime("%Y-%m-%d", time.gmtime())


@dataclass(slots=True)
class Budget:
    """Counts spending and refuses calls beyond `limit_usd` a UTC day; None counts without a limit."""

    ledger: Ledger
    limit_usd: float | None = None
    today: Callable[[], str] = today
    _waiting: dict[Account, Spent] = field(default_factory=dict[Account, Spent], init=False, repr=False)
    _counting: asyncio.Task[None] | None = field(default=None, init=False, repr=False)
    _now: asyncio.Event = field(default_factory=asyncio.Event, init=False, repr=False)
    """Set when somebody waits for what is being gathered."""

    async def check(self) -> None:
        """Raise BudgetExceeded when the day's limit is reached."""
        if self.limit_usd is None:
            return
        spent = await self.ledger.spent(self.today())
        if spent >= self.limit_usd:
            raise BudgetExceeded(f"Today's spending of ${spent:.2f} has reached the limit of ${self.limit_usd:.2f}.")

    def note(self, model: ModelInfo, usage: Usage, session: str = "") -> None:
        """Count what an answer took, or what there was of it; in the background, in one sum for all that come meanwhile."""
        account = Account(self.today(), model.provider, model.id, session)
        self._waiting[account] = self._waiting.get(account, Spent()).plus(Spent.of(usage))
        if self._counting is None or self._counting.done():
            self._now.clear()
            self._counting = asyncio.create_task(self._count(), name="count what was spent")

    async def settle(self) -> None:
        """Where there is a limit, wait until all is counted, so that the next call is measured by it, in whichever process."""
        if self.limit_usd is not None:
            await self._all_counted()

    async def aclose(self) -> None:
        """Wait for what is still being counted."""
        await self._all_counted()

    async def _all_counted(self) -> None:
        if self._counting is not None:
            self._now.set()
            await asyncio.shield(self._counting)

    async def _count(self) -> None:
        """Count what waits. What cannot be counted costs no answer."""
        while self._waiting:
            if self.limit_usd is None:
                await self._gathered()
            rows, self._waiting = self._waiting, {}
            try:
                await self.ledger.add(rows)
            except Exception as error:  # the boundary of a background task: no answer waits for more than the try
                usd = sum(spent.usd for spent in rows.values())
                log.warning("$%.4f were spent and could not be counted: %s", usd, getattr(error, "code", type(error).__name__))

    async def _gathered(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(GATHER_SECONDS):
                await self._now.wait()

    async def of_today(self) -> dict[str, Any]:
        """Return what was spent today, as users are told it. Raises StoreError."""
        await self._all_counted()
        day = self.today()
        return told(day, await self.ledger.accounts(day, day))

    async def told(self, days: Sequence[str]) -> list[dict[str, Any]]:
        """Return what was spent on each of the days, as users are told it; a day without requests is left out. Raises StoreError."""
        await self._all_counted()
        by_day: dict[str, list[tuple[Account, Spent]]] = {}
        for account, spent in await self.ledger.accounts(min(days), max(days)):
            by_day.setdefault(account.day, []).append((account, spent))
        return [told(day, by_day[day]) for day in days if day in by_day]

    async def near(self) -> str | None:
        """Return a sentence when most of the day's limit is spent, else None."""
        if self.limit_usd is None:
            return None
        spent = await self.ledger.spent(self.today())
        if spent < NEAR * self.limit_usd:
            return None
        return f"${spent:.2f} of today's ${self.limit_usd:.2f} are spent."
