"""What a client is sent while a living upstream is silent: pings, and an empty delta inside an open block of text."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from typing import Any

import pytest
from starlette.types import Message

from conversation.messages import Event
from gateway.routing import Asked
from gateway.shim import Shim
from gateway.sse import encoded
from memory.health import HealthRecord
from providers.base import Call, ModelInfo
from providers.causes import failure
from providers.chain import Chain
from tests.gateway.client import Client, Got, check_grammar
from tests.gateway.running import SHIMS
from tests.providers.played import Upstream, answer
from tests.waiting import a_while

MODEL = ModelInfo(provider="p", id="m")
EVERY = 0.1
FILLINGS = 2
"""So many are waited for: an upstream here is silent until its client was sent them, however long that takes."""
TOOL: list[Event] = [
    {"type": "message_start", "message": {"usage": {"input_tokens": 10}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 5}},
    {"type": "message_stop"},
]
EMPTY: Event = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": ""}}
FILLED = encoded(EMPTY)
PING: Event = {"type": "ping"}


class Only:
    """Routes that lead to one model."""

    remembers = False

    def of(self, asked: Asked) -> Sequence[ModelInfo]:
        return (MODEL,)

    def answered(self, conversation: str, asked: Asked, model: ModelInfo) -> None: ...


def silent_before(events: list[Event], at: int, enough: asyncio.Event, *, pings: bool = False) -> Upstream:
    """An upstream that says nothing, or nothing but pings, before one of its events."""

    async def play(_: Call) -> AsyncGenerator[Event, None]:
        for index, event in enumerate(events):
            while index == at and not enough.is_set():
                with suppress(TimeoutError):
                    await asyncio.wait_for(enough.wait(), EVERY / 10 if pings else None)
                if pings:
                    yield PING
            yield event

    return Upstream("p", play)


async def asked(upstream: Upstream, enough: asyncio.Event, *, stream: bool = True) -> Got:
    """Ask a shim over the upstream, and return what came back."""
    shim = Shim("p", Chain(lambda _: upstream, HealthRecord()), Only(), list, lambda: None, str, keep_alive=EVERY)
    body = {"model": "claude-sonnet-4-5", "max_tokens": 9, "stream": stream, "messages": [{"role": "user", "content": "q"}]}
    sent: list[Message] = []
    to_come: list[Message] = [{"type": "http.request", "body": json.dumps(body).encode()}]

    async def receive() -> Message:
        if not to_come:
            await asyncio.Event().wait()
        return to_come.pop()

    async def send(message: Message) -> None:
        sent.append(message)
        if sum(message.get("body", b"").startswith((b"event: ping", FILLED)) for message in sent) >= FILLINGS:
            enough.set()

    await shim({"type": "http", "method": "POST", "path": "/v1/messages", "headers": []}, receive, send)
    headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Got(sent[0]["status"], headers, b"".join(message.get("body", b"") for message in sent))


@pytest.mark.parametrize("pings", [False, True])
@pytest.mark.parametrize(
    ("events", "at", "filling"),
    [
        (answer("hello"), 0, PING),
        (answer("hello"), 2, PING),  # an empty block is not content yet: it may still fail over
        (answer("hello"), 3, EMPTY),
        (answer("hello"), 4, PING),
        (answer("hello"), 5, PING),
        (TOOL, 1, PING),
        (TOOL, 2, PING),
        (TOOL, 3, PING),
    ],
)
async def test_silence_is_filled_with_what_fits_in_its_place(events: list[Event], at: int, filling: Event, pings: bool) -> None:
    enough = asyncio.Event()
    got = await asked(silent_before(events, at, enough, pings=pings), enough)
    filled = [event for event in got.events if event in (PING, EMPTY)]
    assert len(filled) >= FILLINGS and all(event == filling for event in filled)
    assert got.answer.text == ("" if events is TOOL else "hello")
    check_grammar(got.events)


async def test_an_upstream_that_fails_after_pings_is_told_as_an_event() -> None:
    enough = asyncio.Event()

    async def play(call: Call) -> AsyncGenerator[Event, None]:
        await enough.wait()
        raise failure("overloaded", "busy", provider="p", model="m", status=529)
        yield PING

    got = await asked(Upstream("p", play), enough)
    *before, last = got.events
    assert got.status == 200 and len(before) >= FILLINGS and all(event == PING for event in before)
    assert last["type"] == "error" and last["error"]["type"] == "overloaded_error"


async def test_a_whole_answer_waits_in_silence() -> None:
    async def play(call: Call) -> AsyncGenerator[Event, None]:
        await a_while(2.5 * EVERY)
        for event in answer("hello"):
            yield event

    got = await asked(Upstream("p", play), asyncio.Event(), stream=False)
    assert got.body["content"] == [{"type": "text", "text": "hello"}] and got.headers["content-type"] == "application/json"


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_whose_head_and_end_are_of_odd_shapes_is_passed_on_all_the_same(stream: bool) -> None:
    events = answer("hello")
    odd = [{"type": "message_start", "message": None}, *events[1:4], {"type": "message_delta", "delta": 5, "usage": None}, events[5]]
    enough = asyncio.Event()
    got = await asked(silent_before(odd, 9, enough), enough, stream=stream)
    assert got.status == 200 and (stream or (got.body["content"], got.body["usage"]) == ([{"type": "text", "text": "hello"}], {}))


async def test_every_shim_pings_after_ten_seconds_and_begins_with_content_all_the_same(client: Client) -> None:
    client.sim.rule("*", "late", delay_s=10.4)

    async def one(shim: str) -> list[Any]:
        return [event["type"] for event in (await client.ask(shim, stream=True)).events]

    for kinds in await asyncio.gather(*map(one, SHIMS)):
        assert kinds[:2] == ["ping", "message_start"] and kinds[-1] == "message_stop"
