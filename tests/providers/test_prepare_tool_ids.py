"""The ids under which calls of tools and their results go to an upstream."""

from __future__ import annotations

import re
from typing import Any

import pytest

from providers._tool_ids import set_tool_ids


def use(*ids: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": [{"type": "text", "text": "x"}, *({"type": "tool_use", "id": one} for one in ids)]}


def result(*ids: Any) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "tool_result", "tool_use_id": one} for one in ids]}


def ids(*turns: dict[str, Any], wire: Any = "anthropic") -> list[list[str]]:
    set_tool_ids(list(turns), wire)
    return [[block.get("id") or block["tool_use_id"] for block in turn["content"] if block["type"] != "text"] for turn in turns]


def test_ids_that_are_right_go_as_they_are() -> None:
    turns = [use("toolu_1", "call-2"), result("call-2", "toolu_1"), {"role": "user", "content": "on"}, use("x" * 300), result("x" * 300)]
    assert ids(*turns[:2]) == [["toolu_1", "call-2"], ["call-2", "toolu_1"]]
    assert ids(*turns[3:]) == [["x" * 300], ["x" * 300]]
    set_tool_ids(turns, "anthropic")


def test_different_ids_stay_different_and_in_anthropics_characters() -> None:
    (used, answered) = ids(use("a.b", "a:b", "a_b", "", "\u00e9"), result("\u00e9", "", "a_b", "a:b", "a.b"))
    assert len(set(used)) == 5 and answered == used[::-1]
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]+", one) for one in used) and used[0] == "a_b"


def test_an_id_used_again_is_renamed_with_the_results_that_answer_it() -> None:
    first, answer, second, again, third, last = ids(use("a"), result("a"), use("a"), result("a"), use("a", "b"), result("b", "a"))
    assert first == answer == ["a"] and second == again and third == last[::-1]
    assert len({first[0], second[0], third[0]}) == 3


def test_the_beginning_of_a_conversation_keeps_its_ids_whatever_comes_after() -> None:
    turns = ("a.b", "a_b", "a:b", "a_b")
    assert [ids(*map(use, turns[:count])) for count in range(5)] == [ids(*map(use, turns))[:count] for count in range(5)]


def test_an_id_used_twice_in_one_turn_is_answered_in_order() -> None:
    used, answered = ids(use("a", "a"), result("a", "a"))
    assert used == answered and len(set(used)) == 2
    assert ids(use("a"), use("a"), result("a"))[1:] == [[used[1]], [used[1]]]


@pytest.mark.parametrize("length", [40, 41, 300])
def test_ids_are_short_enough_for_openai(length: int) -> None:
    long = ("y" * length)[:-1]
    (used, answered) = ids(use(f"{long}a", f"{long}b"), result(f"{long}b", f"{long}a"), wire="openai")
    assert used == answered[::-1] and len(set(used)) == 2 and max(map(len, used)) == 40
    assert (used[0] == f"{long}a") == (length == 40)


def test_a_result_without_a_call_and_an_id_that_is_no_text() -> None:
    assert ids(result("a"), use(5), result(5)) == [["a"], ["5"], ["5"]]
