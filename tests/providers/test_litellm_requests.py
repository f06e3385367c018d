"""What is sent upstream for a Messages body, to the byte of its JSON, on each wire."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from conversation.errors import BadRequest, ProviderError
from conversation.repeated import Repeated
from providers.causes import CAUSES
from tests.providers.recorded import Recorded, asked

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
DATA_URL = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
MARK = {"cache_control": {"type": "ephemeral"}}
SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "properties": {"at": {"type": "string", "format": "uri"}, "how": {"const": "fast"}},
    "required": ["at"],
    "additionalProperties": False,
}
BODY: dict[str, Any] = {
    "max_tokens": 50_000,
    "system": [
        {"type": "text", "text": "x-anthropic-billing-header: cc_version=2"},
        {"type": "text", "text": "Be brief.", **MARK},
        {"type": "text", "text": "Be kind."},
    ],
    "metadata": {"user_id": "someone"},
    "thinking": {"type": "enabled", "budget_tokens": 2000},
    "temperature": 0.5,
    "top_k": 3,
    "stop_sequences": ["END"],
    "tools": [
        {"name": "look", "description": "Looks.", "input_schema": SCHEMA, **MARK},
        {"type": "web_search_20250305", "name": "web_search"},
    ],
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    "messages": [
        {"role": "user", "content": [{"type": "text", "text": ""}, {"type": "text", "text": "See", **MARK}, IMAGE]},
        {"role": "system", "content": "A reminder."},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "theirs", "signature": ""},
                {"type": "tool_use", "id": "call.1", "name": "look", "input": {"at": "a"}},
            ],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call.1", "content": "no such place", "is_error": True}]},
    ],
}  # fmt: skip


async def sent(upstream: Recorded, provider: str, body: dict[str, Any], model: str | None = None) -> dict[str, Any]:
    """Return the request `body` becomes, having checked that the caller's own object is as it was."""
    before = copy.deepcopy(body)
    with pytest.raises(ProviderError):
        await asked(upstream, provider, b"", model=model, **body)
    assert body == before
    return upstream.bodies[-1]


@pytest.mark.parametrize("provider", ["vertex_claude", "vertex_gemini", "github_models", "openrouter"])
async def test_tools_that_come_again_make_the_same_request(upstream: Recorded, provider: str) -> None:
    first = await sent(upstream, provider, BODY)
    again = Repeated(BODY["tools"])
    for _ in range(3):
        assert await sent(upstream, provider, {**BODY, "tools": again}) == first
    without = Repeated([{"type": "web_search_20250305", "name": "web_search"}])
    for tools in (list(without), without):
        assert ("tools" in await sent(upstream, provider, {**BODY, "tools": tools})) == (provider == "vertex_claude")


async def test_the_request_to_claude_on_vertex(upstream: Recorded) -> None:
    assert await sent(upstream, "vertex_claude", BODY) == {
        "anthropic_version": "vertex-2023-10-16",
        "max_tokens": 50_000,
        "system": [{"type": "text", "text": "Be brief.", **MARK}, {"type": "text", "text": "Be kind."}],
        "temperature": 0.5,  # and no thinking: the turn that used the tool has none of Claude's own
        "top_k": 3,
        "stop_sequences": ["END"],
        "tools": BODY["tools"],
        "tool_choice": BODY["tool_choice"],
        "stream": True,
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "See", **MARK}, IMAGE]},
            {"role": "user", "content": "A reminder."},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "call_1", "name": "look", "input": {"at": "a"}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "no such place", "is_error": True}]},
        ],
    }


async def test_the_request_to_gemini_on_vertex(upstream: Recorded) -> None:
    parameters = {
        "type": "object",
        "properties": {"at": {"type": "string"}, "how": {"type": "string", "enum": ["fast"]}},
        "required": ["at"],
    }
    assert await sent(upstream, "vertex_gemini", BODY, "gemini-2.5-pro") == {
        "system_instruction": {"parts": [{"text": "Be brief.\n\nBe kind."}]},
        "contents": [
            {"role": "user", "parts": [{"text": "See"}, {"inline_data": {"data": PNG, "mime_type": "image/png"}}, {"text": "A reminder."}]},
            {"role": "model", "parts": [{"function_call": {"name": "look", "args": {"at": "a"}}}]},
            {"role": "user", "parts": [{"function_response": {"name": "look", "response": {"content": "Error: no such place"}}}]},
        ],
        "tools": [{"function_declarations": [{"name": "look", "description": "Looks.", "parameters": parameters}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "AUTO"}},
        "generationConfig": {
            "temperature": 0.5,
            "top_k": 3,
            "max_output_tokens": 50_000,
            "stop_sequences": ["END"],
            "thinkingConfig": {"thinkingBudget": 2000, "includeThoughts": True},
        },
    }


CHAT_TOOLS = [{"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": SCHEMA}}]
CHAT_TURNS = [
    {"role": "user", "content": "A reminder."},
    {"role": "assistant", "content": None,
     "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at": "a"}'}}]},
    {"role": "tool", "tool_call_id": "call_1", "content": "Error: no such place"},
]  # fmt: skip


async def test_the_request_to_github_models(upstream: Recorded) -> None:
    assert await sent(upstream, "github_models", BODY) == {
        "model": "openai/gpt-4.1",
        "messages": [
            {"role": "system", "content": "Be brief.\n\nBe kind."},
            {"role": "user", "content": [{"type": "text", "text": "See"}, DATA_URL]},
            *CHAT_TURNS,
        ],
        "max_tokens": 32_768,
        "temperature": 0.5,
        "stop": ["END"],
        "tools": CHAT_TOOLS,
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_the_request_to_a_reasoning_model_on_github(upstream: Recorded) -> None:
    body = await sent(upstream, "github_models", BODY, model="openai/gpt-5")
    assert body["max_completion_tokens"] == 50_000 and body["reasoning_effort"] == "low"
    assert not {"max_tokens", "temperature", "top_p", "stop", "parallel_tool_calls", "thinking"} & set(body)


async def test_the_request_to_claude_on_openrouter(upstream: Recorded) -> None:
    assert await sent(upstream, "openrouter", BODY) == {
        "model": "anthropic/claude-sonnet-4.6",
        "messages": [
            {"role": "system", "content": [{"type": "text", "text": "Be brief.", **MARK}, {"type": "text", "text": "Be kind."}]},
            {"role": "user", "content": [{"type": "text", "text": "See", **MARK}, DATA_URL]},
            *CHAT_TURNS,
        ],
        "max_tokens": 50_000,
        "stop": ["END"],
        "tools": [{**CHAT_TOOLS[0], **MARK}],
        "tool_choice": "auto",
        "parallel_tool_calls": False,
        "reasoning": {"max_tokens": 2000},
        "usage": {"include": True},
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_cache_marks_go_only_where_they_are_understood(upstream: Recorded) -> None:
    for provider, model in (("github_models", None), ("vertex_gemini", None), ("openrouter", "openai/gpt-4o")):
        assert "cache_control" not in str(await sent(upstream, provider, BODY, model=model))


@pytest.mark.parametrize("provider", ["vertex_claude", "vertex_gemini", "github_models", "openrouter"])
async def test_the_billing_line_and_the_user_id_go_nowhere(upstream: Recorded, provider: str) -> None:
    text = str(await sent(upstream, provider, BODY))
    assert "billing" not in text and "someone" not in text
    text = str(await sent(upstream, provider, {"system": "x-anthropic-billing-header: cc_version=2"}))
    assert "billing" not in text


async def test_adaptive_thinking_becomes_what_each_model_knows(upstream: Recorded) -> None:
    body = {"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}, "temperature": 0.5, "max_tokens": 20_000}
    assert (await sent(upstream, "vertex_claude", body, model="claude-opus-4-8"))["thinking"] == {"type": "adaptive"}
    old = await sent(upstream, "vertex_claude", body, model="claude-haiku-4-5")
    assert old["thinking"]["type"] == "enabled" and "temperature" not in old
    assert (await sent(upstream, "vertex_gemini", body))["generationConfig"]["thinkingConfig"]["includeThoughts"] is True
    assert (await sent(upstream, "github_models", body, model="openai/gpt-5"))["reasoning_effort"] == "high"
    assert (await sent(upstream, "openrouter", body, model="openai/gpt-5"))["reasoning"] == {"effort": "high"}
    assert "thinking" not in str(await sent(upstream, "github_models", body))
    assert (await sent(upstream, "openrouter", {"thinking": {"type": "adaptive"}}))["reasoning"] == {"effort": "medium"}


async def test_disabled_thinking_asks_for_none(upstream: Recorded) -> None:
    body = {"thinking": {"type": "disabled"}}
    assert "reasoning" not in str(await sent(upstream, "openrouter", body, model="openai/gpt-5"))
    assert "reasoning" not in str(await sent(upstream, "github_models", body, model="openai/gpt-5"))
    flash = await sent(upstream, "vertex_gemini", body, model="gemini-2.5-flash")
    assert flash["generationConfig"]["thinkingConfig"]["thinkingBudget"] == 0
    assert "thinkingConfig" not in str(await sent(upstream, "vertex_gemini", body))  # pro cannot but think


async def test_claudes_own_thinking_goes_back_to_claude_and_to_no_one_else(upstream: Recorded) -> None:
    mine = [{"type": "thinking", "thinking": "deep thought", "signature": "EqRk=="}, {"type": "redacted_thinking", "data": "xyz"}]
    turns = [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": [*mine, {"type": "text", "text": "a"}]},
        {"role": "user", "content": "r"},
    ]
    assert (await sent(upstream, "vertex_claude", {"messages": turns}))["messages"][1]["content"][:2] == mine
    for provider in ("vertex_gemini", "github_models", "openrouter"):
        assert "deep thought" not in str(await sent(upstream, provider, {"messages": turns}))


async def test_geminis_signature_goes_back_to_gemini_and_to_no_one_else(upstream: Recorded) -> None:
    used = {"type": "tool_use", "id": "c1", "name": "look", "input": {}, "provider_specific_fields": {"signature": "c2ln"}}
    result = {"type": "tool_result", "tool_use_id": "c1", "content": [{"type": "text", "text": "there"}, IMAGE]}
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": [used]}, {"role": "user", "content": [result]}]
    assert "c2ln" in str(await sent(upstream, "vertex_gemini", {"messages": turns}))
    for provider in ("vertex_claude", "github_models", "openrouter"):
        text = str(await sent(upstream, provider, {"messages": turns}))
        assert "c2ln" not in text and PNG in text


async def test_a_tools_texts_are_one_text_for_chat_completions(upstream: Recorded) -> None:
    used = {"type": "tool_use", "id": "c1", "name": "look", "input": {}}
    parts = [{"type": "text", "text": "here"}, {"type": "text", "text": "there"}, IMAGE]
    result = {"type": "tool_result", "tool_use_id": "c1", "content": parts}
    turns = [{"role": "user", "content": "q"}, {"role": "assistant", "content": [used]}, {"role": "user", "content": [result]}]
    messages = (await sent(upstream, "github_models", {"messages": turns}))["messages"]
    assert messages[2] == {"role": "tool", "tool_call_id": "c1", "content": "here\nthere"}
    assert messages[3]["content"][-1] == DATA_URL
    empty = {"role": "assistant", "content": [{"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}]}
    turns = [{"role": "user", "content": "q"}, empty, {"role": "user", "content": "r"}]
    assert (await sent(upstream, "github_models", {"messages": turns}))["messages"] == [turns[0], turns[2]]


async def test_an_image_by_address_is_not_fetched_for_gemini(upstream: Recorded) -> None:
    image = {"type": "image", "source": {"type": "url", "url": "http://127.0.0.1:9/x.png"}}
    with pytest.raises(BadRequest, match="base64"):
        await asked(upstream, "vertex_gemini", messages=[{"role": "user", "content": [image]}])
    assert upstream.bodies == []


@pytest.mark.parametrize("content", [None, "", [], [{"type": "text", "text": ""}], [{"type": "thinking", "thinking": "x"}], ["words"]])
async def test_nothing_to_say_is_a_bad_request(upstream: Recorded, content: Any) -> None:
    with pytest.raises(BadRequest):
        await asked(upstream, "github_models", messages=[{"role": "user", "content": content}])


@pytest.mark.parametrize(
    "body", [{"tool_choice": {"type": "sometimes"}, "tools": BODY["tools"]}, {"max_tokens": "many"}, {"stop_sequences": {1, 2}}]
)
async def test_what_cannot_be_translated_is_a_bad_request_here_and_another_provider_may_be_asked(
    upstream: Recorded, body: dict[str, Any]
) -> None:
    with pytest.raises(BadRequest, match="cannot be translated") as caught:
        await asked(upstream, "github_models", **body)
    assert caught.value.cause == "unsupported" and CAUSES["unsupported"].fails_over


async def test_betas_vertex_knows_are_sent_and_others_are_not(upstream: Recorded) -> None:
    management = {"edits": [{"type": "clear_tool_uses_20250919"}]}
    with pytest.raises(ProviderError):
        betas = ("claude-code-20250219", "interleaved-thinking-2025-05-14")
        await asked(upstream, "vertex_claude", b"", betas=betas, context_management=management)
    assert upstream.headers[-1]["anthropic-beta"] == "context-management-2025-06-27,interleaved-thinking-2025-05-14"
    assert upstream.bodies[-1]["context_management"] == management
    assert "context_management" not in await sent(upstream, "openrouter", {"context_management": management})
    await sent(upstream, "vertex_claude", {})
    assert "anthropic-beta" not in upstream.headers[-1]


async def test_openrouter_is_told_who_asks(upstream: Recorded) -> None:
    await sent(upstream, "openrouter", {})
    assert upstream.headers[-1]["x-title"] == "Parley"
    assert "http-referer" not in upstream.headers[-1]


async def test_a_document_is_a_file_to_openrouter(upstream: Recorded) -> None:
    document = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="}}
    with pytest.raises(ProviderError):
        await asked(upstream, "openrouter", b"", model="openai/gpt-4o", messages=[{"role": "user", "content": [document, IMAGE]}])
    file = {"type": "file", "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBERg=="}}
    assert upstream.bodies[0]["messages"][0]["content"] == [file, DATA_URL]
