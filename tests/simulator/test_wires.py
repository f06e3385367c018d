"""Each wire, streaming and not, has the shape of the real service's."""

from __future__ import annotations

import pytest

from simulator import Simulator
from tests.simulator.support import PROVIDERS, Client, chat_body, claude_body, gemini_body, provider_of, said

TOOL = {"name": "look", "input": {"where": "under the bed", "deep": {"er": [1, 2]}}}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("route", PROVIDERS)
async def test_an_unscripted_answer_is_a_labelled_echo(client: Client, route: str, stream: bool) -> None:
    reply = await client.ask(route, "what is this?", stream=stream)
    assert reply.status == 200
    text = said(route, reply, stream=stream)
    assert text.startswith(f"[simulated {provider_of(route)} ")
    assert text.endswith("You said: what is this?")
    assert reply.headers["x-parley-simulated"] == "1"


@pytest.mark.parametrize("route", PROVIDERS)
async def test_only_the_first_200_characters_are_echoed(client: Client, route: str) -> None:
    reply = await client.ask(route, "a" * 300)
    assert said(route, reply, stream=False).endswith("You said: " + "a" * 200)


@pytest.mark.parametrize("stream", [False, True])
async def test_claude_thinks_signs_and_calls_tools(client: Client, sim: Simulator, stream: bool) -> None:
    sim.rule("vertex_claude", "looking", thinking="let me see", tool_use=[TOOL, TOOL])
    body = claude_body(thinking={"type": "enabled", "budget_tokens": 1024}, stream=stream)
    reply = await client.claude(body, "claude-sonnet-4-5@20250929")
    if not stream:
        thinking, text, first, second = reply.json["content"]
        assert thinking["thinking"] == "let me see" and len(thinking["signature"]) > 20
        assert (text["text"], first["input"]) == ("looking", TOOL["input"])
        assert first["id"].startswith("toolu_vrtx_") and first["id"] != second["id"]
        assert reply.json["stop_reason"] == "tool_use"
        assert reply.json["model"] == "claude-sonnet-4-5-20250929"
        return
    names = [name for name, _ in reply.events]
    assert names[:3] == ["message_start", "content_block_start", "ping"]
    assert names[-2:] == ["message_delta", "message_stop"]
    assert all(name == data["type"] for name, data in reply.events)
    assert names.count("content_block_start") == names.count("content_block_stop") == 4
    deltas = [data["delta"] for name, data in reply.events if name == "content_block_delta"]
    kinds = [delta["type"] for delta in deltas]
    assert kinds.index("signature_delta") == max(i for i, kind in enumerate(kinds) if kind == "thinking_delta") + 1
    fragments = [data["delta"]["partial_json"] for _, data in reply.events if data.get("index") == 2 and "delta" in data]
    assert fragments[0] == "" and len(fragments) > 2
    assert '"under the bed"' in "".join(fragments)
    assert reply.data[-2]["delta"]["stop_reason"] == "tool_use"
    assert reply.data[-2]["usage"]["output_tokens"] > 0


async def test_new_claude_models_leave_the_thinking_text_out_unless_asked(client: Client) -> None:
    hidden = await client.claude(claude_body(thinking={"type": "adaptive"}), "claude-opus-4-8")
    shown = await client.claude(claude_body(thinking={"type": "adaptive", "display": "summarized"}), "claude-opus-4-8")
    assert hidden.json["content"][0]["thinking"] == ""
    assert shown.json["content"][0]["thinking"].startswith("[simulated]")


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
async def test_gemini_streams_events_or_an_array(client: Client, version: str) -> None:
    events = await client.gemini(stream=True, version=version)
    assert events.headers["content-type"].startswith("text/event-stream")
    assert b"\r\n\r\n" in events.raw
    array = await client.gemini(stream=True, sse=False, version=version)
    assert array.headers["content-type"].startswith("application/json")
    for chunks in (events.data, array.json):
        assert [bool(chunk["candidates"][0].get("finishReason")) for chunk in chunks] == [False, False, True]
        assert chunks[-1]["usageMetadata"]["totalTokenCount"] > 0
        assert "promptTokenCount" not in chunks[0]["usageMetadata"]


@pytest.mark.parametrize("stream", [False, True])
async def test_gemini_thinks_and_calls_tools_with_a_thought_signature(client: Client, sim: Simulator, stream: bool) -> None:
    sim.rule("vertex_gemini", "looking", thinking="let me see", tool_use=[TOOL])
    body = gemini_body(generationConfig={"thinkingConfig": {"includeThoughts": True}})
    reply = await client.gemini(body, "gemini-3-pro-preview", stream=stream)
    chunks = reply.data if stream else [reply.json]
    parts = [part for chunk in chunks for part in chunk["candidates"][0]["content"]["parts"]]
    assert "".join(part["text"] for part in parts if part.get("thought")) == "let me see"
    assert parts[-1]["functionCall"] == {"name": "look", "args": TOOL["input"]}
    assert parts[-1]["thoughtSignature"]
    assert chunks[-1]["usageMetadata"]["thoughtsTokenCount"] == 2
    assert chunks[-1]["candidates"][0]["finishReason"] == "STOP"


async def test_gemini_shows_no_thoughts_unless_asked(client: Client, sim: Simulator) -> None:
    sim.rule("vertex_gemini", "done", thinking="let me see")
    reply = await client.gemini()
    assert [part.get("text") for part in reply.json["candidates"][0]["content"]["parts"]] == ["done"]
    assert reply.json["usageMetadata"]["thoughtsTokenCount"] == 2


async def test_github_streams_a_filter_chunk_first_and_usage_only_when_asked(client: Client) -> None:
    plain = await client.github(stream=True)
    assert plain.data[0]["choices"] == [] and "prompt_filter_results" in plain.data[0]
    assert plain.data[-1] == "[DONE]"
    assert not any("usage" in chunk for chunk in plain.data[:-1])
    assert plain.data[-2]["choices"][0] == {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}
    full = await client.github(stream=True, stream_options={"include_usage": True})
    assert full.data[-2]["choices"] == [] and full.data[-2]["usage"]["total_tokens"] > 0
    assert full.data[1]["usage"] is None


@pytest.mark.parametrize("stream", [False, True])
async def test_gpt_calls_tools(client: Client, sim: Simulator, stream: bool) -> None:
    sim.rule("github_models", "", tool_use=[TOOL, TOOL])
    reply = await client.github(stream=stream)
    if not stream:
        choice = reply.json["choices"][0]
        assert choice["finish_reason"] == "tool_calls" and choice["message"]["content"] is None
        assert len({call["id"] for call in choice["message"]["tool_calls"]}) == 2
        return
    calls = [call for chunk in reply.data[:-1] if chunk["choices"] for call in chunk["choices"][0]["delta"].get("tool_calls", [])]
    assert [call["index"] for call in calls if "id" in call] == [0, 1]
    assert "".join(call["function"]["arguments"] for call in calls if call["index"] == 1) == '{"where":"under the bed","deep":{"er":[1,2]}}'
    assert reply.data[-2]["choices"][0]["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("stream", [False, True])
async def test_openrouter_shows_reasoning_cost_and_provider(client: Client, stream: bool) -> None:
    reply = await client.openrouter(reasoning={"effort": "low"}, stream=stream)
    if stream:
        assert reply.events[0] == ("comment", "OPENROUTER PROCESSING")
        chunks = reply.data[:-1]
        deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
        assert "".join(delta.get("reasoning") or "" for delta in deltas) == "[simulated] Thinking it over."
        assert chunks[-2]["choices"][0]["native_finish_reason"] == "stop"
        last = chunks[-1]
    else:
        last = reply.json
        message = last["choices"][0]["message"]
        assert message["reasoning_details"][0]["text"] == message["reasoning"] == "[simulated] Thinking it over."
    assert last["usage"]["cost"] > 0
    assert last["provider"] == "Simulated"


async def test_openrouter_messages_comment_and_bill(client: Client) -> None:
    reply = await client.messages(stream=True)
    assert reply.events[0][0] == "comment"
    assert reply.data[-2]["usage"]["cost"] > 0
    assert (await client.messages()).json["usage"]["cost"] > 0


async def test_usage_is_deterministic_and_about_four_characters_a_token(client: Client) -> None:
    first, second = await client.ask("vertex_claude", "x" * 4000), await client.ask("vertex_claude", "x" * 4000)
    assert first.json["usage"] == second.json["usage"]
    assert first.json["usage"]["input_tokens"] == 1000


async def test_an_answer_over_the_requested_limit_is_cut_as_a_model_would(client: Client, sim: Simulator) -> None:
    sim.rule("*", "word " * 100)
    claude = await client.claude(claude_body(max_tokens=5))
    assert (claude.json["stop_reason"], len(claude.json["content"][0]["text"])) == ("max_tokens", 20)
    gemini = await client.gemini(gemini_body(generationConfig={"maxOutputTokens": 5}))
    assert gemini.json["candidates"][0]["finishReason"] == "MAX_TOKENS"
    chat = await client.github(max_tokens=5)
    assert chat.json["choices"][0]["finish_reason"] == "length"


async def test_tokens_are_counted_on_both_vertex_wires(client: Client) -> None:
    claude = await client.claude({"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "x" * 400}]}, "count-tokens")
    assert claude.json == {"input_tokens": 100}
    path = "/v1/projects/sim-project/locations/us-east5/publishers/google/models/gemini-2.5-pro:countTokens"
    gemini = await client.send(path, gemini_body("x" * 400), client.token)
    assert gemini.json["totalTokens"] == 100


async def test_catalogues_have_the_real_shapes_and_list_more_than_chat_serves(client: Client) -> None:
    github = (await client.send("/catalog/models", None, client.env["GITHUB_TOKEN"], "GET")).json
    entry = next(entry for entry in github if entry["id"] == "openai/gpt-4.1")
    assert entry["limits"] == {"max_input_tokens": 1_048_576, "max_output_tokens": 32_768}
    assert entry["supported_input_modalities"] == ["text", "image"]
    assert any("embeddings" in entry["supported_output_modalities"] for entry in github)
    router = (await client.send("/api/v1/models", None, None, "GET")).json["data"]
    sonnet = next(entry for entry in router if entry["id"] == "anthropic/claude-sonnet-4.5")
    assert sonnet["pricing"]["prompt"] == "0.000003" and sonnet["pricing"]["completion"] == "0.000015"
    assert sonnet["top_provider"]["max_completion_tokens"] == 64_000
    for entries in (github, router):
        assert any(entry["id"].startswith("simulated/live-list-only") for entry in entries)


async def test_every_model_of_the_lists_answers_unless_it_is_no_chat_model(client: Client) -> None:
    for entry in (await client.send("/catalog/models", None, None, "GET")).json:
        status = (await client.github(chat_body(entry["id"]))).status
        assert status == (200 if "text" in entry["supported_output_modalities"] else 400), entry["id"]
    for entry in (await client.send("/api/v1/models", None, None, "GET")).json["data"]:
        assert (await client.openrouter(chat_body(entry["id"]))).status == 200


async def test_open_models_on_github_send_no_filter_chunk(client: Client) -> None:
    reply = await client.github(model="meta/llama-3.3-70b-instruct", stream=True, top_k=5)
    assert reply.data[0]["choices"][0]["delta"]["role"] == "assistant"
