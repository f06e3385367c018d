"""The command where folders are wrong: a state folder that is shut, a working directory that is gone."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from simulator import ThreadedSimulator, running
from tests.cli.kept import conversation
from tests.cli.run import PARLEY, Ran, in_shell, is_one_line, ran, without_privileges

HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}


def talk(words: list[str], cwd: Path, env: Mapping[str, str], tool: str, **arguments: Any) -> dict[str, Any]:
    """What a server process answers to one call."""
    messages = (
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": tool, "arguments": arguments}},
    )
    with subprocess.Popen(
        words, cwd=cwd, env={**os.environ, **env}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=without_privileges
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write("".join(json.dumps(message) + "\n" for message in messages).encode())
        process.stdin.flush()
        answers = (json.loads(line) for line in process.stdout)
        answer = next(message for message in answers if message.get("id") == 2)
        process.stdin.close()
    return answer["result"]


@pytest.fixture
def sim() -> Iterator[ThreadedSimulator]:
    with running() as simulator:
        yield simulator


@pytest.fixture(params=["itself", "above"])
def shut(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A state folder that may not be entered."""
    closed = tmp_path / "shut"
    home = closed if request.param == "itself" else closed / "home"
    home.mkdir(parents=True)
    closed.chmod(0)
    yield home
    closed.chmod(0o700)


def test_a_home_that_may_not_be_entered_costs_only_what_is_kept_there(shut: Path, tmp_path: Path, sim: ThreadedSimulator) -> None:
    env = {**sim.environment(tmp_path), "PARLEY_HOME": str(shut)}
    answer = talk([str(PARLEY), "serve"], tmp_path, env, "chat", prompt="x")["structuredContent"]
    assert answer["content"] and [warning["code"] for warning in answer["warnings"]] == ["not_saved"]
    assert ran([str(PARLEY), "models"], tmp_path, env)[0] == 0
    status, _, err = ran([str(PARLEY), "threads", "ls"], tmp_path, env)
    assert status == 1 and is_one_line(err) and "PARLEY_HOME" in err


@pytest.fixture(params=["folder", "file"])
def read_only(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A state folder with a conversation, in which nothing can be written; the conversation's id."""
    home = tmp_path / "home"
    thread_id = conversation(home)
    closed, mode = (home, 0o500) if request.param == "folder" else (home / "threads.db", 0o400)
    closed.chmod(mode)
    yield home, thread_id
    home.chmod(0o700)


def test_a_home_that_cannot_be_written_costs_only_what_would_be_kept_there(
    read_only: tuple[Path, str], tmp_path: Path, sim: ThreadedSimulator
) -> None:
    home, thread_id = read_only
    env = {**sim.environment(tmp_path), "PARLEY_HOME": str(home)}
    before = (home / "threads.db").read_bytes()
    answer = talk([str(PARLEY), "serve"], tmp_path, env, "chat", prompt="x")["structuredContent"]
    (warning,) = answer["warnings"]
    assert answer["content"] and warning["code"] == "not_saved" and "continuation_id" not in answer and "turn" not in answer
    assert re.search("PARLEY_HOME.* writable", warning["message"])
    asked = sum(1 for entry in sim.log if entry["method"] == "POST")
    result = talk([str(PARLEY), "serve"], tmp_path, env, "chat", prompt="y", continuation_id=thread_id)
    error = json.loads(result["content"][0]["text"])
    assert result["isError"] and error["code"] == "store_unavailable" and re.search("PARLEY_HOME.* writable", error["hint"])
    assert sum(1 for entry in sim.log if entry["method"] == "POST") == asked, "nothing goes upstream that could not go on"
    assert (home / "threads.db").read_bytes() == before
    status, out, err = ran([str(PARLEY), "threads", "rm", thread_id], tmp_path, env)
    assert (status, out) == (1, "") and is_one_line(err) and "PARLEY_HOME" in err


def test_the_doctor_finds_a_home_that_may_not_be_entered(shut: Path, tmp_path: Path) -> None:
    status, out, err = ran([str(PARLEY), "doctor", "--json"], tmp_path, {"PARLEY_HOME": str(shut), "OPENROUTER_API_KEY": "sk-test-only"})
    checks = {check["name"]: check["status"] for check in json.loads(out)["checks"]}
    assert (status, err, checks["home"], checks["store"], checks["openrouter"]) == (1, "", "broken", "broken", "ok")


def test_roots_behind_a_shut_folder_are_refused(shut: Path, tmp_path: Path) -> None:
    root = shut / "root"
    status, _, err = ran([str(PARLEY), "serve"], tmp_path, {"PARLEY_WORKSPACE_ROOTS": str(root)})
    assert (status, err) == (2, f"parley: PARLEY_WORKSPACE_ROOTS: {root} is not a folder\n")


GONE = 'cd "$1" && rmdir "$1" && exec "$PARLEY" '


@pytest.fixture
def gone(tmp_path: Path) -> Callable[..., Ran]:
    """Runs a command in a folder that is removed first."""

    def run(arguments: str, **env: str) -> Ran:
        (tmp_path / "gone").mkdir()
        return in_shell(GONE + arguments, tmp_path, str(tmp_path / "gone"), env=env)

    return run


@pytest.mark.parametrize("arguments", ["serve", "serve --transport http --port 0", "threads ls", "models"])
def test_a_working_directory_that_is_gone_is_one_line(gone: Callable[..., Ran], arguments: str) -> None:
    for env in ({}, {"PARLEY_WORKSPACE_ROOTS": "."}):
        status, out, err = gone(arguments, **env)
        assert (status, out) == (2, "") and is_one_line(err) and "PARLEY_WORKSPACE_ROOTS" in err


def test_nothing_is_written_into_a_working_directory_that_is_gone(gone: Callable[..., Ran]) -> None:
    status, out, err = gone("config claude --write mcp.json")
    assert (status, out, err) == (1, "", "parley: cannot write mcp.json: No such file or directory\n")


def test_the_doctor_says_that_the_working_directory_is_gone(gone: Callable[..., Ran]) -> None:
    status, out, err = gone("doctor")
    assert (status, err) == (1, "") and "broken  configuration  the working directory does not exist any more" in out


def test_what_needs_no_working_directory_works_without(gone: Callable[..., Ran], tmp_path: Path) -> None:
    assert gone("version")[0] == gone("config claude")[0] == 0
    (tmp_path / "root").mkdir()
    for arguments in ("threads ls", "models", "serve"):
        assert gone(arguments, PARLEY_WORKSPACE_ROOTS=str(tmp_path / "root"))[0] == 0


def test_with_a_root_a_server_in_a_folder_that_is_gone_answers(tmp_path: Path, sim: ThreadedSimulator) -> None:
    (tmp_path / "gone").mkdir()
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a.txt").write_text("words")
    env = {**sim.environment(tmp_path), "PARLEY": str(PARLEY), "PARLEY_WORKSPACE_ROOTS": str(tmp_path / "root")}
    words = ["/bin/sh", "-c", GONE + "serve", "sh", str(tmp_path / "gone")]
    answer = talk(words, tmp_path, env, "chat", prompt="x", files=["a.txt"])["structuredContent"]
    assert answer["content"] and answer["warnings"] == []
