"""What counts as a known word, and what says the opposite or nothing."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tests.tools.reviews import INJECTION
from tools.lenient import Written, known, share, words
from tools.reviewing.verifying import WrittenVerdict
from tools.reviewing.written import WrittenFinding
from tools.synthesis import WrittenOutcome


def read(shape: type[Written], field: str, **given: Any) -> str | None:
    try:
        return getattr(shape.model_validate(given), field)
    except ValidationError:
        return None


@pytest.mark.parametrize(
    ("verdicts", "meaning"),
    [
        ("confirmed|Confirmed.|**valid**|TRUE|real|not refuted|not-refuted|True positive|confirmed: yes", "confirmed"),
        ("confirm|valid finding", "confirmed"),
        ("confirmed - the query is built from input|Confirmed (valid)|verdict: confirmed|verdict is confirmed", "confirmed"),
        ("refuted|Refute|false positive|false_positive|false-positive|false alarm|Invalid!|not a bug|not valid|incorrect", "refuted"),
        ("refuted: a check above rules it out|False positive: it is checked", "refuted"),
        ("uncertain|unclear|not sure|cannot confirm|not confirmed|unknown (depends on the caller)", "uncertain"),
    ],
)
def test_a_verdict_is_known_by_the_word_it_is_or_begins_with(verdicts: str, meaning: str) -> None:
    assert {said: read(WrittenVerdict, "verdict", verdict=said) for said in verdicts.split("|")} == dict.fromkeys(
        verdicts.split("|"), meaning
    )


@pytest.mark.parametrize(
    "said",
    [
        "could not refute", "cannot be refuted", "I failed to refute it", "not a false positive", "incorrectly refuted", "unrefuted",
        "not clearly refuted", "not true", "not correct", "isn't valid", "isn\u2019t valid", "unlikely to be true", "cannot be confirmed",
        "not fully confirmed", "valid concern but not real", "valid, but it cannot happen", "true negative", "true-negative",
        "confirmed, refuted or uncertain", "confirmed as false positive", "no, it is real", "partially confirmed", "likely true",
        "confirmed?", "refuted or not", "refuted: it isn't", "the finding stands", "", "7", ["confirmed", "refuted"], [], 0,
    ],
)  # fmt: skip
def test_what_denies_weighs_or_names_two_words_is_no_verdict(said: Any) -> None:
    assert read(WrittenVerdict, "verdict", verdict=said) is None


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        ("Critical!", "critical"), ("high-severity", "high"), ("high risk", "high"), ("Severity: High", "high"), (["LOW"], "low"),
        ("HIGH (8.1)", "high"), ("blocker", "critical"), ("none", "info"),
        ("non-critical", None), ("not critical", None), ("not an error", None), ("medium/high", None), ("low to medium", None),
        ("critical, high, medium, low or info", None), ("P0", None),
    ],
)  # fmt: skip
def test_a_severity_is_a_word_and_not_its_denial(said: Any, meaning: str | None) -> None:
    assert read(WrittenFinding, "severity", **{**INJECTION, "severity": said}) == meaning


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        ("high", "high"), ("Very high.", "high"), ("moderate", "medium"), (0.8, "high"), ("0.5", "medium"), (1, "high"), (0, "low"),
        ("8/10", "high"), ("5 / 10", "medium"), ("85%", "high"), ("8%", "low"), (50, "medium"), ("30/100", "low"),
        (8, None), ("8", None), (10, None), (1.5, None), ("12/10", None), (101, None), (True, None),
        ("not high", None), ("not at all high", None), ("high uncertainty", None), ("high_uncertainty", None), ("medium to high", None),
        ("low, medium or high", None),
    ],
)  # fmt: skip
def test_confidence_is_a_word_or_a_number_of_a_known_measure(said: Any, meaning: str | None) -> None:
    assert read(WrittenOutcome, "confidence", agreements=[], recommendation="x", confidence=said) == meaning


def test_of_the_words_that_are_known_the_longest_count() -> None:
    assert known("not a b: see above", {"not": "1", "not_a": "2", "not_a_b": "3"}) == "3"


def test_a_shape_is_neither_joined_nor_in_pieces_unless_it_says_so() -> None:
    assert WrittenVerdict.joined([]) is None and not WrittenVerdict.has_pieces("{}")


@pytest.mark.parametrize(("value", "text"), [(["a", 1], "a\n1"), ({"a": [1]}, '{"a": [1]}'), (7, "7"), ("x", "x"), (None, None)])
def test_words_are_made_of_whatever_stands_where_they_belong(value: Any, text: str | None) -> None:
    assert words(value) == text


def test_a_share_has_a_measure() -> None:
    assert [share(one) for one in (0.25, "9/10", "9 / 100", "9%", 9, "9", False, "x")] == [0.25, 0.9, 0.09, 0.09, None, None, None, None]
