"""The tool threads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from conversation.threads import FoundInSome, ThreadSummary
from memory.in_process import InProcessThreadStore
from tests.tools.house import House
from tools.bounds import json_tokens
from tools.limits import Limits

UNKNOWN = "6f1c0c1e-0000-4000-8000-000000000000"


async def test_threads_are_listed_with_title_and_workspace(house: House, workspace: Path) -> None:
    assert await house.call("threads", {"action": "list"}) == {"threads": []}
    first = await house.call("chat", {"prompt": "Name a colour\nplease"})
    (row,) = (await house.call("threads", {"action": "list"}))["threads"]
    assert row == {
        "continuation_id": first["continuation_id"],
        "title": "Name a colour",
        "turns": 2,
        "updated": row["updated"],
        "workspace": str(workspace),
    }


async def test_other_workspaces_are_shown_when_asked_for(house: House, tmp_path: Path) -> None:
    await house.call("chat", {"prompt": "x"})
    (tmp_path / "elsewhere").mkdir()
    other = House(tmp_path / "elsewhere", store=house.store)
    assert await other.call("threads", {"action": "list"}) == {"threads": []}
    assert len((await other.call("threads", {"action": "list", "other_workspaces": True}))["threads"]) == 1


async def test_a_search_finds_words_and_shows_where(house: House) -> None:
    await house.call("chat", {"prompt": "about lighthouses"})
    await house.call("chat", {"prompt": "about whales"})
    (row,) = (await house.call("threads", {"action": "search", "query": "whales"}))["threads"]
    assert row["title"] == "about whales"
    assert "whales" in row["snippet"]


async def test_a_thread_is_shown_turn_by_turn(house: House) -> None:
    first = await house.call("chat", {"prompt": "x"})
    shown = await house.call("threads", {"action": "show", "continuation_id": first["continuation_id"]})
    assert (shown["continuation_id"], shown["title"]) == (first["continuation_id"], "x")
    asked, answered = shown["turns"]
    assert list(asked) == ["seq", "role", "tool", "provider", "model", "content", "state", "at", "usage"]
    assert (asked["seq"], asked["role"], asked["tool"], asked["model"], asked["usage"]) == (1, "user", "chat", None, None)
    assert (answered["seq"], answered["role"], answered["provider"], answered["model"], answered["state"]) == (
        2, "assistant", "vertex_claude", "claude-sonnet-4-5", "done",
    )  # fmt: skip
    assert answered["usage"] == first["usage"]


async def test_a_limit_shows_the_newest_turns(house: House) -> None:
    thread = (await house.call("chat", {"prompt": "one"}))["continuation_id"]
    await house.call("chat", {"prompt": "two", "continuation_id": thread})
    shown = await house.call("threads", {"action": "show", "continuation_id": thread, "limit": 2})
    assert [turn["seq"] for turn in shown["turns"]] == [3, 4]


async def test_a_thread_is_deleted_for_good(house: House) -> None:
    thread = (await house.call("chat", {"prompt": "x"}))["continuation_id"]
    assert await house.call("threads", {"action": "delete", "continuation_id": thread}) == {"deleted": thread}
    for action in ("show", "delete"):
        assert (await house.error("threads", {"action": action, "continuation_id": thread}))["code"] == "thread_not_found"
    assert (await house.error("chat", {"prompt": "x", "continuation_id": thread}))["code"] == "thread_not_found"


async def test_another_workspaces_thread_is_deleted_only_when_that_is_said(house: House, tmp_path: Path) -> None:
    thread = (await house.call("chat", {"prompt": "x"}))["continuation_id"]
    (tmp_path / "elsewhere").mkdir()
    other = House(tmp_path / "elsewhere", store=house.store)
    arguments = {"action": "delete", "continuation_id": thread}
    error = await other.error("threads", arguments)
    assert (error["code"], "other_workspaces=true" in error["hint"]) == ("invalid_input", True)
    assert await other.call("threads", {**arguments, "other_workspaces": True}) == {"deleted": thread}


@pytest.mark.parametrize(
    ("arguments", "code", "named"),
    [
        ({}, "invalid_input", "action is required"),
        ({"action": "burn"}, "invalid_input", "'list', 'show', 'search' or 'delete'"),
        ({"action": "show"}, "invalid_input", "continuation_id is required"),
        ({"action": "delete"}, "invalid_input", "continuation_id is required"),
        ({"action": "search"}, "invalid_input", "query is required"),
        ({"action": "search", "query": " "}, "invalid_input", "query is required"),
        ({"action": "list", "limit": 0}, "invalid_input", "limit: expected at least 1"),
        ({"action": "list", "limit": 201}, "invalid_input", "limit: expected at most 200"),
        ({"action": "show", "continuation_id": "x"}, "invalid_continuation_id", "not a UUID"),
        ({"action": "show", "continuation_id": UNKNOWN}, "thread_not_found", "no thread with this continuation_id"),
    ],
)
async def test_a_wrong_call_is_an_error_that_says_what_is_needed(house: House, arguments: dict[str, Any], code: str, named: str) -> None:
    error = await house.error("threads", arguments)
    assert error["code"] == code
    assert named in error["message"]


async def test_a_turn_that_is_not_there_is_an_error_that_says_which_are(house: House) -> None:
    thread = (await house.call("chat", {"prompt": "x"}))["continuation_id"]
    error = await house.error("threads", {"action": "show", "continuation_id": thread, "turn": 9})
    assert error["hint"] == "It has turns 1 to 2."
    assert (await house.error("threads", {"action": "show", "continuation_id": thread, "offset": 9}))["code"] == "invalid_input"


async def test_a_long_thread_shows_the_newest_turns_that_fit(workspace: Path) -> None:
    house = House(workspace, limits=Limits(max_answer_tokens=2_000))
    house.upstreams["vertex_claude"].plays = ["word " * 300]
    thread = (await house.call("chat", {"prompt": "1"}))["continuation_id"]
    for number in range(2, 6):
        await house.call("chat", {"prompt": str(number), "continuation_id": thread})
    shown = await house.call("threads", {"action": "show", "continuation_id": thread})
    seqs = [turn["seq"] for turn in shown["turns"]]
    assert seqs == list(range(seqs[0], 11)) and seqs[0] > 1
    assert shown["warnings"] == [
        {"code": "truncated", "message": f"Turns 1 to {seqs[0] - 1} did not fit; name one of them with turn."}
    ]
    assert json_tokens(shown) <= 2_000
    assert [turn["seq"] for turn in (await house.call("threads", {"action": "show", "continuation_id": thread, "turn": 2}))["turns"]] == [2]


async def test_a_long_list_of_threads_is_cut(workspace: Path) -> None:
    house = House(workspace, limits=Limits(max_answer_tokens=800))
    for number in range(10):
        await house.call("chat", {"prompt": f"{number} " + "long title " * 10})
    answer = await house.call("threads", {"action": "list"})
    assert 0 < len(answer["threads"]) < 10
    assert [warning["code"] for warning in answer["warnings"]] == ["truncated"]
    assert json_tokens(answer) <= 800


async def test_a_search_of_some_threads_says_so(workspace: Path) -> None:
    class Bounded(InProcessThreadStore):
        async def search(self, query: str, *, workspace: str | None, limit: int = 20) -> list[ThreadSummary]:
            return FoundInSome(await super().search(query, workspace=workspace, limit=limit), 2_000)

    house = House(workspace, store=Bounded())
    (warning,) = (await house.call("threads", {"action": "search", "query": "whales"}))["warnings"]
    assert warning["code"] == "truncated" and "2,000 threads used last" in warning["message"]
