"""Whom the router asks first: strategies, conversations that stay where they are, and what of it all is counted for whom."""

from __future__ import annotations

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from simulator import ThreadedSimulator
from tests.gateway.client import PROVIDERS, Client, Got
from tests.gateway.conftest import starting
from tests.gateway.running import PATIENCE
from tests.main_job.process import PARLEY, bare_environment

BOTH = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
SONNET = "claude-sonnet-4-6"


async def post(client: Client, path: str = "/v1/messages", headers: dict[str, str] | None = None, **body: Any) -> Got:
    asked = {"model": SONNET, "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}], **body}
    return await client.post("router", path, json.dumps(asked).encode(), headers)


def who(got: Got) -> str:
    assert got.answer.text
    return got.headers["x-parley-provider"]


def failing(sim: ThreadedSimulator, provider: str, times: int | None = 1) -> None:
    sim.fault(provider, "status", status=500, times=times)


# --- strategies --------------------------------------------------------------------------------------------------------


async def test_a_header_chooses_the_strategy_of_one_request(shared: Client) -> None:
    """Of the models for this name Gemini's on Vertex has the lowest price that is known."""
    assert who(await post(shared, headers={"x-parley-strategy": "cost"})) == "vertex_gemini"
    assert who(await post(shared, headers={"x-parley-strategy": "Priority"})) == "vertex_claude"
    assert who(await post(shared)) == "vertex_claude"


@BOTH
async def test_a_strategy_there_is_not_is_told_with_those_there_are(shared: Client, stream: bool) -> None:
    got = await post(shared, headers={"x-parley-strategy": "luck"}, stream=stream)
    assert (got.status, got.body["error"]["type"]) == (400, "invalid_request_error")
    assert "priority, cost, latency, availability" in got.body["error"]["message"] and not shared.sim.log
    counted = await post(shared, "/v1/messages/count_tokens", {"x-parley-strategy": "luck"})
    assert counted.status == 400


async def test_latency_asks_each_once_and_then_the_quickest(simulated: ThreadedSimulator, sim: ThreadedSimulator, tmp_path: Path) -> None:
    for name in PROVIDERS:
        sim.rule(name, "some words", delay_s=0.0 if name == "github_models" else 0.15)
    with starting(simulated, tmp_path, "--only", "router", PARLEY_STRATEGY="latency") as gateway:
        async with aiohttp.ClientSession() as session:
            client = Client(session, gateway, sim)
            mine = named("header", "mine")
            assert [who(await post(client, **mine)) for _ in range(4)] == list(PROVIDERS), "a session is not bound to what is measured"
            assert [who(await post(client)) for _ in range(3)] == ["github_models"] * 3
            assert [who(await post(client, **mine)) for _ in range(3)] == ["github_models"] * 3


async def test_availability_passes_over_what_failed_lately(simulated: ThreadedSimulator, sim: ThreadedSimulator, tmp_path: Path) -> None:
    (tmp_path / "parley.toml").write_text('[chain]\nstrategy = "availability"\n')
    with starting(simulated, tmp_path, "--only", "router", PARLEY_CONFIG=str(tmp_path / "parley.toml")) as gateway:
        async with aiohttp.ClientSession() as session:
            client = Client(session, gateway, sim)
            failing(sim, "vertex_claude")
            got = await post(client)
            assert (who(got), got.headers["x-parley-attempts"]) == ("vertex_gemini", "2")
            got = await post(client)
            assert (who(got), got.headers["x-parley-attempts"]) == ("vertex_gemini", "1"), "it is well again, and asked after the others"
            assert len(sim.requests("vertex_claude")) == 1


def run(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command of ours to its end."""
    env = {**bare_environment(folder), **more}
    return subprocess.run([PARLEY, *arguments], env=env, cwd=folder, capture_output=True, text=True, timeout=30, check=False)


def test_a_strategy_that_is_none_is_wrong_configuration(tmp_path: Path) -> None:
    done = run(tmp_path, "up", PARLEY_STRATEGY="luck")
    assert done.returncode == 2 and "PARLEY_STRATEGY must be priority, cost, latency or availability" in done.stderr


# --- conversations -----------------------------------------------------------------------------------------------------

NAMED: dict[str, dict[str, Any]] = {
    "header": {"headers": {"x-claude-code-session-id": "{}"}},
    "path": {"path": "/s/{}/v1/messages"},
    "user id": {"metadata": {"user_id": '{"device_id": "d", "session_id": "{}"}'}},
}


def named(how: str, session: str) -> dict[str, Any]:
    """What names the session in a request."""
    return json.loads(json.dumps(NAMED[how]).replace("{}", session))


@BOTH
@pytest.mark.parametrize("how", NAMED)
async def test_a_session_stays_with_the_provider_that_took_it_over_until_that_fails(shared: Client, how: str, stream: bool) -> None:
    mine = named(how, f"mine-{how.replace(' ', '-')}-{stream}")
    assert who(await post(shared, **mine, stream=stream)) == "vertex_claude"
    failing(shared.sim, "vertex_claude")
    assert who(await post(shared, **mine, stream=stream)) == "vertex_gemini"
    got = await post(shared, **mine, stream=stream)
    assert (who(got), got.headers["x-parley-attempts"]) == ("vertex_gemini", "1"), "though the first is well again"
    assert who(await post(shared, **named(how, f"yours-{stream}"), stream=stream)) == "vertex_claude"
    failing(shared.sim, "vertex_gemini")
    got = await post(shared, **mine, stream=stream)
    assert (who(got), got.headers["x-parley-attempts"]) == ("vertex_claude", "2")
    assert who(await post(shared, **mine, stream=stream)) == "vertex_claude"


async def test_a_strategy_for_one_request_counts_in_a_session_too_and_moves_nothing(shared: Client) -> None:
    mine = named("header", "for-once")
    assert who(await post(shared, **mine)) == "vertex_claude"
    once = {**mine["headers"], "x-parley-strategy": "cost"}
    assert who(await post(shared, headers=once)) == "vertex_gemini"
    assert who(await post(shared, **mine)) == "vertex_claude"


async def test_each_name_of_a_session_stays_on_its_own_and_a_named_provider_wins(shared: Client) -> None:
    mine = named("header", "several-models")
    failing(shared.sim, "vertex_claude")
    assert who(await post(shared, **mine)) == "vertex_gemini"
    assert who(await post(shared, **mine, model="claude-haiku-4-5")) == "vertex_claude"
    assert who(await post(shared, **mine, model="openrouter/openai/gpt-4o")) == "openrouter"
    assert who(await post(shared, **mine)) == "vertex_gemini"


@BOTH
async def test_without_a_session_a_conversation_is_known_by_what_was_said_last(shared: Client, stream: bool) -> None:
    """And so are its tool calls, whose history the provider that is switched to takes."""
    question = f"what is in the folder, {'streamed' if stream else 'whole'}?"
    look = {"name": "look", "description": "Looks.", "input_schema": {"type": "object", "properties": {}}}
    shared.sim.rule("vertex_gemini", "I shall look.", tool_use=[{"name": "look", "input": {}}])
    failing(shared.sim, "vertex_claude")
    messages: list[dict[str, Any]] = [{"role": "user", "content": question}]
    got = await post(shared, messages=messages, tools=[look], stream=stream)
    assert who(got) == "vertex_gemini"
    call = got.answer.blocks[-1]
    assert call["type"] == "tool_use"
    shared.sim.reset("rules")
    messages += [
        {"role": "assistant", "content": list(got.answer.blocks)},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call["id"], "content": "three files"}]},
    ]
    assert who(await post(shared, messages=messages, tools=[look], stream=stream)) == "vertex_gemini"
    assert who(await post(shared, messages=messages[:1], tools=[look], stream=stream)) == "vertex_claude", "this begins a new one"
    failing(shared.sim, "vertex_gemini")
    assert who(await post(shared, messages=messages, tools=[look], stream=stream)) == "vertex_claude"
    sent = shared.sent("vertex_claude")["messages"]
    assert [block["type"] for block in sent[1]["content"]] == ["text", "tool_use"] and sent[2]["content"][0]["content"] == "three files"


async def test_conversations_that_are_not_to_stay_go_back_at_once(
    simulated: ThreadedSimulator, sim: ThreadedSimulator, tmp_path: Path
) -> None:
    with starting(simulated, tmp_path, "--only", "router", PARLEY_STICKY_SECONDS="0") as gateway:
        async with aiohttp.ClientSession() as session:
            client = Client(session, gateway, sim)
            failing(sim, "vertex_claude")
            mine = named("header", "mine")
            assert [who(await post(client, **mine)) for _ in range(2)] == ["vertex_gemini", "vertex_claude"]


# --- spending ----------------------------------------------------------------------------------------------------------


async def test_what_was_spent_is_told_by_provider_model_and_session_and_outlives_the_gateway(
    simulated: ThreadedSimulator, sim: ThreadedSimulator, tmp_path: Path
) -> None:
    sim.rule("vertex_claude", "priced", usage={"input_tokens": 1_000, "output_tokens": 100})
    async with aiohttp.ClientSession() as session:
        with starting(simulated, tmp_path, "--only", "router") as gateway:
            client = Client(session, gateway, sim)
            for stream in (False, True):
                await post(client, **named("header", "mine"), stream=stream)
            await post(client, "/s/yours/v1/messages")
            await post(client, model="openrouter/openai/gpt-4o")
            await post(client, "/v1/messages/count_tokens")
        with starting(simulated, tmp_path, "--only", "router") as gateway:
            told = (await Client(session, gateway, sim).get("router", "/status")).body["spending"]
    assert (told["requests"], told["limit_usd"]) == (4, None)
    assert {name: one["requests"] for name, one in told["providers"].items()} == {"vertex_claude": 3, "openrouter": 1}
    assert told["models"][f"vertex_claude/{SONNET}"]["usd"] == pytest.approx(3 * (1_000 * 3 + 100 * 15) / 1e6)
    assert {name: one["requests"] for name, one in told["sessions"].items()} == {"mine": 2, "yours": 1}
    (day,) = json.loads(run(tmp_path, "spending", "--json").stdout)["days"]
    assert {key: value for key, value in told.items() if key != "limit_usd"} == day
    words = run(tmp_path, "spending").stdout
    assert f"vertex_claude/{SONNET}" in words and "mine" in words and "3,000 tokens in" in words


async def test_the_price_a_provider_tells_itself_is_what_is_counted(
    simulated: ThreadedSimulator, sim: ThreadedSimulator, tmp_path: Path
) -> None:
    sim.rule("openrouter", "priced", usage={"prompt_tokens": 1_000, "completion_tokens": 100, "cost": 0.125})
    with starting(simulated, tmp_path, "--only", "router") as gateway:
        async with aiohttp.ClientSession() as session:
            client = Client(session, gateway, sim)
            await post(client, model="openrouter/openai/gpt-4o")
            got = await client.get("router", "/status")
            async with asyncio.timeout(PATIENCE):
                while not got.body["spending"]["requests"]:  # it is counted beside the answer
                    got = await client.get("router", "/status")
            assert got.body["spending"]["models"]["openrouter/openai/gpt-4o"]["usd"] == 0.125


def test_days_on_which_nothing_was_asked_are_told_as_such(tmp_path: Path) -> None:
    assert run(tmp_path, "spending").stdout == "Nothing was asked in the last 7 days.\n"
    wrong = run(tmp_path, "spending", "--days", "0")
    assert wrong.returncode == 2 and "--days" in wrong.stderr
