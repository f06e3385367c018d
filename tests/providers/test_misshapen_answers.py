"""Answers in which anything at all may be wrong: what comes out is a whole answer or an error of a known cause, never anything else."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest

from conversation.errors import ProviderError
from conversation.messages import Answer
from providers.base import ModelInfo
from providers.causes import CAUSES
from providers.pricing import usage_of
from tests.providers.contract import grammatical
from tests.providers.recorded import Recorded, asked, sse

ROUNDS = 250
ODD = [None, True, 0, -7, 5, 1.5, 1e300, 10**18, "", " ", "x", "\ud83d", "{bad", [], [1], ["x"], [None], {}, {"a": 1}, [{}], [[]]]
TOOL = {"name": "look", "description": "Looks.", "input_schema": {"type": "object", "properties": {}}}

CLAUDE: list[Any] = [
    {"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "model": "c", "content": [],
     "stop_reason": None, "usage": {"input_tokens": 5, "cache_read_input_tokens": 2, "output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "sig"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Yes"}},
    {"type": "content_block_stop", "index": 1},
    {"type": "content_block_start", "index": 2, "content_block": {"type": "tool_use", "id": "t", "name": "look", "input": {}}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": '{"a": 1}'}},
    {"type": "content_block_stop", "index": 2},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": None}, "usage": {"output_tokens": 7}},
    {"type": "message_stop"},
]  # fmt: skip
WHOLE_CLAUDE: list[Any] = [
    {"type": "message", "role": "assistant", "stop_reason": "end_turn", "usage": {"input_tokens": 5, "output_tokens": 1}, "content": [
        {"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "text", "text": "Yes"},
        {"type": "tool_use", "id": "t", "name": "look", "input": {"a": 1}}]},
]  # fmt: skip
GEMINI: list[Any] = [
    {"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": "hm", "thought": True}]}}], "responseId": "r"},
    {"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": "Yes"}]}}], "modelVersion": "gemini-2.5-pro"},
    {"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"functionCall": {"name": "look", "args": {"a": 1}}}]},
     "finishReason": "STOP"}], "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 2, "cachedContentTokenCount": 1,
     "thoughtsTokenCount": 1, "totalTokenCount": 8}},
]  # fmt: skip
CALL = {"index": 0, "id": "a", "type": "function", "function": {"name": "look", "arguments": '{"a": 1}'}}
HEAD = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
CHAT: list[Any] = [
    {**HEAD, "choices": [{"index": 0, "delta": {"role": "assistant", "content": "", "reasoning": "hm"}, "finish_reason": None}]},
    {**HEAD, "choices": [{"index": 0, "delta": {"content": "Yes"}, "finish_reason": None}]},
    {**HEAD, "choices": [{"index": 0, "delta": {"tool_calls": [CALL]}, "finish_reason": None}]},
    {**HEAD, "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
    {**HEAD, "choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7, "cost": 0.1,
     "prompt_tokens_details": {"cached_tokens": 1}}},
]  # fmt: skip
ANSWERS = {
    "claude": ("vertex_claude", CLAUDE), "claude in one document": ("vertex_claude", WHOLE_CLAUDE), "gemini": ("vertex_gemini", GEMINI),
    "github": ("github_models", CHAT), "openrouter": ("openrouter", CHAT),
}  # fmt: skip
PRICED = ModelInfo(provider="p", id="m", input_usd_per_mtok=1.0, output_usd_per_mtok=2.0)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in a JSON value with every key or index of it."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    for key in keys:
        yield value, key
        yield from places(value[key])


def spoilt(answer: list[Any], chance: random.Random) -> list[Any]:
    """A copy in which one to three things are something else, gone, or there twice."""
    copy = deepcopy(answer)
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        holder, key = chance.choice(list(places(copy)) or [(copy, 0)])
        match chance.randrange(6):
            case 0 if holder:
                del holder[key]
            case 1 if isinstance(holder, list) and holder:
                holder.insert(key, holder[key])
            case _ if holder:
                holder[key] = deepcopy(chance.choice(ODD))
            case _:
                copy = [deepcopy(chance.choice(ODD))]
    return copy


def check(answer: Answer) -> None:
    """The answer can be used: types hold, figures make sense."""
    assert isinstance(answer.text, str) and all(isinstance(block["type"], str) for block in answer.blocks)
    assert all(isinstance(block["input"], dict) for block in answer.blocks if block["type"] == "tool_use")
    usage = usage_of(answer, PRICED)
    assert 0 <= usage.cached_tokens <= usage.input_tokens <= 4 * 10**12 and 0 <= usage.output_tokens <= 10**12
    assert usage.cost_usd is None or (usage.cost_usd >= 0 and math.isfinite(usage.cost_usd))


@pytest.mark.parametrize("name", ANSWERS)
async def test_a_misshapen_answer_is_an_answer_all_the_same_or_an_error_with_a_cause(upstream: Recorded, name: str) -> None:
    provider, whole = ANSWERS[name]
    chance = random.Random(name)
    seen: dict[str, int] = {}
    for number in range(ROUNDS):
        payloads = spoilt(whole, chance)
        raw = json.dumps(payloads[0]).encode() if whole is WHOLE_CLAUDE and payloads else sse(*payloads)
        try:
            check(grammatical(await asked(upstream, provider, raw, tools=[TOOL])))
            outcome = "ok"
        except ProviderError as error:
            outcome = error.cause
        except Exception as error:
            raise AssertionError(f"round {number}: {type(error).__name__} from {raw!r}") from error
        seen[outcome] = seen.get(outcome, 0) + 1
    assert set(seen) <= {"ok", *CAUSES} and seen["ok"] and seen["malformed"], seen
