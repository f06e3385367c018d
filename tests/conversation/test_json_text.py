"""JSON with halves of surrogate pairs, and JSON nested deeper than the parser writes."""

from __future__ import annotations

from typing import Any

import pytest

from conversation.json_text import parsed, parsed_whole, whole, written

HALF = b'{"a": "cut \\ud83d end", "b": "\\ud83d\\ude00", "c\\udc00": 1}'


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


def test_halves_of_surrogate_pairs_are_joined_or_replaced() -> None:
    assert whole("plain") == "plain" and whole("\u6f22") == "\u6f22"
    assert whole("\ud83d\ude00 \ud83d") == "\U0001f600 \ufffd"


def test_a_half_is_kept_while_the_other_may_come_and_replaced_where_a_text_is_whole() -> None:
    assert parsed(HALF) == {"a": "cut \ud83d end", "b": "\U0001f600", "c\ufffd": 1}
    assert parsed_whole(HALF) == {"a": "cut \ufffd end", "b": "\U0001f600", "c\ufffd": 1}
    assert written(parsed(HALF)) == '{"a":"cut \ufffd end","b":"\U0001f600","c\ufffd":1}'.encode()


def test_what_is_plain_is_read_and_written_as_ever() -> None:
    assert parsed_whole(b'[1, "a", null]') == [1, "a", None] and written([1, "a", None]) == b'[1,"a",null]'


@pytest.mark.parametrize("content", [b"", b"{", b"NaN", b'"\\ud83d" NaN', b'["\\ud83d", Infinity]', b'"\\ud83d' + b"[" * 5])
def test_what_is_no_json_is_none(content: bytes) -> None:
    for read in (parsed, parsed_whole):
        with pytest.raises(ValueError):
            read(content)


def test_what_was_read_can_be_written_however_deep_and_else_is_an_error_of_its_own() -> None:
    assert parsed(written(nested(300))) == nested(300)
    for value in (nested(100_000), {"a": {1, 2}}):
        with pytest.raises(ValueError, match="nested too deeply"):
            written(value)
    with pytest.raises(ValueError, match="nested too deeply"):
        parsed(b'["\\ud83d", ' + b"[" * 100_000)
