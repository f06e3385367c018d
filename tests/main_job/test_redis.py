"""Threads in a real Redis: one conversation over several servers, and what users are told while Redis is away."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from simulator import ThreadedSimulator
from tests.main_job.conftest import Start
from tests.main_job.process import PARLEY, Parley
from tests.main_job.wires import asked, text_of
from tests.redis_servers import Server, server
from tests.waiting import until

CHAIN = {"PARLEY_CHAIN": "vertex_claude,github_models"}


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Server]:
    with server(tmp_path / "redis", appendfsync="always") as one:
        yield one


def codes(answer: dict[str, object]) -> list[str]:
    found = answer.get("warnings") or []
    assert isinstance(found, list)
    return [warning["code"] for warning in found]


def test_a_thread_goes_on_at_another_server_with_another_home(start: Start, redis: Server, tmp_path: Path) -> None:
    first = start(REDIS_URL=redis.url, **CHAIN).chat("The word is HERON.", model="vertex_claude")
    elsewhere = start(REDIS_URL=redis.url, PARLEY_HOME=str(tmp_path / "elsewhere"), **CHAIN)
    second = elsewhere.chat("Which word?", model="github_models", continuation_id=first["continuation_id"])
    assert (second["continuation_id"], second["turn"]) == (first["continuation_id"], 4) and not codes(second)
    listed = elsewhere.call("threads", action="search", query="HERON").answer["threads"]
    assert [(one["continuation_id"], one["turns"]) for one in listed] == [(first["continuation_id"], 4)]


def test_while_redis_is_away_tools_answer_and_say_that_it_is_not_saved_and_it_is_saved_later(start: Start, redis: Server) -> None:
    server_ = start(REDIS_URL=redis.url, **CHAIN)
    known = server_.chat("Before.", model="vertex_claude")["continuation_id"]
    redis.kill()
    going_on = server_.chat("While away.", model="vertex_claude", continuation_id=known)
    new = server_.chat("New while away.", model="github_models")
    for answer in (going_on, new):
        assert answer["content"] and codes(answer) == ["not_saved"] and answer.get("turn") is None
    assert going_on["continuation_id"] == known and new["continuation_id"]
    redis.start()
    other = start(REDIS_URL=redis.url, **CHAIN)

    def turns(thread: str) -> list[str]:
        shown = other.call("threads", action="show", continuation_id=thread).result
        found = [] if shown.get("isError") else shown["structuredContent"]["turns"]
        return [turn["content"] for turn in found if turn["role"] == "user"]

    until(lambda: turns(new["continuation_id"]) == ["New while away."])
    assert turns(known) == ["Before.", "While away."]
    again = server_.chat("And now?", model="vertex_claude", continuation_id=new["continuation_id"])
    assert again["turn"] == 4 and not codes(again)


def test_a_server_killed_between_the_answer_and_its_commit_leaves_the_question_as_interrupted_and_the_thread_goes_on(
    start: Start, sim: ThreadedSimulator, redis: Server
) -> None:
    doomed, other = start(REDIS_URL=redis.url, **CHAIN), start(REDIS_URL=redis.url, **CHAIN)
    thread = other.chat("one", model="github_models")["continuation_id"]
    sim.rule("vertex_claude", "never written", match_last_user="two", delay_s=0.5)
    doomed.begin("chat", prompt="two", continuation_id=thread, model="vertex_claude")
    sim.until(lambda log: [entry for entry in log if entry["provider"] == "vertex_claude"], timeout=20)
    with redis.client() as keeper:
        keeper.execute_command("CLIENT PAUSE", 30_000, "WRITE")  # so that the answer, which comes now, cannot be committed
        sim.until(lambda log: [entry for entry in log if entry["provider"] == "vertex_claude" and entry["answered"]])
        until(lambda: keeper.info("clients")["blocked_clients"] > 0)
        doomed.kill()
        until(lambda: keeper.info("clients")["blocked_clients"] == 0)
        keeper.execute_command("CLIENT UNPAUSE")
    answer = other.chat("three", continuation_id=thread, model="github_models")
    assert (answer["turn"], codes(answer)) == (5, [])
    assert [(turn["content"], turn["state"]) for turn in other.turns(thread)][2:4] == [("two", "interrupted"), ("three", "done")]
    received = text_of(asked(sim, "github_models")[-1])
    assert "never written" not in received and "two" not in received


def test_a_provider_that_failed_on_one_machine_is_not_asked_on_another(
    start: Start, sim: ThreadedSimulator, redis: Server, tmp_path: Path
) -> None:
    settings = {"REDIS_URL": redis.url, "PARLEY_BREAKER_FAILURES": "1", "PARLEY_BREAKER_OPEN_SECONDS": "300", **CHAIN}
    here, there = start(**settings), start(PARLEY_HOME=str(tmp_path / "there"), **settings)
    there.chat("get to know each other", model="github_models")
    sim.fault("vertex_claude", "status", status=503, times=1)
    assert [one["outcome"] for one in here.chat("hello")["attempts"]] == ["overloaded", "ok"]
    with redis.client() as client:
        until(lambda: bool(client.hgetall("parley:health")))
    asked = there.chat("hello")
    assert [(one["provider"], one["outcome"]) for one in asked["attempts"]] == [("vertex_claude", "breaker_open"), ("github_models", "ok")]


def test_machines_share_one_budget_and_one_account(start: Start, redis: Server, tmp_path: Path) -> None:
    settings = {"REDIS_URL": redis.url, "PARLEY_DAILY_BUDGET_USD": "0.0000001", **CHAIN}
    here, there = start(**settings), start(PARLEY_HOME=str(tmp_path / "there"), **settings)
    here.chat("spend it", model="vertex_claude")
    with redis.client() as client:
        until(lambda: bool(client.keys("parley:spending:*")))
    until(lambda: bool(there.call("chat", prompt="more", model="github_models").result.get("isError")))
    refused = there.call("chat", prompt="more", model="github_models").error
    assert refused["code"] == "budget_exceeded"
    told = spending(there)["days"][0]
    assert "vertex_claude" in told["providers"]


def spending(server_: Parley) -> dict[str, Any]:
    """What `parley spending` says on a machine."""
    ran = subprocess.run([PARLEY, "spending", "--json"], env=server_.env, capture_output=True, check=True, timeout=30)
    return json.loads(ran.stdout)
