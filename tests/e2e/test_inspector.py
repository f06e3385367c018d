"""The real MCP inspector's command line, over each transport."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

TOOLS = {"chat", "fallback", "listmodels", "threads", "version"}


@contextmanager
def serving(parley: str, env: Mapping[str, str], port: int) -> Iterator[str]:
    """Run `parley serve --transport http` and yield its base URL once it says it listens."""
    command = [parley, "serve", "--transport", "http", "--port", str(port)]
    with subprocess.Popen(command, env=dict(env), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as process:
        assert process.stderr is not None
        try:
            listening = next((line for line in process.stderr if str(port) in line), "")
            assert listening, "the server ended before it listened"
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(15)


@pytest.fixture(params=["stdio", "http", "sse"])
def target(
    request: pytest.FixtureRequest, parley: str, upstreams: Mapping[str, str], client_env: Mapping[str, str], free_port: int, tmp_path: Path
) -> Iterator[tuple[list[str], dict[str, str]]]:
    """The inspector's arguments that reach a running Parley over one transport, and its environment."""
    env = {**client_env, **upstreams, "HOME": str(tmp_path), "PARLEY_HOME": str(tmp_path / "parley")}
    if request.param == "stdio":
        # The inspector hands a stdio server only a few variables; those it needs are named with -e.
        passed = [word for name, value in {**upstreams, "PARLEY_HOME": env["PARLEY_HOME"]}.items() for word in ("-e", f"{name}={value}")]
        yield [*passed, parley, "serve"], env
        return
    with serving(parley, env, free_port) as base_url:
        path = "/mcp" if request.param == "http" else "/sse"
        yield [base_url + path, "--transport", request.param], env


def inspect(inspector: list[str], target: tuple[list[str], dict[str, str]], *words: str) -> Any:
    """Return the JSON the inspector prints for one method."""
    where, env = target
    done = subprocess.run([*inspector, "--cli", *where, *words], env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return json.loads(done.stdout)


def test_the_inspector_lists_every_tool(inspector: list[str], target: tuple[list[str], dict[str, str]]) -> None:
    listed = inspect(inspector, target, "--method", "tools/list")
    assert {tool["name"] for tool in listed["tools"]} >= TOOLS


def test_the_inspector_calls_a_tool_and_gets_structured_content(inspector: list[str], target: tuple[list[str], dict[str, str]]) -> None:
    words = ["--method", "tools/call", "--tool-name", "chat", "--tool-arg", "prompt=hello inspector", "model=gpt"]
    called = inspect(inspector, target, *words)
    assert not called.get("isError"), called
    answer = called["structuredContent"]
    assert "hello inspector" in answer["content"]
    assert answer["provider"] == "github_models"


def test_the_inspector_sees_an_error_as_one_json_text(inspector: list[str], target: tuple[list[str], dict[str, str]]) -> None:
    words = ["--method", "tools/call", "--tool-name", "chat", "--tool-arg", "prompt=hello", "model=gpt-17"]
    called = inspect(inspector, target, *words)
    assert called["isError"] is True
    assert len(called["content"]) == 1
    error = json.loads(called["content"][0]["text"])
    assert error["code"] == "unknown_model"
    assert set(error) == {"code", "message", "hint", "retryable", "attempts"}
