"""Seats of a panel: whoever fails, no model comes to sit in two of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from providers.base import ModelInfo
from tests.tools.house import MODELS, House
from tools.panel import Member, seats

CLAUDE, GEMINI, GPT, ROUTER = (MODELS[name].name for name in MODELS)
GEMINI_THERE = ModelInfo(provider="openrouter", id="google/gemini-2.5-pro", aliases=("gemini",), context_window=1_000_000)
GPT_THERE = ModelInfo(provider="openrouter", id="openai/gpt-4o", aliases=("gpt",), context_window=8_000)
ROUTED = {"openrouter": [MODELS["openrouter"], GEMINI_THERE, GPT_THERE]}
CLEAN = json.dumps({"issues": [], "summary": ""})


Aliases = Mapping[str, Sequence[str]]


def routes(workspace: Path, models: Sequence[str | Mapping[str, Any]], aliases: Aliases | None = None) -> list[list[str]]:
    house = House(workspace, models=ROUTED, aliases=aliases)
    members = [Member(model=one) if isinstance(one, str) else Member.model_validate(one) for one in models]
    return [[model.name for model in seat.routes] for seat in seats(house.app.catalogue, members)]


@pytest.mark.parametrize(
    ("models", "expected"),
    [
        (["sonnet", ROUTER], [[CLAUDE], [ROUTER]]),
        ([ROUTER, "sonnet"], [[ROUTER], [CLAUDE]]),
        (["sonnet", "gemini"], [[CLAUDE, ROUTER], [GEMINI, GEMINI_THERE.name]]),
        (["auto", GEMINI], [[CLAUDE, GPT, ROUTER], [GEMINI]]),
        (["auto", GEMINI_THERE.name], [[CLAUDE, GPT, ROUTER], [GEMINI_THERE.name]]),
        (["auto", "gpt"], [[CLAUDE, GEMINI, ROUTER], [GPT, GPT_THERE.name]]),
        ([{"model": "gpt", "stance": "for"}, {"model": "gpt", "stance": "against"}], [[GPT, GPT_THERE.name]] * 2),
        ([{"model": "sonnet", "stance": "for"}, ROUTER], [[CLAUDE, ROUTER], [ROUTER]]),
        ([{"model": "sonnet", "stance": "neutral"}, ROUTER], [[CLAUDE], [ROUTER]]),
    ],
)
def test_a_seat_fails_over_to_no_model_that_another_of_its_side_has(
    workspace: Path, models: list[str | dict[str, Any]], expected: list[list[str]]
) -> None:
    assert routes(workspace, models) == expected


def test_what_two_seats_could_fail_over_to_goes_to_one_of_them_wherever_it_is_served(workspace: Path) -> None:
    both = {"one": [CLAUDE, GPT], "two": [GEMINI, GPT_THERE.name, ROUTER], "three": [GEMINI_THERE.name, GPT]}
    assert routes(workspace, ["one", "two"], both) == [[CLAUDE, GPT], [GEMINI]]
    assert routes(workspace, ["three", "one"], both) == [[GEMINI_THERE.name, GPT], [CLAUDE]]


async def test_a_panel_never_counts_one_model_twice(workspace: Path) -> None:
    house = House(workspace)
    house.upstreams["vertex_claude"].plays = ["!overloaded"]
    got = await house.call("consensus", {"prompt": "Which?", "models": ["sonnet", ROUTER]})
    assert [one["provider"] for one in got["answers"]] == ["openrouter"] and house.calls == 2
    assert [(one["provider"], one["code"]) for one in got["failed"]] == [("vertex_claude", "overloaded")]
    assert [one["code"] for one in got["warnings"]] == ["single_answer"]


async def test_a_review_is_never_by_one_reviewer_twice(workspace: Path) -> None:
    (workspace / "a.py").write_text("a = 1\n")
    house = House(workspace)
    house.upstreams["vertex_claude"].plays = ["!overloaded"]
    house.upstreams["openrouter"].plays = [CLEAN]
    got = await house.call("codereview", {"paths": ["a.py"], "models": ["sonnet", ROUTER]})
    assert house.calls == 2 and got["files_reviewed"] == ["a.py"]
    assert [one["message"] for one in got["warnings"]] == [f"{CLAUDE} did not review 1 of 1 parts (overloaded)."]


@pytest.mark.parametrize(
    ("configured", "finder", "checker"),
    [
        (list(MODELS), CLAUDE, GEMINI),
        (list(MODELS), ROUTER, GEMINI),
        (["vertex_claude", "openrouter"], ROUTER, CLAUDE),
        (["openrouter"], ROUTER, GEMINI_THERE.name),
    ],
)
async def test_what_a_model_found_is_checked_by_itself_elsewhere_only_when_no_other_of_the_chain_can(
    workspace: Path, configured: list[str], finder: str, checker: str
) -> None:
    (workspace / "a.py").write_text("a = 1\n")
    finding = {"severity": "low", "file": "a.py", "line": 1, "title": "t", "detail": "d", "suggestion": "s", "quote": "a = 1"}
    house = House(workspace, configured=configured, models=ROUTED)
    for upstream in house.upstreams.values():
        upstream.plays = [json.dumps({"verdict": "confirmed"})]
    reviewer = house.upstreams[finder.partition("/")[0]]
    reviewer.plays = [json.dumps({"issues": [finding], "summary": ""}), json.dumps({"verdict": "confirmed"})]
    got = await house.call("codereview", {"paths": ["a.py"], "models": [finder], "verify": True})
    assert [one["checked_by"] for one in got["issues"]] == [checker]
