"""What becomes of a conversation when its disk refuses, and when the server is killed at the worst moment: seen from outside."""

from __future__ import annotations

import re
import resource
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from simulator import ThreadedSimulator
from tests.main_job.conftest import Start
from tests.main_job.process import Parley, serving
from tests.main_job.wires import asked, text_of, upstream_calls

ROOM = re.compile("writable and the disk has room")


@pytest.fixture(scope="module")
def server(simulated: ThreadedSimulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parley]:
    """A warm server of this module's own, whose disk the tests may fill."""
    with serving(simulated, tmp_path_factory.mktemp("full")) as parley:
        parley.chat("get warm", model="github_models")
        yield parley


@contextmanager
def full_disk(server: Parley) -> Iterator[None]:
    """Let the kernel refuse the server every byte it would add to a file."""
    before = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, before)


def warned(answer: dict[str, Any]) -> str:
    """The text of the one warning that says that nothing was saved."""
    (message,) = [warning["message"] for warning in answer["warnings"] if warning["code"] == "not_saved"]
    return message


def told(turns: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(turn["content"], turn["state"]) for turn in turns]


@pytest.mark.parametrize("tool", ["chat", "fallback", "consensus"])
def test_on_a_full_disk_an_answer_comes_with_the_warning_that_it_was_not_saved_and_claims_no_thread(
    server: Parley, tool: str
) -> None:
    extra = {"models": ["github_models", "openrouter"]} if tool == "consensus" else {"model": "github_models"}
    with full_disk(server):
        answer = server.call(tool, prompt="x", **extra).answer
        listed = server.call("threads", action="list").answer["threads"]
    message = warned(answer)
    assert message.startswith("This exchange was not saved and cannot be continued: The thread store cannot be read or written")
    assert ROOM.search(message), "and says what to do"
    assert "continuation_id" not in answer and "turn" not in answer
    assert [one["title"] for one in server.call("threads", action="list").answer["threads"]] == [one["title"] for one in listed]
    assert server.chat("y", model="github_models")["warnings"] == []


def test_on_a_full_disk_a_thread_cannot_be_continued_but_read_and_nothing_goes_upstream(server: Parley, sim: ThreadedSimulator) -> None:
    thread = server.chat("one", model="github_models")["continuation_id"]
    before = told(server.turns(thread))
    sim.reset("log")
    with full_disk(server):
        error = server.call("chat", prompt="two", continuation_id=thread, model="github_models").error
        assert error["code"] == "store_unavailable" and ROOM.search(error["hint"])
        assert server.call("threads", action="delete", continuation_id=thread).error["code"] == "store_unavailable"
        assert told(server.turns(thread)) == before
    assert not upstream_calls(sim)
    assert server.chat("two", continuation_id=thread, model="github_models")["turn"] == 4


def test_a_disk_that_is_full_when_the_answer_comes_leaves_the_question_as_interrupted(server: Parley, sim: ThreadedSimulator) -> None:
    thread = server.chat("one", model="github_models")["continuation_id"]
    sim.rule("openrouter", "lost words", match_last_user="two", delay_s=0.3)
    call = server.begin("chat", prompt="two", continuation_id=thread, model="openrouter")
    sim.until(lambda log: [entry for entry in log if entry["provider"] == "openrouter"], timeout=20)
    with full_disk(server):
        answer = call.outcome().answer
        assert answer["content"] == "lost words"
        assert warned(answer).startswith("The answer was not saved: ") and ROOM.search(warned(answer))
        assert "turn" not in answer and answer["continuation_id"] == thread, "which goes on without it"
        assert told(server.turns(thread))[2:] == [("two", "pending")]
    assert told(server.turns(thread))[2:] == [("two", "interrupted")]
    assert server.chat("three", continuation_id=thread, model="github_models")["turn"] == 5
    assert "lost words" not in text_of(asked(sim, "github_models")[-1])


def test_a_server_killed_between_the_answer_and_its_commit_leaves_the_question_as_interrupted_and_the_thread_goes_on(
    start: Start, sim: ThreadedSimulator, tmp_path: Path
) -> None:
    doomed, other = start(), start()
    thread = other.chat("one", model="github_models")["continuation_id"]
    sim.rule("openrouter", "never written", match_last_user="two", delay_s=0.3)
    doomed.begin("chat", prompt="two", continuation_id=thread, model="openrouter")
    sim.until(lambda log: [entry for entry in log if entry["provider"] == "openrouter"], timeout=20)
    with closing(sqlite3.connect(tmp_path / "parley" / "threads.db", isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")  # so that the answer, which comes now, cannot be committed
        sim.until(lambda log: [entry for entry in log if entry["provider"] == "openrouter" and entry["answered"]])
        assert doomed.pings() and not doomed.notes
        doomed.kill()
        holder.execute("ROLLBACK")
    assert told(other.turns(thread))[2:] == [("two", "interrupted")]
    (line,) = [one for one in other.call("threads", action="list").answer["threads"] if one["continuation_id"] == thread]
    assert line["turns"] == 3
    answer = other.chat("three", continuation_id=thread, model="github_models")
    assert (answer["turn"], answer["warnings"]) == (5, [])
    assert "never written" not in text_of(asked(sim, "github_models")[-1]) and "two" not in text_of(asked(sim, "github_models")[-1])
    assert told(start().turns(thread)) == told(other.turns(thread))
