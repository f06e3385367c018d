"""What answers cost, how it is counted, and the limit of a day."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from conversation.errors import (
    BudgetExceeded,
    StoreUnavailable,
)
from conversation.messages import Answer, Usage
from conversation.spending import Account, Spent
from providers.budget import Budget
from providers.pricing import usage_of
from tests.providers.played import Upstream
from tests.providers.test_chain import body, chain, model
from tests.purse import Purse


async def test_spending_is_counted_warned_of_and_stopped() -> None:
    purse = Purse()
    budget = Budget(purse, limit_usd=1.0, today=lambda: "2026-11-23")
    a = Upstream("a", "yes")
    priced = model("a", input_usd_per_mtok=40_000.0, output_usd_per_mtok=80_000.0)
    asking = chain(a, budget=budget)
    assert await budget.near() is None
    assert (await asking.ask([priced], body)).usage.cost_usd == pytest.approx(0.8)
    assert "$0.80" in str(await budget.near())
    await asking.ask([priced], body)
    with pytest.raises(BudgetExceeded, match=r"\$1\.60"):
        await asking.ask([priced], body)
    assert len(a.calls) == 2


def took(usd: float | None) -> Usage:
    return Usage(input_tokens=10, output_tokens=5, cached_tokens=2, cost_usd=usd)


async def test_without_a_limit_spending_is_counted_only() -> None:
    purse = Purse()
    budget = Budget(purse, today=lambda: "2026-11-23")
    await budget.check()
    budget.note(model("a"), took(2.0), "mine")
    budget.note(model("a"), took(None), "mine")
    await budget.aclose()
    assert purse.added == {Account("2026-11-23", "a", "m", "mine"): Spent(2, 20, 10, 4, 2.0, unpriced=1)}
    assert await budget.near() is None


async def test_what_was_spent_is_told_by_day_and_days_without_requests_are_left_out() -> None:
    purse = Purse()
    budget = Budget(purse, today=lambda: "2026-11-23")
    budget.note(model("a"), took(2.0), "mine")
    await budget.aclose()
    assert (await budget.of_today())["usd"] == 2.0
    (day,) = await budget.told(["2026-11-24", "2026-11-23", "2026-11-22"])
    assert (day["day"], list(day["sessions"])) == ("2026-11-23", ["mine"])


async def test_what_waits_to_be_counted_is_counted_before_a_sum_is_told() -> None:
    purse = Purse()
    budget = Budget(purse, today=lambda: "2026-11-23")
    budget.note(model("a"), took(2.0))
    assert (await budget.of_today())["usd"] == 2.0
    budget.note(model("a"), took(1.0))
    (day,) = await budget.told(["2026-11-23"])
    assert day["usd"] == 3.0


async def test_what_is_spent_in_one_moment_is_counted_together_and_soon() -> None:
    counted = asyncio.Event()

    class Noticed(Purse):
        async def add(self, rows: Mapping[Account, Spent]) -> None:
            await super().add(rows)
            counted.set()

    purse = Noticed()
    budget = Budget(purse)
    for _ in range(20):
        budget.note(model("a"), took(0.5))
        await asyncio.sleep(0)
    await counted.wait()
    assert (purse.total, purse.times) == (10.0, 1)


async def test_what_is_spent_while_a_sum_is_being_counted_is_counted_as_one() -> None:
    purse = Purse()
    budget = Budget(purse)
    for _ in range(50):
        budget.note(model("a"), took(0.5))
    await budget.aclose()
    assert (purse.total, purse.times) == (25.0, 1)


async def test_only_with_a_limit_an_answer_waits_until_it_is_counted() -> None:
    free = asyncio.Event()

    class Held(Purse):
        async def add(self, rows: Mapping[Account, Spent]) -> None:
            await free.wait()
            await super().add(rows)

    purse = Held()
    priced = model("a", input_usd_per_mtok=1.0, output_usd_per_mtok=1.0)
    unlimited = Budget(purse)
    await chain(Upstream("a", "yes"), budget=unlimited).ask([priced], body)
    waiting = asyncio.create_task(chain(Upstream("a", "yes"), budget=Budget(purse, limit_usd=9.0)).ask([priced], body))
    for _ in range(50):
        await asyncio.sleep(0)
    assert not waiting.done() and not purse.added
    free.set()
    await waiting
    await unlimited.aclose()
    assert sum(spent.requests for spent in purse.added.values()) == 2


async def test_a_ledger_that_fails_costs_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    class Full(Purse):
        async def add(self, rows: Mapping[Account, Spent]) -> None:
            raise StoreUnavailable("full")

    budget = Budget(Full(), limit_usd=9.0)
    await chain(Upstream("a", "yes"), budget=budget).ask([model("a", input_usd_per_mtok=1e5, output_usd_per_mtok=0.0)], body)
    assert "$1.0000 were spent and could not be counted: store_unavailable" in caplog.text


@pytest.mark.parametrize(
    ("answer", "facts", "cost"),
    [
        (Answer(text="", input_tokens=1_000_000, output_tokens=1_000_000), {"input_usd_per_mtok": 3.0, "output_usd_per_mtok": 15.0}, 18.0),
        (
            Answer(text="", input_tokens=1_000_000, cached_tokens=1_000_000, output_tokens=1_000_000),
            {"input_usd_per_mtok": 3.0, "output_usd_per_mtok": 15.0, "cached_usd_per_mtok": 0.3},
            15.3,
        ),
        (
            Answer(text="", input_tokens=1_000_000, output_tokens=1, written_tokens=1_000_000, written_for_an_hour=400_000),
            {"input_usd_per_mtok": 1.0, "output_usd_per_mtok": 0.0},
            1.55,  # 600,000 at 1.25 and 400,000 at twice the price
        ),
        (Answer(text="uncounted"), {"input_usd_per_mtok": 3.0, "output_usd_per_mtok": 15.0}, None),
        (Answer(text="half", input_tokens=5), {"input_usd_per_mtok": 3.0, "output_usd_per_mtok": 15.0}, None),
        (Answer(text="free", input_tokens=5, output_tokens=5), {"input_usd_per_mtok": 0.0, "output_usd_per_mtok": 0.0}, 0.0),
        (Answer(text="", cost_usd=0.5), {}, 0.5),
        (Answer(text="", input_tokens=5), {}, None),
    ],
)
def test_cost_is_the_providers_figure_or_the_prices_or_unknown(answer: Answer, facts: dict[str, Any], cost: float | None) -> None:
    usage = usage_of(answer, model("a", **facts))
    assert usage == Usage(
        input_tokens=answer.input_tokens, output_tokens=answer.output_tokens, cached_tokens=answer.cached_tokens, cost_usd=cost
    )
