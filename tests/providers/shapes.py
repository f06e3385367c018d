"""Pieces of upstream answers as each wire has them, and asking for an answer made of them."""

from __future__ import annotations

from typing import Any

import pytest

from conversation.errors import ProviderError
from conversation.messages import Answer
from tests.providers.contract import grammatical
from tests.providers.recorded import Recorded, asked


async def answer(upstream: Recorded, provider: str, *parts: bytes, **more: Any) -> Answer:
    return grammatical(await asked(upstream, provider, *parts, **more))


async def cause(upstream: Recorded, provider: str, *parts: bytes, **more: Any) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        await asked(upstream, provider, *parts, **more)
    return caught.value


def delta(content: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": content, "finish_reason": finish}
    return {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], **more}


def call(index: int | None, name: str | None, arguments: str, **more: Any) -> dict[str, Any]:
    function = {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}
    return {"type": "function", "function": function, **({} if index is None else {"index": index}), **more}


def gemini(*parts: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"index": 0, "content": {"role": "model", "parts": list(parts)}}
    return {"candidates": [{**candidate, "finishReason": finish} if finish else candidate], "modelVersion": "gemini-2.5-pro", **more}


START = {"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "model": "c", "content": [],
         "stop_reason": None, "usage": {"input_tokens": 9, "cache_read_input_tokens": 3, "output_tokens": 1}}}  # fmt: skip


def block(index: int, start: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *({"type": "content_block_delta", "index": index, "delta": one} for one in deltas),
        {"type": "content_block_stop", "index": index},
    ]


TOOL = {"name": "f", "description": "F.", "input_schema": {"type": "object", "properties": {}}}


def end(reason: Any, **usage: Any) -> list[dict[str, Any]]:
    return [{"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage}, {"type": "message_stop"}]
