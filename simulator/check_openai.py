"""What chat completions refuse, as GitHub Models and OpenRouter serve them. Wording follows the real services'."""

from __future__ import annotations

import re
from typing import Any

from .asked import Asked
from .check_openai_messages import Messages
from .jsonish import Json, as_dict, as_list, is_number, is_whole
from .models import GPT, OPEN_WEIGHTS, Model
from .refusals import Refusal

_KEYS = frozenset({
    "messages", "model", "max_tokens", "max_completion_tokens", "temperature", "top_p", "n", "stream", "stream_options", "stop",
    "presence_penalty", "frequency_penalty", "logit_bias", "logprobs", "top_logprobs", "response_format", "seed", "tools", "tool_choice",
    "parallel_tool_calls", "user", "reasoning_effort", "metadata", "store", "modalities", "prediction", "service_tier", "verbosity",
    "safety_identifier", "prompt_cache_key",
})
_ROUTER_KEYS = _KEYS | {
    "models", "route", "provider", "plugins", "reasoning", "include_reasoning", "usage", "top_k", "min_p", "top_a", "repetition_penalty",
    "transforms", "web_search_options", "structured_outputs", "session_id", "trace", "cache_control",
}
_REASONING_DEFAULTS = {"temperature": 1, "top_p": 1, "presence_penalty": 0, "frequency_penalty": 0}
_FUNCTION_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}\Z")


def check(body: Json, model: Model, *, provider: str) -> Asked:
    """The request's digest. Raises Refusal for what the real API rejects."""
    asked = Asked(provider, model, str(body.get("model")), stream=body.get("stream") is True)
    if not model.chat:
        raise Refusal(
            400, "The chatCompletion operation does not work with the specified model, please choose different model and try again."
        )
    _check_keys(body, model, asked)
    _check_stream(body, asked)
    _check_limits(body, model, asked)
    _check_numbers(body)
    if model.reasoning and provider == "github_models":
        _check_reasoning(body)
    _check_tools(body, asked)
    Messages(asked, strict=provider == "github_models").check(body.get("messages"))
    _check_window(asked)
    return asked


def _check_keys(body: Json, model: Model, asked: Asked) -> None:
    if asked.provider == "openrouter":
        asked.ignored.extend(key for key in body if key not in _ROUTER_KEYS)
        unfit = ("top_k", "repetition_penalty", "min_p", "top_a") if model.family == GPT else ()
        asked.ignored.extend(key for key in unfit if key in body)
        reasoning = as_dict(body.get("reasoning")) or {}
        wanted = bool(reasoning) or body.get("include_reasoning") is True or body.get("reasoning_effort") is not None
        asked.thinking = model.reasoning and wanted and reasoning.get("enabled") is not False and reasoning.get("exclude") is not True
        return
    if model.family == OPEN_WEIGHTS:
        return
    for key in body:
        if key not in _KEYS:
            raise Refusal(400, f"Unrecognized request argument supplied: {key}")
    if "reasoning_effort" in body and not model.reasoning:
        raise Refusal(400, "Unrecognized request argument supplied: reasoning_effort")


def _check_stream(body: Json, asked: Asked) -> None:
    if not isinstance(body.get("stream", False), bool):
        raise Refusal(400, "Invalid type for 'stream': expected a boolean.")
    options = body.get("stream_options")
    if options is not None and not asked.stream:
        raise Refusal(400, "The 'stream_options' parameter is only allowed when 'stream' is enabled.")
    asked.include_usage = asked.provider == "openrouter" or (as_dict(options) or {}).get("include_usage") is True


def _check_limits(body: Json, model: Model, asked: Asked) -> None:
    both = [key for key in ("max_tokens", "max_completion_tokens") if body.get(key) is not None]
    if len(both) == 2:
        raise asked.refusal("Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.")
    for key in both:
        limit = body[key]
        if not is_whole(limit) or limit < 1:
            raise asked.refusal(f"Invalid '{key}': integer below minimum value. Expected a value >= 1, but got {limit} instead.")
        if key == "max_tokens" and model.reasoning and asked.provider == "github_models":
            raise Refusal(
                400,
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
                code="unsupported_parameter",
            )
        if limit > model.max_output:
            raise asked.refusal(
                f"{key} is too large: {limit}. This model supports at most {model.max_output} completion tokens, whereas you provided "
                f"{limit}.",
                code="invalid_value",
            )
        asked.max_tokens = limit


def _check_numbers(body: Json) -> None:
    for key, low, high in (("temperature", 0, 2), ("top_p", 0, 1), ("presence_penalty", -2, 2), ("frequency_penalty", -2, 2)):
        value = body.get(key)
        if value is not None and (not is_number(value) or not low <= value <= high):
            raise Refusal(
                400, f"Invalid '{key}': decimal out of range. Expected a value between {low} and {high}, but got {value} instead."
            )
    stops = as_list(body.get("stop"))
    if stops is not None and len(stops) > 4:
        raise Refusal(400, f"Invalid 'stop': array too long. Expected an array with maximum length 4, but got {len(stops)} instead.")


def _check_reasoning(body: Json) -> None:
    for key, only in _REASONING_DEFAULTS.items():
        value = body.get(key)
        if value is not None and value != only:
            raise Refusal(
                400,
                f"Unsupported value: '{key}' does not support {value} with this model. Only the default ({only}) value is supported.",
                code="unsupported_value",
            )
    if body.get("stop") is not None:
        raise Refusal(400, "Unsupported parameter: 'stop' is not supported with this model.", code="unsupported_parameter")


def _check_tools(body: Json, asked: Asked) -> None:
    tools = as_list(body.get("tools"))
    if tools is None:
        for key in ("tool_choice", "parallel_tool_calls"):
            if body.get(key) is not None:
                raise asked.refusal(f"Invalid value for '{key}': '{key}' is only allowed when 'tools' are specified.")
        return
    if not tools:
        raise asked.refusal("Invalid 'tools': empty array. Expected an array with minimum length 1, but got an empty array instead.")
    if len(tools) > 128:
        raise asked.refusal(f"Invalid 'tools': array too long. Expected an array with maximum length 128, but got {len(tools)} instead.")
    names = [_check_tool(as_dict(tool) or {}, index, asked) for index, tool in enumerate(tools)]
    asked.add_tools(names, tools)


def _check_tool(tool: Json, index: int, asked: Asked) -> str:
    if tool.get("type") != "function":
        raise asked.refusal(f"Invalid value: '{tool.get('type')}'. Supported values are: 'function'. (tools[{index}].type)")
    for key in tool:
        if key not in ("type", "function") and asked.provider == "github_models":
            raise Refusal(400, f"Unknown parameter: 'tools[{index}].{key}'.")
    function = as_dict(tool.get("function")) or {}
    name: Any = function.get("name")
    if not isinstance(name, str) or not _FUNCTION_NAME.match(name):
        raise asked.refusal(
            f"Invalid 'tools[{index}].function.name': string does not match pattern. Expected a string that matches the pattern "
            "'^[a-zA-Z0-9_-]+$'.",
        )
    schema = function.get("parameters")
    kind = (as_dict(schema) or {}).get("type")
    if schema is not None and kind != "object":
        raise asked.refusal(
            f"Invalid schema for function '{name}': schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{kind}\"'."
        )
    return name


def _check_window(asked: Asked) -> None:
    model, tokens = asked.model, asked.input_tokens
    if asked.provider == "github_models":
        if tokens > model.context_window:
            message = f"Request body too large for {model.plain_name} model. Max size: {model.context_window} tokens."
            raise Refusal(413, message, code="tokens_limit_reached")
        return
    total = tokens + (asked.max_tokens or 0)
    if total > model.context_window:
        raise Refusal(
            400,
            f"This endpoint's maximum context length is {model.context_window} tokens. However, you requested about {total} tokens "
            f"({tokens} of text input, {asked.max_tokens or 0} in the output). Please reduce the length of either one, or use the "
            "\"middle-out\" transform to compress your prompt automatically.",
        )
