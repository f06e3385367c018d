"""What answers took, as users are told it."""

from __future__ import annotations

from conversation.messages import Usage
from conversation.spending import Account, Spent, told

DAY = "2027-01-01"


def test_one_request_counts_its_tokens_and_its_cost_or_that_nobody_knows_it() -> None:
    assert Spent.of(Usage(input_tokens=5, output_tokens=3, cached_tokens=2, cost_usd=0.25)) == Spent(1, 5, 3, 2, 0.25)
    assert Spent.of(Usage(input_tokens=5)) == Spent(1, 5, unpriced=1)


def test_a_day_is_told_by_provider_by_model_and_by_session_the_dearest_first() -> None:
    rows = [
        (Account(DAY, "p", "small", "mine"), Spent(1, 10, 1, 0, 0.1)),
        (Account(DAY, "p", "large", "yours"), Spent(1, 20, 2, 5, 2.0)),
        (Account(DAY, "q", "small", ""), Spent(1, 30, 3, 0, 0.0, unpriced=1)),
        (Account(DAY), Spent(usd=1.0)),  # of a file from before providers were noted
        (Account("2027-01-02", "p", "small", "mine"), Spent(9, 9, 9, 9, 9.0)),
    ]
    found = told(DAY, rows)
    assert {key: found[key] for key in ("day", "usd", "requests", "input_tokens", "output_tokens", "cached_tokens", "unpriced")} == {
        "day": DAY, "usd": 3.1, "requests": 3, "input_tokens": 60, "output_tokens": 6, "cached_tokens": 5, "unpriced": 1,
    }  # fmt: skip
    assert {name: one["usd"] for name, one in found["providers"].items()} == {"p": 2.1, "q": 0.0}
    assert list(found["models"]) == ["p/large", "p/small", "q/small"]
    assert {name: one["requests"] for name, one in found["sessions"].items()} == {"yours": 1, "mine": 1}


def test_a_day_without_requests_is_told_as_such() -> None:
    assert told(DAY, [])["requests"] == 0 and told(DAY, [])["models"] == {}
