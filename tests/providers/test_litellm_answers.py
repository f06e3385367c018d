"""Recorded upstream bytes and the events they become."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.providers.recorded import Recorded, sse
from tests.providers.shapes import START, TOOL, answer, block, call, cause, delta, end, gemini

# --- Vertex Claude ---------------------------------------------------------------------------------------------------


async def test_claudes_thinking_keeps_its_signature_and_counts_come_from_both_ends(upstream: Recorded) -> None:
    stream = [
        START,
        {"type": "ping"},
        *block(0, {"type": "thinking", "thinking": "", "signature": ""}, {"type": "thinking_delta", "thinking": "hm"},
               {"type": "signature_delta", "signature": "EqRk=="}),
        *block(1, {"type": "redacted_thinking", "data": "xyz"}),
        *block(2, {"type": "text", "text": ""}, {"type": "text_delta", "text": "Yes"}),
        {"type": "a_kind_of_tomorrow"},
        *end("end_turn", output_tokens=7),
    ]  # fmt: skip
    result = await answer(upstream, "vertex_claude", sse(*stream, named=True))
    assert result.blocks == (
        {"type": "thinking", "thinking": "hm", "signature": "EqRk=="},
        {"type": "redacted_thinking", "data": "xyz"},
        {"type": "text", "text": "Yes"},
    )
    assert (result.input_tokens, result.cached_tokens, result.output_tokens) == (12, 3, 7)


async def test_an_empty_text_block_is_left_out_and_the_indexes_close_up(upstream: Recorded) -> None:
    tool = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
    stream = [
        START,
        *block(0, {"type": "text", "text": ""}),
        *block(1, tool, {"type": "input_json_delta", "partial_json": '{"a": 1}'}),
        *end("tool_use"),
    ]
    result = await answer(upstream, "vertex_claude", sse(*stream), tools=[TOOL])
    assert result.blocks == ({"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}},)


async def test_a_whole_message_in_json_is_taken_as_the_answer(upstream: Recorded) -> None:
    content = [
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "text", "text": "Yes"},
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}},
    ]
    message = {"id": "m", "type": "message", "role": "assistant", "model": "c", "content": content, "stop_reason": "tool_use",
               "usage": {"input_tokens": 2, "output_tokens": 3}}  # fmt: skip
    upstream.content_type = "application/json"
    result = await answer(upstream, "vertex_claude", json.dumps(message).encode())
    assert list(result.blocks) == content and (result.input_tokens, result.output_tokens) == (2, 3)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([START, *end("refusal")], "empty"),
        ([START, *block(0, {"type": "thinking", "thinking": ""}, {"type": "thinking_delta", "thinking": "x"}), *end("end_turn")], "empty"),
        ([START, *block(0, {"type": "text", "text": ""}, {"type": "text_delta", "text": "x"}), *end(None)], "truncated"),
        ([*block(0, {"type": "text", "text": ""})], "malformed"),
        ([START, START], "malformed"),
        ([START, {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x"}}], "malformed"),
        ([START, {"type": "content_block_stop", "index": 0}], "malformed"),
        ([START, *block(0, {"type": "text", "text": ""})[:1], *block(1, {"type": "text", "text": ""})], "malformed"),
        ([START, *block(0, {"type": "text", "text": ""})[:1], *end("end_turn")], "malformed"),
        ([START, *block(0, {"type": "text", "text": ""}, {"type": "input_json_delta", "partial_json": ""})], "malformed"),
        ([START, {"type": "content_block_start", "index": 0}], "malformed"),
        ([START, {"type": "error"}], "upstream_error"),
        ([START, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}], "overloaded"),
        ([{"type": "error", "error": {"type": "rate_limit_error", "message": "Slow down"}}], "rate_limited"),
    ],
)
async def test_an_answer_out_of_the_grammar_fails(upstream: Recorded, events: list[dict[str, Any]], expected: str) -> None:
    assert (await cause(upstream, "vertex_claude", sse(*events))).cause == expected


# --- Vertex Gemini ---------------------------------------------------------------------------------------------------


async def test_geminis_thoughts_text_and_calls_in_one_chunk_become_blocks(upstream: Recorded) -> None:
    chunk = gemini(
        {"text": "thinking", "thought": True},
        {"text": "I look."},
        {"functionCall": {"name": "f", "args": {"a": 1}}, "thoughtSignature": "c2ln"},
        {"functionCall": {"name": "f"}},
    )
    counts = {
        "promptTokenCount": 10,
        "cachedContentTokenCount": 4,
        "candidatesTokenCount": 3,
        "thoughtsTokenCount": 2,
        "totalTokenCount": 15,
    }
    result = await answer(upstream, "vertex_gemini", sse(chunk, {"candidates": [{"finishReason": "STOP"}], "usageMetadata": counts}))
    kinds = [(found["type"], found.get("thinking") or found.get("text") or found.get("input")) for found in result.blocks]
    assert kinds == [("thinking", "thinking"), ("text", "I look."), ("tool_use", {"a": 1}), ("tool_use", {})]
    assert set(result.blocks[2]) == {"type", "id", "name", "input"}  # the signature is kept here
    assert result.stop_reason == "tool_use"
    assert (result.input_tokens, result.cached_tokens, result.output_tokens) == (10, 4, 5)


async def test_geminis_finish_with_the_last_text_and_usage_in_every_chunk(upstream: Recorded) -> None:
    counts = {"promptTokenCount": 10, "totalTokenCount": 10}
    stream = sse(
        gemini({"text": "a"}, usageMetadata=counts),
        gemini({"text": "b"}, finish="MAX_TOKENS", usageMetadata={**counts, "candidatesTokenCount": 2}),
    )
    result = await answer(upstream, "vertex_gemini", stream)
    assert (result.text, result.stop_reason, result.output_tokens) == ("ab", "max_tokens", 2)


async def test_geminis_array_of_chunks_is_taken_as_the_answer(upstream: Recorded) -> None:
    body = json.dumps([gemini({"text": "a"}), gemini({"text": "b"}, finish="STOP")]).encode()
    assert (await answer(upstream, "vertex_gemini", body[:20], body[20:])).text == "ab"


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([{"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 1}}], "empty"),
        ([{"candidates": [{"finishReason": "SAFETY"}]}], "empty"),
        ([gemini({"text": "a"}, finish="MALFORMED_FUNCTION_CALL")], "malformed"),
        ([gemini({"text": "a"})], "truncated"),
        ([{"candidates": [], "usageMetadata": {"promptTokenCount": 1}}], "empty"),
        ([gemini({"functionCall": {"args": {}}})], "malformed"),
        ([{"error": {"code": 429, "message": "Resource exhausted", "status": "RESOURCE_EXHAUSTED"}}], "rate_limited"),
        ([["not", "an", "object"]], "malformed"),
    ],
)
async def test_geminis_failures_in_disguise(upstream: Recorded, chunks: list[Any], expected: str) -> None:
    assert (await cause(upstream, "vertex_gemini", sse(*chunks))).cause == expected


async def test_a_google_error_in_an_array_is_an_error(upstream: Recorded) -> None:
    body = b'[{"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}]'
    assert (await cause(upstream, "vertex_gemini", body)).cause == "overloaded"


# --- chat completions ------------------------------------------------------------------------------------------------


async def test_chat_usage_after_the_finish_and_before_done_is_counted(upstream: Recorded) -> None:
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 3,
        "total_tokens": 13,
        "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 0},
    }
    stream = sse(
        delta({"role": "assistant", "content": ""}),
        delta({"content": "Yes"}),
        delta({}, "stop"),
        {"choices": [], "usage": usage},
        done=True,
    )
    result = await answer(upstream, "github_models", stream)
    assert (result.text, result.input_tokens, result.cached_tokens, result.output_tokens, result.cost_usd) == ("Yes", 10, 4, 3, None)


async def test_openrouters_comments_reasoning_and_cost(upstream: Recorded) -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "cost": 0.25, "cost_details": {"upstream_inference_cost": None}}
    stream = b": OPENROUTER PROCESSING\r\n\r\n" + sse(
        delta({"role": "assistant", "content": "", "reasoning": "hm", "reasoning_details": [{"type": "reasoning.text", "text": "hm"}]}),
        delta({"content": "Yes"}),
        delta({"content": ""}, "stop", native_finish_reason="end_turn"),
        delta({"content": ""}, None, usage=usage),
        done=True,
    ).replace(b"\n", b"\r\n")
    result = await answer(upstream, "openrouter", *(bytes([byte]) for byte in stream))
    assert [found["type"] for found in result.blocks] == ["thinking", "text"]
    assert (result.text, result.cost_usd) == ("Yes", 0.25)


async def test_tool_calls_of_every_habit_stay_apart(upstream: Recorded) -> None:
    two = {"content": "Both.", "tool_calls": [call(0, "f", "", id="same"), call(1, "g", "", id="same")]}
    stream = sse(
        delta({"tool_calls": [call(None, "e", '{"x": ', id="first!")]}),
        delta({"tool_calls": [call(None, "e", "1}", id="first!")]}),  # repeats name and id, and has no index
        delta({}, "tool_calls"),
        done=True,
    )
    result = await answer(upstream, "github_models", stream, tools=[TOOL])
    assert [(found["id"], found["name"], found["input"]) for found in result.blocks] == [("first_", "e", {"x": 1})]
    result = await answer(
        upstream, "github_models", sse(delta(two), delta({"tool_calls": [call(1, None, "{}")]}), delta({}, "stop"), done=True)
    )
    assert [found.get("name") for found in result.blocks] == [None, "f", "g"]
    assert len({found["id"] for found in result.blocks[1:]}) == 2
    assert result.stop_reason == "tool_use"


async def test_a_tool_name_too_long_for_chat_completions_comes_back_whole(upstream: Recorded) -> None:
    name = "mcp__" + "x" * 90
    tool = {"name": name, "description": "d", "input_schema": {"type": "object", "properties": {}}}
    await cause(upstream, "github_models", sse(delta({})), tools=[tool])
    short = upstream.bodies[0]["tools"][0]["function"]["name"]
    result = await answer(
        upstream, "github_models", sse(delta({"tool_calls": [call(0, short, "{}", id="a")]}), delta({}, "tool_calls")), tools=[tool]
    )
    assert len(short) == 64 and result.blocks[0]["name"] == name


async def test_done_may_be_missing_and_the_connection_may_break_after_the_finish(upstream: Recorded) -> None:
    assert (await answer(upstream, "github_models", sse(delta({"content": "Yes"}), delta({}, "stop")))).text == "Yes"
    half = sse(delta({"content": "Yes"}), delta({}, "stop")) + b'data: {"choi'
    assert (await answer(upstream, "openrouter", half)).text == "Yes"


async def test_a_whole_completion_in_json_is_taken_as_the_answer(upstream: Recorded) -> None:
    message = {"role": "assistant", "content": "Yes", "tool_calls": [call(None, "f", "{}", id="a")]}
    body = {
        "id": "x",
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
        "usage": {"prompt_tokens": 4, "completion_tokens": 1},
    }
    result = await answer(upstream, "github_models", json.dumps(body).encode())
    assert (result.text, result.stop_reason, result.input_tokens) == ("Yes", "tool_use", 4)


async def test_a_refusal_in_words_is_an_answer(upstream: Recorded) -> None:
    result = await answer(upstream, "github_models", sse(delta({"refusal": "I will not."}), delta({}, "stop"), done=True))
    assert (result.text, result.stop_reason) == ("I will not.", "refusal")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (sse(delta({}, "content_filter"), done=True), "empty"),
        (sse(delta({}, "stop"), done=True), "empty"),
        (sse({"choices": []}, done=True), "empty"),
        (sse(done=True), "empty"),
        (sse(delta({"content": "a"}), done=True), "truncated"),
        (sse(delta({"content": "a"})), "truncated"),
        (sse(delta({"role": "assistant"})), "truncated"),
        (sse(delta({"content": "a"}), delta({}, "error")), "upstream_error"),
        (sse(delta({"content": "a"}, "error", error={"code": 502, "message": "Provider disconnected"})), "upstream_error"),
        (sse(delta({"content": ["not", "text"]})), "malformed"),
        (sse(delta({"tool_calls": [call(0, "f", "", id="a"), call(1, "g", "", id="b"), call(0, None, "{}")]})), "malformed"),
        (b'{"error": {"code": 429, "message": "Rate limit exceeded"}}', "rate_limited"),
        (b'{"choices": [{"message": {"content": "a', "truncated"),
        (b'{"choices": [{"message": oops}]}', "malformed"),
        (b"  \n<!DOCTYPE html><title>Sign in</title>", "malformed"),
        (b"data: {nonsense}\n\n" + sse(delta({}, "stop")), "malformed"),
        (b'data: {"choices": [{"del', "truncated"),
        (b"data: \xff\xfe\n\n", "malformed"),
        (b"just words", "empty"),
        (b"", "empty"),
    ],
)
async def test_failures_in_disguise(upstream: Recorded, body: bytes, expected: str) -> None:
    for provider in ("github_models", "openrouter"):
        assert (await cause(upstream, provider, body)).cause == expected, provider


async def test_blank_bytes_before_a_document_and_a_bound_on_its_size(upstream: Recorded) -> None:
    body = json.dumps({"choices": [{"index": 0, "message": {"content": "Yes"}, "finish_reason": "stop"}]}).encode()
    assert (await answer(upstream, "github_models", b"\n" * 500_000, b"  ", body)).text == "Yes"
    assert (await answer(upstream, "github_models", b"\xef\xbb", b"\xbf" + body)).text == "Yes"
    assert "blank bytes" in (await cause(upstream, "github_models", *([b" " * 300_000] * 4))).message
    huge = [b'{"choices": "', *([b"x" * 1024 * 1024] * 17)]
    assert "more than" in (await cause(upstream, "github_models", *huge)).message
    assert "more than" in (await cause(upstream, "github_models", b"data: ", *huge)).message


async def test_an_upstream_that_does_not_hang_up_after_the_end_is_left(upstream: Recorded) -> None:
    upstream.stays = True
    assert (await answer(upstream, "github_models", sse(delta({"content": "Yes"}), delta({}, "stop"), done=True))).text == "Yes"
    stream = [START, *block(0, {"type": "text", "text": ""}, {"type": "text_delta", "text": "Yes"}), *end("end_turn")]
    assert (await answer(upstream, "vertex_claude", sse(*stream))).text == "Yes"
    await upstream.left.wait()


@pytest.mark.parametrize("usage", [{}, {"usage": {"prompt_tokens": 3, "completion_tokens": 2}}])
async def test_an_upstream_that_does_not_mark_the_end_of_a_finished_answer_is_left(
    upstream: Recorded, monkeypatch: pytest.MonkeyPatch, usage: dict[str, Any]
) -> None:
    monkeypatch.setattr("providers._litellm_wires.USAGE_SECONDS", 0.2)
    upstream.stays = True
    async with asyncio.timeout(5):
        result = await answer(upstream, "github_models", sse(delta({"content": "Yes"}), delta({}, "stop")), sse({"choices": [], **usage}))
        assert (result.text, result.input_tokens) == ("Yes", 3 if usage else 0)
        late = sse(gemini({"text": "Yes"}, finish="STOP")), sse({"usageMetadata": {"promptTokenCount": 3}})
        assert (await answer(upstream, "vertex_gemini", *late)).input_tokens == 3


async def test_content_after_the_finish_reason_belongs_to_the_answer(upstream: Recorded) -> None:
    stream = sse(delta({"content": "Yes"}), delta({}, "stop"), delta({"content": " and no"}), done=True)
    result = await answer(upstream, "github_models", stream)
    assert (result.text, result.stop_reason) == ("Yes and no", "end_turn")


@pytest.mark.parametrize("late", [b"", b"data: [1]\n\n", sse({"type": "error", "error": {"message": "late"}})])
async def test_what_follows_message_stop_is_passed_over(upstream: Recorded, late: bytes) -> None:
    stream = [START, *block(0, {"type": "text", "text": ""}, {"type": "text_delta", "text": "Yes"}), *end("end_turn")]
    assert (await answer(upstream, "vertex_claude", sse(*stream) + late)).text == "Yes"


async def test_what_follows_the_end_is_passed_over(upstream: Recorded) -> None:
    stream = sse(delta({"content": "Yes"}), delta({}, "stop"), done=True)
    assert (await answer(upstream, "github_models", stream, b": bye\n\n" * 200_000)).text == "Yes"


async def test_the_last_event_may_lack_its_blank_line(upstream: Recorded) -> None:
    assert (await answer(upstream, "github_models", sse(delta({"content": "Yes"}), delta({}, "stop")).rstrip())).text == "Yes"
    assert (await answer(upstream, "github_models", sse(delta({"content": "Yes"}), delta({}, "stop"), done=True).rstrip())).text == "Yes"


async def test_an_empty_argument_and_a_part_that_says_nothing_do_no_harm(upstream: Recorded) -> None:
    stream = sse(gemini({"text": ""}, {"thoughtSignature": "c2ln"}, {"text": "Yes"}), gemini(finish="STOP"))
    assert (await answer(upstream, "vertex_gemini", stream)).text == "Yes"
    content = [
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
        {"type": "text", "text": ""},
        {"type": "thinking", "thinking": "hm", "signature": ""},
        {"type": "text", "text": "Yes"},
    ]
    message = {"type": "message", "content": content, "stop_reason": "end_turn"}
    result = await answer(upstream, "vertex_claude", json.dumps(message).encode())
    assert [found["type"] for found in result.blocks] == ["server_tool_use", "thinking", "text"]
