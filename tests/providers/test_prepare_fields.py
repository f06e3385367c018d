"""Which fields of a body and of its tools go to which upstream."""

from __future__ import annotations

from typing import Any

import pytest

from conversation.errors import BadRequest
from providers import SPECS
from providers._claude import fit_claude
from providers._prepare import prepared
from tests.providers.test_prepare import SPEC, fit

EACH = pytest.mark.parametrize("provider", [spec.name for spec in SPECS])
TOOL: dict[str, Any] = {"name": "f", "description": "d", "input_schema": {"type": "object"}}


@EACH
def test_what_the_messages_api_does_not_know_goes_nowhere(provider: str) -> None:
    known = {"system": "s", "temperature": 0.5, "stop_sequences": ["x"], "tools": [TOOL], "tool_choice": {"type": "auto"}}
    chosen = {"api_base": "http://x", "base_url": "http://x", "api_key": "k", "extra_headers": {"x": "y"}, "extra_body": {"a": 1}}
    obeyed = {"user": "u", "models": ["m"], "provider": {"order": ["x"]}, "route": "x", "plugins": [{"id": "web"}], "transforms": ["x"]}
    future = {"zzz": {"a": 1}, "cache_control": {"type": "ephemeral"}, "anthropic_beta": ["b"], "anthropic_version": "v", "container": "c"}
    private = {"metadata": {"user_id": "u"}, "model": "m", "stream": True, "mcp_servers": [{"url": "http://x"}], "inference_geo": "us"}
    body = {"messages": [{"role": "user", "content": "q"}], **known, **chosen, **obeyed, **future, **private}
    assert set(prepared(body, SPEC[provider].models[0], SPEC[provider])) == {*known, "messages", "max_tokens"}


def test_the_field_of_a_beta_goes_where_the_beta_goes() -> None:
    spec = SPEC["vertex_claude"]
    fast = spec.model_copy(update={"betas": spec.betas | {"fast-mode-2026-02-01"}})
    body = {"messages": [{"role": "user", "content": "q"}], "speed": "fast", "context_management": {"edits": []}}
    for provider, betas, expected in (
        (spec, ["fast-mode-2026-02-01"], {"context_management"}),
        (fast, ["fast-mode-2026-02-01"], {"context_management", "speed"}),
        (fast, [], {"context_management"}),
        (SPEC["openrouter"], ["fast-mode-2026-02-01"], set[str]()),
    ):
        assert set(prepared(body, provider.models[0], provider, betas)) - {"messages", "max_tokens"} == expected


@EACH
@pytest.mark.parametrize("odd", ["adaptive", [1], 5, True])
def test_a_field_of_a_shape_that_says_nothing_is_left_out(provider: str, odd: Any) -> None:
    fields = ("thinking", "output_config", "context_management", "tool_choice")
    body = fit(provider, **dict.fromkeys(fields, odd), tools={"name": "f"})
    assert set(body) == {"messages", "max_tokens"}
    asked = fit(thinking={"type": "adaptive"}, output_config=odd, model="claude-sonnet-4-5")
    fit_claude(asked, next(model for model in SPEC["vertex_claude"].models if model.id == "claude-sonnet-4-5"), (), ())
    assert asked["thinking"] == {"type": "enabled", "budget_tokens": 31_999}


@EACH
def test_a_tool_keeps_the_keys_that_are_taken(provider: str) -> None:
    extra = {"type": "custom", "strict": True, "input_examples": [{}], "allowed_callers": ["direct"], "zzz": 1}
    (tool,) = fit(provider, tools=[{**TOOL, **extra}])["tools"]
    assert tool == ({**TOOL, "type": "custom", "strict": True} if provider == "vertex_claude" else TOOL)


def test_a_tool_that_is_anthropics_own_keeps_its_keys() -> None:
    hosted = {"type": "web_search_20250305", "name": "web_search", "max_uses": 8, "allowed_callers": ["direct"]}
    assert fit(tools=[hosted, TOOL])["tools"] == [hosted, TOOL]


@pytest.mark.parametrize(("provider", "model"), [("github_models", "deepseek/deepseek-v3-0324"), ("openrouter", "openai/gpt-5")])
def test_more_tools_than_a_model_takes_are_another_providers(provider: str, model: str) -> None:
    tools = [{**TOOL, "name": f"f{number}"} for number in range(129)]
    assert len(fit(provider, model, tools=tools[:128])["tools"]) == 128
    with pytest.raises(BadRequest, match="129 tools are more than the 128") as caught:
        fit(provider, model, tools=tools)
    assert caught.value.cause == "unsupported"
    assert len(fit("openrouter", tools=tools)["tools"]) == len(fit("vertex_gemini", tools=tools)["tools"]) == 129


def test_as_many_stop_sequences_go_as_are_taken() -> None:
    counts = {provider: len(fit(provider, stop_sequences=list("abcdef"))["stop_sequences"]) for provider in SPEC}
    assert counts == {"vertex_claude": 6, "vertex_gemini": 5, "github_models": 4, "openrouter": 4}
