"""A ledger in memory."""

from __future__ import annotations

from collections.abc import Mapping

from conversation.spending import Account, Rows, Spent


class Purse:
    """Holds so much already, whatever the day, and all that is added; `times` it was added to."""

    def __init__(self, held: float = 0.0) -> None:
        self.held, self.times = held, 0
        self.added: dict[Account, Spent] = {}

    @property
    def total(self) -> float:
        return self.held + sum(spent.usd for spent in self.added.values())

    async def spent(self, day: str) -> float:
        return self.total

    async def add(self, rows: Mapping[Account, Spent]) -> None:
        self.times += 1
        for account, spent in rows.items():
            self.added[account] = self.added.get(account, Spent()).plus(spent)

    async def accounts(self, since: str, until: str) -> Rows:
        return [row for row in sorted(self.added.items()) if since <= row[0].day <= until]
