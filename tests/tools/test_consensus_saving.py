"""Consensus: what is kept in the thread, cut in the answer, and spent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import pytest

from conversation.errors import StoreUnavailable
from conversation.messages import Event
from conversation.threads import NewTurn, Turn
from memory.in_process import InProcessThreadStore
from providers.base import Call
from providers.budget import Budget
from tests.purse import Purse
from tests.tools.house import MODELS, House, answer
from tests.tools.panels import (
    CLAUDE,
    EVERYONE,
    GEMINI,
    GPT,
    OUTCOME,
    QUESTION,
    ROUTER,
    SAID,
    everything,
    is_comparison,
    outcome,
    seated,
    thread_of,
)
from tools.bounds import json_tokens
from tools.limits import Limits


async def test_the_thread_holds_the_question_each_position_and_the_outcome_and_a_later_chat_knows_them(house: House) -> None:
    models = [CLAUDE, {"model": GPT, "stance": "against"}]
    got = await seated(house).call("consensus", {"prompt": QUESTION, "models": models})
    turns = (await thread_of(house, got)).turns
    assert [(turn.role, turn.tool, turn.provider, turn.state) for turn in turns] == [
        ("user", "consensus", None, "done"),
        ("assistant", "consensus", "vertex_claude", "done"),
        ("assistant", "consensus", "github_models", "done"),
        ("assistant", "consensus", "vertex_claude", "done"),
    ]
    assert [one["turn"] for one in got["answers"]] == [2, 3] and got["turn"] == 4
    assert turns[1].usage is not None and turns[2].meta == {"seat": "B", "stance": "against"}
    await house.call("chat", {"prompt": "go on", "model": GEMINI, "continuation_id": got["continuation_id"]})
    received = house.received("vertex_gemini")
    for words in (QUESTION, SAID["vertex_claude"], SAID["github_models"], "Recommendation: Use PostgreSQL."):
        assert words in received
    assert 'asked_to_argue=\\"against\\"' in received


async def test_the_outcome_in_the_thread_names_who_did_not_answer_and_who_disagrees(house: House) -> None:
    seated(house).upstreams["openrouter"].plays = ["!overloaded"]
    got = await house.call("consensus", {"prompt": QUESTION, "models": EVERYONE})
    told = (await thread_of(house, got)).turns[-1].content
    assert told.startswith(f"Outcome of the panel of A: {CLAUDE}, B: {GEMINI}, C: {GPT}, D: {ROUTER}.")
    assert [one["seat"] for one in got["failed"]] == ["D"]
    assert f"Disputed: Which store {CLAUDE}, {GEMINI}: PostgreSQL; {GPT}: Redis" in told
    assert f"No answer from {ROUTER}: overloaded." in told
    assert f'Agreed by {CLAUDE}, {GEMINI}: PostgreSQL will do ("Take PostgreSQL"; "PostgreSQL it is")' in told


async def test_long_positions_are_cut_in_the_answer_with_a_pointer_and_kept_whole_in_the_thread(workspace: Path) -> None:
    house = seated(House(workspace, limits=Limits(max_answer_tokens=3_000)), said={**SAID, "vertex_claude": "long " * 4_000})
    got = await house.call("consensus", {"prompt": QUESTION, "models": [CLAUDE, GEMINI]})
    assert len(json.dumps(got)) < 12_000
    (warning,) = [one for one in got["warnings"] if one["code"] == "truncated"]
    assert f"continuation_id={got['continuation_id']}, turn=2, offset=" in warning["message"]
    assert got["answers"][1]["content"] == SAID["vertex_gemini"]
    assert (await thread_of(house, got)).turns[1].content == "long " * 4_000


async def test_eight_long_positions_with_long_sides_and_failures_stay_within_bounds(workspace: Path) -> None:
    side = "\u8bf7\u4ece\u6210\u672c\u7684\u89d2\u5ea6\u8003\u8651" * 200
    models = [{"model": name, "stance_prompt": f"{name} {number} {side}"} for number in range(2) for name in EVERYONE]
    house = seated(House(workspace), said=dict.fromkeys(SAID, "\u6570\u636e\u5e93 " * 20_000))
    got = await house.call("consensus", {"prompt": QUESTION, "models": models, "synthesizer": CLAUDE})
    assert len(got["answers"]) == 8 and all(len(one["content"]) > 500 for one in got["answers"])
    assert 15_000 < json_tokens(got) <= 20_000
    assert len([one for one in got["warnings"] if "was cut after" in one["message"]]) == 8


@pytest.mark.parametrize("tokens", [2_400, 3_000, 4_000, 8_000])
async def test_what_is_said_of_cuts_is_within_the_bounds_too(workspace: Path, tokens: int) -> None:
    house = seated(House(workspace, limits=Limits(max_answer_tokens=tokens)), said=dict.fromkeys(SAID, "long " * 40_000))
    got = await house.call("consensus", {"prompt": QUESTION, "models": EVERYONE, "synthesizer": GEMINI})
    assert json_tokens(got) <= tokens


async def test_a_long_recommendation_in_prose_is_cut_as_well(workspace: Path) -> None:
    house = seated(House(workspace, limits=Limits(max_answer_tokens=3_000)), "prose " * 6_000)
    got = await house.call("consensus", {"prompt": QUESTION, "models": [CLAUDE, GEMINI]})
    assert len(json.dumps(got)) < 12_000 and got["recommendation"].startswith("prose prose")
    assert f"turn={got['turn']}, offset=" in next(one["message"] for one in got["warnings"] if one["code"] == "truncated")
    assert [one["content"] for one in got["answers"]] == [SAID["vertex_claude"], SAID["vertex_gemini"]]


async def test_what_was_cut_and_not_saved_is_said_to_be_lost(workspace: Path) -> None:
    class Full(InProcessThreadStore):
        async def complete(self, exchange_id: str, answers: Sequence[NewTurn]) -> tuple[Turn, ...]:
            raise StoreUnavailable("The disk is full.")

    house = House(workspace, limits=Limits(max_answer_tokens=3_000), store=Full())
    seated(house, said={**SAID, "vertex_claude": SAID["vertex_claude"] + " long" * 4_000})
    got = await house.call("consensus", {"prompt": QUESTION, "models": [CLAUDE, GEMINI, GPT]})
    assert "continuation_id" not in got and "turn" not in got and "turn" not in got["answers"][0]
    assert {one["code"] for one in got["warnings"]} == {"not_saved", "truncated"}
    assert "The rest was not saved." in got["answers"][0]["content"]


async def test_statements_left_out_are_said_to_be_lost_when_nothing_was_saved(workspace: Path) -> None:
    class Full(InProcessThreadStore):
        async def complete(self, exchange_id: str, answers: Sequence[NewTurn]) -> tuple[Turn, ...]:
            raise StoreUnavailable("The disk is full.")

    told = outcome(agreements=[{**OUTCOME["agreements"][0], "text": "so " * 900}] * 12)
    for store, rest in ((Full(), "They were not saved."), (None, "The thread has them.")):
        house = seated(House(workspace, limits=Limits(max_answer_tokens=3_000), store=store), told)
        got = await house.call("consensus", {"prompt": QUESTION, "models": [CLAUDE, GEMINI, GPT]})
        (warning,) = [one for one in got["warnings"] if "Left out" in one["message"]]
        assert warning["message"].endswith(rest)


async def test_a_spent_budget_asks_nobody(workspace: Path) -> None:
    house = House(workspace, budget=Budget(Purse(5.0), 5.0))
    (workspace / "a.py").write_text("A = 1\n")
    for name, arguments in (("consensus", {"prompt": QUESTION}), ("codereview", {"paths": ["a.py"]})):
        assert (await house.error(name, arguments))["code"] == "budget_exceeded"
    assert house.calls == 0


async def test_a_thread_too_long_for_the_panel_is_condensed_once_for_all_of_it(workspace: Path) -> None:
    narrow, chores_only = {"context_window": 6_000, "max_output": 1_000}, {"id": "chores", "cheap": True}
    small = {name: [one.model_copy(update=narrow), one.model_copy(update=chores_only)] for name, one in MODELS.items()}
    house = House(workspace, models=small)

    async def play(call: Call) -> AsyncGenerator[Event, None]:
        for event in answer("NOTES" if call.model.id == "chores" else "words " * 300):
            yield event

    for upstream in house.upstreams.values():
        upstream.plays = [play]
    thread = None
    while len((await house.store.load(thread)).turns if thread else ()) < 10:
        thread = (await house.call("chat", {"prompt": "more " * 60, "continuation_id": thread}))["continuation_id"]
    assert not [call for upstream in house.upstreams.values() for call in upstream.calls if call.model.id == "chores"]
    before = house.calls
    got = await house.call("consensus", {"prompt": QUESTION + " pad" * 2_000, "models": EVERYONE, "continuation_id": thread})
    assert got["usage"]["output_tokens"] == 5 * (house.calls - before)  # the notes' too
    chores = [call for upstream in house.upstreams.values() for call in upstream.calls if call.model.id == "chores"]
    assert len(chores) == 1  # for the four of the panel; for the judge, whose request holds their answers too, words are kept without
    asked = [call for upstream in house.upstreams.values() for call in upstream.calls]
    panel = [call for call in asked if "one of several models" in str(call.body["system"])]
    assert ["NOTES" in everything(call) for call in panel] == [True] * 4
    condensed = [one["message"].split(":")[0] for one in got["warnings"] if one["code"] == "condensed"]
    assert condensed == [CLAUDE, GEMINI, GPT, ROUTER, f"{CLAUDE} comparing"]


async def test_two_panels_at_once_do_not_mix(house: House) -> None:
    async def play(call: Call) -> AsyncGenerator[Event, None]:
        await asyncio.sleep(0)
        mark = "RED" if "RED" in everything(call) else "BLUE"
        told = json.dumps(outcome(agreements=[], disagreements=[], recommendation=f"paint it {mark}"))
        for event in answer(told if is_comparison(call) else f"say {mark}"):
            yield event

    for upstream in house.upstreams.values():
        upstream.plays = [play]
    got = await asyncio.gather(*(house.call("consensus", {"prompt": f"{mark}?", "rounds": 2}) for mark in ("RED", "BLUE")))
    for one, mark, other in zip(got, ("RED", "BLUE"), ("BLUE", "RED"), strict=True):
        assert {answer_["content"] for answer_ in one["answers"]} == {f"say {mark}"}
        assert one["recommendation"] == f"paint it {mark}" and other not in json.dumps(one)
    received = [everything(call) for upstream in house.upstreams.values() for call in upstream.calls]
    assert not [text for text in received if "RED" in text and "BLUE" in text]
