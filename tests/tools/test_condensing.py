"""Threads that outgrow the window: condensed once, not forgotten."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from conversation.errors import StoreUnavailable
from conversation.messages import Event
from conversation.threads import NewTurn, ThreadStore, Turn
from conversation.window import Priced
from memory.in_process import InProcessThreadStore
from providers.base import Call, ModelInfo
from providers.causes import failure
from tests.tools.house import House, Play, answer
from tools.app import Call as ToolCall
from tools.condensing import Condenser

FACT = "The launch code of the project is HERON-42."
FILLER = "Exchange number {}: what else should we consider about this part of the plan, and why would it matter to anybody? "
SMALL = ModelInfo(provider="github_models", id="openai/gpt-4o", context_window=8_000, max_output=1_000)
CHORES = ModelInfo(provider="github_models", id="openai/chores", context_window=100_000, max_output=4_000, cheap=True)


def small_house(workspace: Path, store: ThreadStore | None = None) -> House:
    """A Parley with one provider whose default has a small window, and a cheap model for chores."""
    return House(workspace, configured=["github_models"], models={"github_models": [SMALL, CHORES]}, store=store)


def chores(house: House) -> list[Call]:
    return [call for call in house.upstreams["github_models"].calls if call.model.id == CHORES.id]


def forgetful(text: str) -> Play:
    """Answers chores with `text`, and anything else with a few words."""

    async def play(call: Call) -> AsyncGenerator[Event, None]:
        for event in answer(text if call.model.id == CHORES.id else "I see. " * 20):
            yield event

    return play


async def talk(house: House, exchanges: int, bulk: int = 8) -> str:
    """Hold a conversation and return its id; `bulk` says how much is said in each exchange."""
    thread = None
    for number in range(exchanges):
        prompt = FACT if number == 0 else FILLER.format(number) * bulk
        got = await house.call("chat", {"prompt": prompt, "continuation_id": thread})
        thread = got["continuation_id"]
    assert thread is not None
    return thread


@pytest.mark.parametrize("notes", ["Nothing of note.", "The caller said: the launch code of the project is HERON-42."])
async def test_a_fact_stated_first_reaches_the_model_after_200_exchanges_at_a_bounded_cost(workspace: Path, notes: str) -> None:
    house = small_house(workspace)
    house.upstreams["github_models"].plays = [forgetful(notes)]
    thread = await talk(house, 200, bulk=2)
    got = await house.call("chat", {"prompt": "What is the launch code?", "continuation_id": thread})
    assert "HERON-42" in house.received("github_models")
    assert house.received("github_models").count("Exchange number 199:") == 2
    assert "Exchange number 3:" not in house.received("github_models").split("<summary")[1].split("</summary>")[1]
    assert [one["code"] for one in got["warnings"]] == ["condensed"]
    turns = (await house.store.load(thread)).turns
    summaries = [turn for turn in turns if turn.tool == "condense"]
    assert len(turns) == 402 + len(summaries)
    assert 1 <= len(chores(house)) == len(summaries) <= 200 / 8


async def test_a_thread_is_condensed_once_and_the_summary_is_used_again(workspace: Path) -> None:
    house = small_house(workspace)
    house.upstreams["github_models"].plays = [forgetful("NOTES OF A MODEL")]
    thread = await talk(house, 5)
    while not chores(house):
        await house.call("chat", {"prompt": FILLER.format(0) * 8, "continuation_id": thread})
    for _ in range(2):
        await house.call("chat", {"prompt": "short", "continuation_id": thread})
        assert house.received("github_models").count("NOTES OF A MODEL") == 1
    assert len(chores(house)) == 1


async def test_without_a_model_that_answers_the_turns_own_words_are_kept(workspace: Path) -> None:
    house = small_house(workspace)

    async def play(call: Call) -> AsyncGenerator[Event, None]:
        if call.model.id == CHORES.id:
            raise failure("overloaded", "busy", provider=call.model.provider, model=call.model.id)
        for event in answer("I see. " * 20):
            yield event

    house.upstreams["github_models"].plays = [play]
    thread = await talk(house, 25)
    (summary, *_) = [turn for turn in (await house.store.load(thread)).turns if turn.tool == "condense"]
    assert (summary.provider, summary.model, summary.usage) == (None, None, None)
    assert summary.content.startswith(f"Said in these turns, word for word:\n- turn 1, the caller: {FACT}\n")
    await house.call("chat", {"prompt": "What is the launch code?", "continuation_id": thread})
    assert FACT in house.received("github_models")


async def test_a_model_with_room_is_sent_the_turns_themselves(workspace: Path) -> None:
    house = House(workspace, configured=["github_models", "vertex_claude"], models={"github_models": [SMALL, CHORES]})
    house.upstreams["github_models"].plays = [forgetful("NOTES")]
    thread = None
    for number in range(30):
        arguments = {"prompt": FILLER.format(number) * 8, "continuation_id": thread, "model": SMALL.name}
        thread = (await house.call("chat", arguments))["continuation_id"]
    assert any(turn.tool == "condense" for turn in (await house.store.load(str(thread))).turns)
    got = await house.call("chat", {"prompt": "now you", "continuation_id": thread, "model": "vertex_claude"})
    assert got["warnings"] == []
    assert "NOTES" not in house.received("vertex_claude")
    assert all(f"Exchange number {number}:" in house.received("vertex_claude") for number in range(30))


class ReadOnly(InProcessThreadStore):
    """Takes exchanges and no summaries."""

    async def append(self, thread_id: str, turn: NewTurn, *, uid: str) -> Turn:
        raise StoreUnavailable("The disk is full.")


async def test_a_summary_that_cannot_be_stored_serves_its_call_alone(workspace: Path) -> None:
    house = small_house(workspace, store=ReadOnly())
    house.upstreams["github_models"].plays = [forgetful("NOTES OF A MODEL")]
    thread = await talk(house, 25)
    got = await house.call("chat", {"prompt": "short", "continuation_id": thread})
    assert "NOTES OF A MODEL" in house.received("github_models")
    assert [one["code"] for one in got["warnings"]] == ["condensed"]
    assert not [turn for turn in (await house.store.load(thread)).turns if turn.tool == "condense"]


async def test_the_summary_shows_among_the_turns_and_auto_stays_with_the_model_that_answered(workspace: Path) -> None:
    house = House(workspace, configured=["github_models", "openrouter"], models={"github_models": [SMALL, CHORES]})
    thread = await talk(house, 30)
    shown = await house.call("threads", {"action": "show", "continuation_id": thread, "limit": 200})
    assert "condense" in [turn["tool"] for turn in shown["turns"]]
    assert {turn["model"] for turn in shown["turns"] if turn["tool"] == "chat" and turn["role"] == "assistant"} == {SMALL.id}


@pytest.mark.parametrize(("words", "warned"), [(3_000, []), (4_680, ["truncated"])])
async def test_one_prompt_that_leaves_no_room_condenses_nothing(workspace: Path, words: int, warned: list[str]) -> None:
    house = small_house(workspace)
    started = await house.store.begin(NewTurn(role="user", content="hello " * 600), workspace=str(workspace))
    await house.store.complete(started.exchange_id, [NewTurn(role="assistant", content="hi")])
    prompt = "word " * words
    got = await house.call("chat", {"prompt": prompt, "continuation_id": started.thread.id})
    assert not chores(house)
    assert [one["code"] for one in got["warnings"]] == warned


async def test_turns_in_which_nothing_is_said_leave_an_empty_summary(workspace: Path) -> None:
    house = small_house(workspace)
    turns = [Turn(role="user", content="ok", uid=str(n), seq=n, exchange_id="e", state="done", at="") for n in range(1, 4_000)]
    house.upstreams["github_models"].plays = [forgetful("")]
    shortened = await Condenser(ToolCall(house.app), None).shortened(turns, 1_000, lambda shown: Priced([5] * len(shown), 800))
    assert shortened is not None
    assert (shortened[-1].content, shortened[-1].tool, shortened[-1].exchange_id) == ("", "condense", "")
    assert await Condenser(ToolCall(house.app), None).shortened(turns[:1], 1_000, lambda _: Priced([5], 800)) is None
