"""The memory searched by meaning, from outside: `parley memory` reads with an embedding model, and `parley serve` finds a paraphrase."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from graph.config import GraphConfig
from graph.episodes import NewEpisode
from graph.inbox import Inbox
from graph.ownership import owner
from simulator import ThreadedSimulator
from tests.main_job.process import PARLEY, Parley, bare_environment

pytest.importorskip("graphiti_core")

SMALL, OTHER = "openrouter/openai/text-embedding-3-small", "vertex_gemini/text-embedding-005"
LORRY, QUESTION = "Kestrel purchased a lorry.", "who bought trucks"
Start = Callable[..., Parley]
Command = Callable[..., Any]


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A PARLEY_HOME; a drainer that was started for it in the background ends with the test."""
    folder = Path(bare_environment(tmp_path)["PARLEY_HOME"])
    yield folder
    number = owner(folder / "memory.lock")
    if number:
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGTERM)


@pytest.fixture
def command(home: Path, sim: ThreadedSimulator, tmp_path: Path) -> Command:
    """Runs `parley memory` and returns what it prints as JSON, of `drain` nothing; `said` is part of what it says beside."""
    env = {**bare_environment(tmp_path), **sim.environment(tmp_path)}

    def run(*arguments: str, model: str | None, said: str = "") -> Any:
        words = [str(PARLEY), "memory", *arguments, *(() if arguments[0] == "drain" else ("--json",))]
        setting = {"PARLEY_EMBEDDING_MODEL": model} if model else {}
        done = subprocess.run(words, env={**env, **setting}, cwd=tmp_path, capture_output=True, text=True, timeout=50)
        assert done.returncode == 0 and said in done.stderr, done.stderr
        return json.loads(done.stdout) if done.stdout else None

    return run


def tell(home: Path, *bodies: str) -> None:
    async def add() -> None:
        inbox = Inbox(GraphConfig(home=home).database)
        for body in bodies:
            await inbox.add(NewEpisode(name="a note", body=body, group_id="g", uuid=str(uuid.uuid4())))
        await inbox.aclose()

    asyncio.run(add())


def facts(found: dict[str, Any]) -> list[str]:
    return [one["fact"] for one in found["facts"]]


def test_a_paraphrase_is_found_with_a_model_and_not_without(command: Command, home: Path, start: Start) -> None:
    tell(home, LORRY, "Marta sings in a choir.")
    command("drain", "--idle", "0.3", model=SMALL)
    server = start(PARLEY_EMBEDDING_MODEL=SMALL)
    found = server.call("search_memory_facts", query=QUESTION, group_ids=["g"]).answer
    assert "Kestrel" in facts(found)[0] and "warnings" not in found
    status = server.call("get_status").answer
    assert (status["embedding"], status["message"]) == (SMALL, "Everything that was told has been read.")
    plain = start().call("search_memory_facts", query=QUESTION, group_ids=["g"]).answer
    assert (facts(plain), plain.get("episodes", []), plain["warnings"][0]["code"]) == ([], [], "lexical_memory")


def test_another_model_asks_for_a_rebuild_and_works_after_it(command: Command, home: Path) -> None:
    tell(home, LORRY)
    command("drain", "--idle", "0.3", model=SMALL)
    message = command("status", model=OTHER)["message"]
    assert f"made with embedding {SMALL}, the settings say {OTHER}. Run `parley memory rebuild`" in message
    search = ("search", "--group", "g")
    assert command(*search, QUESTION, model=OTHER)["facts"] == []
    assert command(*search, "lorry", model=OTHER, said="goes by words alone")["facts"], "by words it goes on"
    assert command("rebuild", model=OTHER) == {"queued": 1}
    command("drain", "--idle", "0.3", model=OTHER)
    assert "Kestrel" in facts(command(*search, QUESTION, model=OTHER))[0]
    assert "rebuild" not in command("status", model=OTHER)["message"]


def test_while_the_model_is_away_search_goes_by_words_and_says_why(
    command: Command, home: Path, start: Start, sim: ThreadedSimulator
) -> None:
    tell(home, LORRY)
    command("drain", "--idle", "0.3", model=SMALL)
    server = start(PARLEY_EMBEDDING_MODEL=SMALL)
    sim.fault("openrouter", "status", status=503, times=None)
    found = server.call("search_memory_facts", query="lorry", group_ids=["g"]).answer
    assert "Kestrel" in facts(found)[0], found
    (warning,) = found["warnings"]
    assert warning["code"] == "lexical_memory"
    assert "went by words alone: openrouter/openai/text-embedding-3-small: HTTP 503" in warning["message"]


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nobody/model", "There is no provider 'nobody'."),
        ("vertex_claude/claude", "vertex_claude has no embedding models."),
        ("github_models/openai/text-embedding-3-small", "GITHUB_TOKEN is not set"),
    ],
)
def test_a_model_that_cannot_be_is_told_and_costs_nothing_else(start: Start, name: str, told: str) -> None:
    server = start(PARLEY_EMBEDDING_MODEL=name, GITHUB_TOKEN=None)
    assert told in server.call("get_status").answer["message"]
    assert server.call("search_memory_facts", query="anything").answer["facts"] == []


def test_a_name_that_is_none_is_wrong_use(tmp_path: Path) -> None:
    env = {**bare_environment(tmp_path), "PARLEY_EMBEDDING_MODEL": "text-embedding-3-small"}
    done = subprocess.run([str(PARLEY), "serve"], env=env, input="", capture_output=True, text=True, timeout=30)
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "PARLEY_EMBEDDING_MODEL is not the exact name of a model: 'text-embedding-3-small'" in done.stderr
