"""Answers folded from events."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from conversation.messages import Answer, Event, Fold, Usage, fold, starts_content


def start(index: int, **block: Any) -> Event:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, **parts: Any) -> Event:
    return {"type": "content_block_delta", "index": index, "delta": parts}


WHOLE: list[Event] = [
    {"type": "message_start", "message": {"usage": {"input_tokens": 10, "cache_read_input_tokens": 4, "output_tokens": None}}},
    {"type": "ping"},
    start(0, type="thinking", thinking=""),
    delta(0, type="thinking_delta", thinking="hm"),
    delta(0, type="signature_delta", signature="sig"),
    start(1, type="text", text=""),
    delta(1, type="text_delta", text="Hel"),
    delta(1, type="text_delta", text="lo"),
    delta(1, type="something_new", text="!"),
    {"type": "content_block_stop", "index": 1},
    start(2, type="tool_use", id="t", name="f", input={}),
    delta(2, type="input_json_delta", partial_json='{"a"'),
    delta(2, type="input_json_delta", partial_json=": 1}"),
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7, "cost_usd": 0.01}},
    {"type": "message_delta", "delta": {"stop_reason": None}},
    {"type": "message_stop"},
]


def test_a_whole_answer_is_text_blocks_usage_and_reason() -> None:
    assert fold(WHOLE) == Answer(
        text="Hello",
        blocks=(
            {"type": "thinking", "thinking": "hm", "signature": "sig"},
            {"type": "text", "text": "Hello"},
            {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
        ),
        stop_reason="end_turn",
        input_tokens=14,
        output_tokens=7,
        cached_tokens=4,
        cost_usd=0.01,
        complete=True,
    )


@pytest.mark.parametrize("missing", ["message_stop", "message_delta"])
def test_an_answer_without_its_end_is_not_complete(missing: str) -> None:
    assert not fold(event for event in WHOLE if event["type"] != missing).complete


def test_folding_can_be_looked_at_in_between() -> None:
    folding = Fold()
    assert folding.answer() == Answer(text="")
    folding.add(delta(0, type="text_delta", text="a delta without a start"))
    assert folding.answer().text == "a delta without a start"


def test_a_tool_without_arguments_has_an_empty_object() -> None:
    answer = fold([start(0, type="tool_use", id="t", name="f", input={}), delta(0, type="input_json_delta", partial_json="")])
    assert answer.blocks[0]["input"] == {}


def test_content_starts_with_a_delta_or_a_tool() -> None:
    assert starts_content(delta(0, type="text_delta", text="x"))
    assert starts_content(start(0, type="tool_use"))
    assert not starts_content(start(0, type="text", text=""))
    assert not starts_content({"type": "ping"})


def test_usage_adds_up_and_an_unknown_price_stays_unknown() -> None:
    one = Usage(input_tokens=1, output_tokens=2, cached_tokens=3, cost_usd=0.5)
    assert one.plus(one) == Usage(input_tokens=2, output_tokens=4, cached_tokens=6, cost_usd=1.0)
    assert one.plus(Usage()).cost_usd is None


def test_values_are_frozen_and_know_their_fields() -> None:
    with pytest.raises(ValidationError):
        Usage(surprise=1)  # pyright: ignore[reportCallIssue]
    with pytest.raises(ValidationError):
        Usage().input_tokens = 1  # pyright: ignore[reportAttributeAccessIssue]


def test_what_is_of_the_wrong_shape_is_passed_over() -> None:
    odd: list[Event] = [
        {"type": "message_start", "message": None},
        {"type": "message_start", "message": {"usage": [1]}},
        start(0, type="text", text=None),
        {"type": "content_block_start", "index": 1, "content_block": "text"},
        {"type": "content_block_start", "index": "x", "content_block": {}},
        {"type": "content_block_delta", "index": None, "delta": {}},
        {"type": "content_block_delta", "index": 0, "delta": None},
        delta(0, type="text_delta", text=5),
        delta(0, type="text_delta", text="Yes"),
        delta(2, type="input_json_delta", partial_json=5),
        start(3, type="tool_use", id="t", name="f", input={}),
        delta(3, type="input_json_delta", partial_json="[" * 100_000),
        {"type": "message_delta", "delta": {"stop_reason": 5}, "usage": {"input_tokens": "z", "output_tokens": -7, "cost_usd": -1}},
        {"type": "message_delta", "usage": {"cache_read_input_tokens": True}},
    ]
    answer = fold(odd)
    assert (answer.text, answer.stop_reason, answer.cost_usd) == ("Yes", None, None)
    assert (answer.input_tokens, answer.output_tokens, answer.cached_tokens) == (0, 0, 0)
    assert answer.blocks[3]["input"] == {}


def test_halves_of_an_emoji_in_two_deltas_are_one_in_the_answer_and_one_alone_stays() -> None:
    parts = [delta(0, type="text_delta", text=text) for text in ("a\ud83d", "\ude00b", "\ud83d")]
    assert fold([start(0, type="text", text=""), *parts]).text == "a\U0001f600b\ud83d"
