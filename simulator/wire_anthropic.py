"""Answers on the Messages API's wire: Vertex Claude and OpenRouter's /messages."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from .asked import Asked
from .jsonish import Json, number_or
from .rules import Answer
from .signing import sign_thinking


class Piece(NamedTuple):
    """Bytes sent at once. `content` marks a delta, which is what "after n deltas" counts."""

    data: bytes
    content: bool = False


def event(kind: str, body: Json) -> bytes:
    """One server-sent event of the Messages API."""
    return b"event: " + kind.encode() + b"\ndata: " + orjson.dumps({"type": kind, **body}) + b"\n\n"


def usage_of(answer: Answer, asked: Asked) -> Json:
    """The usage block, with a script's figures over the counted ones."""
    usage: Json = {
        "input_tokens": asked.input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": answer.output_tokens,
        **dict(answer.usage),
    }
    if asked.provider == "openrouter" and "cost" not in usage:
        model = asked.model
        read, written = number_or(usage["input_tokens"], 0), number_or(usage["output_tokens"], 0)
        usage["cost"] = round((read * model.input_usd + written * model.output_usd) / 1e6, 9)
    return usage


def _blocks(answer: Answer, asked: Asked, ids: str) -> list[Json]:
    if answer.bare:
        return []
    blocks: list[Json] = []
    if answer.thinking:
        text = "" if asked.hide_thinking else answer.thinking
        blocks.append({"type": "thinking", "thinking": text, "signature": sign_thinking(text)})
    if answer.text:
        blocks.append({"type": "text", "text": answer.text})
    prefix = "toolu_vrtx_" if asked.provider == "vertex_claude" else "toolu_"
    for index, call in enumerate(answer.tools):
        blocks.append({"type": "tool_use", "id": f"{prefix}{ids}{index:02d}", "name": call.name, "input": call.input})
    return blocks


def _message(asked: Asked, ids: str) -> Json:
    vertex = asked.provider == "vertex_claude"
    message: Json = {
        "id": ("msg_vrtx_" if vertex else "gen-") + ids,
        "type": "message",
        "role": "assistant",
        "model": asked.model_name.replace("@", "-"),
    }
    if not vertex:
        message["provider"] = "Simulated"
    return message


def body(answer: Answer, asked: Asked, ids: str) -> Json:
    """The whole answer as one message."""
    return {
        **_message(asked, ids),
        "content": _blocks(answer, asked, ids),
        "stop_reason": None if answer.endless else answer.finish,
        "stop_sequence": None,
        "usage": usage_of(answer, asked),
    }


def pieces(answer: Answer, asked: Asked, ids: str) -> list[Piece]:
    """The whole answer as events: ping after the first block's start, thinking ends with its signature, tool input in fragments."""
    usage = usage_of(answer, asked)
    nothing: Json = {"content": [], "stop_reason": None, "stop_sequence": None}
    start: Json = {**_message(asked, ids), **nothing, "usage": {**usage, "output_tokens": 1}}
    out: list[Piece] = []
    if asked.provider == "openrouter":
        out.append(Piece(b": OPENROUTER PROCESSING\n\n"))
    out.append(Piece(event("message_start", {"message": start})))
    ping = [Piece(event("ping", {}))]
    for index, block in enumerate(_blocks(answer, asked, ids)):
        out.append(Piece(event("content_block_start", {"index": index, "content_block": _opening(block)})))
        out += ping
        ping = []
        out.extend(Piece(event("content_block_delta", {"index": index, "delta": delta}), True) for delta in _deltas(block, answer))
        out.append(Piece(event("content_block_stop", {"index": index})))
    if not answer.endless:
        delta = {"stop_reason": answer.finish, "stop_sequence": None}
        out.append(Piece(event("message_delta", {"delta": delta, "usage": usage})))
        out.append(Piece(event("message_stop", {})))
    return out


def _opening(block: Json) -> Json:
    match block["type"]:
        case "thinking":
            return {"type": "thinking", "thinking": "", "signature": ""}
        case "text":
            return {"type": "text", "text": ""}
        case _:
            return {**block, "input": {}}


def _deltas(block: Json, answer: Answer) -> list[Json]:
    match block["type"]:
        case "thinking":
            parts: list[Json] = [{"type": "thinking_delta", "thinking": text} for text in answer.pieces(block["thinking"]) if text]
            return [*parts, {"type": "signature_delta", "signature": block["signature"]}]
        case "text":
            return [{"type": "text_delta", "text": text} for text in answer.pieces(block["text"])]
        case _:
            text = orjson.dumps(block["input"]).decode()
            return [{"type": "input_json_delta", "partial_json": part} for part in ["", *answer.pieces(text)]]


def error_event(asked: Asked, error: Any) -> bytes:
    """An error in mid-stream."""
    return event("error", {"error": error["error"]})


MALFORMED = b'event: content_block_delta\ndata: {"type": "content_block_delta", "index": 0, "delta": {"type": "text_del\n\n'
PING = event("ping", {})
