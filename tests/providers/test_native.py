"""The native adapter: the contract at the socket, bytes passed on as they came, requests changed in what has to be and no more."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from conversation.errors import BadRequest, ProviderError
from conversation.messages import Event, fold
from providers import SPECS
from providers._claude import without_thinking
from providers._google import GoogleTokens
from providers._http import HttpClient
from providers._litellm import LiteLLMProvider
from providers._native import NativeProvider
from providers._payloads import Payloads
from providers._relay import Frames
from providers.base import Call, ModelInfo, Provider, Relayed
from providers.config import ProviderSettings
from providers.signatures import SignatureBook
from simulator import Simulator
from tests.providers.contract import ProviderContract, Rig, rigged
from tests.providers.recorded import SPEC, Recorded, recorded, sse

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


# --- against bytes -------------------------------------------------------------------------------------------------

MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": [], "stop_reason": None}
USAGE = {"input_tokens": 3, "output_tokens": 1, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
START: Event = {"type": "message_start", "message": {**MESSAGE, "usage": {**USAGE, "service_tier": "standard"}}}
ENDED = {"stop_reason": "end_turn", "stop_sequence": None}
END: Event = {"type": "message_delta", "delta": {**ENDED, "container": None}, "usage": {**USAGE, "output_tokens": 9}}
STOP: Event = {"type": "message_stop"}


def block(*deltas: Event, index: Any = 0, **start: Any) -> list[Event]:
    return [
        {"type": "content_block_start", "index": index, "content_block": start or {"type": "text", "text": ""}},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def said(text: str) -> Event:
    return {"type": "text_delta", "text": text}


@pytest.fixture
async def server() -> AsyncIterator[Recorded]:
    async with recorded() as upstream:
        yield upstream


class Asker:
    """Asks the native adapter of one provider, whose upstream sends `parts`."""

    def __init__(self, server: Recorded, provider: str = "vertex_claude", others: Provider | None = None) -> None:
        self.server = server
        spec = SPEC[provider].model_copy(update={"auth": "bearer"})
        keys = {provider: SecretStr("recorded-key")}
        settings = ProviderSettings(vertex_project="p", endpoints={provider: server.base_url}, keys=keys)
        self.http, self.book, self.models = HttpClient(), SignatureBook(), spec.models
        self.provider = NativeProvider(spec, settings, self.http, others=others, signatures=self.book)

    async def ask(self, *parts: bytes, model: ModelInfo | None = None, betas: tuple[str, ...] = (), **body: Any) -> list[Event]:
        self.server.parts = list(parts)
        call = Call(
            model=model or self.models[0], body={"max_tokens": 100, "messages": [{"role": "user", "content": "q"}], **body}, betas=betas
        )
        try:
            return [event async for event in self.provider.stream(call)]
        finally:
            await self.http.aclose()

    async def fails(self, *parts: bytes, **body: Any) -> ProviderError:
        with pytest.raises(ProviderError) as caught:
            await self.ask(*parts, **body)
        return caught.value


def raw(events: list[Event]) -> bytes:
    return b"".join(event.raw for event in events if isinstance(event, Relayed))


@pytest.mark.parametrize("size", [1, 7, 64, 10_000])
async def test_the_bytes_of_the_answer_are_passed_on_as_they_came_however_they_are_cut(server: Recorded, size: int) -> None:
    odd: Event = {"type": "something_new", "index": 0, "future": [1, {"a": None}]}
    citation: Event = {"type": "citations_delta", "citation": {"type": "char_location", "cited_text": "x"}}
    tool = block({"type": "input_json_delta", "partial_json": '{"a": 1}'}, index=1, type="tool_use", id="toolu_1", name="f", input={})
    managed = {**END, "context_management": {"applied_edits": []}}
    newer: Event = {"type": "newer_delta", "future": 1}
    events = [START, *block(said("one "), citation, newer, said("\u4e16\u754c")), odd, *tool, managed, STOP]
    stream = sse(*events, named=True).replace(b'"index": 0, "delta"', b'"delta_order_kept":true,"index":   0,"delta"')
    parts = [stream[at : at + size] for at in range(0, len(stream), size)]
    got = await Asker(server).ask(b'event: ping\ndata: {"type": "ping"}\n\n', *parts, tools=[TOOL])
    assert raw(got) == stream and len(got) == len(events)


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
async def test_an_event_in_several_lines_or_with_other_line_ends_or_without_a_name_is_passed_on_in_one_form(
    server: Recorded, end: bytes
) -> None:
    stream = sse(START, *block(said("hi")), END, STOP)
    got = await Asker(server).ask(stream.replace(b"\n", end).replace(b', "message"', b"," + end + b'data: "message"'))
    assert len(got) == 6 and [json.loads(event.raw.split(b"data: ", 1)[1]) for event in got if isinstance(event, Relayed)] == got
    assert all(event.raw == b"event: " + event["type"].encode() + b"\n" + event.raw[event.raw.index(b"data:") :] for event in got)  # type: ignore[attr-defined]


@pytest.mark.parametrize("end", [b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 3, 50, 2_000])
def test_line_ends_and_events_may_be_cut_anywhere(end: bytes, size: int) -> None:
    stream = sse(START, *block(said("hi")), END, STOP, named=True) + b": a comment\n"
    sent, frames = stream.replace(b"\n", end), Frames("p", "m", ())
    got = [event for at in range(0, len(sent), size) for event in frames.feed(sent[at : at + size])]
    assert b"".join(event.raw for event in got) + b": a comment\n" == stream and list(frames.close()) == []


async def test_a_wrong_name_and_what_else_stands_around_the_data_are_left_out(server: Recorded) -> None:
    stream = sse(START, *block(said("hi")), END, STOP, named=True)
    odd = stream.replace(b"event: content", b": a comment\nid: 7\nevent: data: content").replace(b"event: message_stop", b"event: foo")
    assert raw(await Asker(server).ask(odd)) == stream


async def test_a_byte_order_mark_before_a_stream_is_no_part_of_it(server: Recorded) -> None:
    stream = sse(START, *block(said("hi")), END, STOP, named=True)
    assert raw(await Asker(server).ask(b"\xef\xbb\xbf" + stream)) == stream


async def test_a_stream_whose_last_blank_line_is_missing_is_whole(server: Recorded) -> None:
    stream = sse(START, *block(said("hi")), END, STOP, named=True)
    assert fold(await Asker(server).ask(b": a comment\n\n" + stream.removesuffix(b"\n\n"))).text == "hi"


@pytest.mark.parametrize(
    ("stream", "cause"),
    [
        (sse(START, *block(said("hi")), END), "truncated"),
        (sse(START, *block(said("hi"))) + b'data: {"type": "mess', "truncated"),
        (sse(START, *block(said("hi"))) + b"data: [1]\n\n", "malformed"),
        (sse(START, *block(said("hi"))) + b'data: {"error": {"type": "overloaded_error", "message": "busy"}}', "overloaded"),
        (sse(*block(said("hi")), END, STOP), "malformed"),
        (sse(START, START, *block(said("hi")), END, STOP), "malformed"),
        (sse(START, *block(said("hi"))[:2], END, STOP), "malformed"),
        (sse(START, *block(), END, STOP), "empty"),
        (b"data: [DONE]\n\n", "empty"),
        (b"data: {" + b" " * (17 * 1024 * 1024), "malformed"),
        (b'{"type": "message", "role": "assistant", "content": [], "stop_reason": "end_turn"}', "empty"),
        (b"<html>no</html>", "malformed"),
    ],
)
async def test_what_is_no_whole_answer_fails(server: Recorded, stream: bytes, cause: str) -> None:
    assert (await Asker(server).fails(stream)).cause == cause


async def test_a_whole_message_in_the_place_of_a_stream_is_an_answer(server: Recorded) -> None:
    blocks = [{"type": "thinking", "thinking": "t", "signature": "s"}, {"type": "text", "text": "hi"}]
    whole = json.dumps({**MESSAGE, "content": blocks, "stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 2}})
    asker = Asker(server)
    assert fold(await asker.ask(whole.encode())).blocks == tuple(blocks)
    assert asker.book.signer("s") == "vertex_claude"


TOOL = {"name": "f", "input_schema": {"type": "object"}}
HALF = block({"type": "input_json_delta", "partial_json": '{"a": "hal'}, type="tool_use", id="toolu_1", name="f", input={})


def usage_gone(event: Event) -> Event:
    return {**event, "message": MESSAGE} if "message" in event else {key: value for key, value in event.items() if key != "usage"}


@pytest.mark.parametrize(
    ("events", "wanted"),
    [
        ([START, *block(said("hi")), END, STOP, *block(said("more"), index=1), STOP], [START, *block(said("hi")), END, STOP]),
        ([START, *block(said("hi")), END, STOP, {"type": "error", "error": {"message": "late"}}], [START, *block(said("hi")), END, STOP]),
        ([START, *block(said("a"), index=5), *block(said("b"), index=9), END, STOP],
         [START, *block(said("a")), *block(said("b"), index=1), END, STOP]),
        ([START, *block(said("a"), said("b"), index="0"), END, STOP], [START, *block(said("a"), said("b")), END, STOP]),
        ([START, *block(said("a"), said("b"), index=[0]), END, STOP], [START, *block(said("a"), said("b")), END, STOP]),
        ([START, *block(said("a"), said("b"), index=False), END, STOP], [START, *block(said("a"), said("b")), END, STOP]),
        ([START, *block(), *block(said("b"), index=1), END, STOP], [START, *block(said("b")), END, STOP]),
        ([START, *block(said("a")), {**END, "delta": {"stop_reason": None}}, END, STOP], [START, *block(said("a")), END, STOP]),
        ([START, *block(said("a"), type="text", text="so "), END, STOP], [START, *block(said("so "), said("a")), END, STOP]),
        ([START, *block({"type": "newer_delta"}, said("a")), END, STOP], [START, *block(said("a")), END, STOP]),
        ([START, *block(said("a")), {"type": "new\nevent: foo"}, {"type": None}, END, STOP], [START, *block(said("a")), END, STOP]),
    ],
)  # fmt: skip
async def test_what_is_not_right_is_left_out_or_put_right(server: Recorded, events: list[Event], wanted: list[Event]) -> None:
    got = await Asker(server).ask(sse(*events, named=True))
    assert got == wanted
    assert all(json.loads(event.raw.split(b"data: ", 1)[1]) == event for event in got if isinstance(event, Relayed))


@pytest.mark.parametrize("index", [0, 3])
async def test_arguments_that_come_with_the_start_of_a_call_are_sent_as_a_delta_unless_there_are_others(
    server: Recorded, index: int
) -> None:
    start = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}}
    for deltas in ([], [{"type": "input_json_delta", "partial_json": '{"a": 1}'}]):
        got = await Asker(server).ask(sse(START, *block(*deltas, index=index, **start), END, STOP), tools=[TOOL])
        assert got[1]["content_block"]["input"] == {} and fold(got).blocks == (start,) and len(got) == 6


async def test_ids_of_calls_are_unlike_those_before_them_in_the_conversation(server: Recorded) -> None:
    def call(index: int, name: str) -> list[Event]:
        return block({"type": "input_json_delta", "partial_json": "{}"}, index=index, type="tool_use", id=name, name="f", input={})

    stream = sse(START, *call(0, "call_0"), *call(1, "call_0"), *call(2, "call.1"), END, STOP, named=True)
    turns: list[Any] = [{"role": "user", "content": "a"}]
    for _ in range(3):
        answer = fold(await Asker(server).ask(stream, messages=turns, tools=[TOOL]))
        results = [{"type": "tool_result", "tool_use_id": one["id"], "content": "r"} for one in answer.blocks]
        turns += [{"role": "assistant", "content": list(answer.blocks)}, {"role": "user", "content": results}]
    ids = [one["id"] for turn in turns[1::2] for one in turn["content"]]
    assert len(set(ids)) == 9 and ids[0] == "call_0" and ids[2] == "call_1" and raw(await Asker(server).ask(stream, tools=[TOOL])) != stream
    used = [{"type": "tool_use", "id": f"call_0{end}", "name": "f", "input": {}} for end in ("", "_2")]
    got = await Asker(server).ask(stream, messages=[turns[0], {"role": "assistant", "content": used}, turns[2]], tools=[TOOL])
    assert fold(got).blocks[0]["id"] == "call_0_3"
    own = sse(START, *call(0, "toolu_new"), END, STOP, named=True)
    assert raw(await Asker(server).ask(own, messages=turns, tools=[TOOL])) == own


@pytest.mark.parametrize("usage", [None, {}, {"input_tokens": -3}, {"input_tokens": None, "output_tokens": -9}])
async def test_an_answer_is_whole_without_its_figures_and_all_are_told(server: Recorded, usage: Any) -> None:
    start, end = usage_gone(START), usage_gone(END)
    if usage != {}:
        start, end = {**start, "message": {**start["message"], "usage": usage}}, {**end, "usage": usage}
    got = await Asker(server).ask(sse(start, *block(said("hi")), end, STOP))
    none = dict.fromkeys(USAGE, 0)
    assert (got[0]["message"]["usage"], got[-2]["usage"], fold(got).text) == (none, none, "hi")


async def test_nothing_leaves_of_an_answer_that_turns_out_to_be_empty(server: Recorded) -> None:
    asker, seen = Asker(server), list[Event]()
    server.parts = [sse(START, *block(), {"type": "something_new"}, END, STOP)]
    call = Call(model=asker.models[0], body={"max_tokens": 100, "messages": [{"role": "user", "content": "q"}]})
    with pytest.raises(ProviderError, match="empty"):
        async for event in asker.provider.stream(call):
            seen.append(event)
    assert seen == []
    await asker.http.aclose()


async def test_what_comes_before_any_content_is_bounded(server: Recorded) -> None:
    flood = sse(START) + b'data: {"type": "something_new"}\n\n' * 600_000
    assert "no content in" in (await Asker(server).fails(flood)).message


@pytest.mark.parametrize("relayed", [True, False])
async def test_others_have_their_turn_while_much_that_came_at_once_is_looked_at(relayed: bool) -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    class Reply:
        async def chunks(self) -> AsyncIterator[bytes]:
            yield b": comment\n\n" * 100_000 + b'data: {"a": 1}\n\n'

    running = asyncio.create_task(others())
    payloads = Payloads(Reply(), "p", "m")  # type: ignore[arg-type]
    seen = [turns async for _ in (payloads.chunks() if relayed else payloads)]
    running.cancel()
    assert seen[-1] > 20


async def test_an_answer_is_over_with_message_stop_whatever_the_connection_does_then(server: Recorded) -> None:
    stream = sse(START, *block(said("hi")), END, STOP, named=True)
    server.stays = True
    async with asyncio.timeout(5):
        assert raw(await Asker(server).ask(stream + b'data: {"error": {"message": "late"}}\n\ndata: {bro')) == stream
        assert raw(await Asker(server).ask(stream, b"data: {bro", b"ken}\n\n")) == stream


async def test_a_length_that_is_too_long_does_not_spoil_a_whole_answer(server: Recorded) -> None:
    stream = sse(START, *block(said("hi")), END, STOP, named=True)
    server.promised = len(stream) + 10
    assert raw(await Asker(server).ask(stream)) == stream
    assert (await Asker(server).fails(stream[:-60])).cause == "truncated"


async def test_a_tool_call_with_broken_arguments_is_never_closed(server: Recorded) -> None:
    """Claude Code runs a tool whose block was closed, whatever comes after."""
    asker, seen = Asker(server), list[Event]()
    server.parts = [sse(START, *HALF, {**END, "delta": {"stop_reason": "tool_use"}}, STOP)]
    body = {"max_tokens": 100, "messages": [{"role": "user", "content": "q"}], "tools": [TOOL]}
    with pytest.raises(ProviderError, match="no JSON object"):
        async for event in asker.provider.stream(Call(model=asker.models[0], body=body)):
            seen.append(event)
    assert [event["type"] for event in seen] == ["message_start", "content_block_start", "content_block_delta"]
    await asker.http.aclose()


async def test_a_tool_call_cut_by_the_limit_of_tokens_is_passed_on_as_it_is(server: Recorded) -> None:
    stream = sse(START, *HALF, {**END, "delta": {**ENDED, "stop_reason": "max_tokens"}}, STOP, named=True)
    assert raw(await Asker(server).ask(stream, tools=[TOOL])) == stream


async def test_another_block_after_a_broken_tool_call_is_an_error(server: Recorded) -> None:
    later = block(said("more"), index=1)
    assert (await Asker(server).fails(sse(START, *HALF, *later, END, STOP), tools=[TOOL])).cause == "malformed"


async def test_odd_deltas_take_the_long_way_and_are_refused(server: Recorded) -> None:
    for delta in ("no object", {"type": "text_delta", "text": 5}, {"type": "thinking_delta", "thinking": "x"}):
        events = block(said("a"), delta)  # type: ignore[arg-type]
        assert (await Asker(server).fails(sse(START, *events, END, STOP))).cause == "malformed"


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
