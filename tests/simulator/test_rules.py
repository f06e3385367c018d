"""Scripted answers: which request gets which, and what placeholders become."""

from __future__ import annotations

import json
from typing import Any

import pytest

from simulator import Simulator
from tests.simulator.support import PNG, PROVIDERS, Client, chat_body, claude_body, provider_of, said


async def text_of(client: Client, route: str, text: str = "hello") -> str:
    return said(route, await client.ask(route, text), stream=False)


async def test_the_first_rule_that_fits_wins_and_echo_is_last(client: Client, sim: Simulator) -> None:
    sim.rule("github_models", "one", match="cat")
    sim.rule("github_models", "two", match="at")
    assert await text_of(client, "github_models", "a cat") == "one"
    assert await text_of(client, "github_models", "a hat") == "two"
    assert (await text_of(client, "github_models", "a dog")).startswith("[simulated ")
    assert (await text_of(client, "openrouter", "a cat")).startswith("[simulated ")


async def test_match_looks_through_the_whole_request_and_match_last_user_does_not(client: Client, sim: Simulator) -> None:
    messages = [{"role": "user", "content": "cat"}, {"role": "assistant", "content": "meow"}, {"role": "user", "content": "dog"}]
    sim.rule("*", "last", match_last_user="cat")
    sim.rule("*", "whole", match="cat")
    assert (await client.github(messages=messages)).json["choices"][0]["message"]["content"] == "whole"
    assert (await client.claude(claude_body(system="a cat", messages=messages[2:]))).json["content"][0]["text"] == "whole"
    assert await text_of(client, "github_models", "cat") == "last"


async def test_a_rule_may_be_for_one_model_and_so_many_times(client: Client, sim: Simulator) -> None:
    sim.rule("vertex_claude", "opus", model="claude-opus-4-5", times=2)
    assert (await client.claude()).json["content"][0]["text"] != "opus"
    texts = [(await client.claude(model="claude-opus-4-5@20251101")).json["content"][0]["text"] for _ in range(3)]
    assert texts[:2] == ["opus", "opus"] and texts[2] != "opus"


@pytest.mark.parametrize("route", PROVIDERS)
async def test_placeholders_quote_what_really_arrived(client: Client, sim: Simulator, route: str) -> None:
    quotes = "{quote:code [a-z]{3}-\\d{2}} {quote:word (\\w+)} {quote:never} {other} {providers} {modelX {"
    sim.rule("*", "{provider} {model} {turns} {images} said {last_user} " + quotes)
    text = await text_of(client, route, "my code abc-42, word up")
    model = client.question(route)[1].get("model") or {"vertex_claude": "claude-sonnet-4-5", "vertex_gemini": "gemini-2.5-pro"}[route]
    quoted = "code abc-42 up (nothing to quote) {other} {providers} {modelX {"
    assert text == f"{provider_of(route)} {model} 1 0 said my code abc-42, word up {quoted}"


@pytest.mark.parametrize(
    "text",
    ["{" * 100_000, "}" * 100_000, "{" * 50_000 + "}" * 50_000, "{other" * 20_000, "{" * 30_000 + "{other}" * 30_000],
    ids=["open", "close", "nested", "named", "both"],
)
async def test_a_hundred_thousand_braces_stay_as_they_are_around_a_placeholder(client: Client, sim: Simulator, text: str) -> None:
    sim.rule("openrouter", text + "{provider}" + text)
    assert (await client.openrouter()).json["choices"][0]["message"]["content"] == f"{text}openrouter{text}"


async def test_quotes_reach_tool_results_and_images_are_counted(client: Client, sim: Simulator) -> None:
    sim.rule("vertex_claude", "{quote:found \\w+} {images} {last_user}")
    call = {"type": "tool_use", "id": "t1", "name": "look", "input": {}}
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "found gold"}, picture]}
    messages = [{"role": "user", "content": "x"}, {"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
    reply = await client.claude(claude_body(messages=messages))
    assert reply.json["content"][0]["text"] == "found gold 1 found gold"
    assert reply.json["usage"]["input_tokens"] >= 1000


async def test_a_script_sets_usage_and_finish_in_any_wires_words(client: Client, sim: Simulator) -> None:
    sim.rule("*", "done", usage={"input_tokens": 11, "output_tokens": 7, "cache_read_input_tokens": 5}, finish="length")
    claude = (await client.claude()).json
    assert (claude["stop_reason"], claude["usage"]["input_tokens"], claude["usage"]["cache_read_input_tokens"]) == ("max_tokens", 11, 5)
    gemini = (await client.gemini()).json
    assert gemini["candidates"][0]["finishReason"] == "MAX_TOKENS"
    assert (gemini["usageMetadata"]["totalTokenCount"], gemini["usageMetadata"]["cachedContentTokenCount"]) == (18, 5)
    chat = (await client.openrouter(chat_body("openai/gpt-4o"))).json
    assert chat["choices"][0]["finish_reason"] == "length"
    assert (chat["usage"]["total_tokens"], chat["usage"]["prompt_tokens_details"]["cached_tokens"]) == (18, 5)


@pytest.mark.parametrize("odd", [None, "x", [1], {"a": 1}, True, -7, 1.5])
@pytest.mark.parametrize("route", PROVIDERS)
async def test_figures_that_are_no_numbers_are_sent_as_they_stand(client: Client, sim: Simulator, route: str, odd: Any) -> None:
    sim.rule("*", "done", usage={"input_tokens": odd, "output_tokens": odd, "cache_read_input_tokens": odd})
    reply = await client.ask(route)
    assert reply.status == 200
    usage = reply.json["usageMetadata"] if "usageMetadata" in reply.json else reply.json["usage"]
    names = ("input_tokens", "prompt_tokens", "promptTokenCount")
    assert [usage[name] for name in names if name in usage] == [odd]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("route", PROVIDERS)
async def test_an_answer_may_say_nothing_and_still_finish(client: Client, sim: Simulator, route: str, stream: bool) -> None:
    sim.rule("*", "")
    reply = await client.ask(route, stream=stream)
    finishes = ("end_turn", "STOP", '"stop"')
    assert reply.status == 200 and any(word in reply.text for word in finishes)
    assert "You said" not in reply.text


@pytest.mark.parametrize("word", ["refusal", "content_filter", "SAFETY"])
async def test_a_refusal_may_be_named_in_any_wires_words(client: Client, sim: Simulator, word: str) -> None:
    sim.rule("*", "no", stop_reason=word)
    assert (await client.claude()).json["stop_reason"] == "refusal"
    assert (await client.gemini()).json["candidates"][0]["finishReason"] == "SAFETY"
    assert (await client.github()).json["choices"][0]["finish_reason"] == "content_filter"


@pytest.mark.parametrize("route", PROVIDERS)
async def test_chunks_say_in_how_many_pieces_a_text_comes(client: Client, sim: Simulator, route: str) -> None:
    sim.rule("*", "abcdefghij", chunks=7)
    reply = await client.ask(route, stream=True)
    assert said(route, reply, stream=True) == "abcdefghij"
    bits = sum(1 for data in reply.data if any(bit in json.dumps(data) for bit in ('"ab"', '"cd"', '"ef"', '"g"', '"h"', '"i"', '"j"')))
    assert bits == 7


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"provider": "anthropic"}, "a rule's provider must be one of"),
        ({"txt": "x"}, "unknown key 'txt'"),
        ({"text": 7}, "text must be a string"),
        ({"delay_s": -1}, "delay_s must be a number"),
        ({"chunks": 0}, "chunks must be a whole number"),
        ({"usage": 3}, "usage must be an object"),
        ({"times": 0}, "times must be a whole number"),
        ({"tool_use": [{"input": {}}]}, "tool_use must be a list"),
        ({"usage": {"output_tokens": 10**30}}, "usage cannot be sent as JSON"),
        ({"text": "\ud83d"}, "text cannot be sent as JSON"),
        ({"text": "{quote:[}"}, "bad regular expression"),
        ({"text": "{other {quote:(} {quote:a}"}, "bad regular expression"),
        ({"thinking": "{quote:a\\{b}"}, r"\{quote: that is never closed"),
    ],
)
async def test_a_wrong_rule_is_refused_with_the_reason(sim: Simulator, rule: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        sim.rule(**{"provider": "openrouter", **rule})
    assert sim.state["rules"] == 0


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"kind": "explode"}, "unknown fault kind 'explode'"),
        ({"provider": "github"}, "a fault's provider must be one of"),
        ({"size": 1}, "unknown key 'size'"),
        ({"status": 99}, "status must be a whole number from 200"),
        ({"headers": []}, "headers must be an object"),
        ({"seconds": -1}, "seconds must be a number"),
        ({"n": -1}, "n must be a whole number"),
        ({"by": "bit"}, "by must be"),
        ({"kind": "expires_in"}, "a fault of google_token only"),
        ({"times": "often"}, "times must be"),
    ],
)
async def test_a_wrong_fault_is_refused_with_the_reason(sim: Simulator, fault: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        sim.fault(**{"provider": "openrouter", "kind": "status", **fault})
    assert sim.state["faults"] == 0
