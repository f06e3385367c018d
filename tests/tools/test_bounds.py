"""Bounds of answers."""

from __future__ import annotations

import pytest

from tools.bounds import fitting, json_tokens


@pytest.mark.parametrize("text", ["", "word " * 1000, '"quoted"\n' * 1000, "\u6f22\u5b57" * 1000])
@pytest.mark.parametrize("tokens", [0, 1, 50, 10_000])
def test_what_fits_fits_and_little_more_would(text: str, tokens: int) -> None:
    kept = fitting(text, tokens)
    assert kept == 0 or json_tokens(text[:kept]) <= tokens
    assert kept == len(text) or json_tokens(text[: kept + 40]) > tokens
