"""Answers on the chat-completions wire, as GitHub Models and OpenRouter serve it."""

from __future__ import annotations

import time
from typing import Any

import orjson

from .asked import Asked
from .jsonish import Json, as_dict, number_or
from .models import ANTHROPIC, GPT
from .rules import Answer, ToolCall
from .signing import sign_thinking
from .wire_anthropic import Piece

_FINISH = {"end_turn": "stop", "stop_sequence": "stop", "tool_use": "tool_calls", "max_tokens": "length", "refusal": "content_filter"}
_UNFILTERED = {"filtered": False, "severity": "safe"}


def usage_of(answer: Answer, asked: Asked) -> Json:
    """The usage block; a script's figures may be in OpenAI's words or in input_tokens / output_tokens."""
    given = dict(answer.usage)
    prompt = given.pop("input_tokens", given.pop("prompt_tokens", asked.input_tokens))
    output = given.pop("output_tokens", given.pop("completion_tokens", answer.output_tokens))
    cached = given.pop("cache_read_input_tokens", 0)
    usage: Json = {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": number_or(prompt, 0) + number_or(output, 0),
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": answer.thinking_tokens, "audio_tokens": 0},
    }
    if asked.provider == "openrouter":
        cost = (number_or(prompt, 0) * asked.model.input_usd + number_or(output, 0) * asked.model.output_usd) / 1e6
        usage |= {"cost": round(cost, 9), "is_byok": False, "cost_details": {"upstream_inference_cost": None}}
    return {**usage, **given}


def _envelope(asked: Asked, ids: str, kind: str) -> Json:
    """The keys every object of one answer shares."""
    router = asked.provider == "openrouter"
    envelope: Json = {
        "id": ("gen-" if router else "chatcmpl-") + ids,
        "object": kind,
        "created": int(time.time()),
        "model": asked.model.id if router else asked.model.plain_name,
    }
    if router:
        envelope["provider"] = "Simulated"
    else:
        envelope["system_fingerprint"] = "fp_simulated"
    return envelope


def _choice(asked: Asked, finish: str | None, **content: Json) -> Json:
    choice: Json = {"index": 0, **content, "logprobs": None, "finish_reason": finish}
    if asked.provider == "openrouter":
        choice["native_finish_reason"] = finish
    return choice


def _calls(tools: tuple[ToolCall, ...], ids: str) -> list[Json]:
    functions = [{"name": call.name, "arguments": orjson.dumps(call.input).decode()} for call in tools]
    return [{"id": f"call_{ids}{index:02d}", "type": "function", "function": function} for index, function in enumerate(functions)]


def _reasons(answer: Answer, asked: Asked) -> bool:
    """Only OpenRouter shows what a model thought."""
    return asked.provider == "openrouter" and bool(answer.thinking)


def _detail(asked: Asked, **more: Any) -> Json:
    form = "anthropic-claude-v1" if asked.model.family == ANTHROPIC else "unknown"
    return {"type": "reasoning.text", **more, "format": form, "index": 0}


def body(answer: Answer, asked: Asked, ids: str) -> Json:
    """The whole answer as one completion."""
    envelope = _envelope(asked, ids, "chat.completion")
    if answer.bare:
        return {**envelope, "choices": [], "usage": usage_of(answer, asked)}
    message: Json = {"role": "assistant", "content": answer.text or None, "refusal": None}
    if answer.tools:
        message["tool_calls"] = _calls(answer.tools, ids)
    if _reasons(answer, asked):
        message["reasoning"] = answer.thinking
        message["reasoning_details"] = [_detail(asked, text=answer.thinking, signature=sign_thinking(answer.thinking))]
    finish = None if answer.endless else _FINISH.get(answer.finish, answer.finish)
    return {**envelope, "choices": [_choice(asked, finish, message=message)], "usage": usage_of(answer, asked)}


def pieces(answer: Answer, asked: Asked, ids: str) -> list[Piece]:
    """The whole answer in chunks: role, deltas, finish reason, usage when it was asked for, [DONE]."""
    envelope = _envelope(asked, ids, "chat.completion.chunk")
    router = asked.provider == "openrouter"
    if not router and asked.include_usage:
        envelope["usage"] = None
    out = _preamble(asked)

    def chunk(finish: str | None, delta: Json, *, content: bool = False) -> None:
        out.append(_data({**envelope, "choices": [_choice(asked, finish, delta=delta)]}, content))

    if not answer.bare:
        if not router:
            chunk(None, {"role": "assistant", "content": "", "refusal": None})
        for delta in _deltas(answer, asked, ids):
            chunk(None, {"role": "assistant", "content": "", **delta} if router else delta, content=True)
        if not answer.endless:
            chunk(_FINISH.get(answer.finish, answer.finish), {"role": "assistant", "content": ""} if router else {})
    if asked.include_usage and not answer.endless:
        last = [_choice(asked, None, delta={"role": "assistant", "content": ""})] if router and not answer.bare else []
        out.append(_data({**envelope, "choices": last, "usage": usage_of(answer, asked)}))
    if not answer.endless:
        out.append(Piece(b"data: [DONE]\n\n"))
    return out


def _preamble(asked: Asked) -> list[Piece]:
    """What comes before the answer: OpenRouter's comment; the prompt's filter result on GitHub's GPT models, a chunk without choices."""
    if asked.provider == "openrouter":
        return [Piece(b": OPENROUTER PROCESSING\n\n"), Piece(b": OPENROUTER PROCESSING\n\n")]
    if asked.model.family != GPT:
        return []
    results = dict.fromkeys(("hate", "self_harm", "sexual", "violence"), _UNFILTERED)
    filters = [{"prompt_index": 0, "content_filter_results": {**results, "jailbreak": {"filtered": False, "detected": False}}}]
    return [_data({"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": filters})]


def _deltas(answer: Answer, asked: Asked, ids: str) -> list[Json]:
    out: list[Json] = []
    if _reasons(answer, asked):
        out += [{"reasoning": text, "reasoning_details": [_detail(asked, text=text)]} for text in answer.pieces(answer.thinking)]
        out.append({"reasoning": None, "reasoning_details": [_detail(asked, signature=sign_thinking(answer.thinking))]})
    if answer.text:
        out += [{"content": text} for text in answer.pieces(answer.text)]
    for index, call in enumerate(_calls(answer.tools, ids)):
        arguments = call["function"]["arguments"]
        opening = {**call, "index": index, "function": {"name": call["function"]["name"], "arguments": ""}}
        out.append({"tool_calls": [opening]})
        out += [{"tool_calls": [{"index": index, "function": {"arguments": part}}]} for part in answer.pieces(arguments)]
    return out


def _data(chunk: Json, content: bool = False) -> Piece:
    return Piece(b"data: " + orjson.dumps(chunk) + b"\n\n", content)


def error_event(asked: Asked, error: Any) -> bytes:
    """An error in mid-stream; OpenRouter's comes with a choice whose finish_reason is "error"."""
    fault = (as_dict(error) or {}).get("error")
    if asked.provider != "openrouter":
        return _data({"error": fault}).data
    choice = {"index": 0, "delta": {"content": ""}, "finish_reason": "error", "native_finish_reason": "error"}
    return _data({**_envelope(asked, "error", "chat.completion.chunk"), "error": fault, "choices": [choice]}).data


MALFORMED = b'data: {"id": "chatcmpl-simulated", "object": "chat.completion.chunk", "choices": [{"index": 0, "del\n\n'
PING = b": OPENROUTER PROCESSING\n\n"
