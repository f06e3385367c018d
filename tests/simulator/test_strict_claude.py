"""The simulated Messages API refuses what the real one refuses, in its words."""

from __future__ import annotations

from typing import Any

import pytest

from simulator import Simulator
from tests.simulator.support import HELLO, PNG, VERTEX, Client, claude_body

CALL = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "there"}
TOOL = {"name": "look", "input_schema": {"type": "object"}}
THINKING = {"type": "enabled", "budget_tokens": 1024}
CACHE = {"cache_control": {"type": "ephemeral"}}


def turns(*contents: Any) -> list[dict[str, Any]]:
    """User and assistant in turn."""
    return [{"role": "assistant" if index % 2 else "user", "content": content} for index, content in enumerate(contents)]


def image(data: str = PNG, media_type: str = "image/png") -> dict[str, Any]:
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "model in the body": ({"model": "claude-sonnet-4-5"}, "model: Extra inputs are not permitted"),
    "unknown key": ({"frequency_penalty": 1}, "frequency_penalty: Extra inputs"),
    "context_management without its beta": ({"context_management": {"edits": []}}, "context_management: Extra inputs"),
    "wrong anthropic_version": ({"anthropic_version": "2023-06-01"}, "anthropic_version: Input should be 'vertex-2023-10-16'"),
    "max_tokens over the limit": ({"max_tokens": 64_001}, "max_tokens: 64001 > 64000, which is the maximum allowed"),
    "max_tokens of no number": ({"max_tokens": "10"}, "max_tokens: Input should be a valid integer"),
    "max_tokens of zero": ({"max_tokens": 0}, "max_tokens: Input should be greater"),
    "stream of no boolean": ({"stream": "yes"}, "stream: Input should be a valid boolean"),
    "temperature over 1": ({"temperature": 1.5}, "temperature: range: 0..1"),
    "temperature and top_p": ({"temperature": 0.5, "top_p": 0.5}, "cannot both be specified"),
    "blank stop sequence": ({"stop_sequences": [" "]}, "stop_sequences.0"),
    "stop sequences of no list": ({"stop_sequences": "x"}, "stop_sequences: Input should be a valid array"),
    "no messages": ({"messages": []}, "at least one message is required"),
    "messages of no list": ({"messages": "hello"}, "messages: Input should be a valid list"),
    "unknown role": ({"messages": [{"role": "tool", "content": "x"}]}, 'Unexpected role "tool"'),
    "system as a role": ({"messages": [*HELLO, {"role": "system", "content": "x"}]}, 'Unexpected role "system"'),
    "assistant first": ({"messages": [{"role": "assistant", "content": "x"}]}, "first message must use the user role"),
    "unknown key in a message": ({"messages": [{"role": "user", "content": "x", "name": "bob"}]}, "messages.0.name: Extra inputs"),
    "no content": ({"messages": [{"role": "user"}]}, "messages.0.content: Field required"),
    "empty content": ({"messages": turns("")}, "all messages must have non-empty content"),
    "empty list of content": ({"messages": turns([])}, "all messages must have non-empty content"),
    "blank content": ({"messages": turns("  \n")}, "must contain non-whitespace text"),
    "content of no string": ({"messages": turns(7)}, "messages.0.content: Input should be a valid string or list"),
    "empty text block": ({"messages": turns([{"type": "text", "text": ""}])}, "text content blocks must be non-empty"),
    "blank text block": ({"messages": turns([{"type": "text", "text": " "}])}, "must contain non-whitespace text"),
    "text block without text": ({"messages": turns([{"type": "text"}])}, "messages.0.content.0.text.text: Field required"),
    "cache_control on empty text": ({"system": [{"type": "text", "text": "", **CACHE}]}, "cache_control cannot be set for empty text"),
    "five cache marks": ({"system": [{"type": "text", "text": "x", **CACHE}] * 5}, "A maximum of 4 blocks with cache_control"),
    "empty system block": ({"system": [{"type": "text", "text": ""}]}, "system: text content blocks must be non-empty"),
    "system of a number": ({"system": 7}, "system: Input should be a valid string or list"),
    "unknown block type": ({"messages": turns([{"type": "input_text", "text": "x"}])}, "Input tag 'input_text' found"),
    "unknown key in a block": ({"messages": turns([{"type": "text", "text": "x", "id": 1}])}, "messages.0.content.0.text.id: Extra inputs"),
    "tool_use by the user": ({"messages": turns([CALL])}, "Input tag 'tool_use' found"),
    "image by the assistant": ({"messages": turns("x", [image()], "y")}, "Input tag 'image' found"),
    "trailing space in a prefill": ({"messages": turns("x", "I say ")}, "cannot end with trailing whitespace"),
    "bad tool id": ({"messages": turns("x", [{**CALL, "id": "call.1"}], [RESULT])}, "tool_use.id: String should match pattern '^[a-z"),
    "bad result id": ({"messages": turns([{**RESULT, "tool_use_id": "a b"}])}, "tool_result.tool_use_id: String should match pattern"),
    "doubled tool id": ({"messages": turns("x", [CALL, CALL], [RESULT, RESULT])}, "`tool_use` ids must be unique"),
    "doubled tool id later on": ({"messages": turns("x", [CALL], [RESULT], [CALL], [RESULT])}, "`tool_use` ids must be unique"),
    "call without result": ({"messages": turns("x", [CALL], "never mind")}, "messages.1: `tool_use` ids were found without `tool_result`"),
    "call at the very end": ({"messages": turns("x", [CALL])}, "`tool_use` ids were found without `tool_result`"),
    "result without call": ({"messages": turns([RESULT])}, "unexpected `tool_use_id` found in `tool_result` blocks: toolu_1"),
    "two results for a call": ({"messages": turns("x", [CALL], [RESULT, RESULT])}, "each tool_use must have a single result"),
    "tool input of no object": ({"messages": turns("x", [{**CALL, "input": "{}"}], [RESULT])}, "tool_use.input: Input should be"),
    "tool call without name": ({"messages": turns("x", [{**CALL, "name": ""}], [RESULT])}, "tool_use.name: Field required"),
    "foreign key on a call": (
        {"messages": turns("x", [{**CALL, "provider_specific_fields": {}}], [RESULT])}, "tool_use.provider_specific_fields: Extra inputs",
    ),
    "foreign signature": (
        {"messages": turns("x", [{"type": "thinking", "thinking": "hm", "signature": "QUJD"}], "y")}, "Invalid `signature` in `thinking`",
    ),
    "no signature": ({"messages": turns("x", [{"type": "thinking", "thinking": "hm"}], "y")}, "thinking.signature: Field required"),
    "thinking text of no string": (
        {"messages": turns("x", [{"type": "thinking", "thinking": 1, "signature": "x"}], "y")}, "thinking.thinking: Input should be",
    ),
    "unknown thinking type": ({"thinking": {"type": "on"}}, "thinking: Input tag"),
    "thinking budget too small": ({"thinking": {"type": "enabled", "budget_tokens": 100}}, "greater than or equal to 1024"),
    "thinking budget missing": ({"thinking": {"type": "enabled"}}, "budget_tokens: Field required"),
    "thinking budget over max_tokens": ({"thinking": {"type": "enabled", "budget_tokens": 5000}}, "`max_tokens` must be greater than"),
    "adaptive thinking on an old model": ({"thinking": {"type": "adaptive"}}, "adaptive thinking is not supported on this model"),
    "temperature while thinking": ({"thinking": THINKING, "temperature": 0.2}, "`temperature` may only be set to 1 when thinking"),
    "top_k while thinking": ({"thinking": THINKING, "top_k": 5}, "`top_k` must be unset when thinking"),
    "forced tool while thinking": (
        {"thinking": THINKING, "tools": [TOOL], "tool_choice": {"type": "any"}}, "Thinking may not be enabled when tool_choice forces",
    ),
    "prefill while thinking": ({"thinking": THINKING, "messages": turns("x", "I say")}, "does not support assistant message prefill"),
    "tool loop without its thinking": (
        {"thinking": THINKING, "tools": [TOOL], "messages": turns("x", [CALL], [RESULT])}, "Expected `thinking` or `redacted_thinking`",
    ),
    "effort on an old model": ({"output_config": {"effort": "high"}}, "does not support the effort parameter"),
    "tool_choice without tools": ({"tool_choice": {"type": "auto"}}, "may only be specified while providing tools"),
    "tools of no list": ({"tools": {}}, "tools: Input should be a valid array"),
    "tool without name": ({"tools": [{"input_schema": {"type": "object"}}]}, "tools.0.custom.name: Field required"),
    "bad tool name": ({"tools": [{**TOOL, "name": "look at"}]}, "tools.0.custom.name: String should match pattern"),
    "doubled tool name": ({"tools": [TOOL, TOOL]}, "Tool names must be unique"),
    "tool without schema": ({"tools": [{"name": "look"}]}, "input_schema: Field required"),
    "tool schema of no object": ({"tools": [{"name": "look", "input_schema": {"type": "array"}}]}, "input_schema.type"),
    "OpenAI's tool shape": ({"tools": [{**TOOL, "parameters": {}}]}, "tools.0.custom.parameters: Extra inputs"),
    "choice of an unknown tool": ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "fly"}}, "Tool 'fly' not found"),
    "image of an unknown type": ({"messages": turns([image(media_type="image/bmp")])}, "media_type: Input should be 'image/jpeg'"),
    "image of another type": ({"messages": turns([image(media_type="image/jpeg")])}, "does not match the provided media type"),
    "image of no base64": ({"messages": turns([image(data="not base64!")])}, "Invalid base64 data"),
    "image without data": ({"messages": turns([image(data="")])}, "data: Input should be a valid string"),
    "image without source": ({"messages": turns([{"type": "image"}])}, "source: Field required"),
    "image of an unknown source": ({"messages": turns([{"type": "image", "source": {"type": "disk"}}])}, "source.type"),
}


@pytest.mark.parametrize(("change", "words"), REFUSED.values(), ids=REFUSED.keys())
async def test_claude_refuses(client: Client, change: dict[str, Any], words: str) -> None:
    reply = await client.claude(claude_body(**change))
    assert reply.status == 400
    assert reply.json["type"] == "error" and reply.json["error"]["type"] == "invalid_request_error"
    assert words in reply.message
    assert client.sim.log[-1]["error"] == reply.message


@pytest.mark.parametrize("key", ["max_tokens", "messages", "anthropic_version"])
async def test_claude_misses_what_is_required(client: Client, key: str) -> None:
    body = claude_body()
    del body[key]
    assert f"{key}: Field required" in (await client.claude(body)).message


NEW_REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "temperature": ({"temperature": 0.3}, "`temperature` is deprecated for this model."),
    "top_p": ({"top_p": 0.3}, "`top_p` is deprecated"),
    "top_k": ({"top_k": 3}, "`top_k` is deprecated"),
    "enabled thinking": ({"thinking": THINKING}, '"thinking.type.enabled" is not supported for this model.'),
    "prefill": ({"messages": turns("x", "I say")}, "does not support assistant message prefill"),
}


@pytest.mark.parametrize(("change", "words"), NEW_REFUSED.values(), ids=NEW_REFUSED.keys())
@pytest.mark.parametrize("model", ["claude-opus-4-8", "claude-sonnet-5"])
async def test_new_claude_models_refuse(client: Client, model: str, change: dict[str, Any], words: str) -> None:
    reply = await client.claude(claude_body(**change), model)
    assert reply.status == 400
    assert words in reply.message


async def test_every_generation_of_claude_takes_its_own_kind_of_thinking(client: Client) -> None:
    kinds = {"enabled": THINKING, "adaptive": {"type": "adaptive"}, "disabled": {"type": "disabled"}}
    takes = {
        "claude-sonnet-4-5": {"enabled", "disabled"},
        "claude-sonnet-4-6": {"enabled", "adaptive", "disabled"},
        "claude-opus-4-7": {"adaptive", "disabled"},
        "claude-opus-5-5": {"adaptive"},
    }
    for model, known in takes.items():
        statuses = {kind: (await client.claude(claude_body(thinking=value), model)).status for kind, value in kinds.items()}
        assert statuses == {kind: 200 if kind in known else 400 for kind in kinds}, model
    assert (await client.claude(claude_body(temperature=0.5), "claude-sonnet-4-6")).status == 200
    assert (await client.claude(claude_body(messages=turns("x", "I say")), "claude-sonnet-4-6")).status == 400
    assert (await client.claude(claude_body(messages=turns("x", "I say")))).status == 200


async def test_tools_that_run_at_anthropic_are_taken(client: Client) -> None:
    tools = [{"type": "web_search_20250305", "name": "web_search", "max_uses": 3}, TOOL]
    assert (await client.claude(claude_body(tools=tools))).status == 200


async def test_what_claude_code_sends_is_accepted_with_its_betas(client: Client) -> None:
    body = claude_body(
        messages=[*HELLO, {"role": "system", "content": "Available agent types"}],
        system=[{"type": "text", "text": "You are"}, {"type": "text", "text": "long", **CACHE}],
        tools=[{**TOOL, "description": "looks"}],
        thinking={"type": "adaptive"},
        output_config={"effort": "high"},
        context_management={"edits": []},
        metadata={"user_id": "x"},
    )
    betas = "context-management-2025-06-27,mid-conversation-system-2026-04-07"
    assert (await client.claude(body, "claude-opus-4-8", anthropic_beta=betas)).status == 200
    assert (await client.claude({**body, "anthropic_beta": betas.split(",")}, "claude-opus-4-8")).status == 200
    assert (await client.claude(body, "claude-opus-4-8")).status == 400


async def test_claude_takes_back_its_own_thinking_and_nobody_elses(client: Client, sim: Simulator) -> None:
    sim.rule("vertex_claude", "", thinking="deep", tool_use=[{"name": "look", "input": {}}], times=1)
    first = await client.claude(claude_body(thinking=THINKING, tools=[TOOL]))
    content = first.json["content"]
    result = {"type": "tool_result", "tool_use_id": content[-1]["id"], "content": [{"type": "text", "text": "there"}, image()]}
    messages = turns("x", content, [result])
    again = await client.claude(claude_body(thinking=THINKING, tools=[TOOL], messages=messages))
    assert again.status == 200
    assert again.json["content"][-1]["text"].endswith("You said: there")
    content[0]["thinking"] = "shallow"
    assert "Invalid `signature`" in (await client.claude(claude_body(thinking=THINKING, tools=[TOOL], messages=messages))).message


async def test_a_prompt_too_long_says_how_long(client: Client, sim: Simulator) -> None:
    sim.model("vertex_claude", "claude-sonnet-4-5", context_window=100)
    reply = await client.claude(claude_body(messages=turns("x" * 404)))
    assert (reply.status, reply.message) == (400, "prompt is too long: 101 tokens > 100 maximum")


async def test_unknown_models_paths_and_projects_are_googles_errors(client: Client) -> None:
    unknown = await client.claude(model="claude-9")
    assert (unknown.status, unknown.json["error"]["status"]) == (404, "NOT_FOUND")
    assert "publishers/anthropic/models/claude-9" in unknown.message
    assert (await client.claude(verb="predict")).status == 404
    assert (await client.claude({"model": "claude-9", "messages": HELLO}, "count-tokens")).status == 404
    path = f"{VERTEX}/anthropic/models/claude-sonnet-4-5:rawPredict"
    elsewhere = await client.send(path.replace("sim-", "other-"), claude_body(), client.token)
    assert (elsewhere.status, elsewhere.json["error"]["status"]) == (403, "PERMISSION_DENIED")
    assert (await client.send("/v1/v1/projects", {}, client.token)).status == 404
    assert client.sim.log[-1]["provider"] == "unknown"


@pytest.mark.parametrize("token", [None, "wrong"])
async def test_vertex_wants_a_token_it_issued(client: Client, token: str | None) -> None:
    for publisher, model in (("anthropic", "claude-sonnet-4-5:rawPredict"), ("google", "gemini-2.5-pro:generateContent")):
        reply = await client.send(f"{VERTEX}/{publisher}/models/{model}", claude_body(), token)
        assert (reply.status, reply.json["error"]["status"]) == (401, "UNAUTHENTICATED")
        assert client.sim.log[-1]["auth"] == ("bad" if token else "missing")


async def test_revoked_tokens_are_refused(client: Client, sim: Simulator) -> None:
    sim.revoke_tokens()
    assert (await client.claude()).status == 401


async def test_a_body_that_is_no_json_is_a_bad_request(client: Client) -> None:
    assert (await client.claude("{oops")).status == 400
    assert (await client.claude("[]")).status == 400


async def test_openrouter_messages_refuses_the_same_in_anthropics_shape(client: Client) -> None:
    reply = await client.messages(messages=turns("x", [CALL], "no"))
    assert reply.status == 400 and reply.json["type"] == "error"
    assert "`tool_use` ids were found without" in reply.message
    assert "max_tokens: Field required" in (
        await client.send("/api/v1/messages", {"model": "anthropic/claude-sonnet-4.5", "messages": HELLO}, client.env["OPENROUTER_API_KEY"])
    ).message
    assert (await client.messages(model="nobody/nothing")).json["error"]["type"] == "not_found_error"
    assert (await client.messages(model="")).status == 400
