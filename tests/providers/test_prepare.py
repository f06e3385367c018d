"""What is left out of a body for a model that would reject it."""

from __future__ import annotations

from typing import Any

import pytest

from conversation.errors import BadRequest
from providers import SPECS
from providers._prepare import prepared
from providers.base import ModelInfo
from providers.causes import CAUSES

SPEC = {spec.name: spec for spec in SPECS}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "x"}]}
USED = {"type": "tool_use", "id": "a", "name": "f", "input": {}}
SIGNED = {"type": "thinking", "thinking": "hm", "signature": "EqRk=="}


def fit(provider: str = "vertex_claude", model: str | None = None, **body: Any) -> dict[str, Any]:
    spec = SPEC[provider]
    info = next(one for one in spec.models if model in (None, one.id))
    return prepared({"messages": [{"role": "user", "content": "q"}], **body}, info, spec)


def test_max_tokens_is_clamped_to_the_model_and_filled_in() -> None:
    assert fit(max_tokens=10**9)["max_tokens"] == fit()["max_tokens"] == 64_000
    assert fit(max_tokens=5)["max_tokens"] == 5


def test_what_the_model_rejects_is_dropped() -> None:
    model = ModelInfo(provider="vertex_claude", id="c", drop=frozenset({"temperature"}))
    body = {
        "messages": [{"role": "user", "content": "q"}],
        "temperature": 1,
        "container": "x",
        "stream": True,
        "model": "other",
        "top_k": None,
    }
    assert set(prepared(body, model, SPEC["vertex_claude"])) == {"messages", "max_tokens"}


@pytest.mark.parametrize(("provider", "expected"), [("vertex_claude", 1.0), ("openrouter", 1.0), ("github_models", 1.7)])
def test_temperature_stays_in_the_range_of_the_model(provider: str, expected: float) -> None:
    assert fit(provider, temperature=1.7)["temperature"] == expected


def test_claude_gets_temperature_or_top_p() -> None:
    assert "top_p" not in fit(temperature=0.5, top_p=0.5) and fit(top_p=0.5)["top_p"] == 0.5


@pytest.mark.parametrize(
    "system", ["  ", [], [{"type": "text", "text": ""}], [{"type": "text", "text": " \n"}], "x-anthropic-billing-header: cc"]
)
def test_an_empty_system_prompt_is_left_out(system: Any) -> None:
    assert "system" not in fit(system=system) and "system" not in fit("github_models", system=system)


def test_a_plain_system_prompt_stays() -> None:
    assert fit(system="Be brief.")["system"] == "Be brief."


def test_a_thinking_budget_fits_into_max_tokens_or_goes() -> None:
    thinking = {"type": "enabled", "budget_tokens": 31_999}
    assert fit(thinking=thinking, max_tokens=8_000)["thinking"]["budget_tokens"] == 7_999
    assert "thinking" not in fit(thinking=thinking, max_tokens=1_000)
    assert fit(thinking=thinking)["thinking"] == thinking


@pytest.mark.parametrize("turn", [[USED], [{"type": "thinking", "thinking": "x", "signature": ""}, USED]])
def test_claude_does_not_think_on_over_a_tool_used_without_thinking(turn: list[dict[str, Any]]) -> None:
    body = {
        "messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": turn}, RESULT],
        "thinking": {"type": "adaptive"},
        "output_config": {"effort": "high", "format": {"type": "json_schema"}},
        "context_management": {"edits": [{"type": "clear_thinking_20251015"}, {"type": "clear_tool_uses_20250919"}]},
    }
    found = fit(**body)
    assert "thinking" not in found and found["output_config"] == {"format": {"type": "json_schema"}}
    assert found["context_management"] == {"edits": [{"type": "clear_tool_uses_20250919"}]}
    assert "context_management" not in fit(**{**body, "context_management": {"edits": [{"type": "clear_thinking_20251015"}]}})


def test_claude_thinks_on_over_its_own_thinking_and_in_an_ordinary_turn() -> None:
    thinking = {"type": "adaptive"}
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": [SIGNED, USED]}, RESULT]
    assert "thinking" in fit(messages=turns, thinking=thinking)
    assert "thinking" in fit(messages=[{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}, RESULT], thinking=thinking)
    assert "thinking" in fit(messages=[RESULT], thinking=thinking)
    assert "temperature" not in fit(thinking=thinking, temperature=0.2)
    assert fit(thinking={"type": "disabled"}, temperature=0.2)["temperature"] == 0.2


def test_a_forced_tool_and_thinking_do_not_go_together_for_claude() -> None:
    tool = {"name": "f", "input_schema": {"type": "object"}}
    assert "thinking" not in fit(tools=[tool], tool_choice={"type": "tool", "name": "f"}, thinking={"type": "adaptive"})


def test_an_effort_without_thinking_goes_only_to_models_that_know_it() -> None:
    assert "output_config" not in fit(output_config={"effort": "high"})
    assert fit(model="claude-opus-4-8", output_config={"effort": "high"})["output_config"] == {"effort": "high"}


def test_models_that_do_not_think_are_not_asked_to() -> None:
    assert not {"thinking", "output_config"} & set(fit("github_models", thinking={"type": "adaptive"}, output_config={"effort": "high"}))


def test_tools_only_anthropic_runs_go_to_no_one_else() -> None:
    hosted = {"type": "web_search_20250305", "name": "web_search"}
    assert fit(tools=[hosted])["tools"] == [hosted]
    assert not {"tools", "tool_choice"} & set(fit("github_models", tools=[hosted], tool_choice={"type": "auto"}))


def test_an_error_of_a_tool_is_told_in_words_where_the_wire_has_no_place_for_it() -> None:
    parts = [{"type": "text", "text": "boo"}, {"type": "text", "text": ""}]
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": parts, "is_error": True}]}
    (message,) = fit("github_models", messages=[result])["messages"]
    assert message["content"][0]["content"] == [{"type": "text", "text": "Error:"}, {"type": "text", "text": "boo"}]
    (message,) = fit(messages=[result])["messages"]
    assert message["content"][0]["is_error"] is True


def test_the_constants_of_a_schema_become_enums_for_gemini() -> None:
    schema = {"type": "object", "properties": {"a": {"anyOf": [{"const": "x"}, {"const": 5}]}}}
    tools = fit("vertex_gemini", tools=[{"name": "f", "input_schema": schema}])["tools"]
    assert tools[0]["input_schema"]["properties"]["a"]["anyOf"] == [{"type": "string", "enum": ["x"]}, {"type": "integer"}]


PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw=="}}
DOCUMENT = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="}}


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "plain"}, "title": "a.txt"}, "a.txt\nplain"),
        ({"type": "document", "source": {"type": "content", "content": [{"text": "one"}]}, "context": "about"}, "about\none"),
    ],
)
def test_a_document_of_text_is_text_where_there_are_no_documents(document: dict[str, Any], text: str) -> None:
    messages = [{"role": "user", "content": [document]}]
    for provider in ("vertex_gemini", "github_models", "openrouter"):
        assert fit(provider, messages=messages)["messages"][0]["content"] == [{"type": "text", "text": text}] or provider == "openrouter"
    assert fit(messages=messages)["messages"][0]["content"] == [document]
    result = {"type": "tool_result", "tool_use_id": "a", "content": [document, PICTURE]}
    for provider in ("github_models", "openrouter"):
        (inside,) = fit(provider, messages=[{"role": "user", "content": [result]}])["messages"][0]["content"]
        assert inside["content"] == [{"type": "text", "text": text}, PICTURE]


def test_a_document_goes_where_it_is_read_and_for_one_that_nobody_reads_here_another_provider_may_be_asked() -> None:
    messages = [{"role": "user", "content": [DOCUMENT]}]
    assert fit("vertex_gemini", messages=messages)["messages"][0]["content"] == [DOCUMENT]
    far = {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}}
    for content in ([far], [{"type": "tool_result", "tool_use_id": "a", "content": [far]}]):
        with pytest.raises(BadRequest, match="takes no documents") as caught:
            fit("github_models", messages=[{"role": "user", "content": content}])
        assert caught.value.cause == "unsupported" and CAUSES["unsupported"].fails_over


BLANK = {"type": "text", "text": " \n"}
SAID = {"role": "assistant", "content": "a"}


@pytest.mark.parametrize("provider", ["vertex_claude", "vertex_gemini", "github_models", "openrouter"])
def test_texts_of_white_space_are_left_out_and_results_of_tools_stay(provider: str) -> None:
    turns: list[Any] = [
        {"role": "user", "content": [BLANK, {"type": "text", "text": " q"}]},
        {"role": "assistant", "content": [BLANK, USED]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": [BLANK]}, BLANK]},
        {"role": "assistant", "content": [{**USED, "id": "b"}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "b", "content": "\n"}]},
    ]
    found = fit(provider, messages=turns)["messages"]
    assert [len(message["content"]) for message in found] == [1, 1, 1, 1, 1]
    assert found[0]["content"][0]["text"] == " q"
    assert [found[at]["content"][0]["content"] for at in (2, 4)] == [[], ""]


@pytest.mark.parametrize("blank", ["", "\n", [], [BLANK]])
def test_an_empty_message_is_left_out_but_a_conversation_begins_and_ends_with_its_user(blank: Any) -> None:
    empty = {"role": "user", "content": blank}
    nothing = {"role": "user", "content": "(no content)"}
    asked = {"role": "user", "content": "q"}
    assert fit(messages=[empty, SAID, asked])["messages"] == [nothing, SAID, asked]
    assert fit(messages=[asked, SAID, empty])["messages"] == [asked, SAID, nothing]
    assert fit(messages=[asked, {**SAID, "content": blank}, asked])["messages"] == [asked, asked]
    assert fit(messages=[asked, SAID, empty, SAID, asked])["messages"] == [asked, SAID, SAID, asked]
    assert fit(messages=[empty, asked, SAID])["messages"] == [asked, SAID]
    with pytest.raises(BadRequest, match="no message to send"):
        fit(messages=[empty])
