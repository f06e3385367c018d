"""Answers that the native adapter relays: the bytes as they came, what is put right, and what is refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from conversation.errors import ProviderError
from conversation.messages import Event, fold
from providers._payloads import Payloads
from providers._relay import Frames
from providers.base import Call, Relayed
from tests.providers.asking_native import END, ENDED, MESSAGE, START, STOP, TOOL, USAGE, Asker, block, raw, said
from tests.providers.recorded import Recorded, sse


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
