"""The day's spending limit, which all processes on one home share."""

from __future__ import annotations

import pytest

from simulator import ThreadedSimulator
from tests.main_job.conftest import Start
from tests.main_job.wires import upstream_calls

CALL = {"input_tokens": 1000, "output_tokens": 1000}
PRICE = 0.018
"""Of such a call to Claude Sonnet 4.5: 3 and 15 USD for a million."""


def test_spending_is_warned_of_then_refused_without_a_call_upstream_in_every_process(start: Start, sim: ThreadedSimulator) -> None:
    one, two = start(PARLEY_DAILY_BUDGET_USD="0.04"), start(PARLEY_DAILY_BUDGET_USD="0.04")
    sim.rule("vertex_claude", "an answer", usage=CALL)
    answers = [one.chat("x", model="vertex_claude/claude-sonnet-4-5") for _ in range(3)]
    assert [answer["usage"]["cost_usd"] for answer in answers] == [pytest.approx(PRICE)] * 3
    assert [[warning["code"] for warning in answer["warnings"]] for answer in answers] == [[], ["budget_near"], ["budget_near"]]
    assert "$0.04 of today's $0.04" in answers[1]["warnings"][0]["message"]
    sim.reset("log")
    for server in (two, one):
        for tool in ("chat", "fallback"):
            error = server.call(tool, prompt="x").error
            assert (error["code"], error["retryable"], error["attempts"]) == ("budget_exceeded", False, [])
            assert "PARLEY_DAILY_BUDGET_USD" in error["hint"]
        assert len(server.call("threads", action="list").answer["threads"]) == 3, "what costs nothing still works, and nothing was begun"
    assert not upstream_calls(sim)


def test_a_budget_of_nothing_allows_nothing(start: Start, sim: ThreadedSimulator) -> None:
    assert start(PARLEY_DAILY_BUDGET_USD="0").call("chat", prompt="x").error["code"] == "budget_exceeded"
    assert not upstream_calls(sim)
