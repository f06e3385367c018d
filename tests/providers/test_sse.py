"""Server-sent events, cut anywhere."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers._sse import ServerEvent, SSEError, SSEParser

STREAM = (
    '\ufeffevent: a\r\ndata: {"x":\r\ndata: "\u4e16\U0001f600"}\r\n\r\n: comment\n\n'
    "data:no space\rid: 7\rretry: 5\r\revent: lone\n\ndata\n\n"
)
EVENTS = [ServerEvent("a", '{"x":\n"\u4e16\U0001f600"}'), ServerEvent("", "no space"), ServerEvent("", "")]


def parsed(*chunks: bytes) -> list[ServerEvent]:
    parser = SSEParser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


def test_comments_fields_and_every_line_ending_are_understood() -> None:
    assert parsed(STREAM.encode()) == EVENTS


def test_bytes_may_come_one_by_one() -> None:
    assert parsed(*(bytes([byte]) for byte in STREAM.encode())) == EVENTS


@given(st.lists(st.integers(0, len(STREAM.encode())), max_size=12))
def test_chunk_borders_do_not_matter(cuts: list[int]) -> None:
    data, edges = STREAM.encode(), [0, *sorted(cuts), len(STREAM.encode())]
    assert parsed(*(data[start:stop] for start, stop in pairwise(edges))) == EVENTS


def test_an_event_without_its_blank_line_is_given_at_the_end() -> None:
    parser = SSEParser()
    assert list(parser.feed(b"event: x\ndata: half")) == []
    assert parser.close() == ServerEvent("x", "half")
    assert parser.close() is None


def test_an_event_that_is_too_large_is_refused_before_it_ends() -> None:
    parser = SSEParser(max_event_bytes=100)
    assert list(parser.feed(b"data: 1\n\n" * 100)) != []
    with pytest.raises(SSEError):
        for _ in range(11):
            list(parser.feed(b"data: 1234\n"))


def test_bytes_that_are_not_utf_8_are_refused() -> None:
    with pytest.raises(SSEError):
        parsed(b"data: \xff\n\n")
