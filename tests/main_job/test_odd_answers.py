"""Answers that hold nothing, or fields of the wrong type: told when the model was named, passed by a fallback, the same everywhere."""

from __future__ import annotations

from typing import Any

import pytest

from simulator import ThreadedSimulator
from tests.main_job.conftest import Start
from tests.main_job.process import Parley
from tests.main_job.wires import PROVIDERS, after, asked

NOTHING = [
    {"text": " \n "},
    {"text": "", "tool_use": [{"name": "look", "input": {"at": "a"}}]},
    {"text": "", "thinking": "hm", "finish": "max_tokens"},
    {"text": ""},
]


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("rule", NOTHING, ids=["white space", "a tool nobody offered", "thinking alone", "not a word"])
def test_an_answer_that_says_nothing_is_an_error_and_the_next_is_asked(
    parley: Parley, sim: ThreadedSimulator, rule: dict[str, Any], provider: str
) -> None:
    sim.rule(provider, **rule)
    sim.rule(after(provider), "a clean answer")
    error = parley.call("chat", prompt="x", model=provider).error
    assert (error["code"], [one["outcome"] for one in error["attempts"]]) == ("upstream_error", ["empty"])
    assert ("max_output_tokens" in error["hint"]) == (rule.get("finish") == "max_tokens")
    answer = parley.call("fallback", prompt="x", chain=[provider, after(provider)]).answer
    assert (answer["content"], [one["outcome"] for one in answer["attempts"]]) == ("a clean answer", ["empty", "ok"])


@pytest.mark.parametrize("odd", ["z", [1], {"a": 1}, True], ids=str)
@pytest.mark.parametrize("figure", ["input_tokens", "output_tokens", "cache_read_input_tokens"])
def test_a_figure_that_is_no_number_makes_an_answer_malformed(parley: Parley, sim: ThreadedSimulator, figure: str, odd: Any) -> None:
    sim.rule("vertex_claude", "x", usage={figure: odd})
    sim.rule("vertex_gemini", "a clean answer")
    error = parley.call("chat", prompt="x", model="vertex_claude").error
    assert (error["code"], [one["outcome"] for one in error["attempts"]]) == ("upstream_error", ["malformed"])
    answer = parley.call("fallback", prompt="x", chain=["vertex_claude", "vertex_gemini"]).answer
    assert [one["outcome"] for one in answer["attempts"]] == ["malformed", "ok"]


def test_malformed_answers_open_the_breaker(start: Start, sim: ThreadedSimulator) -> None:
    parley = start(PARLEY_BREAKER_FAILURES="2", PARLEY_BREAKER_OPEN_SECONDS="60")
    sim.rule("vertex_claude", "x", usage={"output_tokens": "z"})
    outcomes = [parley.call("chat", prompt="x", model="vertex_claude").error["attempts"][0]["outcome"] for _ in range(3)]
    assert outcomes == ["malformed", "malformed", "breaker_open"]
    assert len(asked(sim, "vertex_claude")) == 2


@pytest.mark.parametrize("provider", PROVIDERS)
def test_figures_below_zero_are_never_shown_and_no_figures_make_no_price(parley: Parley, sim: ThreadedSimulator, provider: str) -> None:
    sim.rule(provider, "Yes", usage={"input_tokens": -5, "output_tokens": -7, "cost": -1})
    usage = parley.chat("x", model=provider)["usage"]
    assert usage["cost_usd"] is None and usage["input_tokens"] >= 0 and usage["output_tokens"] >= 0
