"""The native adapter: the contract at the socket, requests changed in what has to be and no more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from conversation.errors import BadRequest, ProviderError
from conversation.messages import fold
from providers import SPECS
from providers._claude import without_thinking
from providers._google import GoogleTokens
from providers._http import HttpClient
from providers._litellm import LiteLLMProvider
from providers._native import NativeProvider
from providers.base import Call, Provider
from providers.config import ProviderSettings
from simulator import Simulator
from tests.providers.asking_native import END, START, STOP, TOOL, Asker, block, said
from tests.providers.contract import ProviderContract, Rig, rigged
from tests.providers.recorded import SPEC, Recorded, sse

NATIVE = [spec for spec in SPECS if spec.messages_path]


@pytest.fixture(params=NATIVE, ids=lambda spec: spec.name)
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rig]:
    async with rigged(request.param, tmp_path, NativeProvider) as made:
        yield made


class TestNative(ProviderContract):
    async def test_thinking_goes_back_byte_for_byte_with_its_signature(self, rig: Rig) -> None:
        rig.sim.rule(rig.model.provider, "So it is.", thinking="Let me see.")
        answer = fold(await rig.events(thinking={"type": "enabled", "budget_tokens": 1024}, max_tokens=4_000))
        assert [block["type"] for block in answer.blocks] == ["thinking", "text"]
        turns = [
            {"role": "user", "content": "hello"},
            {"role": "assistant", "content": list(answer.blocks)},
            {"role": "user", "content": "and?"},
        ]
        body = {"max_tokens": 4_000, "messages": turns, "thinking": {"type": "enabled", "budget_tokens": 1024}}
        assert fold([event async for event in rig.provider.stream(Call(model=rig.model, body=body))]).text
        sent = rig.sim.requests(rig.model.provider)[-1]["body"]["messages"][1]["content"]
        assert sent == list(answer.blocks)

    async def test_a_signature_that_is_refused_is_left_out_and_the_answer_comes(self, rig: Rig) -> None:
        thought = {"type": "thinking", "thinking": "Elsewhere.", "signature": "c2lnbmVkIGVsc2V3aGVyZQ=="}
        turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": [thought, {"type": "text", "text": "b"}]}]
        body = {"max_tokens": 4_000, "messages": [*turns, {"role": "user", "content": "c"}], "thinking": {"type": "adaptive"}}
        assert fold([event async for event in rig.provider.stream(Call(model=rig.model, body=body))]).text
        assert [entry["status"] for entry in rig.sim.requests(rig.model.provider)] == [400, 200]

    async def test_every_kind_of_thinking_is_put_as_each_model_takes_it(self, rig: Rig) -> None:
        asked = [{"type": "adaptive"}, {"type": "enabled", "budget_tokens": 31_999}, {"type": "disabled"}]
        claude = [model for model in SPEC[rig.model.provider].models if "claude" in model.id]
        for model in claude:
            for thinking in asked:
                for more in ({"output_config": {"effort": "high"}}, {"temperature": 0.5, "top_p": 0.5, "top_k": 3}):
                    body = {"max_tokens": 64_000, "messages": [{"role": "user", "content": "q"}], "thinking": thinking, **more}
                    events = [event async for event in rig.provider.stream(Call(model=model, body=body))]
                    assert fold(events).text, (model.name, thinking, more)

    async def test_a_refused_token_is_renewed_once(self, rig: Rig) -> None:
        await rig.events()
        rig.sim.fault(rig.model.provider, "status", status=401, times=None)
        assert (await rig.failure()).cause == "auth_failed"
        assert len(rig.sim.requests(rig.model.provider)) == (3 if rig.model.provider == "vertex_claude" else 2)


async def test_models_the_upstream_does_not_serve_as_messages_are_asked_through_the_others(
    tmp_path: Path, litellm_environment: None
) -> None:
    async with Simulator() as sim:
        settings, http = ProviderSettings.from_env(sim.environment(tmp_path)), HttpClient()
        spec = SPEC["openrouter"]
        provider = NativeProvider(spec, settings, http, others=LiteLLMProvider(spec, settings, http))
        await provider.warm()
        await provider.ready()
        for model, path in (("anthropic/claude-sonnet-4.5", "/messages"), ("openai/gpt-4o", "/chat/completions")):
            info = next(one for one in spec.models if one.id == model)
            body = {"max_tokens": 100, "messages": [{"role": "user", "content": "q"}]}
            call = await provider.fitted(Call(model=info, body=body))
            assert fold([event async for event in provider.stream(call)]).text
            assert await provider.count(call) is None
            assert sim.requests("openrouter")[-1]["path"].endswith(path)
        await http.aclose()


# --- the request ---------------------------------------------------------------------------------------------------

ANSWER = sse(START, *block(said("hi")), END, STOP, named=True)


async def test_the_request_goes_out_as_it_is_but_for_what_must_change(server: Recorded) -> None:
    asker = Asker(server)
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "is_error": True, "content": [{"type": "text", "text": "no"}, image]}
    use = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": [1, None]}}
    marked = {"type": "text", "text": "q", "cache_control": {"type": "ephemeral"}}
    body: dict[str, Any] = {
        "system": [{"type": "text", "text": "x-anthropic-billing-header: cc_version=1"}, {"type": "text", "text": "Be brief."}],
        "messages": [{"role": "user", "content": [marked]}, {"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}],
        "metadata": {"user_id": "me"},
        "tools": [{**TOOL, "description": "d", "cache_control": {"type": "ephemeral"}}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
        "stop_sequences": ["END"],
        "temperature": 0.5,
    }
    betas = ("claude-code-20250219", "context-1m-2025-08-07", "interleaved-thinking-2025-05-14", "never-heard-of")
    await asker.ask(ANSWER, betas=betas, **body)
    (sent,), (headers,) = server.bodies, server.headers
    del body["metadata"]
    body["system"] = body["system"][1:]
    assert sent == {**body, "max_tokens": 100, "stream": True, "model": asker.models[0].id}
    assert headers["anthropic-beta"] == "context-1m-2025-08-07,interleaved-thinking-2025-05-14"
    assert headers["authorization"] == "Bearer recorded-key"


async def test_context_management_goes_with_its_beta(server: Recorded) -> None:
    edits = {"edits": [{"type": "clear_tool_uses_20250919"}]}
    await Asker(server).ask(ANSWER, context_management=edits)
    assert (server.bodies[0]["context_management"], server.headers[0]["anthropic-beta"]) == (edits, "context-management-2025-06-27")


async def test_adaptive_thinking_becomes_a_budget_that_fits_or_none(server: Recorded) -> None:
    old = next(model for model in SPEC["vertex_claude"].models if model.id == "claude-sonnet-4-5")
    rows = [(64_000, None, 31_999), (8_000, "high", 7_999), (64_000, "low", 4_096), (64_000, "medium", 10_000), (1_000, None, None)]
    for most, effort, budget in rows:
        more: dict[str, Any] = {"output_config": {"effort": effort}} if effort else {}
        await Asker(server).ask(ANSWER, model=old, max_tokens=most, thinking={"type": "adaptive"}, **more)
        wanted = {"type": "enabled", "budget_tokens": budget} if budget else None
        assert server.bodies[-1].get("thinking") == wanted and "output_config" not in server.bodies[-1]


async def test_a_budget_becomes_adaptive_thinking_where_nothing_else_is_taken(server: Recorded) -> None:
    new = next(model for model in SPEC["vertex_claude"].models if model.id == "claude-opus-4-8")
    thinking = {"type": "enabled", "budget_tokens": 2_000, "display": "summarized"}
    await Asker(server).ask(ANSWER, model=new, max_tokens=8_000, thinking=thinking)
    assert server.bodies[-1]["thinking"] == {"type": "adaptive", "display": "summarized"}


async def test_thinking_that_another_provider_signed_stays_here(server: Recorded) -> None:
    asker = Asker(server)
    asker.book.note("openrouter", {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "theirs"}})
    asker.book.note(
        "vertex_claude", {"type": "content_block_start", "index": 0, "content_block": {"type": "redacted_thinking", "data": "ours"}}
    )
    blocks = [
        {"type": "thinking", "thinking": "t", "signature": "theirs"},
        {"type": "redacted_thinking", "data": "ours"},
        {"type": "text", "text": "said"},
    ]
    turns: list[Any] = [{"role": "user", "content": "a"}, {"role": "assistant", "content": blocks}, {"role": "user", "content": "c"}]
    await asker.ask(ANSWER, messages=turns)
    assert server.bodies[0]["messages"][1]["content"] == blocks[1:]


async def test_leaving_closes_the_upstream(server: Recorded) -> None:
    asker = Asker(server)
    server.parts, server.stays = [sse(START, *block(said("hi"))[:2])], True
    body = {"max_tokens": 100, "messages": [{"role": "user", "content": "q"}]}
    async with aclosing(asker.provider.stream(Call(model=asker.models[0], body=body))) as events:
        async for event in events:
            if event["type"] == "content_block_delta":
                break
    await asyncio.wait_for(server.left.wait(), 5)
    await asker.http.aclose()


async def test_tokens_are_counted_by_the_upstream_that_can(tmp_path: Path, litellm_environment: None) -> None:
    tools = [{"name": "f", "description": "d", "input_schema": {"type": "object", "properties": {}}}]
    body = {"max_tokens": 100, "system": "Be brief.", "messages": [{"role": "user", "content": "word " * 500}], "tools": tools}
    async with Simulator() as sim:
        settings = ProviderSettings.from_env(sim.environment(tmp_path))
        assert settings.google is not None
        http, tokens = HttpClient(), GoogleTokens(settings.google)
        for spec in SPECS:
            call = Call(model=spec.models[0], body=body)
            providers: list[Provider] = [LiteLLMProvider(spec, settings, http, tokens)]
            providers += [NativeProvider(spec, settings, http, tokens)] if spec.messages_path else []
            for provider in providers:
                sim.reset("log")
                told = await provider.count(call)
                assert (told is not None) == (spec.auth == "google")
                asked = sim.requests(spec.name)
                assert [entry["route"] for entry in asked] == (["count_tokens"] if told else [])
                assert told is None or 300 < told < 2_000
        await http.aclose()
        await tokens.aclose()


@pytest.mark.parametrize("answer", [b"[]", b"no", b'{"input_tokens": "many"}', b'{"error": {"message": "busy"}}'])
async def test_a_count_without_a_number_is_an_error(server: Recorded, answer: bytes) -> None:
    asker = Asker(server)
    server.parts = [answer]
    with pytest.raises(ProviderError, match="without a number"):
        await asker.provider.count(Call(model=asker.models[0], body={"messages": [{"role": "user", "content": "q"}]}))
    await asker.http.aclose()


async def test_a_request_that_json_cannot_hold_is_not_sent(server: Recorded) -> None:
    deep: Any = "x"
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(BadRequest, match="nested too deeply"):
        await Asker(server).ask(tools=[{"name": "f", "input_schema": {"type": "object", "default": deep}}])


async def test_a_count_that_is_refused_is_the_upstreams_error(tmp_path: Path) -> None:
    async with Simulator() as sim:
        settings = ProviderSettings.from_env(sim.environment(tmp_path))
        assert settings.google is not None
        http, tokens = HttpClient(), GoogleTokens(settings.google)
        sim.fault("vertex_claude_count", "status", status=429)
        with pytest.raises(ProviderError) as caught:
            await NativeProvider(SPECS[0], settings, http, tokens).count(
                Call(model=SPECS[0].models[0], body={"messages": [{"role": "user", "content": "q"}]})
            )
        assert caught.value.cause == "rate_limited"
        await http.aclose()
        await tokens.aclose()


async def test_without_a_token_it_is_not_warm_and_says_nothing_of_it(tmp_path: Path) -> None:
    async with Simulator() as sim:
        settings = ProviderSettings.from_env(sim.environment(tmp_path))
        assert settings.google is not None
        http, tokens = HttpClient(), GoogleTokens(settings.google)
        sim.fault("google_token", "status", status=500, times=None)
        provider = NativeProvider(SPECS[0], settings, http, tokens)
        await provider.warm()
        await provider.ready()
        assert provider.name == "vertex_claude" and sim.requests("vertex_claude") == []
        await http.aclose()
        await tokens.aclose()


def test_a_body_without_thinking_has_none_to_take_out() -> None:
    thought = {"type": "thinking", "thinking": "t", "signature": "s"}
    asked, alone = {"role": "user", "content": "q"}, {"role": "assistant", "content": [thought]}
    use, result = {"type": "tool_use", "id": "a"}, {"type": "tool_result", "tool_use_id": "a"}
    assert without_thinking({"messages": [asked]}) is None
    assert without_thinking({"messages": [asked, alone, asked]}) == {"messages": [asked, asked]}
    turns = [asked, {"role": "assistant", "content": [thought, use]}, {"role": "user", "content": [result]}]
    stripped = without_thinking({"messages": turns, "thinking": {"type": "adaptive"}})
    assert stripped == {"messages": [asked, {"role": "assistant", "content": [use]}, turns[2]]}
