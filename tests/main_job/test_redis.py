"""Threads in a real Redis: one conversation over several servers, and what users are told while Redis is away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.main_job.conftest import Start
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
        return [turn["content"] for turn in shown["structuredContent"]["turns"] if turn["role"] == "user"] if not shown.get("isError") else []

    until(lambda: turns(new["continuation_id"]) == ["New while away."])
    assert turns(known) == ["Before.", "While away."]
    again = server_.chat("And now?", model="vertex_claude", continuation_id=new["continuation_id"])
    assert again["turn"] == 4 and not codes(again)
