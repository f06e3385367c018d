"""Threads of hundreds of exchanges in small windows: what was said early still reaches the model, for a bounded number of calls."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from pathlib import Path

import pytest

from conversation.messages import Event
from providers.base import Call, ModelInfo
from providers.causes import failure
from tests.tools.house import MODELS, House, Play, answer, structured
from tools.limits import Limits

FACTS = {0: "The launch code of the project is HERON-42.", 77: "Please remember that we deploy on the second Tuesday."}


def is_chore(call: Call) -> bool:
    return "You condense conversations." in str(call.body["system"])


def chores(house: House) -> list[Call]:
    return [call for upstream in house.upstreams.values() for call in upstream.calls if is_chore(call)]


def scripted(notes: str, said: str) -> Play:
    """Answers chores with `notes`, or fails them when those are empty, and all else with `said`."""

    async def play(call: Call) -> AsyncGenerator[Event, None]:
        if is_chore(call) and not notes:
            raise failure("empty", "said nothing", provider=call.model.provider, model=call.model.id)
        for event in answer(notes if is_chore(call) else said):
            yield event

    return play


def small(provider: str, window: int) -> ModelInfo:
    return ModelInfo(provider=provider, id=f"m/{window}", context_window=window, max_output=window // 4, cheap=True)


SHAPES: dict[str, tuple[list[str], dict[str, list[ModelInfo]], Limits]] = {
    "a limit for all windows": (list(MODELS), {}, Limits(max_window_tokens=16_000)),
    "a small limit": (["vertex_claude"], {}, Limits(max_window_tokens=4_000)),
    "one small window": (["github_models"], {"github_models": [small("github_models", 6_000)]}, Limits()),
    "two windows in turn": (
        ["github_models", "openrouter"],
        {"github_models": [small("github_models", 6_000)], "openrouter": [small("openrouter", 12_000)]},
        Limits(),
    ),
}


def prompt(number: int, bulk: int) -> str:
    return FACTS.get(number) or f"Exchange number {number}: what else is there?" + " And why would that matter to us?" * (bulk - 1)


async def talk(house: House, prompts: Iterable[str], models: Sequence[str], until: Callable[[], bool] = lambda: False) -> str:
    """Hold one conversation with the models in turn, in which no turn may get lost, and return its id."""
    thread = None
    async with house.client() as client:
        for number, said in enumerate(prompts):
            asked = {"prompt": said, "continuation_id": thread, "model": models[number % len(models)]}
            got = structured(await client.call_tool("chat", asked))
            assert "truncated" not in [one["code"] for one in got["warnings"]], number
            thread = got["continuation_id"]
            if until():
                break
    assert thread is not None
    return thread


@pytest.mark.parametrize(
    ("bulk", "notes"), [(1, "Nothing of note."), (12, "")], ids=["short turns", "long turns and no notes"]
)
@pytest.mark.parametrize("shape", SHAPES)
async def test_facts_reach_the_model_after_260_exchanges_for_a_bounded_number_of_calls(
    workspace: Path, shape: str, notes: str, bulk: int
) -> None:
    configured, models, limits = SHAPES[shape]
    house = House(workspace, configured=configured, models=models, limits=limits)
    for upstream in house.upstreams.values():
        upstream.plays = [scripted(notes, "I see. " * (2 * bulk))]
    thread = await talk(house, (prompt(number, bulk) for number in range(260)), configured)
    for name in configured:
        await house.call("chat", {"prompt": "What do you know?", "continuation_id": thread, "model": name})
        received = house.received(name)
        assert all(fact in received for fact in FACTS.values())
        assert "Exchange number 259:" in received
    made = [turn for turn in (await house.store.load(thread)).turns if turn.tool == "condense"]
    asked_for = len(chores(house)) if notes else len(chores(house)) / len(configured)
    assert made and asked_for == len(made) <= 260 / 6 * len(models or [1])


def small_house(workspace: Path, *others: str) -> House:
    return House(workspace, configured=["github_models", *others], models={"github_models": [small("github_models", 6_000)]})


async def test_the_notes_of_the_last_summary_are_shown_to_whoever_makes_the_next(workspace: Path) -> None:
    house = small_house(workspace)
    house.upstreams["github_models"].plays = [scripted("Somebody noted MARMOT.", "I see. " * 20)]
    await talk(house, ["And what else? " * 20] * 100, ["github_models"], until=lambda: len(chores(house)) == 2)
    assert "Somebody noted MARMOT." in str(chores(house)[1].body["messages"])


async def test_notes_of_a_model_without_room_for_all_turns_say_what_they_leave_out(workspace: Path) -> None:
    """A thread held with a large window goes on with a small one: the first turns do not fit into the cheap model's either."""
    house = small_house(workspace, "vertex_claude")
    house.upstreams["github_models"].plays = [scripted("Notes of the rest.", "I see.")]
    house.upstreams["vertex_claude"].plays = [scripted("", "I see. " * 100)]
    thread = await talk(house, (prompt(number, 30) for number in range(30)), ["vertex_claude"])
    await house.call("chat", {"prompt": "What do you know?", "continuation_id": thread, "model": "github_models"})
    received = house.received("github_models")
    (last,) = re.findall(r"\[These notes leave out turns 1 to (\d+): what is kept of those stands below, word for word\.\]", received)
    assert f"[{last} earlier turns left out]" in str(chores(house)[-1].body["messages"])
    assert f"- turn 1, the caller: {FACTS[0]}" in received


async def test_a_model_whose_window_holds_the_turns_makes_the_notes(workspace: Path) -> None:
    house = small_house(workspace, "openrouter")
    for upstream in house.upstreams.values():
        upstream.plays = [scripted("Notes.", "I see. " * 100)]
    thread = await talk(house, (prompt(number, 30) for number in range(30)), ["openrouter"])
    await house.call("chat", {"prompt": "What do you know?", "continuation_id": thread, "model": "github_models"})
    assert [call.model.provider for call in chores(house)] == ["openrouter"]
    assert "earlier turns left out" not in str(chores(house)[0].body["messages"])


async def test_one_prompt_that_takes_most_of_the_window_shortens_the_thread_for_its_own_call_only(workspace: Path) -> None:
    house = small_house(workspace)
    house.upstreams["github_models"].plays = [scripted("Notes.", "I see.")]
    thread = await talk(house, (prompt(number, 3) for number in range(60)), ["github_models"])
    before = len(chores(house))
    got = await house.call("chat", {"prompt": "word " * 2_300, "continuation_id": thread})
    assert "condensed" in [one["code"] for one in got["warnings"]]
    assert FACTS[0] in house.received("github_models")
    assert len(chores(house)) == before
