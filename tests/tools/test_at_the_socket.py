"""The tools with everything real, against simulated upstreams on loopback."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from cli.wire import build_app
from simulator import Simulator
from tests.tools.house import text_of
from tools.app import App
from tools.mcp import build_server

PROVIDERS = ("vertex_claude", "vertex_gemini", "github_models", "openrouter")
PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==")


@pytest.fixture
async def sim() -> AsyncGenerator[Simulator]:
    async with Simulator() as simulator:
        yield simulator


@pytest.fixture
async def app(sim: Simulator, workspace: Path, parley_home: Path, tmp_path: Path) -> AsyncGenerator[App]:
    app = build_app({**sim.environment(tmp_path), "PARLEY_HOME": str(parley_home)}, workspace=workspace)
    yield app
    await app.aclose()


async def call(app: App, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    async with Client(build_server(app), mode="legacy") as client:
        result = await client.call_tool(name, arguments)
    return json.loads(text_of(result))


async def test_one_thread_goes_through_all_four_providers_each_exchange_sent_once(app: App, sim: Simulator) -> None:
    sizes: list[int] = []
    thread = None
    for number in range(10):
        provider = PROVIDERS[number % 4]
        arguments = {"prompt": f"question-{number}", "model": provider, "continuation_id": thread}
        sim.rule(provider, f"answer-{number}", times=1)
        answer = await call(app, "chat", arguments)
        assert (answer["provider"], answer["content"], answer["turn"]) == (provider, f"answer-{number}", 2 * number + 2)
        thread = answer["continuation_id"]
        entry = next(one for one in reversed(sim.log) if one["provider"] == provider and one["stream"])
        received = json.dumps(entry["body"])
        for earlier in range(number):
            assert received.count(f"question-{earlier}") == 1
            assert received.count(f"answer-{earlier}") == 1
        sizes.append(len(received))
    growth = [after - before for before, after in zip(sizes[4:], sizes[8:], strict=False)]
    assert max(growth) < 4 * 250  # four exchanges of a few words, with their attribution


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_an_image_and_a_file_reach_every_provider(app: App, sim: Simulator, workspace: Path, provider: str) -> None:
    (workspace / "pixel.png").write_bytes(PIXEL)
    (workspace / "a.py").write_text("ANSWER = 42\n")
    answer = await call(app, "chat", {"prompt": "x", "model": provider, "images": ["pixel.png"], "files": ["a.py"]})
    assert answer["warnings"] == [] and "code" not in answer
    body = json.dumps(next(one for one in reversed(sim.log) if one["provider"] == provider and one["stream"])["body"])
    assert base64.b64encode(PIXEL).decode() in body
    assert "ANSWER = 42" in body


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_a_cancelled_call_closes_the_upstream_socket(app: App, sim: Simulator, provider: str) -> None:
    sim.fault(provider, "pings_only" if provider != "vertex_gemini" else "hang_after_headers")
    async with Client(build_server(app), mode="legacy") as client:
        task = asyncio.create_task(client.call_tool("chat", {"prompt": "x", "model": provider}))
        await sim.until(lambda log: any(one["provider"] == provider and one["in_flight"] for one in log))
        task.cancel()
        await sim.until(lambda log: any(one["provider"] == provider and one["disconnected"] for one in log))


async def test_a_fallback_past_two_failing_providers_shows_its_attempts(app: App, sim: Simulator) -> None:
    sim.fault("vertex_claude", "status", status=503)
    sim.fault("vertex_gemini", "status", status=429, headers={"retry-after": "2"})
    answer = await call(app, "fallback", {"prompt": "x"})
    assert [(one["provider"], one["outcome"], one["status"]) for one in answer["attempts"]] == [
        ("vertex_claude", "overloaded", 503),
        ("vertex_gemini", "rate_limited", 429),
        ("github_models", "ok", None),
    ]


@pytest.mark.parametrize("status", [400, 401, 429, 500])
async def test_a_key_that_an_upstream_repeats_gets_no_further(
    app: App, sim: Simulator, tmp_path: Path, parley_home: Path, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    keys = {"openrouter": "OPENROUTER_API_KEY", "github_models": "GITHUB_TOKEN"}
    environ = sim.environment(tmp_path)
    caplog.set_level(logging.DEBUG)
    for provider, variable in keys.items():
        sim.fault(provider, "status", status=status, body={"error": {"message": f"no good: {environ[variable]}", "code": status}})
        error = await call(app, "chat", {"prompt": "x", "model": provider})
        stored = b"".join(path.read_bytes() for path in parley_home.rglob("*") if path.is_file())
        assert "no good" in error["message"]
        assert environ[variable] not in json.dumps(error) + caplog.text + stored.decode("latin-1")
