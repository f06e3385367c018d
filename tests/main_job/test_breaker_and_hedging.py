"""What is remembered of a provider's failures, and what happens when one is silent."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from simulator import ThreadedSimulator
from tests.main_job.conftest import Start
from tests.main_job.process import Outcome, Parley, serving
from tests.main_job.wires import asked

OTHER = "openrouter/openai/gpt-4o-mini"
"""Its breaker is not that of the provider's default."""


@pytest.fixture(scope="module")
def fragile(simulated: ThreadedSimulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parley]:
    """A server whose breakers open after two failures, for a moment."""
    changes = {"PARLEY_BREAKER_FAILURES": "2", "PARLEY_BREAKER_OPEN_SECONDS": "0.4", "PARLEY_FIRST_BYTE_TIMEOUT": "0.5"}
    with serving(simulated, tmp_path_factory.mktemp("fragile"), PARLEY_CHAIN="openrouter,github_models", **changes) as server:
        yield server


def ten_at_once(parley: Parley) -> list[Outcome]:
    return [call.outcome() for call in [parley.begin("chat", prompt=f"caller-{n}", model=OTHER) for n in range(10)]]


def refused(outcome: Outcome) -> bool:
    return outcome.result.get("isError") is True and outcome.error["attempts"][0]["outcome"] == "breaker_open"


def test_a_breaker_opens_and_half_open_lets_exactly_one_of_ten_callers_probe(fragile: Parley, sim: ThreadedSimulator) -> None:
    sim.fault("openrouter", "status", status=500)
    sim.fault("openrouter", "hang_after_headers")
    codes = [fragile.call("chat", prompt="x", model=OTHER).error["code"] for _ in range(3)]
    assert codes == ["upstream_error", "timeout", "overloaded"], "a hang counts; the third caller finds the breaker open"
    sim.reset("log")
    sim.rule("openrouter", "well again", delay_s=0.3)
    outcomes: list[Outcome] = []
    while not asked(sim, "openrouter"):  # until the breaker is half open
        outcomes = ten_at_once(fragile)
    assert len(asked(sim, "openrouter")) == 1, "the probe, and nobody else"
    assert sum(map(refused, outcomes)) == 9
    assert [one.answer["content"] for one in outcomes if not refused(one)] == ["well again"]
    assert not any(map(refused, ten_at_once(fragile))), "the breaker has closed"


def test_a_probe_that_fails_opens_the_breaker_again_and_auto_passes_it(fragile: Parley, sim: ThreadedSimulator) -> None:
    sim.fault("openrouter", "status", status=503, times=3)
    for _ in range(2):
        assert fragile.call("chat", prompt="x", model="openrouter").error["code"] == "overloaded"
    while len(asked(sim, "openrouter")) < 3:
        fragile.call("chat", prompt="x", model="openrouter")
    answer = fragile.chat("x")
    assert [(one["provider"], one["outcome"]) for one in answer["attempts"]] == [("openrouter", "breaker_open"), ("github_models", "ok")]
    assert answer["attempts"][0]["ms"] <= 20
    (row,) = [row for row in fragile.call("listmodels").answer["providers"] if row["name"] == "openrouter"]
    assert (row["configured"], row["healthy"]) == (True, False) and "failures in a row" in row["hint"]


def test_a_silent_provider_is_joined_by_the_next_and_its_socket_is_closed(start: Start, sim: ThreadedSimulator) -> None:
    parley = start(PARLEY_HEDGE_AFTER="0.2")
    parley.chat("get warm", model="vertex_claude")
    sim.reset("log")
    sim.fault("vertex_claude", "hang_after_headers")
    sim.rule("vertex_gemini", "I was quicker")
    answer = parley.chat("x")
    assert (answer["provider"], answer["content"]) == ("vertex_gemini", "I was quicker")
    assert [(one["provider"], one["outcome"]) for one in answer["attempts"]] == [("vertex_claude", "cancelled"), ("vertex_gemini", "ok")]
    sim.until(lambda log: [one for one in log if one["provider"] == "vertex_claude" and one["disconnected"]])
    assert json.dumps(parley.turns(answer["continuation_id"])).count("I was quicker") == 1
