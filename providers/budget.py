"""The daily spending limit, over a ledger that every process shares."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from conversation.errors import BudgetExceeded, StoreError
from providers.health import Ledger

log = logging.getLogger(__name__)

NEAR = 0.8
"""From this part of the limit on, answers carry the warning budget_near."""


def _today() -> str:
    return time.strftime("%Y-%m-%d", time.gmtime())


@dataclass(frozen=True, slots=True)
class Budget:
    """Counts spending and refuses calls beyond `limit_usd` a UTC day; None counts without a limit."""

    ledger: Ledger
    limit_usd: float | None = None
    today: Callable[[], str] = _today
    _waiting: dict[str, float] = field(default_factory=dict[str, float], init=False, repr=False, compare=False)
    _counting: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]], init=False, repr=False, compare=False)

    async def check(self) -> None:
        """Raise BudgetExceeded when the day's limit is reached."""
        if self.limit_usd is None:
            return
        spent = await self.ledger.spent(self.today())
        if spent >= self.limit_usd:
            raise BudgetExceeded(f"Today's spending of ${spent:.2f} has reached the limit of ${self.limit_usd:.2f}.")

    async def add(self, usd: float | None) -> None:
        """Count the cost of one answer; an unknown cost counts nothing. A count that cannot be kept does not cost the answer.

        Without a limit no call depends on the count, so it is kept in the background, in one sum for all that come while it is.
        """
        if not usd:
            return
        if self.limit_usd is not None:
            await asyncio.shield(self._start(self._count(self.today(), usd)))
            return
        today = self.today()
        self._waiting[today] = self._waiting.get(today, 0.0) + usd
        if not self._counting:
            self._start(self._count_waiting())

    def _start(self, counting: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(counting, name="count what was spent")
        self._counting.add(task)
        task.add_done_callback(self._counting.discard)
        return task

    async def _count_waiting(self) -> None:
        while self._waiting:
            await self._count(*self._waiting.popitem())

    async def aclose(self) -> None:
        """Wait for what is still being counted."""
        await asyncio.gather(*self._counting)

    async def _count(self, day: str, usd: float) -> None:
        try:
            await self.ledger.add(day, usd)
        except StoreError as error:
            log.warning("$%.4f were spent and could not be counted: %s", usd, error.code)

    async def near(self) -> str | None:
        """Return a sentence when most of the day's limit is spent, else None."""
        if self.limit_usd is None:
            return None
        spent = await self.ledger.spent(self.today())
        if spent < NEAR * self.limit_usd:
            return None
        return f"${spent:.2f} of today's ${self.limit_usd:.2f} are spent."
