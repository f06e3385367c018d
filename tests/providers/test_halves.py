"""Emojis that an upstream cuts in two."""

from __future__ import annotations

import pytest

from conversation.messages import Event
from providers._halves import Halves


def delta(text: str, kind: str = "text_delta", field: str = "text", index: int = 0) -> Event:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, field: text}}


STOP: Event = {"type": "content_block_stop", "index": 0}


@pytest.mark.parametrize(
    ("came", "left"),
    [
        ([delta("plain"), STOP], [delta("plain"), STOP]),
        ([delta("a \U0001f600"), delta("\u6f22"), STOP], [delta("a \U0001f600"), delta("\u6f22"), STOP]),
        ([delta("a \ud83d"), delta("\ude00 b"), STOP], [delta("a "), delta("\U0001f600 b"), STOP]),
        ([delta("\ud83d"), delta("\ude00"), STOP], [delta("\U0001f600"), STOP]),
        ([delta("\ud83d"), delta("plain"), STOP], [delta("\ufffdplain"), STOP]),
        ([delta("a\ud83d"), STOP], [delta("a"), delta("\ufffd"), STOP]),
        ([delta("\ude00 a"), STOP], [delta("\ufffd a"), STOP]),
        (
            [delta('{"a":"\ud83d', "input_json_delta", "partial_json"), delta('\ude00"}', "input_json_delta", "partial_json")],
            [delta('{"a":"', "input_json_delta", "partial_json"), delta('\U0001f600"}', "input_json_delta", "partial_json")],
        ),
        ([{"type": "content_block_delta", "index": 0, "delta": {"type": "citations_delta", "citation": {}}}],) * 2,
    ],
)
def test_an_emoji_leaves_in_one_piece(came: list[Event], left: list[Event]) -> None:
    halves = Halves()
    assert [event for one in came for event in halves.joined(one)] == left
