"""Every fault the simulator can play, on every upstream."""

from __future__ import annotations

import time
from typing import Any

import pytest

from simulator import Simulator
from tests.simulator.support import PROVIDERS, Client, chat_body, ended_properly, provider_of, said

every_upstream = pytest.mark.parametrize("route", PROVIDERS)
both_ways = pytest.mark.parametrize("stream", [False, True])
CONTENT = {  # bytes that only a content delta has
    "vertex_claude": b"text_delta", "openrouter_messages": b"text_delta", "vertex_gemini": b'"parts"', "github_models": b'"content":"[',
    "openrouter": b'"content":"[',
}


def fault(sim: Simulator, route: str, kind: str, **more: Any) -> None:
    sim.fault(provider_of(route), kind, **more)


@both_ways
@every_upstream
@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 408, 413, 429, 500, 502, 503, 529])
async def test_a_status_comes_in_the_providers_own_shape_with_headers(
    client: Client, sim: Simulator, route: str, stream: bool, status: int
) -> None:
    fault(sim, route, "status", status=status, headers={"retry-after": "7"}, message="scripted words")
    reply = await client.ask(route, stream=stream)
    assert (reply.status, reply.headers["retry-after"], reply.message) == (status, "7", "scripted words")
    body = reply.json[0] if route == "vertex_gemini" and stream else reply.json
    match route:
        case "vertex_gemini":
            assert set(body["error"]) == {"code", "message", "status"} and body["error"]["code"] == status
        case "vertex_claude":
            assert ("status" in body["error"]) == (status in (401, 403, 404, 429, 503))
            assert ("request_id" in body) != ("status" in body["error"])
        case "github_models":
            assert isinstance(body["error"]["code"], str)
        case "openrouter":
            assert body["error"]["code"] == status
        case _:
            assert body["type"] == "error" and body["error"]["type"]
    assert (await client.ask(route, stream=stream)).status == 200


async def test_a_status_may_have_any_body(client: Client, sim: Simulator) -> None:
    sim.fault("openrouter", "status", status=502, body="<html>bad gateway</html>")
    sim.fault("openrouter", "status", status=500, body="plain words")
    sim.fault("openrouter", "status", status=400, body={"error": {"message": "Provider returned error"}})
    page, plain, made = [await client.openrouter() for _ in range(3)]
    assert page.headers["content-type"].startswith("text/html") and page.text == "<html>bad gateway</html>"
    assert plain.headers["content-type"].startswith("text/plain")
    assert made.json == {"error": {"message": "Provider returned error"}}


@every_upstream
async def test_a_refused_connection_is_reset_without_a_byte(client: Client, sim: Simulator, route: str) -> None:
    fault(sim, route, "refuse")
    line = await client.dial(*client.question(route))
    assert await line.rest() == b""
    assert line.reset
    await sim.until(lambda log: not sim.state["in_flight"])
    assert (sim.log[0]["fault"], sim.log[0]["disconnected"], sim.log[0]["answered"]) == ("refuse", False, False)


@both_ways
@every_upstream
@pytest.mark.parametrize("kind", ["hang_before_headers", "hang_after_headers", "pings_only"])
async def test_a_hang_ends_at_once_when_the_client_goes_away(client: Client, sim: Simulator, route: str, kind: str, stream: bool) -> None:
    fault(sim, route, kind, **({"seconds": 0.01} if kind == "pings_only" else {}))
    line = await client.dial(*client.question(route, stream=stream))
    await sim.until(lambda log: log and log[0]["fault"] == kind)
    if kind != "hang_before_headers":
        head = await line.headers()
        assert head.startswith("HTTP/1.1 200") and "x-parley-simulated: 1" in head.lower()
        assert ("text/event-stream" in head) == stream
    if kind == "pings_only":
        raw = await line.reader.readexactly(30 if stream else 3)
        assert CONTENT[route] not in raw
    assert sum(sim.state["in_flight"].values()) == 1
    left = time.monotonic()
    await line.close()
    entry = await sim.until(lambda log: log[0]["disconnected"] and log[0])
    assert entry["disconnected_at"] - left < 1
    assert not entry["answered"]
    assert sim.state["in_flight"] == {}


@every_upstream
@pytest.mark.parametrize("by", ["event", "byte"])
async def test_a_drip_is_whole_but_slow(client: Client, sim: Simulator, route: str, by: str) -> None:
    fault(sim, route, "drip", seconds=0.03 if by == "event" else 0, by=by)
    began = time.monotonic()
    reply = await client.ask(route, stream=True)
    assert said(route, reply, stream=True).endswith("You said: hello")
    if by == "event":
        assert time.monotonic() - began > 0.09
        assert reply.events


@every_upstream
async def test_a_drip_without_a_stream_is_whole_too(client: Client, sim: Simulator, route: str) -> None:
    fault(sim, route, "drip", seconds=0.01)
    assert said(route, await client.ask(route), stream=False).endswith("You said: hello")


@both_ways
@every_upstream
@pytest.mark.parametrize("clean", [False, True])
async def test_a_cut_before_content_sends_headers_and_no_content(
    client: Client, sim: Simulator, route: str, clean: bool, stream: bool
) -> None:
    fault(sim, route, "cut_before_content", clean=clean)
    raw = await (await client.dial(*client.question(route, stream=stream))).rest()
    assert raw.startswith(b"HTTP/1.1 200")
    assert CONTENT[route] not in raw
    assert ended_properly(raw) == clean
    await sim.until(lambda log: not sim.state["in_flight"])
    assert not sim.log[0]["answered"] and not sim.log[0]["disconnected"]


@every_upstream
@pytest.mark.parametrize("clean", [False, True])
@pytest.mark.parametrize("n", [1, 3])
async def test_a_cut_after_content_counts_deltas(client: Client, sim: Simulator, route: str, clean: bool, n: int) -> None:
    fault(sim, route, "cut_after_content", clean=clean, n=n)
    raw = await (await client.dial(*client.question(route, stream=True))).rest()
    delta = {"github_models": b'"delta":{"content":', "openrouter": b'"delta":{"role":"assistant","content":'}.get(route, CONTENT[route])
    assert raw.count(delta) == n
    assert ended_properly(raw) == clean


@every_upstream
async def test_a_cut_answer_without_a_stream_is_half_its_json(client: Client, sim: Simulator, route: str) -> None:
    fault(sim, route, "cut_after_content")
    raw = await (await client.dial(*client.question(route))).rest()
    assert b"{" in raw and not ended_properly(raw)


async def test_a_cut_may_reset_the_connection(client: Client, sim: Simulator) -> None:
    sim.fault("openrouter", "cut_after_content", reset=True)
    line = await client.dial(*client.question("openrouter", stream=True))
    await line.rest()
    assert line.reset


@every_upstream
async def test_a_malformed_event_stands_among_good_ones(client: Client, sim: Simulator, route: str) -> None:
    fault(sim, route, "malformed_event")
    reply = await client.ask(route, stream=True)
    broken = [data for data in reply.data if isinstance(data, str) and data != "[DONE]"]
    assert len(broken) == 1
    assert reply.data.index(broken[0]) not in (0, len(reply.data) - 1)


@every_upstream
@pytest.mark.parametrize("kind", ["malformed_event", "truncated_json"])
async def test_an_answer_may_be_broken_json(client: Client, sim: Simulator, route: str, kind: str) -> None:
    fault(sim, route, kind)
    reply = await client.ask(route)
    assert reply.status == 200 and reply.headers["content-type"].startswith("application/json")
    with pytest.raises(ValueError):
        _ = reply.json


@every_upstream
async def test_a_stream_may_end_inside_an_event(client: Client, sim: Simulator, route: str) -> None:
    fault(sim, route, "truncated_json")
    reply = await client.ask(route, stream=True)
    assert reply.status == 200
    assert not reply.raw.endswith(b"\n")
    assert reply.raw.rstrip().rpartition(b"data: ")[2].startswith(b"{")


@both_ways
@every_upstream
async def test_an_answer_may_be_empty(client: Client, sim: Simulator, route: str, stream: bool) -> None:
    fault(sim, route, "empty")
    reply = await client.ask(route, stream=stream)
    assert (reply.status, reply.raw) == (200, b"")
    assert ("event-stream" in reply.headers["content-type"]) == stream


@both_ways
@every_upstream
async def test_an_answer_may_have_no_choices(client: Client, sim: Simulator, route: str, stream: bool) -> None:
    fault(sim, route, "empty_choices")
    reply = await client.ask(route, stream=stream)
    assert reply.status == 200
    for body in [data for data in reply.data if data != "[DONE]"] if stream else [reply.json]:
        assert not body.get("choices") and not body.get("candidates") and not body.get("content")
        assert body.get("type") not in ("content_block_start", "content_block_delta")


@both_ways
@every_upstream
async def test_an_answer_may_have_no_finish_reason(client: Client, sim: Simulator, route: str, stream: bool) -> None:
    fault(sim, route, "no_finish")
    reply = await client.ask(route, stream=stream)
    assert said(route, reply, stream=stream).endswith("You said: hello")
    for word in (b"message_stop", b'"stop_reason":"end', b'"finishReason"', b'"finish_reason":"', b"[DONE]"):
        assert word not in reply.raw


@both_ways
@every_upstream
async def test_an_error_may_come_under_200(client: Client, sim: Simulator, route: str, stream: bool) -> None:
    fault(sim, route, "error_json_200", status=429, message="quota")
    reply = await client.ask(route, stream=stream)
    assert (reply.status, reply.message) == (200, "quota")
    assert reply.headers["content-type"].startswith("application/json")


@every_upstream
@pytest.mark.parametrize("n", [0, 2])
async def test_an_error_may_come_as_an_event(client: Client, sim: Simulator, route: str, n: int) -> None:
    fault(sim, route, "error_event", status=529, message="overloaded, scripted", n=n)
    reply = await client.ask(route, stream=True)
    last = reply.data[-1]
    assert reply.status == 200
    assert last["error"]["message"] == "overloaded, scripted"
    assert (CONTENT[route] in reply.raw) == (n > 0)
    if route in ("vertex_claude", "openrouter_messages"):
        assert reply.events[-1][0] == last["type"] == "error"
        assert last["error"]["type"] == "overloaded_error"
    if route == "openrouter":
        assert last["choices"][0]["finish_reason"] == "error"


@every_upstream
async def test_without_a_stream_the_error_event_is_the_whole_body(client: Client, sim: Simulator, route: str) -> None:
    fault(sim, route, "error_event", message="scripted")
    reply = await client.ask(route)
    assert (reply.status, reply.message) == (200, "scripted")


async def test_claudes_own_error_events_are_never_in_googles_shape(client: Client, sim: Simulator) -> None:
    sim.fault("vertex_claude", "error_event", status=429)
    assert (await client.ask("vertex_claude", stream=True)).data[-1]["error"]["type"] == "rate_limit_error"


@both_ways
@every_upstream
async def test_an_answer_may_be_a_web_page(client: Client, sim: Simulator, route: str, stream: bool) -> None:
    fault(sim, route, "html_200")
    reply = await client.ask(route, stream=stream)
    assert reply.status == 200 and reply.headers["content-type"].startswith("text/html")
    assert "simulated" in reply.text.lower()


@every_upstream
async def test_a_delay_is_followed_by_the_answer(client: Client, sim: Simulator, route: str) -> None:
    fault(sim, route, "delay", seconds=0.1)
    began = time.monotonic()
    assert (await client.ask(route)).status == 200
    assert time.monotonic() - began >= 0.1


async def test_faults_are_met_in_order_as_often_as_they_say(client: Client, sim: Simulator) -> None:
    sim.fault("github_models", "status", status=500, times=2)
    sim.fault("github_models", "status", status=429)
    assert [(await client.github()).status for _ in range(4)] == [500, 500, 429, 200]
    sim.fault("github_models", "status", status=503, times=None)
    assert [(await client.github()).status for _ in range(3)] == [503] * 3
    sim.clear_faults("openrouter")
    assert (await client.github()).status == 503
    sim.clear_faults("github_models")
    assert (await client.github()).status == 200


async def test_a_fault_may_be_for_one_model_only(client: Client, sim: Simulator) -> None:
    sim.fault("vertex_claude", "status", status=503, model="claude-opus-4-5", times=None)
    assert (await client.claude()).status == 200
    assert (await client.claude(model="claude-opus-4-5")).status == 503
    assert (await client.claude(model="claude-opus-4-5@20251101")).status == 503
    assert (await client.openrouter()).status == 200


async def test_a_fault_that_spoils_answers_waits_for_a_valid_request(client: Client, sim: Simulator) -> None:
    sim.fault("github_models", "empty_choices")
    assert (await client.github(top_k=1)).status == 400
    assert (await client.github()).json["choices"] == []


async def test_counting_tokens_has_faults_of_its_own(client: Client, sim: Simulator) -> None:
    sim.fault("vertex_claude", "status", status=500)
    body = {"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "x"}]}
    assert (await client.claude(body, "count-tokens")).status == 200
    sim.fault("vertex_claude_count", "status", status=429)
    assert (await client.claude(body, "count-tokens")).status == 429
    assert sim.log[-1]["route"] == "count_tokens" and sim.log[-1]["provider"] == "vertex_claude"


@pytest.mark.parametrize(
    ("provider", "path", "none"), [("github_catalog", "/catalog/models", []), ("openrouter_models", "/api/v1/models", {"data": []})]
)
async def test_catalogues_fail_too(client: Client, sim: Simulator, provider: str, path: str, none: object) -> None:
    for kind in ("status", "html_200", "empty", "error_json_200", "truncated_json", "malformed_event", "empty_choices", "error_event"):
        sim.fault(provider, kind)
    replies = [await client.send(path, None, None, "GET") for _ in range(9)]
    assert [reply.status for reply in replies] == [503, *[200] * 8]
    for broken in (replies[1], replies[2], replies[4], replies[5]):
        with pytest.raises(ValueError):
            _ = broken.json
    assert "error" in replies[3].json and "error" in replies[7].json
    assert replies[6].json == none
    assert len(replies[8].raw) > 1000


async def test_a_slow_answer_sends_its_beginning_first(client: Client, sim: Simulator) -> None:
    sim.rule("vertex_claude", "slow words", delay_s=0.2, chunk_delay_s=0.05, chunks=4)
    line = await client.dial(*client.question("vertex_claude", stream=True))
    await line.headers()
    began = time.monotonic()
    early = await line.reader.readuntil(b"event: ping")
    assert b"message_start" in early and b"text_delta" not in early
    assert time.monotonic() - began < 0.15
    assert (await line.rest()).count(b"text_delta") == 4
    assert time.monotonic() - began > 0.3


async def test_a_slow_answer_without_a_stream_comes_late_as_a_whole(client: Client, sim: Simulator) -> None:
    sim.rule("openrouter", "late", delay_s=0.1)
    began = time.monotonic()
    assert (await client.openrouter(chat_body("openai/gpt-4o"))).status == 200
    assert time.monotonic() - began >= 0.1


async def test_a_client_that_leaves_a_slow_answer_is_noted(client: Client, sim: Simulator) -> None:
    sim.rule("github_models", "slow words", chunk_delay_s=30)
    line = await client.dial(*client.question("github_models", stream=True))
    await line.headers()
    await line.reader.readuntil(b"slow")
    await line.close()
    entry = await sim.until(lambda log: log[0]["disconnected"] and log[0])
    assert not entry["answered"] and entry["status"] == 200
