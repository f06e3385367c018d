"""Answers that say nothing, answers cut inside an emoji, and fields of the wrong type, from recorded bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.providers.recorded import Recorded, sse
from tests.providers.shapes import START, TOOL, answer, block, call, cause, delta, end, gemini

TEXT = {"type": "text", "text": ""}
USE = {"type": "tool_use", "id": "t", "name": "f", "input": {}}


@pytest.mark.parametrize(
    "events",
    [
        [{"type": "message_start", "message": {"usage": {"input_tokens": "9"}}}, *block(0, TEXT), *end("end_turn")],
        [{"type": "message_start", "message": {"usage": [1]}}, *block(0, TEXT), *end("end_turn")],
        [{"type": "message_start", "message": None}],
        [START, *block(0, TEXT, {"type": "text_delta", "text": None})],
        [START, *block(0, TEXT, {"type": "text_delta", "text": 5})],
        [START, *block(0, TEXT, {"type": "text_delta"})],
        [START, *block(0, TEXT, {"type": "text_delta", "text": "x"}), *end("end_turn", cache_read_input_tokens="x")],
        [START, *block(0, TEXT, {"type": "text_delta", "text": "x"}), *end("end_turn", output_tokens=[1])],
        [START, *block(0, TEXT, {"type": "text_delta", "text": "x"}), *end("end_turn", output_tokens=1e15)],
        [START, *block(0, TEXT, {"type": "text_delta", "text": "x"}), *end(5)],
        [START, {"type": "content_block_start", "index": 0, "content_block": "text"}],
        [START, {"type": "content_block_start", "index": 0, "content_block": {"type": 5}}],
        [START, *block(0, USE, {"type": "input_json_delta", "partial_json": "{bad"}), *end("tool_use")],
        [START, *block(0, USE, {"type": "input_json_delta", "partial_json": "[1]"}), *end("tool_use")],
        [START, *block(0, USE, {"type": "input_json_delta", "partial_json": 5}), *end("tool_use")],
        [START, *block(0, {**USE, "name": None}), *end("tool_use")],
        [{"type": "message", "content": "Yes", "stop_reason": "end_turn"}],
        [{"type": "message", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": [1]}], "stop_reason": "tool_use"}],
    ],
)
async def test_a_field_of_the_wrong_type_is_malformed(upstream: Recorded, events: list[dict[str, Any]]) -> None:
    assert (await cause(upstream, "vertex_claude", sse(*events), tools=[TOOL])).cause == "malformed"


async def test_a_tool_call_cut_short_by_the_limit_is_an_answer_without_its_arguments(upstream: Recorded) -> None:
    stream = sse(START, *block(0, USE, {"type": "input_json_delta", "partial_json": '{"a": '}), *end("max_tokens"))
    result = await answer(upstream, "vertex_claude", stream, tools=[TOOL])
    assert (result.stop_reason, result.blocks[0]["input"]) == ("max_tokens", {})


async def test_figures_below_zero_and_costs_that_are_none_count_as_not_given(upstream: Recorded) -> None:
    said = block(0, TEXT, {"type": "text_delta", "text": "Yes"})
    result = await answer(upstream, "vertex_claude", sse(START, *said, *end("end_turn", output_tokens=-7, cost_usd=-1)))
    assert (result.input_tokens, result.output_tokens, result.cost_usd) == (12, 1, None)
    usage = {"prompt_tokens": -5, "completion_tokens": -7, "total_tokens": -12, "cost": -1}
    result = await answer(upstream, "openrouter", sse(delta({"content": "Yes"}), delta({}, "stop"), {"choices": [], "usage": usage}))
    assert (result.input_tokens, result.output_tokens, result.cost_usd) == (0, 0, None)


@pytest.mark.parametrize("figure", ["3", -3, [1], True, 1.5, {"a": 1}])
async def test_geminis_figures_that_are_none_count_as_not_given(upstream: Recorded, figure: Any) -> None:
    usage = {"promptTokenCount": figure, "candidatesTokenCount": 2, "cachedContentTokenCount": figure, "promptTokensDetails": figure}
    result = await answer(upstream, "vertex_gemini", sse(gemini({"text": "Yes"}, finish="STOP", usageMetadata=usage)))
    assert (result.text, result.input_tokens, result.output_tokens) == ("Yes", 0, 2)


@pytest.mark.parametrize(("reason", "asked_with"), [("stop_sequence", {"stop_sequences": ["."]}), ("pause_turn", {"tools": [TOOL]})])
async def test_stop_reasons_that_may_stand_alone_do_when_the_request_allows_for_them(
    upstream: Recorded, reason: str, asked_with: dict[str, Any]
) -> None:
    assert (await answer(upstream, "vertex_claude", sse(START, *end(reason)), **asked_with)).stop_reason == reason
    assert (await cause(upstream, "vertex_claude", sse(START, *end(reason)))).cause == "empty"


# --- every wire: nothing said, and text cut inside an emoji ------------------------------------------------------------


def claude_text(*texts: str, reason: str = "end_turn") -> bytes:
    return sse(START, *block(0, TEXT, *({"type": "text_delta", "text": text} for text in texts)), *end(reason))


def said(provider: str, *texts: str) -> bytes:
    """An answer of these pieces on the provider's wire."""
    if provider == "vertex_claude":
        return claude_text(*texts)
    if provider == "vertex_gemini":
        return sse(*(gemini({"text": text}) for text in texts), gemini(finish="STOP"))
    return sse(*(delta({"content": text}) for text in texts), delta({}, "stop"), done=True)


WIRES = ("vertex_claude", "vertex_gemini", "github_models", "openrouter")


@pytest.mark.parametrize("provider", WIRES)
async def test_an_answer_of_white_space_is_empty(upstream: Recorded, provider: str) -> None:
    assert (await cause(upstream, provider, said(provider, " ", "\n", "\t "))).cause == "empty"
    assert (await answer(upstream, provider, said(provider, " \n", "Yes"))).text == " \nYes"


@pytest.mark.parametrize("provider", WIRES)
async def test_halves_of_an_emoji_in_two_pieces_are_one_again(upstream: Recorded, provider: str) -> None:
    assert (await answer(upstream, provider, said(provider, "a\ud83d", "\ude00 \u00e9"))).text == "a\U0001f600 \u00e9"
    assert (await answer(upstream, provider, said(provider, "cut \ud83d"))).text == "cut \ufffd"


async def test_an_emoji_in_two_pieces_is_mended_in_a_document_and_in_arguments_and_nonsense_is_not(upstream: Recorded) -> None:
    message = {"type": "message", "content": [{"type": "text", "text": "a\ud83d"}], "stop_reason": "end_turn", "\ud83d": 1}
    assert (await answer(upstream, "vertex_claude", json.dumps(message).encode())).text == "a\ufffd"
    parts = ({"type": "input_json_delta", "partial_json": part} for part in ('{"a": "\ud83d', '\ude00"}'))
    result = await answer(upstream, "vertex_claude", sse(START, *block(0, USE, *parts), *end("tool_use")), tools=[TOOL])
    assert result.blocks[0]["input"] == {"a": "\U0001f600"}
    for value in (b"NaN", b"[" * 100_000 + b"]" * 100_000, b""):
        stream = b'data: {"a": "\\ud83d", "b": ' + value + b"}\n\n"
        assert (await cause(upstream, "github_models", stream)).cause == "malformed"


async def test_geminis_nulls_are_what_is_not_there(upstream: Recorded) -> None:
    call_ = gemini({"functionCall": {"name": "f", "args": None}}, finish="STOP", usageMetadata={"promptTokenCount": None})
    result = await answer(upstream, "vertex_gemini", sse(call_), tools=[TOOL])
    assert (result.blocks[0]["input"], result.input_tokens) == ({}, 0)


async def test_an_error_that_is_null_says_that_it_has_no_message(upstream: Recorded) -> None:
    error = await cause(upstream, "vertex_claude", sse(START, {"type": "error", "error": None}))
    assert error.message.endswith("an error without a message")


CALLED = {
    "vertex_claude": sse(START, *block(0, USE), *end("tool_use")),
    "vertex_gemini": sse(gemini({"functionCall": {"name": "f", "args": {}}}, finish="STOP")),
    **dict.fromkeys(("github_models", "openrouter"), sse(delta({"tool_calls": [call(0, "f", "{}", id="a")]}), delta({}, "tool_calls"))),
}


@pytest.mark.parametrize("provider", WIRES)
async def test_a_tool_call_is_an_answer_only_when_tools_were_offered(upstream: Recorded, provider: str) -> None:
    assert (await cause(upstream, provider, CALLED[provider])).cause == "empty"
    assert (await answer(upstream, provider, CALLED[provider], tools=[TOOL])).stop_reason == "tool_use"


THINKING = block(0, {"type": "thinking", "thinking": ""}, {"type": "thinking_delta", "thinking": "x"})
THOUGHT = {
    "vertex_claude": sse(START, *THINKING, *end("max_tokens")),
    "vertex_gemini": sse(gemini({"text": "hm", "thought": True}), gemini(finish="MAX_TOKENS")),
    "github_models": sse(delta({}, "length"), done=True),
    "openrouter": sse(delta({"reasoning": "hm"}), delta({}, "length"), done=True),
}


@pytest.mark.parametrize("provider", WIRES)
async def test_thinking_that_used_up_all_tokens_is_an_empty_answer_that_says_what_to_raise(upstream: Recorded, provider: str) -> None:
    error = await cause(upstream, provider, THOUGHT[provider])
    assert (error.cause, error.code) == ("empty", "upstream_error")
    assert "max_output_tokens" in error.hint and "thinking" in error.message
