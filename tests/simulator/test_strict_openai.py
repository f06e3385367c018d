"""Simulated chat completions refuse what GitHub Models and OpenRouter refuse, in their words."""

from __future__ import annotations

from typing import Any

import pytest

from simulator import Simulator
from tests.simulator.support import HELLO, PNG, Client, chat_body

CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
ASKED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "there"}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


def parts(*content: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(content)}]}


def picture(url: str) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


def then(*messages: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [*HELLO, *messages]}


BOTH: dict[str, tuple[dict[str, Any], str]] = {
    "no messages": ({"messages": []}, "Invalid 'messages': empty array"),
    "messages of no list": ({"messages": "hello"}, "Missing required parameter: 'messages'"),
    "unknown role": ({"messages": [{"role": "model", "content": "x"}]}, "Invalid value: 'model'. Supported values are: 'system'"),
    "content of null": ({"messages": [{"role": "user", "content": None}]}, "expected a string, got null"),
    "content of a number": ({"messages": [{"role": "user", "content": {"a": 1}}]}, "expected a string, got object"),
    "no parts": (parts(), "content': empty array"),
    "Anthropic's image block": (parts({"type": "image", "source": {}}), "Invalid value: 'image'. Supported values are: 'text'"),
    "thinking block": (parts({"type": "thinking", "thinking": "x"}), "Invalid value: 'thinking'"),
    "text part without text": (parts({"type": "text"}), ".text'"),
    "image without url": (parts({"type": "image_url"}), "image_url.url'"),
    "image of another type": (parts(picture(f"data:image/jpeg;base64,{PNG}")), "does not match the provided media type"),
    "image of no base64": (parts(picture("data:image/png,xyz")), "Invalid image_url"),
    "image of no url": (parts(picture("file:///etc/passwd")), "is not a valid URL"),
    "result without call": (then(RESULT), "must be a response to a preceeding message with 'tool_calls'"),
    "result without id": (then(ASKED, {"role": "tool", "content": "x"}), "tool_call_id'"),
    "result twice": (then(ASKED, RESULT, RESULT), "must be a response to a preceeding message"),
    "call without result": (then(ASKED, {"role": "user", "content": "never mind"}), "did not have response messages: call_1"),
    "call at the very end": (then(ASKED), "did not have response messages: call_1"),
    "bad tool id": (then({**ASKED, "tool_calls": [{**CALL, "id": "call.1"}]}), "pattern '^[a-zA-Z0-9_-]+$'"),
    "doubled tool id": (then({**ASKED, "tool_calls": [CALL, CALL]}), "Duplicate value for 'tool_call_id' of 'call_1'"),
    "no calls": (then({**ASKED, "tool_calls": []}), "tool_calls': empty array"),
    "arguments of an object": (then({**ASKED, "tool_calls": [{**CALL, "function": {"name": "x", "arguments": {}}}]}), "[0].function'"),
    "no tools": ({"tools": []}, "Invalid 'tools': empty array"),
    "too many tools": ({"tools": [TOOL] * 129}, "maximum length 128"),
    "Anthropic's tool shape": ({"tools": [{"name": "look", "input_schema": {}}]}, "Supported values are: 'function'"),
    "bad tool name": ({"tools": [{"type": "function", "function": {"name": "look at"}}]}, "tools[0].function.name': string does not match"),
    "schema of no object": (
        {"tools": [{"type": "function", "function": {"name": "look", "parameters": {}}}]}, "Invalid schema for function 'look'",
    ),
    "tool_choice without tools": ({"tool_choice": "auto"}, "'tool_choice' is only allowed when 'tools' are specified"),
    "parallel_tool_calls without tools": ({"parallel_tool_calls": False}, "'parallel_tool_calls' is only allowed"),
    "max_tokens over the limit": ({"max_tokens": 64_001}, "max_tokens is too large: 64001. This model supports at most"),
    "max_tokens of zero": ({"max_tokens": 0}, "Invalid 'max_tokens': integer below minimum value"),
    "two limits": ({"max_tokens": 5, "max_completion_tokens": 5}, "at the same time is not supported"),
    "temperature over 2": ({"temperature": 3}, "Invalid 'temperature': decimal out of range"),
    "five stop words": ({"stop": list("abcde")}, "Invalid 'stop': array too long"),
    "stream options without stream": ({"stream_options": {"include_usage": True}}, "only allowed when 'stream' is enabled"),
    "stream of no boolean": ({"stream": "yes"}, "Invalid type for 'stream'"),
}


@pytest.mark.parametrize(("change", "words"), BOTH.values(), ids=BOTH.keys())
@pytest.mark.parametrize("provider", ["github_models", "openrouter"])
async def test_chat_completions_refuse(client: Client, provider: str, change: dict[str, Any], words: str) -> None:
    ask = client.github if provider == "github_models" else client.openrouter
    reply = await ask(**change)
    assert reply.status == 400
    assert words in reply.message.replace('\\"', '"')
    code = reply.json["error"]["code"]
    assert isinstance(code, str) if provider == "github_models" else code == 400


GITHUB: dict[str, tuple[dict[str, Any], str]] = {
    "top_k": ({"top_k": 5}, "Unrecognized request argument supplied: top_k"),
    "thinking": ({"thinking": {"type": "enabled"}}, "Unrecognized request argument supplied: thinking"),
    "reasoning_effort on a plain model": ({"reasoning_effort": "low"}, "Unrecognized request argument supplied: reasoning_effort"),
    "system at the top": ({"system": "x"}, "Unrecognized request argument supplied: system"),
    "cache_control on a part": (parts({"type": "text", "text": "x", "cache_control": {}}), "messages[0].content[0].cache_control'"),
    "cache_control on a message": ({"messages": [{**HELLO[0], "cache_control": {}}]}, "Unknown parameter: 'messages[0].cache_control'"),
    "cache_control on a tool": ({"tools": [{**TOOL, "cache_control": {}}]}, "Unknown parameter: 'tools[0].cache_control'"),
    "thinking_blocks": (then({"role": "assistant", "content": "x", "thinking_blocks": []}), "parameter: 'messages[1].thinking_blocks'"),
    "empty text part": (parts({"type": "text", "text": ""}), "empty string"),
    "long tool id": (then({**ASKED, "tool_calls": [{**CALL, "id": "c" * 41}]}), "maximum length 40, but got a string with length 41"),
}


@pytest.mark.parametrize(("change", "words"), GITHUB.values(), ids=GITHUB.keys())
async def test_gpt_on_github_refuses(client: Client, change: dict[str, Any], words: str) -> None:
    reply = await client.github(**change)
    assert reply.status == 400
    assert words in reply.message


@pytest.mark.parametrize("model", ["openai/gpt-5", "openai/o4-mini"])
@pytest.mark.parametrize(("key", "value"), [("max_tokens", 5), ("temperature", 0.5), ("top_p", 0.5), ("stop", ["x"])])
async def test_reasoning_models_on_github_refuse(client: Client, model: str, key: str, value: Any) -> None:
    reply = await client.github(chat_body(model, **{key: value}))
    assert reply.status == 400
    assert f"'{key}'" in reply.message and reply.json["error"]["code"].startswith("unsupported_")


async def test_reasoning_models_take_their_own_parameters(client: Client) -> None:
    reply = await client.github(chat_body("openai/gpt-5", max_completion_tokens=500, reasoning_effort="low", temperature=1))
    assert reply.status == 200


async def test_openrouter_drops_what_the_model_does_not_know_and_the_log_says_so(client: Client) -> None:
    message = {**HELLO[0], "thinking_blocks": []}
    reply = await client.openrouter(model="openai/gpt-4o", top_k=5, thinking={"type": "enabled"}, messages=[message])
    assert reply.status == 200
    assert client.sim.log[-1]["ignored"] == ["thinking", "top_k", "messages[0].thinking_blocks"]


async def test_openrouter_wraps_the_makers_refusal(client: Client) -> None:
    claude = (await client.openrouter(parts_body({"type": "text", "text": ""}))).json["error"]
    assert claude["message"] == "Provider returned error" and claude["code"] == 400
    assert '"invalid_request_error"' in claude["metadata"]["raw"] and claude["metadata"]["provider_name"]
    assert "must be non-empty" in claude["metadata"]["raw"]
    assert (await client.openrouter(parts_body({"type": "text", "text": ""}, model="openai/gpt-4o"))).status == 200


def parts_body(*content: dict[str, Any], model: str = "anthropic/claude-sonnet-4.5") -> dict[str, Any]:
    return chat_body(model, **parts(*content))


async def test_images_are_taken_where_the_model_can_see(client: Client) -> None:
    seen = parts({"type": "text", "text": "look"}, picture(f"data:image/png;base64,{PNG}"), picture("https://example.invalid/x.png"))
    assert (await client.github(**seen)).status == 200
    assert (await client.openrouter(**seen)).status == 200
    blind = await client.github(chat_body("deepseek/deepseek-v3-0324", **seen))
    assert (blind.status, blind.message) == (400, "This model does not support image inputs.")
    routed = await client.openrouter(chat_body("deepseek/deepseek-chat-v3.1", **seen))
    assert (routed.status, routed.message) == (404, "No endpoints found that support image input")


async def test_a_whole_tool_turn_is_accepted(client: Client) -> None:
    for ask in (client.github, client.openrouter):
        reply = await ask(tools=[TOOL], tool_choice="auto", parallel_tool_calls=False, **then(ASKED, RESULT))
        assert reply.status == 200
        assert reply.json["choices"][0]["message"]["content"].endswith("You said: there")


async def test_a_prompt_too_long_says_so_in_each_providers_way(client: Client, sim: Simulator) -> None:
    sim.model("github_models", "openai/gpt-4.1", context_window=100)
    sim.model("openrouter", "anthropic/claude-sonnet-4.5", context_window=100)
    long = [{"role": "user", "content": "x" * 404}]
    github = await client.github(messages=long)
    assert (github.status, github.json["error"]["code"]) == (413, "tokens_limit_reached")
    assert github.message == "Request body too large for gpt-4.1 model. Max size: 100 tokens."
    router = await client.openrouter(messages=long, max_tokens=10)
    assert router.status == 400
    assert "maximum context length is 100 tokens. However, you requested about 111 tokens" in router.message
    assert "(101 of text input, 10 in the output)" in router.message


@pytest.mark.parametrize("token", [None, "wrong"])
async def test_wrong_or_missing_credentials_are_401(client: Client, token: str | None) -> None:
    github = await client.send("/inference/chat/completions", chat_body("openai/gpt-4.1"), token)
    assert (github.status, github.json["error"]["code"]) == (401, "unauthorized")
    for path in ("/api/v1/chat/completions", "/api/v1/messages"):
        reply = await client.send(path, chat_body("openai/gpt-4o"), token)
        assert reply.status == 401
        assert reply.message == ("User not found." if token else "No auth credentials found")
    assert (await client.send("/catalog/models", None, "wrong", "GET")).status == 401


async def test_unknown_and_missing_models(client: Client) -> None:
    assert (await client.github(model="openai/gpt-9")).json["error"] == {
        "code": "unknown_model", "message": "Unknown model: openai/gpt-9", "details": "Unknown model: openai/gpt-9",
    }
    router = await client.openrouter(model="openai/gpt-9")
    assert (router.status, router.message) == (404, "No endpoints found for openai/gpt-9.")
    assert (await client.github({"messages": HELLO})).status == 400
    assert (await client.github({"model": 7, "messages": HELLO})).status == 400
