"""Which fields of the Messages API go to an upstream, as data. What is not named here is ignored, as unknown fields are to be.

Source: https://docs.claude.com/en/api/messages (November 2026). Upstreams refuse fields they do not know ("Extra inputs are not
permitted"), and OpenRouter obeys some that choose whom it asks and who pays (models, provider, plugins, user).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from providers.base import ProviderSpec

Kind = Literal["anthropic", "gemini", "openai"]

_EVERYWHERE = frozenset(
    {
        "messages",
        "max_tokens",
        "system",
        "stop_sequences",
        "temperature",
        "top_k",
        "top_p",
        "thinking",
        "tools",
        "tool_choice",
        "output_config",
    }
)
_FIELDS: Mapping[Kind, frozenset[str]] = {
    "anthropic": _EVERYWHERE | {"service_tier"},
    "gemini": _EVERYWHERE | {"output_format"},  # LiteLLM translates it
    "openai": _EVERYWHERE | {"output_format"},
}
CONTEXT_MANAGEMENT = "context-management-2025-06-27"
_BETA_FIELDS: Mapping[str, str] = {
    "context_management": CONTEXT_MANAGEMENT,
    "output_format": "structured-outputs-2025-11-13",
    "speed": "fast-mode-2026-02-01",
}
"""Fields of the wire that is Anthropic's, and the beta without which they are refused."""
_SHAPES: Mapping[str, type | tuple[type, ...]] = {
    "context_management": Mapping,
    "output_config": Mapping,
    "output_format": Mapping,
    "thinking": Mapping,
    "tool_choice": Mapping,
    "tools": (list, tuple),
}
"""What a field has to be for us to look into it; one that is something else says nothing and is left out."""

_TOOL_KEYS = frozenset({"name", "description", "input_schema", "cache_control"})
_CUSTOM_TOOL_KEYS = _TOOL_KEYS | {"type", "strict", "defer_loading", "eager_input_streaming"}


def taken(body: Mapping[str, Any], spec: ProviderSpec, betas: Iterable[str]) -> dict[str, Any]:
    """Return the fields that go to this upstream with these betas, in a new body."""
    known = _FIELDS[spec.wire]
    if spec.wire == "anthropic":
        # Whoever sends context_management for us adds its beta, since clients leave that out.
        going = (frozenset(betas) | {CONTEXT_MANAGEMENT}) & spec.betas
        known |= {field for field, beta in _BETA_FIELDS.items() if beta in going}
    return {key: value for key, value in body.items() if key in known and value is not None and isinstance(value, _SHAPES.get(key, object))}


def taken_tools(tools: Iterable[Mapping[str, Any]], wire: Kind) -> list[dict[str, Any]]:
    """Return the tools that go on this wire, with the keys it takes.

    Tools of a type of their own are run by Anthropic's servers or known to its models: they have keys of their own, and no one else
    takes them.
    """
    if wire != "anthropic":
        return [_with(tool, _TOOL_KEYS) for tool in tools if "input_schema" in tool]
    return [_with(tool, _CUSTOM_TOOL_KEYS) if tool.get("type") in (None, "custom") else dict(tool) for tool in tools]


def _with(fields: Mapping[str, Any], keys: frozenset[str]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key in keys}
