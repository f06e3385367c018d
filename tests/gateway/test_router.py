"""The router: failover before content, order, names, sessions, what is spent. Each test that parks a provider has a gateway of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from simulator import ThreadedSimulator
from tests.gateway.client import HASTY, PROVIDERS, Client
from tests.gateway.conftest import starting
from tests.gateway.test_faults import BEFORE, NAMES
from tests.main_job.process import serving

BOTH = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])


@pytest.fixture
async def fresh(simulated: ThreadedSimulator, sim: ThreadedSimulator, tmp_path: Path) -> AsyncIterator[Client]:
    """A router that has seen nothing yet."""
    with starting(simulated, tmp_path, "--only", "router") as gateway:
        async with aiohttp.ClientSession() as session:
            yield Client(session, gateway, sim)


@BOTH
@pytest.mark.parametrize(("kind", "fault", "statuses", "error"), BEFORE[1:], ids=NAMES[1:])
async def test_the_router_answers_from_the_next_provider(
    shared: Client, stream: bool, kind: str, fault: dict[str, Any], statuses: set[int], error: str
) -> None:
    """A provider that one of these parked or set aside is not asked in the next: then that is its attempt."""
    shared.sim.fault("vertex_claude", kind, **fault)
    got = await shared.ask("router", stream=stream, model=HASTY)
    assert got.answer.text and (got.headers["x-parley-provider"], got.headers["x-parley-attempts"]) == ("vertex_gemini", "2")


@BOTH
async def test_the_router_asks_nobody_else_when_the_request_is_at_fault(shared: Client, stream: bool) -> None:
    shared.sim.fault("vertex_gemini", "status", status=400)
    got = await shared.ask("router", stream=stream, model="vertex_gemini/gemini-3.1-flash-lite")
    assert (got.status, len(shared.sim.log)) == (400, 1)


@BOTH
async def test_when_all_fail_the_status_is_the_most_hopeful(fresh: Client, stream: bool) -> None:
    for name, status, wait in zip(PROVIDERS, (500, 529, 429, 403), (None, None, "9", None), strict=True):
        fresh.sim.fault(name, "status", status=status, headers={"retry-after": wait} if wait else {})
    got = await fresh.ask("router", stream=stream)
    assert (got.status, got.body["error"]["type"], got.headers["retry-after"]) == (429, "rate_limit_error", "9")




async def test_more_tools_than_one_takes_and_what_one_cannot_translate_go_to_the_next(fresh: Client) -> None:
    tools: list[Any] = [{"name": f"t{number}", "description": "d", "input_schema": {"type": "object"}} for number in range(129)]
    got = await fresh.ask("router", model="github_models/openai/gpt-4.1", tools=tools)
    assert got.answer.text and got.headers["x-parley-attempts"] != "1" and fresh.sim.requests("github_models") == []
    got = await fresh.ask("router", model="vertex_gemini/gemini-2.5-pro", tools=tools[:1], tool_choice={"type": "sometimes"})
    assert got.answer.text and got.headers["x-parley-attempts"] != "1" and fresh.sim.requests("vertex_gemini") == []


async def test_a_provider_named_in_the_model_is_asked_first(shared: Client) -> None:
    for name in PROVIDERS[1:]:
        model = {"vertex_gemini": "gemini-2.5-pro", "github_models": "openai/gpt-4o", "openrouter": "openai/gpt-4o"}[name]
        got = await shared.ask("router", model=f"{name}/{model}")
        assert (got.answer.text, got.headers["x-parley-provider"], got.headers["x-parley-model"]) == (got.answer.text, name, model)


async def test_a_session_path_leads_to_the_same_routes(shared: Client) -> None:
    assert (await shared.ask("router", path="/s/my-session/v1/messages?beta=true")).answer.text
    assert (await shared.get("router", "/s/my-session/v1/models")).status == 200


async def test_an_open_breaker_passes_a_provider_over_and_a_pinned_shim_asks_it_all_the_same(
    simulated: ThreadedSimulator, sim: ThreadedSimulator, tmp_path: Path
) -> None:
    sim.fault("vertex_claude", "status", status=500, times=None)
    with starting(simulated, tmp_path, "--only", "router,vertex_claude", PARLEY_BREAKER_FAILURES="2") as gateway:
        async with aiohttp.ClientSession() as session:
            client = Client(session, gateway, sim)
            for _ in range(4):
                assert (await client.ask("router")).headers["x-parley-provider"] == "vertex_gemini"
            assert len(sim.requests("vertex_claude")) == 2
            assert (await client.ask("vertex_claude")).status == 500
            assert len(sim.requests("vertex_claude")) == 3


async def test_what_a_tool_of_another_process_learns_of_a_provider_the_router_knows(
    simulated: ThreadedSimulator, sim: ThreadedSimulator, tmp_path: Path
) -> None:
    settings = {"PARLEY_BREAKER_FAILURES": "2", "PARLEY_BREAKER_OPEN_SECONDS": "60"}
    sim.fault("vertex_claude", "status", status=500, times=2)
    sim.fault("vertex_gemini", "status", status=429, headers={"retry-after": "60"}, times=1)
    with starting(simulated, tmp_path, "--only", "router", **settings) as gateway, serving(simulated, tmp_path, **settings) as tools:
        for _ in range(2):
            assert tools.call("chat", prompt="x", model="vertex_claude/claude-sonnet-4-6").error["code"] == "upstream_error"
        assert tools.call("chat", prompt="x", model="vertex_gemini").error["code"] == "rate_limited"
        async with aiohttp.ClientSession() as session:
            client = Client(session, gateway, sim)
            got = await client.ask("router", model="claude-sonnet-4-6")
            assert (got.headers["x-parley-provider"], got.headers["x-parley-attempts"]) == ("github_models", "3")
            assert (len(sim.requests("vertex_claude")), len(sim.requests("vertex_gemini"))) == (2, 1)
            told = (await client.get("router", "/status")).body["providers"]
            assert "2 failures in a row" in told["vertex_claude"]["trouble"] and "rate limited" in told["vertex_gemini"]["trouble"]


async def test_what_answers_cost_is_counted_and_the_days_limit_holds(
    simulated: ThreadedSimulator, sim: ThreadedSimulator, tmp_path: Path
) -> None:
    sim.rule("*", "dear", usage={"input_tokens": 1_000_000, "output_tokens": 10})
    with starting(simulated, tmp_path, "--only", "router", PARLEY_DAILY_BUDGET_USD="1") as gateway:
        async with aiohttp.ClientSession() as session:
            client = Client(session, gateway, sim)
            assert (await client.ask("router", stream=True)).answer.text == "dear"
            got = await client.ask("router")
            assert (got.status, got.body["error"]["type"], got.headers["x-should-retry"]) == (429, "rate_limit_error", "false")
            assert "limit" in got.body["error"]["message"]


async def test_with_hedging_a_silent_provider_is_joined_by_the_next(
    simulated: ThreadedSimulator, sim: ThreadedSimulator, tmp_path: Path
) -> None:
    sim.fault("vertex_claude", "hang_before_headers")
    with starting(simulated, tmp_path, "--only", "router", PARLEY_HEDGE_AFTER="0.1") as gateway:
        async with aiohttp.ClientSession() as session:
            got = await Client(session, gateway, sim).ask("router", stream=True)
            assert (got.answer.text, got.headers["x-parley-provider"]) == (got.answer.text, "vertex_gemini")
