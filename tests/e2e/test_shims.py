"""The real Claude Code on every shim and on the router: it answers, runs a tool, and goes on while a provider fails."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from simulator import ThreadedSimulator
from tests.gateway.running import SHIMS, Gateway, running_gateway

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


@pytest.fixture
def gateway(parley: str, client_env: dict[str, str], upstreams: dict[str, str], tmp_path: Path) -> Iterator[Gateway]:
    """All shims, warm."""
    env = {**client_env, **upstreams, "HOME": str(tmp_path), "PARLEY_HOME": str(tmp_path / "parley")}
    with running_gateway(parley, env, tmp_path) as running:
        yield running


def ask(claude: str, base_url: str, env: Mapping[str, str], work: Path, prompt: str, *more: str) -> dict[str, Any]:
    """Run one prompt through Claude Code behind an address, and return its result."""
    work.mkdir(exist_ok=True)
    home = work.parent / f"home-{work.name}"
    home.mkdir(exist_ok=True)
    settings = {
        "DISABLE_TELEMETRY": "1",
        "DISABLE_ERROR_REPORTING": "1",
        "DISABLE_AUTOUPDATER": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_DISABLE_OFFICIAL_MARKETPLACE_AUTOINSTALL": "1",
        "CLAUDE_CODE_MAX_RETRIES": "1",
        "ANTHROPIC_AUTH_TOKEN": "dummy",
        "ANTHROPIC_BASE_URL": base_url,
        "HOME": str(home),
    }
    command = [claude, "-p", prompt, "--output-format", "json", *more]
    done = subprocess.run(command, env={**env, **settings}, cwd=work, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout, done.stderr[-2000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("shim", SHIMS)
def test_claude_code_answers_on_every_shim(
    claude: str, gateway: Gateway, client_env: dict[str, str], sim: ThreadedSimulator, tmp_path: Path, shim: str
) -> None:
    sim.rule("*", "a plain answer from {provider}")
    result = ask(claude, gateway.url(shim), client_env, tmp_path / "work", "say hi")
    provider = "vertex_claude" if shim == "router" else shim
    assert not result["is_error"], result
    assert result["result"] == f"a plain answer from {provider}"


@pytest.mark.parametrize("shim", SHIMS)
def test_claude_code_runs_a_tool_on_every_shim(
    claude: str, gateway: Gateway, client_env: dict[str, str], sim: ThreadedSimulator, tmp_path: Path, shim: str
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "notes.txt").write_text("the word is marmalade\n")
    sim.rule("*", "It says {quote:the word is [a-z]+}.", match="the word is")
    sim.rule("*", "", tool_use=[{"name": "Read", "input": {"file_path": str(work / "notes.txt")}}], match="read the notes")
    result = ask(claude, gateway.url(shim), client_env, work, "read the notes")
    assert not result["is_error"], result
    assert result["result"] == "It says the word is marmalade."


def test_claude_code_goes_on_by_the_router_while_providers_fail(
    claude: str, gateway: Gateway, client_env: dict[str, str], sim: ThreadedSimulator, tmp_path: Path
) -> None:
    sim.fault("vertex_claude", "status", status=529)
    sim.fault("vertex_gemini", "refuse")
    sim.rule("github_models", "still here")
    result = ask(claude, gateway.url("router"), client_env, tmp_path / "work", "say hi")
    assert not result["is_error"], result
    assert result["result"] == "still here"


def test_a_pinned_shim_tells_what_its_provider_said(
    claude: str, gateway: Gateway, client_env: dict[str, str], sim: ThreadedSimulator, tmp_path: Path
) -> None:
    sim.fault("vertex_claude", "status", status=403, message="no access to this model")
    result = ask(claude, gateway.url("vertex_claude"), client_env, tmp_path / "work", "say hi")
    assert result["is_error"] and result["api_error_status"] == 403
    assert "no access to this model" in result["result"]
