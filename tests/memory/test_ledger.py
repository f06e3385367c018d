"""What was spent by whom on which day."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from conversation.spending import Account, Spent
from memory.ledger import SpendLedger
from memory.sqlite import SqliteThreadStore

DAY, NEXT = "2027-01-01", "2027-01-02"
MINE, YOURS = Account(DAY, "p", "m", "mine"), Account(DAY, "p", "m", "yours")
TOOK = Spent(requests=1, input_tokens=100, output_tokens=10, cached_tokens=50, usd=0.5)


@pytest.fixture
async def ledger(parley_home: Path) -> AsyncIterator[SpendLedger]:
    made = SpendLedger(parley_home / "threads.db")
    yield made
    await made.aclose()


async def test_a_day_adds_up_on_its_own(ledger: SpendLedger) -> None:
    assert await ledger.spent(DAY) == 0
    await asyncio.gather(*(ledger.add({MINE: TOOK, YOURS: TOOK}) for _ in range(10)))
    await ledger.add({MINE._replace(day=NEXT): TOOK})
    assert (await ledger.spent(DAY), await ledger.spent(NEXT)) == (10.0, 0.5)


async def test_accounts_are_told_apart_and_come_in_order_of_days(ledger: SpendLedger) -> None:
    later = MINE._replace(day=NEXT)
    await ledger.add({later: TOOK, MINE: TOOK, YOURS: TOOK})
    await ledger.add({MINE: TOOK._replace(unpriced=1, usd=0.0)})
    assert await ledger.accounts(DAY, NEXT) == [
        (MINE, Spent(requests=2, input_tokens=200, output_tokens=20, cached_tokens=100, usd=0.5, unpriced=1)),
        (YOURS, TOOK),
        (later, TOOK),
    ]
    assert await ledger.accounts(NEXT, NEXT) == [(later, TOOK)]


@pytest.mark.parametrize("usd", [-1.0, math.nan, math.inf])
async def test_what_is_no_sum_counts_as_a_price_that_is_not_known(ledger: SpendLedger, usd: float) -> None:
    await ledger.add({MINE: TOOK._replace(usd=usd)})
    assert await ledger.spent(DAY) == 0
    ((_, spent),) = await ledger.accounts(DAY, DAY)
    assert (spent.requests, spent.unpriced) == (1, 1)


async def test_names_that_are_no_text_do_not_keep_the_rest_from_being_counted(ledger: SpendLedger) -> None:
    await ledger.add({MINE._replace(model="half \ud800"): TOOK, MINE: TOOK})
    assert await ledger.spent(DAY) == 1.0


async def test_processes_share_a_day_in_the_file_of_threads(parley_home: Path) -> None:
    store = SqliteThreadStore(parley_home / "threads.db")
    one, two = SpendLedger(parley_home / "threads.db"), SpendLedger(parley_home / "threads.db")
    await store.ping()
    await one.add({MINE: TOOK})
    await two.add({MINE: TOOK})
    assert await one.spent(DAY) == 1.0
    for part in (store, one, two):
        await part.aclose()
