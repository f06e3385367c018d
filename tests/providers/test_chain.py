"""The failover loop, with providers handed in that do what each test needs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from typing import Any

import pytest

from conversation.errors import (
    AllProvidersFailed,
    AuthFailed,
    BadRequest,
    ContextTooLong,
    InvalidInput,
    NotConfigured,
    Overloaded,
    ParleyError,
    ProviderDefect,
    RateLimited,
    UpstreamTimeout,
)
from conversation.messages import Event
from memory.health import HealthRecord
from providers.base import Call, ModelInfo, Timeouts
from providers.causes import failure
from providers.chain import Chain, Reply
from tests.providers.played import Upstream, answer

HEDGE_AFTER: float | None = None
"""Of the chains made here that are told nothing else."""


@pytest.fixture(autouse=True, params=[None, 30.0], ids=["in turn", "with hedges that are not due"])
def _hedging(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fails over and what does not is the same in both."""
    monkeypatch.setitem(globals(), "HEDGE_AFTER", request.param)


def model(provider: str, name: str = "m", **facts: Any) -> ModelInfo:
    return ModelInfo(provider=provider, id=name, **facts)


async def hang(call: Call) -> AsyncGenerator[Event, None]:
    yield {"type": "message_start", "message": {}}
    yield {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}
    yield {"type": "ping"}
    await asyncio.Event().wait()


async def begin_then_hang(call: Call) -> AsyncGenerator[Event, None]:
    for event in answer("half")[:3]:
        yield event
    await asyncio.Event().wait()


async def begin_then_break(call: Call) -> AsyncGenerator[Event, None]:
    for event in answer("half")[:3]:
        yield event
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), 0.05)
    raise failure("truncated", "cut", provider=call.model.provider, model=call.model.id)


def chain(*upstreams: Upstream, health: HealthRecord | None = None, **settings: Any) -> Chain:
    named = {upstream.name: upstream for upstream in upstreams}
    settings.setdefault("timeouts", Timeouts(first_byte=5, idle=5, total=10))
    settings.setdefault("hedge_after", HEDGE_AFTER)
    return Chain(named.__getitem__, health or HealthRecord(), **settings)


async def body(chosen: ModelInfo) -> Mapping[str, Any]:
    return {"messages": [{"role": "user", "content": f"for {chosen.name}"}], "max_tokens": 10}


async def outcome(asked: Any) -> list[tuple[str, str]]:
    """Return (provider, outcome) of each attempt, of a reply or of the error raised."""
    try:
        reply: Reply = await asked
    except ParleyError as error:
        return [(one.provider, one.outcome) for one in error.attempts]
    return [(one.provider, one.outcome) for one in reply.attempts]


async def test_the_first_model_that_answers_is_the_reply() -> None:
    a, b = Upstream("a", "hello"), Upstream("b", "never")
    reply = await chain(a, b).ask([model("a"), model("b")], body)
    assert (reply.answer.text, reply.model.provider, reply.usage.input_tokens, reply.usage.output_tokens) == ("hello", "a", 10, 5)
    assert b.calls == []
    assert a.calls[0].body["messages"][0]["content"] == "for a/m"


@pytest.mark.parametrize(
    "cause",
    [
        "refused",
        "timeout",
        "overloaded",
        "upstream_error",
        "malformed",
        "truncated",
        "empty",
        "rate_limited",
        "auth_failed",
        "quota",
        "not_found",
    ],
)
async def test_a_failure_that_another_provider_may_mend_goes_on_to_the_next(cause: str) -> None:
    assert await outcome(chain(Upstream("a", "!" + cause), Upstream("b", "yes")).ask([model("a"), model("b")], body)) == [
        ("a", cause),
        ("b", "ok"),
    ]


async def test_a_body_that_cannot_be_made_is_nobodys_failure() -> None:
    async def refuse(chosen: ModelInfo) -> Mapping[str, Any]:
        raise InvalidInput("that cannot be asked")

    a = Upstream("a", "never")
    with pytest.raises(InvalidInput):
        await chain(a).ask([model("a")], refuse)
    assert a.calls == []


async def test_the_callers_bad_request_is_not_tried_elsewhere() -> None:
    b = Upstream("b", "never")
    with pytest.raises(BadRequest) as caught:
        await chain(Upstream("a", "!invalid_request"), b).ask([model("a"), model("b")], body)
    assert b.calls == []
    assert [one.outcome for one in caught.value.attempts] == ["invalid_request"]


async def test_one_route_raises_the_providers_own_error() -> None:
    with pytest.raises(AuthFailed):
        await chain(Upstream("a", "!auth_failed")).ask([model("a")], body)


async def test_several_failures_are_all_told_with_the_shortest_wait() -> None:
    with pytest.raises(AllProvidersFailed) as caught:
        await chain(Upstream("a", "!rate_limited 30"), Upstream("b", "!overloaded 7")).ask([model("a"), model("b")], body)
    assert caught.value.retry_after == 7
    assert caught.value.retryable
    assert "a/m" in caught.value.message
    assert "b/m" in caught.value.message


async def test_no_route_is_not_configured() -> None:
    with pytest.raises(NotConfigured):
        await chain().ask([], body)


async def test_a_silent_provider_is_left_after_the_first_byte_timeout_though_it_pings() -> None:
    a = Upstream("a", hang)
    assert await outcome(chain(a, Upstream("b", "yes"), timeouts=Timeouts(first_byte=0.05)).ask([model("a"), model("b")], body)) == [
        ("a", "timeout"),
        ("b", "ok"),
    ]
    assert a.open == 0


async def test_a_models_own_first_byte_timeout_wins() -> None:
    quick = chain(Upstream("a", hang), timeouts=Timeouts(first_byte=60))
    with pytest.raises(UpstreamTimeout, match=r"0\.05"):
        await quick.ask([model("a", first_byte_timeout=0.05)], body)


@pytest.mark.parametrize("timeouts", [Timeouts(idle=0.05), Timeouts(first_byte=5, idle=5, total=0.05)])
async def test_silence_after_content_and_the_total_end_an_attempt(timeouts: Timeouts) -> None:
    with pytest.raises(UpstreamTimeout, match="silent"):
        await chain(Upstream("a", begin_then_hang), timeouts=timeouts).ask([model("a")], body)


async def test_an_answer_that_breaks_off_before_anyone_saw_it_is_asked_of_the_next() -> None:
    assert await outcome(chain(Upstream("a", begin_then_break), Upstream("b", "whole")).ask([model("a"), model("b")], body)) == [
        ("a", "truncated"),
        ("b", "ok"),
    ]


async def test_a_deadline_is_shared_out_so_that_the_next_still_has_time() -> None:
    assert await outcome(chain(Upstream("a", hang), Upstream("b", "yes")).ask([model("a"), model("b")], body, deadline_s=0.2)) == [
        ("a", "timeout"),
        ("b", "ok"),
    ]


async def test_past_the_deadline_nothing_more_is_asked() -> None:
    c = Upstream("c", "never")
    asked = chain(Upstream("a", hang), c).ask([model("a"), model("c")], body, deadline_s=0.0)
    assert await outcome(asked) == [("a", "timeout"), ("c", "timeout")]
    assert c.calls == []


async def test_too_long_goes_only_to_larger_models_and_each_once() -> None:
    small, same, large, huge = (
        model("a", "s", context_window=10),
        model("b", "t", context_window=10),
        model("c", "l", context_window=20),
        model("d", "h", context_window=30),
    )
    upstreams = [Upstream("a", "!context_too_long"), Upstream("b", "never"), Upstream("c", "!context_too_long"), Upstream("d", "fits")]
    asked = chain(*upstreams).ask([small, same, large], body, larger=[small, large, huge])
    assert await outcome(asked) == [("a", "context_too_long"), ("c", "context_too_long"), ("d", "ok")]
    assert upstreams[1].calls == []


async def test_too_long_for_all_is_that_error() -> None:
    with pytest.raises(ContextTooLong) as caught:
        await chain(Upstream("a", "!context_too_long"), Upstream("b", "never")).ask([model("a"), model("b")], body)
    assert len(caught.value.attempts) == 1


async def test_a_window_that_cannot_be_built_counts_as_too_long_without_a_call() -> None:
    a, b = Upstream("a", "never"), Upstream("b", "yes")

    async def prepare(chosen: ModelInfo) -> Mapping[str, Any]:
        if chosen.provider == "a":
            raise ContextTooLong("no room", provider="a", model="m")
        return await body(chosen)

    assert await outcome(chain(a, b).ask([model("a", context_window=1), model("b")], prepare)) == [("a", "context_too_long"), ("b", "ok")]
    assert a.calls == []


async def test_an_open_breaker_is_passed_by_and_named() -> None:
    a = Upstream("a", "!overloaded")
    asking = chain(a, Upstream("b", "yes"), health=HealthRecord(failures=2, open_seconds=60))
    for _ in range(2):
        await asking.ask([model("a"), model("b")], body)
    last = await outcome(asking.ask([model("a"), model("b")], body))
    assert len(a.calls) == 2
    assert last == [("a", "breaker_open"), ("b", "ok")]


async def test_hangs_open_the_breaker() -> None:
    a = Upstream("a", hang)
    asking = chain(a, timeouts=Timeouts(first_byte=0.02), health=HealthRecord(failures=2, open_seconds=60))
    for _ in range(2):
        with pytest.raises(UpstreamTimeout):
            await asking.ask([model("a")], body)
    with pytest.raises(Overloaded, match="2 failures"):
        await asking.ask([model("a")], body)
    assert len(a.calls) == 2


async def test_exactly_one_of_ten_callers_probes_when_half_open() -> None:
    now = [0.0]
    health = HealthRecord(failures=1, open_seconds=10, clock=lambda: now[0])
    gate = asyncio.Event()

    async def slow(call: Call) -> AsyncGenerator[Event, None]:
        await gate.wait()
        for event in answer("back"):
            yield event

    a = Upstream("a", "!overloaded", slow)
    asking = chain(a, health=health)
    with suppress(Overloaded):
        await asking.ask([model("a")], body)
    now[0] = 10.0
    callers = [asyncio.create_task(outcome(asking.ask([model("a")], body))) for _ in range(10)]
    done, pending = await asyncio.wait(callers, return_when=asyncio.FIRST_COMPLETED)
    while len(pending) > 1:
        more, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        done |= more
    gate.set()
    results = await asyncio.gather(*callers)
    assert len(a.calls) == 2
    assert sorted(result[0][1] for result in results) == ["breaker_open"] * 9 + ["ok"]


async def test_a_cancelled_probe_leaves_the_place_to_the_next_caller() -> None:
    now = [0.0]
    health = HealthRecord(failures=1, open_seconds=10, clock=lambda: now[0])
    a = Upstream("a", "!overloaded", hang, "back")
    asking = chain(a, health=health)
    with suppress(Overloaded):
        await asking.ask([model("a")], body)
    now[0] = 10.0
    probe = asyncio.create_task(asking.ask([model("a")], body))
    while not a.open:
        await asyncio.sleep(0)
    probe.cancel()
    with suppress(asyncio.CancelledError):
        await probe
    assert a.open == 0
    assert await outcome(asking.ask([model("a")], body)) == [("a", "ok")]


async def test_retry_after_parks_the_provider_and_is_never_slept() -> None:
    a = Upstream("a", "!rate_limited 99999999")
    health = HealthRecord()
    asking = chain(a, Upstream("b", "yes"), health=health)
    await asking.ask([model("a"), model("b")], body)
    assert await outcome(asking.ask([model("a", "other"), model("b")], body)) == [("a", "parked"), ("b", "ok")]
    with pytest.raises(RateLimited) as caught:
        await asking.ask([model("a")], body)
    assert caught.value.retry_after is not None
    assert 3000 < caught.value.retry_after <= 3600
    assert len(a.calls) == 1


async def test_rejected_credentials_set_the_provider_aside() -> None:
    a = Upstream("a", "!auth_failed")
    asking = chain(a, Upstream("b", "yes"))
    await asking.ask([model("a"), model("b")], body)
    assert await outcome(asking.ask([model("a"), model("b")], body)) == [("a", "set_aside"), ("b", "ok")]


async def test_a_silent_model_is_joined_by_the_next_and_the_first_with_content_wins() -> None:
    a, b = Upstream("a", hang), Upstream("b", "quick")
    asked = chain(a, b, hedge_after=0.02).ask([model("a"), model("b")], body)
    assert await outcome(asked) == [("a", "cancelled"), ("b", "ok")]
    assert a.open == 0


async def test_a_model_that_has_begun_is_not_joined() -> None:
    async def slow_end(call: Call) -> AsyncGenerator[Event, None]:
        for event in answer("begun"):
            yield event
            if event["type"] == "content_block_delta":
                with suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.Event().wait(), 0.1)

    b = Upstream("b", "never")
    assert await outcome(chain(Upstream("a", slow_end), b, hedge_after=0.03).ask([model("a"), model("b")], body)) == [("a", "ok")]
    assert b.calls == []


async def test_a_winner_that_breaks_gives_the_other_its_turn_again() -> None:
    a, b = Upstream("a", hang, "second time"), Upstream("b", begin_then_break)
    asked = chain(a, b, hedge_after=0.02).ask([model("a"), model("b")], body)
    assert await outcome(asked) == [("a", "cancelled"), ("b", "truncated"), ("a", "ok")]


async def test_cancelling_the_caller_closes_every_upstream() -> None:
    a, b = Upstream("a", hang), Upstream("b", hang)
    asked = asyncio.create_task(chain(a, b, hedge_after=0.01).ask([model("a"), model("b")], body))
    while not (a.open and b.open):
        await asyncio.sleep(0)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert (a.open, b.open) == (0, 0)


async def test_a_context_too_long_for_a_small_quota_goes_on_to_every_model_that_takes_more_than_that() -> None:
    async def refuse(call: Call) -> AsyncGenerator[Event, None]:
        error = failure("context_too_long", "Max size: 8000 tokens", provider="a", model="m", status=413)
        assert isinstance(error, ContextTooLong)
        error.limit = 8_000
        raise error
        yield {}

    routes = [model("a", context_window=1_000_000), model("b", context_window=8_000), model("c", context_window=200_000)]
    b = Upstream("b", "no")
    reply = await chain(Upstream("a", refuse), b, Upstream("c", "yes")).ask(routes, body)
    assert (reply.model.provider, b.calls) == ("c", [])


async def test_a_probe_lets_the_next_one_in_with_its_content_and_is_over_with_its_end() -> None:
    now = 1_000.0
    health = HealthRecord(failures=1, open_seconds=10, clock=lambda: now)
    health.failed("a", "m")
    now += 10
    probe = Upstream("a", begin_then_hang)
    async with chain(probe, health=health).stream([model("a")], body) as streaming:
        assert await streaming.begins()
        assert health.admit("a", "m") is None and health.admit("a", "m") is not None, "one more, and only one"


async def test_progress_names_who_is_asked_and_who_failed() -> None:
    said: list[str] = []
    await chain(Upstream("a", "!overloaded"), Upstream("b", "yes")).ask([model("a"), model("b")], body, progress=said.append)
    assert said == ["asking a/m", "a/m failed (overloaded)", "asking b/m"]


async def test_a_defect_in_asking_one_provider_is_logged_and_the_next_is_asked(caplog: pytest.LogCaptureFixture) -> None:
    async def broken(call: Call) -> AsyncGenerator[Event, None]:
        raise KeyError("what was asked")
        yield {}

    health = HealthRecord(failures=1)
    reply = await chain(Upstream("a", broken), Upstream("b", "yes"), health=health).ask([model("a"), model("b")], body)
    assert (reply.answer.text, [one.outcome for one in reply.attempts]) == ("yes", ["defect", "ok"])
    assert health.admit("a", "m") is None and "asking a/m failed: KeyError at test_chain.py:" in caplog.text
    with pytest.raises(ProviderDefect, match="unexpectedly \\(KeyError\\)") as caught:
        await chain(Upstream("a", broken)).ask([model("a")], body)
    assert caught.value.code == "internal" and "what was asked" not in caught.value.message


async def test_the_time_to_load_ourselves_is_not_held_against_the_upstream() -> None:
    class Cold(Upstream):
        async def ready(self) -> None:
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.Event().wait(), 0.1)

    assert await outcome(chain(Cold("a", "yes"), timeouts=Timeouts(first_byte=0.05)).ask([model("a")], body)) == [("a", "ok")]
