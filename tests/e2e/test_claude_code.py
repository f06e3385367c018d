"""The real Claude Code, with an isolated home: it adds Parley, connects to it, and a scripted model calls its tools."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from simulator import ThreadedSimulator
from tests.e2e.messages_endpoint import ScriptedModel, serving

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


@pytest.fixture
def claude_env(tmp_path: Path, client_env: Mapping[str, str], upstreams: Mapping[str, str]) -> dict[str, str]:
    """An environment in which Claude Code talks to loopback only, and its MCP servers to the simulator."""
    return {
        **client_env,
        **upstreams,
        "HOME": str(tmp_path),
        "PARLEY_HOME": str(tmp_path / "parley"),
        "DISABLE_TELEMETRY": "1",
        "DISABLE_ERROR_REPORTING": "1",
        "DISABLE_AUTOUPDATER": "1",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "CLAUDE_CODE_DISABLE_OFFICIAL_MARKETPLACE_AUTOINSTALL": "1",
        "ANTHROPIC_AUTH_TOKEN": "dummy",
        "ANTHROPIC_BASE_URL": "http://127.0.0.1:9",
    }


def run(command: list[str], env: Mapping[str, str], cwd: Path) -> str:
    """Return what the command printed; fail with its words when it fails."""
    done = subprocess.run(command, env=dict(env), cwd=cwd, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, f"{command[:4]}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def test_claude_mcp_add_then_list_says_connected(claude: str, parley: str, claude_env: dict[str, str], tmp_path: Path) -> None:
    work = tmp_path / "work"
    work.mkdir()
    assert "Added stdio MCP server parley" in run([claude, "mcp", "add", "parley", "--", parley, "serve"], claude_env, work)
    listed = run([claude, "mcp", "list"], claude_env, work)
    line = next(line for line in listed.splitlines() if line.startswith("parley:"))
    assert "Connected" in line
    assert "Failed" not in line


def ask_claude(
    claude: str, config: str, model: ScriptedModel, env: Mapping[str, str], work: Path, prompt: str = "ask another model"
) -> dict[str, Any]:
    """Run one prompt through Claude Code with the scripted model behind it, and return its result."""
    work.mkdir()
    with serving(model) as base_url:
        command = [claude, "-p", prompt, "--mcp-config", config, "--strict-mcp-config"]
        command += ["--allowedTools", "mcp__parley", "--output-format", "json"]
        result: dict[str, Any] = json.loads(run(command, {**env, "ANTHROPIC_BASE_URL": base_url}, work))
    assert not result["is_error"], result
    return result


@pytest.fixture
def config(parley: str) -> str:
    """The configuration that makes Parley an MCP server of Claude Code."""
    return json.dumps({"mcpServers": {"parley": {"type": "stdio", "command": parley, "args": ["serve"]}}})


def test_claude_runs_a_turn_that_calls_chat_and_gets_its_answer(
    claude: str, config: str, claude_env: dict[str, str], tmp_path: Path
) -> None:
    model = ScriptedModel("mcp__parley__chat", {"prompt": "is marmalade a jam?", "model": "gemini"})
    said = ask_claude(claude, config, model, claude_env, tmp_path / "work")["result"]
    assert "simulated" in said
    assert "is marmalade a jam?" in said
    assert "continuation_id" in said
    assert "vertex_gemini" in said


def test_claude_asks_two_models_at_once(
    claude: str, config: str, claude_env: dict[str, str], sim: ThreadedSimulator, tmp_path: Path
) -> None:
    for provider in ("vertex_gemini", "github_models"):
        sim.rule(provider, "slow {provider}", delay_s=2)
    asked = ({"prompt": "which?", "model": "gemini"}, {"prompt": "which?", "model": "gpt"})
    said = ask_claude(claude, config, ScriptedModel("mcp__parley__chat", *asked), claude_env, tmp_path / "work")["result"]
    assert "slow vertex_gemini" in said
    assert "slow github_models" in said
    first, second = (sim.requests(provider)[-1] for provider in ("vertex_gemini", "github_models"))
    assert abs(first["at"] - second["at"]) < 2, "the second was asked before the first could answer"


def first_words(model: ScriptedModel) -> str:
    """All text of the user's first turn, as the model behind Claude Code got it."""
    content = next(message["content"] for message in model.requests[0]["messages"] if message["role"] == "user")
    return content if isinstance(content, str) else "\n".join(block["text"] for block in content if block["type"] == "text")


def test_a_slash_command_has_all_its_words_reach_the_model_which_consults_another_in_the_role(
    claude: str, config: str, claude_env: dict[str, str], sim: ThreadedSimulator, tmp_path: Path
) -> None:
    words = 'why does  the "test of\nthe store" fail?'
    model = ScriptedModel("mcp__parley__chat", {"prompt": words, "role": "debug"})
    said = ask_claude(claude, config, model, claude_env, tmp_path / "work", f"/mcp__parley__debug {words}")["result"]
    text = first_words(model)
    assert f"<command-args>{words}</command-args>" in text, "where the message says that the request is"
    assert 'call its tool chat with role="debug"' in text and "The request: why\nThis client may have passed on the first word only" in text
    assert "claude-opus" in said, "the role prefers it"
    assert "You find the cause of a failure" in json.dumps(sim.requests("vertex_claude")[-1]["body"])


def test_a_slash_command_without_words_is_about_what_is_going_on(
    claude: str, config: str, claude_env: dict[str, str], tmp_path: Path
) -> None:
    model = ScriptedModel("mcp__parley__version", {})
    ask_claude(claude, config, model, claude_env, tmp_path / "work", "/mcp__parley__precommit")
    text = first_words(model)
    assert "where there is none, it is what we are working on" in text and "git diff HEAD" in text


def test_the_written_config_file_connects(claude: str, parley: str, claude_env: dict[str, str], tmp_path: Path) -> None:
    written = tmp_path / "claude_mcp_config.json"
    run([parley, "config", "claude", "--write", str(written)], claude_env, tmp_path)
    model = ScriptedModel("mcp__parley__version", {})
    assert "uptime_s" in ask_claude(claude, str(written), model, claude_env, tmp_path / "work")["result"]
