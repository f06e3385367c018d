"""Every shim and the router: the small routes, answers streamed and whole, who answered, what is refused."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pytest

from tests.gateway.client import MODEL, PROVIDERS, Client
from tests.gateway.running import SHIMS

BOTH = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
BAD = "invalid_request_error"
TEXT_FOR_STREAM = b'{"stream": "yes", "max_tokens": 1, "messages": [{"role": "user", "content": "q"}]}'
EACH = pytest.mark.parametrize("shim", SHIMS)


@EACH
async def test_the_small_routes(client: Client, shim: str) -> None:
    for path in ("/", "/health", "/ready"):
        assert (await client.get(shim, path)).status == 200
    assert (await client.get(shim, "/", "HEAD")).status == 200
    assert (await client.get(shim, "/health")).body == {"status": "ok", "shim": shim, "server": "parley"}
    models = (await client.get(shim, "/v1/models?limit=1000")).body
    assert models["data"][0]["type"] == "model" and models["has_more"] is False
    status = await client.get(shim, "/status")
    assert (status.status == 200) == (shim == "router")


@EACH
@BOTH
async def test_an_answer_says_who_gave_it_and_echoes_the_model_asked_for(client: Client, shim: str, stream: bool) -> None:
    provider = "vertex_claude" if shim == "router" else shim
    client.sim.rule("*", "a plain answer from {provider}")
    got = await client.ask(shim, stream=stream)
    assert got.answer.text == f"a plain answer from {provider}"
    assert (got.headers["x-parley-provider"], got.headers["x-parley-attempts"]) == (provider, "1")
    assert got.headers["x-parley-model"] and got.headers["request-id"].startswith("req_")
    assert (got.events[0]["message"] if stream else got.body)["model"] == MODEL
    assert b"cost_usd" not in got.content
    assert got.answer.input_tokens > 0 and got.answer.output_tokens > 0


@EACH
async def test_what_is_not_there_and_what_is_no_request_are_errors_of_the_api(client: Client, shim: str) -> None:
    rows = [
        (await client.get(shim, "/v1/nothing"), 404, "not_found_error"),
        (await client.get(shim, "/v1/messages"), 405, "invalid_request_error"),
        (await client.post(shim, "/v1/messages", b"{"), 400, BAD),
        (await client.post(shim, "/v1/messages", b"[]"), 400, BAD),
        (await client.post(shim, "/v1/messages", b"{}"), 400, BAD),
        (await client.post(shim, "/v1/messages", b"\x1f\x8b", {"content-encoding": "gzip"}), 415, BAD),
        (await client.ask(shim, messages="hello"), 400, BAD),
        (await client.ask(shim, messages=[]), 400, BAD),
        (await client.ask(shim, messages=["hello"]), 400, BAD),
        (await client.ask(shim, max_tokens="many"), 400, BAD),
        (await client.ask(shim, max_tokens=0), 400, BAD),
        (await client.ask(shim, max_tokens=True), 400, BAD),
        (await client.ask(shim, model=7), 400, BAD),
        (await client.post(shim, "/v1/messages", TEXT_FOR_STREAM), 400, BAD),
        (await client.ask(shim, messages=[{"role": "tool", "content": "q"}]), 400, BAD),
        (await client.ask(shim, messages=[{"role": "user", "content": {"text": "q"}}]), 400, BAD),
        (await client.ask(shim, max_tokens=None), 400, BAD),
        (await client.ask(shim, path="/v1/messages/count_tokens", messages=[]), 400, BAD),
    ]
    for got, status, kind in rows:
        assert (got.status, got.body["error"]["type"]) == (status, kind), got
        assert got.body["type"] == "error" and got.body["request_id"] == got.headers["request-id"]
        assert got.headers["x-should-retry"] == "false"
    assert client.sim.log == []


@EACH
async def test_methods_and_content_types_that_are_not_taken_are_told_with_those_that_are(client: Client, shim: str) -> None:
    for path, method, allowed in (("/v1/messages", "PUT", "POST"), ("/s/x/v1/messages/", "DELETE", "POST"), ("/health", "POST", "GET")):
        got = await client.get(shim, path, method)
        assert (got.status, got.headers["allow"], got.body["error"]["type"]) == (405, allowed, BAD)
    whole = json.dumps({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "q"}]}).encode()
    for path in ("/v1/messages", "/v1/messages/count_tokens"):
        for kind, status in (("text/plain", 415), ("application/x-www-form-urlencoded", 415), ("Application/JSON; charset=utf-8", 200)):
            got = await client.post(shim, path, whole, {"content-type": kind})
            assert got.status == status, (path, kind)
            assert status == 200 or "application/json" in got.body["error"]["message"]


@EACH
async def test_a_body_of_almost_32_mb_arrives_and_a_larger_one_is_refused_unread(client: Client, shim: str) -> None:
    provider = "vertex_claude" if shim == "router" else shim
    picture = base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"\0" * 23_900_000).decode()
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": picture}}
    client.sim.model(provider, (await client.ask(shim)).headers["x-parley-model"], context_window=100_000_000)
    got = await client.ask(shim, messages=[{"role": "user", "content": [{"type": "text", "text": "what is it?"}, image]}])
    assert got.answer.text and picture in json.dumps(client.sent(provider))
    got = await client.ask(shim, messages=[{"role": "user", "content": "x" * 33_600_000}])
    assert (got.status, got.body["error"]["type"], got.body["type"]) == (413, "request_too_large", "error")


@EACH
@BOTH
async def test_half_an_emoji_and_deep_nesting_do_not_keep_a_conversation_from_going_on(client: Client, shim: str, stream: bool) -> None:
    """JavaScript writes the first where a text was cut, and a model may have called a tool with the second."""
    deep: Any = "x"
    for _ in range(300):
        deep = {"a": deep}
    use = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"deep": deep}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "seen"}
    turns = [{"role": "user", "content": "go"}, {"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]
    half = [{"role": "user", "content": "cut \ud83d end"}]
    assert (await client.ask(shim, stream=stream, messages=half)).answer.text
    assert "cut \ufffd end" in json.dumps(client.sim.log[-1]["body"], ensure_ascii=False)
    for path in ("/v1/messages", "/v1/messages/count_tokens"):
        got = await client.ask(shim, stream=stream, path=path, messages=turns, tools=[{"name": "f", "input_schema": {"type": "object"}}])
        assert got.status == 200 or (got.status, got.body["error"]["type"]) == (400, BAD)


@EACH
async def test_any_name_of_a_model_is_taken(client: Client, shim: str) -> None:
    for name in ("claude-opus-4-8", "claude-haiku-4-5-20251001", "claude-sonnet-5[1m]", "something new", "x" * 500, "\u6a21\u578b"):
        got = await client.ask(shim, model=name)
        assert got.answer.text and got.body["model"] == name


async def test_the_small_model_of_claude_code_is_the_cheap_one_of_each_provider(client: Client) -> None:
    asked = {shim: (await client.ask(shim, model="claude-haiku-4-5-20251001")).headers["x-parley-model"] for shim in PROVIDERS}
    assert asked == {
        "vertex_claude": "claude-haiku-4-5",
        "vertex_gemini": "gemini-3.1-flash-lite",
        "github_models": "openai/gpt-4.1-mini",
        "openrouter": "anthropic/claude-haiku-4.5",
    }


@EACH
async def test_tokens_are_counted_tools_and_results_too(client: Client, shim: str) -> None:
    tools = [{"name": "f", "description": "d " * 100, "input_schema": {"type": "object", "properties": {}}}]
    use = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "word " * 300}
    turns = [{"role": "user", "content": "go"}, {"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]
    path = "/v1/messages/count_tokens?beta=true"
    asked: list[dict[str, Any]] = [{"messages": turns[:1]}, {"messages": turns[:1], "tools": tools}, {"messages": turns, "tools": tools}]
    counts = [(await client.ask(shim, path=path, **body)).body["input_tokens"] for body in asked]
    assert counts[0] < counts[1] < counts[2] and counts[2] - counts[1] >= 300


async def test_a_count_is_estimated_where_the_provider_does_not_answer(client: Client) -> None:
    client.sim.fault("vertex_claude_count", "status", status=500)
    got = await client.ask("vertex_claude", path="/v1/messages/count_tokens", messages=[{"role": "user", "content": "word " * 300}])
    assert 300 <= got.body["input_tokens"] <= 900


@BOTH
async def test_fifty_at_once_are_not_mixed_up(client: Client, stream: bool) -> None:
    async def one(number: int) -> None:
        shim = SHIMS[number % len(SHIMS)]
        got = await client.ask(shim, stream=stream, messages=[{"role": "user", "content": f"number {number}!"}])
        assert f"number {number}!" in got.answer.text

    await asyncio.gather(*map(one, range(50)))


@EACH
@BOTH
async def test_a_client_that_leaves_closes_the_upstream(client: Client, shim: str, stream: bool) -> None:
    provider = "vertex_claude" if shim == "router" else shim
    client.sim.rule(provider, "slow words " * 20, chunks=40, chunk_delay_s=5)
    asking = asyncio.create_task(client.ask(shim, stream=stream))
    await asyncio.to_thread(client.sim.until, lambda log: any(entry["provider"] == provider for entry in log))
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await asyncio.to_thread(client.sim.until, lambda log: log[-1]["disconnected"])


@EACH
async def test_the_mcp_server_is_on_every_port(client: Client, shim: str) -> None:
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    asked = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}).encode()
    got = await client.post(shim, "/mcp", asked, {"accept": "application/json, text/event-stream"})
    assert got.status == 200 and b"serverInfo" in got.content
