"""Every error code a caller can meet, in the promised shape, and whether anything went upstream for it."""

from __future__ import annotations

import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from simulator import ThreadedSimulator
from tests.main_job.conftest import Start
from tests.main_job.process import Parley, serving
from tests.main_job.wires import DEFAULTS, asked, upstream_calls

LONG = "word " * 180_000
"""Under the limit of a prompt, over the window of a model of 200,000 tokens."""

CALLERS: list[tuple[str, str, dict[str, Any], str]] = [
    ("an unknown argument", "invalid_input", {"prompt": "x", "temprature": 1}, "temperature"),
    ("a wrong type", "invalid_input", {"prompt": 5}, "prompt"),
    ("no prompt", "invalid_input", {}, "prompt"),
    ("an empty prompt", "invalid_input", {"prompt": " \n"}, "prompt is empty"),
    ("a temperature out of range", "invalid_input", {"prompt": "x", "temperature": 3}, "temperature"),
    ("no such role", "invalid_input", {"prompt": "x", "role": "plumber"}, "plumber"),
    ("a branch of nothing", "invalid_input", {"prompt": "x", "branch_from": 2}, "continuation_id"),
    ("a model there is not", "unknown_model", {"prompt": "x", "model": "claude-sonet-4-5"}, "claude-sonnet-4-5"),
    ("a malformed id", "invalid_continuation_id", {"prompt": "x", "continuation_id": "my-thread"}, "UUID"),
    ("an unknown id", "thread_not_found", {"prompt": "x", "continuation_id": str(uuid.UUID(int=7))}, "threads"),
    ("too much prompt", "too_large", {"prompt": "x" * 1_000_001}, "1,000,000"),
    ("a prompt over the model's window", "context_too_long", {"prompt": LONG, "model": "vertex_claude/claude-haiku-4-5"}, "has room for"),
]


@pytest.mark.parametrize(("code", "arguments", "says"), [case[1:] for case in CALLERS], ids=[case[0] for case in CALLERS])
@pytest.mark.parametrize("tool", ["chat", "fallback"])
def test_what_the_caller_got_wrong_is_an_error_and_no_call_upstream(
    parley: Parley, sim: ThreadedSimulator, tool: str, code: str, arguments: dict[str, Any], says: str
) -> None:
    if tool == "fallback" and code == "context_too_long":
        arguments = {"prompt": arguments["prompt"], "chain": [arguments["model"]]}
    error = parley.call(tool, **arguments).error
    assert (error["code"], error["retryable"]) == (code, False)
    assert says in error["message"] + error["hint"]
    assert not upstream_calls(sim)
    assert error["attempts"] == [] or code == "context_too_long"


@pytest.mark.parametrize("tool", ["chat", "fallback"])
def test_a_memory_that_cannot_be_read_is_an_error_and_no_call_upstream(
    start: Start, tmp_path: Path, sim: ThreadedSimulator, tool: str
) -> None:
    server = start()
    (tmp_path / "parley" / "memory.db").mkdir(parents=True)
    error = server.call(tool, prompt="x", use_memory=True).error
    assert (error["code"], "use_memory=false" in error["hint"]) == ("memory_unavailable", True)
    assert not upstream_calls(sim) and error["attempts"] == []


def test_a_tool_there_is_not_is_named_with_those_there_are(parley: Parley) -> None:
    error = parley.call("chatt", prompt="x").error
    assert error["code"] == "invalid_input" and "chat" in error["hint"]


def test_an_upstreams_own_verdict_on_length_goes_on_to_a_larger_model_only(parley: Parley, sim: ThreadedSimulator) -> None:
    for provider, model in DEFAULTS.items():
        sim.model(provider, model, context_window=100)
    error = parley.call("chat", prompt="word " * 200, model="vertex_claude").error
    assert (error["code"], error["attempts"][0]["outcome"], error["attempts"][0]["status"]) == ("context_too_long", "context_too_long", 400)
    assert upstream_calls(sim) == 1


@pytest.fixture(scope="module")
def lone(simulated: ThreadedSimulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parley]:
    """A server that has only GitHub Models, and keeps threads for a moment."""
    gone = {"GOOGLE_APPLICATION_CREDENTIALS": None, "OPENROUTER_API_KEY": "your_openrouter_key_here"}
    with serving(simulated, tmp_path_factory.mktemp("lone"), PARLEY_THREAD_TTL_DAYS="0.000012", **gone) as server:
        yield server


@pytest.mark.parametrize("model", ["vertex_claude", "openrouter/openai/gpt-4o", "gemini"])
def test_a_provider_without_credentials_says_how_to_configure_it(lone: Parley, sim: ThreadedSimulator, model: str) -> None:
    error = lone.call("chat", prompt="x", model=model).error
    assert error["code"] == "not_configured" and not error["retryable"]
    assert ("OPENROUTER_API_KEY" if "openrouter" in model else "GOOGLE_APPLICATION_CREDENTIALS") in error["message"] + error["hint"]
    assert not upstream_calls(sim)


def test_an_expired_thread_is_told_from_one_that_never_was(lone: Parley, sim: ThreadedSimulator) -> None:
    thread = lone.chat("x")["continuation_id"]
    sim.reset("log")
    deadline = time.monotonic() + 10
    while "isError" not in (shown := lone.call("threads", action="show", continuation_id=thread)).result or not shown.result["isError"]:
        assert time.monotonic() < deadline
    assert shown.error["code"] == "thread_expired"
    assert lone.call("chat", prompt="x", continuation_id=thread).error["code"] == "thread_expired"
    assert not upstream_calls(sim)


def test_a_store_held_by_another_process_is_busy_and_the_thread_goes_on_when_it_is_let_go(
    parley: Parley, sim: ThreadedSimulator, shared_folder: Path
) -> None:
    thread = parley.chat("x", model="openrouter")["continuation_id"]
    sim.reset("log")
    with closing(sqlite3.connect(shared_folder / "parley" / "threads.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        error = parley.call("chat", prompt="y", model="openrouter", continuation_id=thread).error
    assert (error["code"], error["retryable"]) == ("store_busy", True)
    assert not upstream_calls(sim)
    assert parley.chat("z", model="openrouter", continuation_id=thread)["turn"] == 4


def test_a_store_that_cannot_be_used_is_said_and_answers_still_come(start: Start, sim: ThreadedSimulator, tmp_path: Path) -> None:
    home = tmp_path / "parley"
    home.mkdir(mode=0o700)
    (home / "threads.db").write_bytes(b"no database at all" * 500)
    parley = start()
    for arguments in ({"action": "list"}, {"action": "show", "continuation_id": str(uuid.uuid4())}):
        error = parley.call("threads", **arguments).error
        assert (error["code"], error["retryable"]) == ("store_unavailable", False) and str(tmp_path) not in str(error)
    assert parley.call("chat", prompt="x", continuation_id=str(uuid.uuid4())).error["code"] == "store_unavailable"
    assert not upstream_calls(sim)
    answer = parley.chat("x", model="github_models")
    assert answer["warnings"][0]["code"] == "not_saved" and "continuation_id" not in answer


def test_when_all_fail_the_error_has_every_attempt(parley: Parley, sim: ThreadedSimulator) -> None:
    sim.fault("vertex_claude", "status", status=503)
    sim.fault("vertex_gemini", "status", status=429)
    sim.fault("github_models", "refuse")
    sim.fault("openrouter", "empty")
    error = parley.call("chat", prompt="x").error
    assert (error["code"], error["retryable"]) == ("all_providers_failed", True)
    assert [(one["provider"], one["model"], one["outcome"], one["status"]) for one in error["attempts"]] == [
        ("vertex_claude", DEFAULTS["vertex_claude"], "overloaded", 503),
        ("vertex_gemini", DEFAULTS["vertex_gemini"], "rate_limited", 429),
        ("github_models", DEFAULTS["github_models"], "refused", None),
        ("openrouter", DEFAULTS["openrouter"], "empty", None),
    ]
    assert all(len(asked(sim, provider)) == 1 for provider in DEFAULTS)
