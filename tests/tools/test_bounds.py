"""Bounds of answers."""

from __future__ import annotations

import pytest

from tools.bounds import clean, fitting, json_tokens


@pytest.mark.parametrize("text", ["", "word " * 1000, '"quoted"\n' * 1000, "\u6f22\u5b57" * 1000])
@pytest.mark.parametrize("tokens", [0, 1, 50, 10_000])
def test_what_fits_fits_and_little_more_would(text: str, tokens: int) -> None:
    kept = fitting(text, tokens)
    assert kept == 0 or json_tokens(text[:kept]) <= tokens
    assert kept == len(text) or json_tokens(text[: kept + 40]) > tokens


def test_halves_of_surrogate_pairs_are_joined_or_replaced() -> None:
    assert clean("plain") == "plain"
    assert clean("\ud83d\ude00 \ud83d") == "\U0001f600 \ufffd"
