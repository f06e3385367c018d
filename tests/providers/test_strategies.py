"""Orders in which providers are asked, and what is remembered of how they did."""

from __future__ import annotations

import pytest

from providers.base import ModelInfo
from providers.strategies import FRESH_SECONDS, STRATEGIES, Experience, ordered

A = ModelInfo(provider="a", id="m", input_usd_per_mtok=3, output_usd_per_mtok=15)
B = ModelInfo(provider="b", id="m", input_usd_per_mtok=2, output_usd_per_mtok=12)
C = ModelInfo(provider="c", id="m")
D = ModelInfo(provider="d", id="m", input_usd_per_mtok=0, output_usd_per_mtok=0)
ALL = [A, B, C, D]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lately(clock: Clock) -> Experience:
    return Experience(clock)


def names(strategy: str, lately: Experience) -> str:
    return "".join(model.provider for model in ordered(ALL, strategy, lately))


def test_with_nothing_known_all_but_cost_ask_in_the_order_of_the_chain(lately: Experience) -> None:
    assert {strategy: names(strategy, lately) for strategy in STRATEGIES} == {
        "priority": "abcd",
        "cost": "dbac",  # the price of c is not known
        "latency": "abcd",
        "availability": "abcd",
    }


def test_latency_asks_those_first_that_were_not_asked_lately_and_then_the_quickest(lately: Experience) -> None:
    lately.note("a/m", 2.0, ok=True)
    lately.note("c/m", 1.0, ok=True)
    assert names("latency", lately) == "bdca"
    lately.note("b/m", 0.5, ok=True)
    lately.note("d/m", 3.0, ok=True)
    assert names("latency", lately) == "bcad"
    for _ in range(9):
        lately.note("d/m", 0.1, ok=True)
    assert names("latency", lately)[0] == "d", "it has become quicker"
    assert (names("priority", lately), lately.times("d/m"), lately.times("x/m")) == ("abcd", 10, 0)


def test_latency_asks_one_that_never_began_an_answer_last(lately: Experience) -> None:
    for name in ("a/m", "b/m", "c/m", "d/m"):
        lately.note(name, None if name == "a/m" else 1.0, ok=name != "a/m")
    assert names("latency", lately) == "bcda"
    lately.note("a/m", 0.5, ok=True)
    assert names("latency", lately) == "abcd"


def test_availability_asks_those_first_that_failed_least(lately: Experience) -> None:
    for name, ended_well in (("a/m", [True, False, True, True]), ("b/m", [False, False]), ("c/m", [True]), ("d/m", [False, True])):
        for ok in ended_well:
            lately.note(name, 1.0 if ok else None, ok=ok)
    assert names("availability", lately) == "cadb"


def test_a_failure_without_content_leaves_the_time_that_was_measured(lately: Experience) -> None:
    lately.note("a/m", 2.0, ok=True)
    lately.note("a/m", None, ok=False)
    assert (lately.waited("a/m"), lately.success("a/m")) == (2.0, pytest.approx(0.7))


def test_what_was_seen_long_ago_counts_no_more(lately: Experience, clock: Clock) -> None:
    lately.note("a/m", 9.0, ok=False)
    clock.now = FRESH_SECONDS
    assert (lately.waited("a/m"), lately.success("a/m")) == (None, 1.0)
    lately.note("a/m", 1.0, ok=True)
    assert (lately.waited("a/m"), lately.success("a/m")) == (1.0, 1.0)
