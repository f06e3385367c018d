"""Answers that are passed on as they come: failover until content begins, and nobody else from then on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from conversation.errors import (
    AllProvidersFailed,
    BadRequest,
    BudgetExceeded,
    InternalError,
    NotConfigured,
    RateLimited,
    UpstreamError,
    UpstreamTimeout,
)
from conversation.messages import Event
from conversation.spending import Account, Spent
from memory.health import HealthRecord
from memory.ledger import SpendLedger
from providers.base import Call, Timeouts
from providers.budget import Budget
from providers.causes import failure
from providers.chain import Chain
from tests.providers.played import Play, Upstream, answer
from tests.providers.test_chain import begin_then_break, begin_then_hang, body, chain, hang, model
from tests.purse import Purse
from tests.waiting import a_while

A, B = model("a", input_usd_per_mtok=1_000_000, output_usd_per_mtok=0), model("b")


async def told(asked: Chain, *, always: bool = False) -> tuple[list[Event], str, list[str]]:
    """Return the events, who answered, and the outcomes of the attempts before that one."""
    async with asked.stream([A, B], body, always=always) as streaming:
        assert await streaming.begins()
        assert all(one.ms >= 0 for one in streaming.attempts)
        outcomes = [one.outcome for one in streaming.attempts]
        return [event async for batch in streaming.batches() for event in batch], streaming.model.provider, outcomes


async def test_all_events_arrive_in_order_and_those_that_came_together_come_together() -> None:
    asked = chain(Upstream("a", "hello"), Upstream("b", "no"))
    async with asked.stream([A, B], body) as streaming:
        assert await streaming.begins()
        (batch,) = [batch async for batch in streaming.batches()]
    assert batch == answer("hello")


@pytest.mark.parametrize("cause", ["overloaded", "refused", "empty", "malformed", "auth_failed", "rate_limited 9"])
async def test_what_fails_before_content_is_followed_by_the_next(cause: str) -> None:
    events, provider, outcomes = await told(chain(Upstream("a", f"!{cause}"), Upstream("b", "second")))
    assert events == answer("second") and provider == "b" and outcomes == [cause.split()[0]]


async def test_a_silent_one_is_followed_by_the_next_at_its_deadline() -> None:
    silent = Upstream("a", hang)
    asked = chain(silent, Upstream("b", "second"), timeouts=Timeouts(first_byte=0.05, idle=5, total=10))
    assert (await told(asked))[1:] == ("b", ["timeout"])
    assert silent.open == 0


async def test_when_all_fail_the_error_is_that_of_asking() -> None:
    with pytest.raises(AllProvidersFailed) as caught:
        await told(chain(Upstream("a", "!overloaded"), Upstream("b", "!rate_limited 9")))
    assert [one.outcome for one in caught.value.attempts] == ["overloaded", "rate_limited"] and caught.value.retry_after == 9


async def test_what_nobody_else_could_do_better_is_raised_at_once() -> None:
    other = Upstream("b", "no")
    with pytest.raises(BadRequest):
        await told(chain(Upstream("a", "!invalid_request"), other))
    assert other.calls == []


async def test_after_content_an_answer_that_breaks_off_is_an_error_and_nobody_else_is_asked() -> None:
    other, health, seen = Upstream("b", "no"), HealthRecord(failures=1), list[Event]()
    asked = chain(Upstream("a", begin_then_break), other, health=health)
    async with asked.stream([A, B], body) as streaming:
        assert await streaming.begins()
        with pytest.raises(UpstreamError) as caught:
            async for batch in streaming.batches():
                seen += batch
    assert seen == answer("half")[:3] and other.calls == []
    assert [one.outcome for one in caught.value.attempts] == ["truncated"]
    assert health.admit("a", "m") is not None  # and it counted


async def pings_after_content(_: Call) -> AsyncGenerator[Event, None]:
    for event in answer("half")[:3]:
        yield event
    while True:
        await a_while(0.01)
        yield {"type": "ping"}


@pytest.mark.parametrize("play", [begin_then_hang, pings_after_content])
async def test_silence_after_content_is_told_by_empty_batches_and_ends_at_the_idle_deadline_whatever_pings_there_are(play: Play) -> None:
    asked = chain(Upstream("a", play), timeouts=Timeouts(first_byte=5, idle=0.2, total=10))
    batches: list[int] = []
    async with asked.stream([A], body) as streaming:
        assert await streaming.begins()
        with pytest.raises(UpstreamTimeout, match=r"silent for 0\.2 s"):
            async for batch in streaming.batches(every=0.03):
                batches += [len(batch)]
    assert batches[0] == 3 and len(batches) > 2 and set(batches[1:]) == {0}


async def test_silence_before_content_is_told_too() -> None:
    silent = Upstream("a", hang)
    async with chain(silent).stream([A], body) as streaming:
        assert not await streaming.begins(within=0.02)
        with pytest.raises(InternalError):
            _ = streaming.model
    assert silent.open == 0


async def test_leaving_in_mid_answer_closes_the_upstream() -> None:
    upstream = Upstream("a", begin_then_hang)
    async with chain(upstream).stream([A], body) as streaming:
        assert await streaming.begins()
        async for _ in streaming.batches():
            break
        assert upstream.open == 1
    assert upstream.open == 0


async def test_the_first_with_content_wins_a_hedge_and_the_other_is_closed() -> None:
    slow = Upstream("a", hang)
    asked = chain(slow, Upstream("b", "second"), hedge_after=0.02)
    events, provider, _ = await told(asked)
    assert (events, provider, slow.open) == (answer("second"), "b", 0)


async def test_of_two_that_hedge_the_one_left_goes_on_when_the_other_fails() -> None:
    failing = asyncio.Event()

    async def late_failure(call: Call) -> AsyncGenerator[Event, None]:
        yield {"type": "message_start", "message": {}}
        await failing.wait()
        raise failure("overloaded", "late", provider="a", model="m")

    async def after_it(call: Call) -> AsyncGenerator[Event, None]:
        failing.set()
        for _ in range(20):
            yield {"type": "ping"}
            await asyncio.sleep(0)
        for event in answer("second"):
            yield event

    asked = chain(Upstream("a", late_failure), Upstream("b", after_it), hedge_after=0.01)
    assert (await told(asked))[1] == "b"


async def test_an_open_breaker_keeps_a_model_from_being_asked_unless_always() -> None:
    first, health = Upstream("a", "first"), HealthRecord(failures=1)
    health.failed("a", "m")
    asked = chain(first, Upstream("b", "second"), health=health)
    assert (await told(asked))[1] == "b" and first.calls == []
    assert (await told(asked, always=True))[1] == "a"


async def test_what_an_answer_cost_is_added_to_the_day_and_the_limit_keeps_the_next_from_being_asked(tmp_path: Path) -> None:
    asked = chain(Upstream("a", "hello"), Upstream("b", "no"), budget=Budget(SpendLedger(tmp_path / "spent.db"), 5.0))
    await told(asked)
    with pytest.raises(BudgetExceeded):
        await told(asked)


async def test_a_session_pays_for_an_answer_that_it_left_and_for_one_that_broke_off_as_far_as_they_were_counted() -> None:
    purse = Purse()
    budget = Budget(purse, today=lambda: "2026-11-23")
    asked = chain(Upstream("a", begin_then_break), budget=budget)
    with pytest.raises(UpstreamError):
        async with asked.stream([A], body, session="mine") as streaming:
            await streaming.begins()
            assert [batch async for batch in streaming.batches()]
    async with chain(Upstream("a", begin_then_hang), budget=budget).stream([A], body, session="mine") as streaming:
        await streaming.begins()
    async with chain(Upstream("a", hang), budget=budget).stream([A], body, session="mine") as streaming:
        assert not await streaming.begins(0.01)
    await budget.aclose()
    ((account, spent),) = purse.added.items()
    assert account == Account("2026-11-23", "a", "m", "mine")
    assert spent == Spent(requests=2, input_tokens=20, usd=20.0)


async def test_an_upstream_waits_for_a_client_that_takes_its_time_and_no_deadline_counts_that() -> None:
    sent = 0

    async def long_answer(_: Call) -> AsyncGenerator[Event, None]:
        nonlocal sent
        begin, end = answer("word ")[:3], answer("")[3:]
        for event in (*begin, *(begin[2:] * 10_000), *end):
            yield event
            sent += 1

    asked = chain(Upstream("a", long_answer), timeouts=Timeouts(first_byte=5, idle=0.05, total=0.2))
    async with asked.stream([A], body) as streaming:
        assert await streaming.begins()
        await a_while(0.3)
        assert sent < 1_100
        events = [event async for batch in streaming.batches() for event in batch]
    assert len(events) == 10_006 and events[-1] == {"type": "message_stop"}


async def test_without_a_route_there_is_nobody_to_ask() -> None:
    with pytest.raises(NotConfigured):
        async with chain().stream([], body):
            pytest.fail("it began")


async def test_a_rate_limit_parks_the_provider_for_later_requests() -> None:
    health = HealthRecord()
    with pytest.raises(RateLimited):
        async with chain(Upstream("a", "!rate_limited 9"), health=health).stream([A], body) as streaming:
            await streaming.begins()
    assert health.admit("a", "m") is not None


async def test_a_count_is_the_providers_or_none_when_it_fails_or_cannot() -> None:
    class Counting(Upstream):
        async def count(self, call: Call) -> int | None:
            if call.model.id == "busy":
                raise failure("overloaded", "busy", provider="a", model="busy")
            if call.model.id == "broken":
                raise KeyError
            if call.model.id == "unset":
                raise NotConfigured("no key")
            return 7

    asked = chain(Counting("a", "x"), Upstream("b", "x"))
    assert [await asked.count(one, body) for one in (A, B, model("a", "busy"), model("a", "broken"))] == [7, None, None, None]
    with pytest.raises(NotConfigured):
        await asked.count(model("a", "unset"), body)
    assert asked.lately.times("a/m") == 0


async def test_a_provider_that_is_parked_is_not_asked_to_count() -> None:
    health = HealthRecord()
    health.park("a", 60)
    assert await chain(Upstream("a", "x"), health=health).count(A, body) is None
