"""Answers on Gemini's wire: server-sent events with alt=sse, else a JSON array sent bit by bit."""

from __future__ import annotations

from typing import Any

import orjson

from .asked import Asked
from .jsonish import Json, as_list, is_number, number_or
from .rules import Answer
from .signing import sign_thought
from .wire_anthropic import Piece

_FINISH = {"end_turn": "STOP", "stop_sequence": "STOP", "tool_use": "STOP", "max_tokens": "MAX_TOKENS", "refusal": "SAFETY"}


def usage_of(answer: Answer, asked: Asked) -> Json:
    """usageMetadata; a script's figures may be in Gemini's words or in input_tokens / output_tokens."""
    given = dict(answer.usage)
    prompt = given.pop("input_tokens", asked.input_tokens)
    total_output = given.pop("output_tokens", answer.output_tokens)
    thoughts = answer.thinking_tokens
    candidates = max(0, total_output - thoughts) if is_number(total_output) else total_output
    usage: Json = {
        "promptTokenCount": prompt,
        "candidatesTokenCount": candidates,
        "totalTokenCount": number_or(prompt, 0) + number_or(total_output, 0),
        "trafficType": "ON_DEMAND",
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": prompt}],
        "candidatesTokensDetails": [{"modality": "TEXT", "tokenCount": candidates}],
    }
    if thoughts:
        usage["thoughtsTokenCount"] = thoughts
    cached = given.pop("cache_read_input_tokens", 0)
    if cached:
        usage["cachedContentTokenCount"] = cached
    return {**usage, **given}


def _parts(answer: Answer, asked: Asked, ids: str, *, split: bool) -> list[Json]:
    if answer.bare:
        return []
    parts: list[Json] = []
    if answer.thinking and asked.thinking:
        parts += [{"text": text, "thought": True} for text in (answer.pieces(answer.thinking) if split else [answer.thinking])]
    if answer.text:
        parts += [{"text": text} for text in (answer.pieces(answer.text) if split else [answer.text])]
    signed = asked.thinking or asked.model.id.startswith("gemini-3")
    for index, call in enumerate(answer.tools):
        part: Json = {"functionCall": {"name": call.name, "args": call.input}}
        if signed and index == 0:
            part["thoughtSignature"] = sign_thought(ids)
        parts.append(part)
    if signed and parts and not answer.tools:
        parts[-1] = {**parts[-1], "thoughtSignature": sign_thought(ids)}
    return parts


def _envelope(asked: Asked, ids: str) -> Json:
    return {"modelVersion": asked.model.id, "createTime": "2026-01-01T00:00:00.000000Z", "responseId": f"sim-{ids}"}


def body(answer: Answer, asked: Asked, ids: str) -> Json:
    """The whole answer as one response."""
    whole: Json = {}
    if not answer.bare:
        candidate: Json = {"content": {"role": "model", "parts": _parts(answer, asked, ids, split=False)}}
        if not answer.endless:
            candidate |= {"finishReason": _FINISH.get(answer.finish, answer.finish), "avgLogprobs": -0.1}
        whole["candidates"] = [candidate]
    return {**whole, "usageMetadata": usage_of(answer, asked), **_envelope(asked, ids)}


def pieces(answer: Answer, asked: Asked, ids: str) -> list[Piece]:
    """The whole answer in chunks; the last one carries finishReason and the usage."""
    envelope = _envelope(asked, ids)
    usage = usage_of(answer, asked)
    if answer.bare:
        return _encode([({"usageMetadata": usage, **envelope}, False)], asked)
    chunks: list[tuple[Json, bool]] = []
    parts = _parts(answer, asked, ids, split=True)
    for part in parts:
        chunk: Json = {"candidates": [{"content": {"role": "model", "parts": [part]}}]}
        chunks.append(({**chunk, "usageMetadata": {"trafficType": "ON_DEMAND"}, **envelope}, True))
    if not chunks:
        chunks.append(({"candidates": [{"content": {"role": "model"}}], **envelope}, False))
    last = chunks[-1][0]
    last["usageMetadata"] = usage
    if not answer.endless:
        last["candidates"][0]["finishReason"] = _FINISH.get(answer.finish, answer.finish)
    return _encode(chunks, asked)


def _encode(chunks: list[tuple[Json, bool]], asked: Asked) -> list[Piece]:
    if asked.sse:
        return [Piece(b"data: " + orjson.dumps(chunk) + b"\r\n\r\n", content) for chunk, content in chunks]
    out = [Piece((b"[" if index == 0 else b",\r\n") + orjson.dumps(chunk), content) for index, (chunk, content) in enumerate(chunks)]
    return [*out, Piece(b"]\n")]


def error_event(asked: Asked, error: Any) -> bytes:
    """An error in mid-stream: the bare error object as one more chunk."""
    one = (as_list(error) or [error])[0]
    return b"data: " + orjson.dumps(one) + b"\r\n\r\n" if asked.sse else b",\r\n" + orjson.dumps(one)


MALFORMED = b'data: {"candidates": [{"content": {"role": "model", "parts": [{"te\r\n\r\n'
PING = b": simulated keep-alive\r\n\r\n"
