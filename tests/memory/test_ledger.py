"""What was spent on which day."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path

import pytest

from memory.ledger import InProcessLedger, SpendLedger
from memory.sqlite import SqliteThreadStore


@pytest.fixture(params=["sqlite", "in_process"])
def ledger(request: pytest.FixtureRequest, parley_home: Path) -> SpendLedger | InProcessLedger:
    return SpendLedger(parley_home / "threads.db") if request.param == "sqlite" else InProcessLedger()


async def test_a_day_adds_up_on_its_own(ledger: SpendLedger | InProcessLedger) -> None:
    assert await ledger.spent("2027-01-01") == 0
    await asyncio.gather(*(ledger.add("2027-01-01", 0.5) for _ in range(10)))
    await ledger.add("2027-01-02", 0.25)
    assert await ledger.spent("2027-01-01") == 5.0
    assert await ledger.spent("2027-01-02") == 0.25
    await ledger.aclose()


@pytest.mark.parametrize("usd", [0.0, -1.0, math.nan, math.inf])
async def test_what_is_no_positive_sum_is_passed_over(ledger: SpendLedger | InProcessLedger, usd: float) -> None:
    await ledger.add("2027-01-01", usd)
    assert await ledger.spent("2027-01-01") == 0
    await ledger.aclose()


async def test_processes_share_a_day_in_the_file_of_threads(parley_home: Path) -> None:
    store = SqliteThreadStore(parley_home / "threads.db")
    one, two = SpendLedger(parley_home / "threads.db"), SpendLedger(parley_home / "threads.db")
    await store.ping()
    await one.add("2027-01-01", 1.5)
    await two.add("2027-01-01", 1.5)
    assert await one.spent("2027-01-01") == 3.0
    for part in (store, one, two):
        await part.aclose()
