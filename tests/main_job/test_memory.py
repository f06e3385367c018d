"""The memory over stdio: real servers, a real process that reads, Graphiti on its embedded engine, and simulated models."""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from simulator import ThreadedSimulator
from tests.main_job.conftest import Start
from tests.main_job.process import Parley, bare_environment
from tests.main_job.wires import PROVIDERS
from tests.waiting import until

TIMEOUTS = {"PARLEY_FIRST_BYTE_TIMEOUT": "1.5"}


@pytest.fixture(scope="module")
def server(simulated: ThreadedSimulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parley]:
    """One server for these tests, and so one process that reads; each test has a group of its own."""
    folder = tmp_path_factory.mktemp("memory")
    (folder / "settings.toml").write_text("[chain]\nbreaker_failures = 1000000\n")
    env = {**bare_environment(folder), **simulated.environment(folder), **TIMEOUTS, "PARLEY_CONFIG": "settings.toml"}
    with Parley(env, folder, folder / "stderr") as one:
        yield one
        end_the_drainer(one)


def end_the_drainer(server: Parley) -> None:
    """Have the process that reads end as it should."""
    owner = server.call("get_status").answer["owner"]
    if owner:
        with suppress(ProcessLookupError):
            os.kill(owner, signal.SIGTERM)


@pytest.fixture
def group() -> str:
    return f"g{uuid.uuid4().hex[:12]}"


Remember = Callable[..., dict[str, Any]]


@pytest.fixture
def remember(server: Parley, group: str) -> Remember:
    """Tells a note, waits until it has been read or was given up, and returns it."""

    def through(body: str, on: Parley | None = None) -> dict[str, Any]:
        at = on or server
        known = at.call("add_memory", name="A note", episode_body=body, group_id=group).answer["uuid"]
        until(lambda: episode(at, group, known)["state"] in ("done", "failed"), "reading the note")
        return episode(at, group, known)

    return through


def episode(server: Parley, group: str, uuid: str) -> dict[str, Any]:
    rows = server.call("get_episodes", group_ids=[group], max_episodes=100).answer["episodes"]
    return next(row for row in rows if row["uuid"] == uuid)


def facts(server: Parley, group: str, query: str, **more: Any) -> list[dict[str, Any]]:
    return server.call("search_memory_facts", query=query, group_ids=[group], **more).answer["facts"]


def test_a_note_is_read_and_what_it_says_is_found_in_another_process(
    server: Parley, remember: Remember, group: str, tmp_path: Path
) -> None:
    told = remember("Alice maintains the parser.")
    assert (told["state"], told["error"]) == ("done", None)
    with Parley({**server.env, "PARLEY_CONFIG": ""}, tmp_path, tmp_path / "stderr") as other:
        (found,) = facts(other, group, "Who maintains the parser?")
        assert (found["fact"], found["source_node"], found["episodes"]) == ("Alice maintains the parser.", "Alice", [told["uuid"]])
        nodes = other.call("search_nodes", query="alice", group_ids=[group]).answer["nodes"]
        assert [node["name"] for node in nodes] == ["Alice", "parser"]


def test_a_change_marks_what_was_so_before(server: Parley, remember: Remember, group: str) -> None:
    first, second = remember("We use Postgres."), remember("We use SQLite now.")
    (found,) = facts(server, group, "which database do we use")
    assert (found["fact"], found["superseded"], found["episodes"]) == ("We use SQLite now.", False, [second["uuid"]])
    new, old = facts(server, group, "which database do we use", include_superseded=True)
    assert (new["superseded"], old["superseded"], old["episodes"]) == (False, True, [first["uuid"]])
    assert old["invalid_at"] == new["valid_at"] and old["expired_at"]


@pytest.mark.parametrize("odd", ["schema_echo", "prose", "truncated", "fenced", "list", "empty_object"])
def test_a_model_that_answers_oddly_once_is_told_so_and_understood(
    server: Parley, sim: ThreadedSimulator, remember: Remember, group: str, odd: str
) -> None:
    sim.odd_extraction(odd, times=1)
    assert remember(f"Bo maintains the {odd} lexer.")["state"] == "done"
    assert len(facts(server, group, "lexer")) == 1


def test_a_provider_that_limits_or_is_silent_is_passed(server: Parley, sim: ThreadedSimulator, remember: Remember, group: str) -> None:
    sim.fault("vertex_claude", "status", status=429)
    sim.fault("vertex_gemini", "hang_before_headers")
    assert remember("Cleo maintains the linker.")["state"] == "done"
    assert len(facts(server, group, "linker")) == 1
    assert {entry["provider"] for entry in sim.log if entry.get("prompt")} >= {"github_models"}


def test_when_all_providers_limit_it_is_tried_again(server: Parley, sim: ThreadedSimulator, remember: Remember, group: str) -> None:
    for provider in PROVIDERS:
        sim.fault(provider, "status", status=429, headers={"retry-after": "1"}, times=1)
    assert remember("Dan maintains the loader.")["state"] == "done"
    assert len(facts(server, group, "loader")) == 1


def test_what_reads_is_replaced_within_ten_seconds_when_it_is_killed(
    server: Parley, sim: ThreadedSimulator, remember: Remember, group: str
) -> None:
    remember("Eve maintains the mapper.")
    killed = server.call("get_status").answer["owner"]
    os.kill(killed, signal.SIGKILL)
    known = server.call("add_memory", name="A note", episode_body="Fay maintains the mixer.", group_id=group).answer["uuid"]
    began = time.monotonic()
    until(lambda: server.call("get_status").answer["owner"] not in (None, killed), "another drainer")
    assert time.monotonic() - began < 10
    until(lambda: episode(server, group, known)["state"] == "done", "reading the note")
    assert {found["fact"] for found in facts(server, group, "maintains")} == {"Eve maintains the mapper.", "Fay maintains the mixer."}


def test_what_was_left_behind_is_read_by_whoever_comes_next(start: Start, tmp_path: Path) -> None:
    with_nobody = start(GITHUB_TOKEN=None, OPENROUTER_API_KEY=None, GOOGLE_CLOUD_PROJECT=None, GOOGLE_APPLICATION_CREDENTIALS=None)
    told = with_nobody.call("add_memory", name="A note", episode_body="Gil maintains the gate.", group_id="left").answer
    status = with_nobody.call("get_status").answer
    assert (told["state"], status["owner"]) == ("queued", None) and "No provider is configured" in status["message"]
    later = start()
    until(lambda: episode(later, "left", told["uuid"])["state"] == "done", "reading the note")
    end_the_drainer(later)


def test_a_deleted_note_is_gone_from_what_is_found(server: Parley, remember: Remember, group: str) -> None:
    told = remember("Hal maintains the hub.")
    server.call("delete_episode", uuid=told["uuid"])
    assert facts(server, group, "hub") == []
    server.call("clear_graph", group_ids=[group], confirm=True)
    assert server.call("get_episodes", group_ids=[group]).answer["episodes"] == []
