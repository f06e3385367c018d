"""What the Messages API refuses, on Vertex and on OpenRouter's /messages. Wording follows the real service's."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from .asked import Asked
from .check_anthropic_blocks import Blocks
from .jsonish import Json, as_dict, as_list, is_number, is_whole
from .models import ANTHROPIC, Model
from .refusals import Refusal

_BODY_KEYS = frozenset({
    "messages", "max_tokens", "system", "metadata", "stop_sequences", "stream", "temperature", "top_k", "top_p", "thinking", "tools",
    "tool_choice", "output_config", "service_tier",
})
_COUNT_KEYS = frozenset({"messages", "system", "tools", "tool_choice", "thinking", "model", "output_config"})
_VERTEX_KEYS = frozenset({"anthropic_version", "anthropic_beta"})
_ROUTER_KEYS = frozenset({"model", "models", "provider", "plugins", "user", "session_id", "trace", "route", "anthropic_version", "speed"})
_TOOL_KEYS = frozenset({"name", "description", "input_schema", "cache_control", "type", "strict", "defer_loading", "eager_input_streaming"})
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}\Z")
_CONTEXT_BETA = "context-management-2025-06-27"
_SEARCH_BETA = "tool-search-tool-2025-10-19"
_SYSTEM_BETA = "mid-conversation-system"
_CACHE_BLOCKS = 4


def bad(message: str) -> Refusal:
    """A 400 in Anthropic's shape."""
    return Refusal(400, message, google=False)


def check(body: Json, model: Model, *, provider: str, betas: Iterable[str] = (), counting: bool = False) -> Asked:
    """The request's digest. Raises Refusal for what the real API rejects."""
    betas = frozenset(betas) | frozenset(str(beta) for beta in as_list(body.get("anthropic_beta")) or [])
    vertex = provider == "vertex_claude"
    _check_keys(body, betas, vertex=vertex, counting=counting)
    asked = Asked(provider, model, str(body.get("model") or model.id), stream=body.get("stream") is True, include_usage=True)
    _check_numbers(body, model, counting=counting)
    asked.max_tokens = None if counting else body["max_tokens"]
    claude = model.family == ANTHROPIC
    if claude:
        _check_thinking(body, model, asked)
        _check_sampling(body, model)
    system_role = any(beta.startswith(_SYSTEM_BETA) for beta in betas) and model.adaptive_only
    blocks = Blocks(asked, signed=claude, system_role=system_role, references=_SEARCH_BETA in betas)
    blocks.system(body.get("system"))
    _check_tools(body, asked)
    blocks.messages(body.get("messages"), prefill=not model.adaptive, thinking=asked.thinking)
    if blocks.cached > _CACHE_BLOCKS:
        raise bad(f"A maximum of {_CACHE_BLOCKS} blocks with cache_control may be provided. Found {blocks.cached}.")
    if not counting and asked.input_tokens > model.context_window:
        raise bad(f"prompt is too long: {asked.input_tokens} tokens > {model.context_window} maximum")
    return asked


def _check_keys(body: Json, betas: frozenset[str], *, vertex: bool, counting: bool) -> None:
    allowed = _COUNT_KEYS if counting else _BODY_KEYS
    allowed = allowed | (_VERTEX_KEYS if vertex else _ROUTER_KEYS)
    if _CONTEXT_BETA in betas:
        allowed = allowed | {"context_management"}
    for key in body:
        if key not in allowed:
            raise bad(f"{key}: Extra inputs are not permitted")
    if vertex and not counting:
        version = body.get("anthropic_version")
        if version is None:
            raise bad("anthropic_version: Field required")
        if version != "vertex-2023-10-16":
            raise bad("anthropic_version: Input should be 'vertex-2023-10-16'")
    for key in ("messages",) if counting else ("messages", "max_tokens"):
        if key not in body:
            raise bad(f"{key}: Field required")
    if not isinstance(body.get("stream", False), bool):
        raise bad("stream: Input should be a valid boolean")


def _check_numbers(body: Json, model: Model, *, counting: bool) -> None:
    if not counting:
        limit = body["max_tokens"]
        if not is_whole(limit):
            raise bad("max_tokens: Input should be a valid integer")
        if limit < 1:
            raise bad("max_tokens: Input should be greater than or equal to 1")
        if limit > model.max_output:
            raise bad(
                f"max_tokens: {limit} > {model.max_output}, which is the maximum allowed number of output tokens for {model.plain_name}"
            )
    for key, low, high in (("temperature", 0, 1), ("top_p", 0, 1), ("top_k", 0, 10_000)):
        value = body.get(key)
        if key in body and (not is_number(value) or not low <= value <= high):
            raise bad(f"{key}: range: {low}..{high}")
    stops = body.get("stop_sequences", [])
    for index, stop in enumerate(as_list(stops) or []):
        if not isinstance(stop, str) or not stop.strip():
            raise bad(f"stop_sequences.{index}: each stop sequence must contain non-whitespace")
    if as_list(stops) is None:
        raise bad("stop_sequences: Input should be a valid array")


def _check_sampling(body: Json, model: Model) -> None:
    given = [key for key in ("temperature", "top_p", "top_k") if body.get(key) is not None]
    if model.adaptive_only:
        for key in given:
            if key == "top_k" or body[key] != 1:
                raise bad(f"`{key}` is deprecated for this model.")
    elif "temperature" in given and "top_p" in given:
        raise bad("`temperature` and `top_p` cannot both be specified for this model. Please use only one.")
    effort = (as_dict(body.get("output_config")) or {}).get("effort")
    if effort is not None and not model.adaptive and "opus-4-5" not in model.id.replace(".", "-"):
        raise bad("This model does not support the effort parameter.")


def _check_thinking(body: Json, model: Model, asked: Asked) -> None:
    thinking = body.get("thinking", {"type": "adaptive"} if model.always_thinks else None)
    if thinking is None:
        return
    config = as_dict(thinking) or {}
    kind = config.get("type")
    if kind not in ("enabled", "disabled", "adaptive"):
        raise bad("thinking: Input tag found using 'type' does not match any of the expected tags: 'enabled', 'disabled', 'adaptive'")
    if kind == "disabled":
        if model.always_thinks:
            raise bad('"thinking.type.disabled" is not supported for this model.')
        return
    if kind == "enabled":
        _check_budget(config, body, model)
    elif not model.adaptive:
        raise bad("adaptive thinking is not supported on this model")
    asked.thinking = True
    asked.hide_thinking = model.adaptive_only and config.get("display") != "summarized"
    if body.get("temperature", 1) != 1:
        raise bad("`temperature` may only be set to 1 when thinking is enabled or in adaptive mode.")
    if "top_k" in body:
        raise bad("`top_k` must be unset when thinking is enabled.")
    if (as_dict(body.get("tool_choice")) or {}).get("type") in ("any", "tool"):
        raise bad("Thinking may not be enabled when tool_choice forces tool use.")


def _check_budget(config: Json, body: Json, model: Model) -> None:
    if model.adaptive_only:
        raise bad(
            '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and "output_config.effort" to control '
            "thinking behavior."
        )
    budget = config.get("budget_tokens")
    if not is_whole(budget):
        raise bad("thinking.enabled.budget_tokens: Field required")
    if budget < 1024:
        raise bad("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
    if "max_tokens" in body and budget >= body["max_tokens"]:
        raise bad("`max_tokens` must be greater than `thinking.budget_tokens`.")


def _check_tools(body: Json, asked: Asked) -> None:
    if body.get("tool_choice") is not None and not body.get("tools"):
        raise bad("tool_choice: tool_choice may only be specified while providing tools.")
    if "tools" not in body:
        return
    tools = as_list(body["tools"])
    if tools is None:
        raise bad("tools: Input should be a valid array")
    names: list[str] = []
    for index, tool in enumerate(tools):
        names.append(_check_tool(as_dict(tool) or {}, f"tools.{index}"))
    if len(set(names)) != len(names):
        raise bad("tools: Tool names must be unique.")
    choice = as_dict(body.get("tool_choice")) or {}
    if choice.get("type") == "tool" and choice.get("name") not in names:
        raise bad(f"Tool '{choice.get('name')}' not found in provided tools")
    asked.add_tools(names, tools)


def _check_tool(tool: Json, where: str) -> str:
    name: Any = tool.get("name")
    if tool.get("type", "custom") != "custom":
        return str(name)
    if not isinstance(name, str):
        raise bad(f"{where}.custom.name: Field required")
    if not _TOOL_NAME.match(name):
        raise bad(f"{where}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'")
    schema = as_dict(tool.get("input_schema"))
    if schema is None:
        raise bad(f"{where}.custom.input_schema: Field required")
    if schema.get("type") != "object":
        raise bad(f"{where}.custom.input_schema.type: Input should be 'object'")
    for key in tool:
        if key not in _TOOL_KEYS:
            raise bad(f"{where}.custom.{key}: Extra inputs are not permitted")
    return name
