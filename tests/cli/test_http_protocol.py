"""Clients that do not get on, over real sockets: slow heads, slow bodies, endless heads, and those that stop reading."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from cli._http_protocol import BoundedProtocol, GatheringTransport
from tests.waiting import a_while

PATIENCE = 10.0
WHOLE = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nok"


class Quick(BoundedProtocol):
    """The same, with little time."""

    head_seconds = body_seconds = stalled_seconds = 0.2


class App:
    """Reads the body and answers with so many bytes; notes what it was told of the client."""

    def __init__(self, size: int = 2) -> None:
        self.size, self.left = size, asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        while (message := await receive()).get("more_body"):
            pass
        if message["type"] == "http.disconnect":
            self.left.set()
            return
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % self.size)]})
        for _ in range(self.size // 1_000_000):
            await send({"type": "http.response.body", "body": b"x" * 1_000_000, "more_body": True})
        await send({"type": "http.response.body", "body": b"x" * (self.size % 1_000_000)})
        if (await receive())["type"] == "http.disconnect":
            self.left.set()


@asynccontextmanager
async def connected(app: App, protocol: type[BoundedProtocol]) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    config, state = uvicorn.Config(app, log_config=None, lifespan="off"), ServerState()
    server = await asyncio.get_running_loop().create_server(lambda: protocol(config, state, {}), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2], limit=1_000)
    try:
        async with asyncio.timeout(PATIENCE):
            yield reader, writer
    finally:
        writer.close()
        server.close()


async def rest(reader: asyncio.StreamReader) -> bytes:
    """What comes until the connection is closed, however that is."""
    try:
        return await reader.read()
    except ConnectionResetError:
        return b"reset"


@pytest.mark.parametrize("sent", [b"", b"POST / HT", WHOLE[:30], WHOLE[:-1], WHOLE + WHOLE[:30]], ids=repr)
async def test_a_request_that_does_not_come_to_its_end_is_given_up(sent: bytes) -> None:
    async with connected(App(), Quick) as (reader, writer):
        writer.write(sent)
        assert (b"200 OK" in await rest(reader)) == sent.startswith(WHOLE)


async def test_an_application_is_told_that_a_slow_client_has_left() -> None:
    app = App()
    async with connected(app, Quick) as (_, writer):
        writer.write(WHOLE[:-1])
        await app.left.wait()


async def test_a_connection_in_use_is_left_alone() -> None:
    async with connected(App(), Quick) as (reader, writer):
        for _ in range(30):
            writer.write(WHOLE)
            await reader.readuntil(b"xx")
            await a_while(0.02)


@pytest.mark.parametrize(("begin", "more"), [(b"GET /", b"x"), (b"GET / HTTP/1.1\r\n", b"a: b\r\n"), (b"GET / HTTP/1.1\r\na: ", b"b")])
async def test_a_head_without_end_is_refused(begin: bytes, more: bytes) -> None:
    async with connected(App(), BoundedProtocol) as (reader, writer):
        writer.write(begin)
        answer = asyncio.ensure_future(reader.readline())
        sent = 0
        while not answer.done():
            writer.write(more * 100)
            sent += len(more * 100)
            await a_while(0.001)
        assert (await answer).startswith(b"HTTP/1.1 431 ") and sent >= BoundedProtocol.most_head_bytes


async def test_a_client_that_does_not_read_its_answer_is_given_up() -> None:
    app = App(50_000_000)
    async with connected(app, Quick) as (_, writer):
        writer.write(WHOLE)
        await app.left.wait()


async def test_a_request_before_its_turn_is_left_to_be_asked_again() -> None:
    async with connected(App(), BoundedProtocol) as (reader, writer):
        writer.write(WHOLE * 2)
        assert (await rest(reader)).count(b"200 OK") == 1


async def test_a_client_that_leaves_is_noticed_whatever_else_it_sent() -> None:
    app = App(50_000_000)
    async with connected(app, BoundedProtocol) as (reader, writer):
        writer.write(WHOLE + WHOLE)
        await reader.read(1)
        writer.close()
        await app.left.wait()


async def test_one_that_reads_slowly_gets_all_of_it() -> None:
    async with connected(App(20_000_000), Quick) as (reader, writer):
        writer.write(WHOLE)
        got = 0
        await reader.readuntil(b"\r\n\r\n")
        while got < 20_000_000:
            got += len(await reader.read(500_000))
            await a_while(0.005)


class Wire(asyncio.Transport):
    """Where a gathering transport writes; notes each call."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.calls: list[Any] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.calls.append(bytes(data))

    def close(self) -> None:
        self.calls.append("close")

    def abort(self) -> None:
        self.calls.append("abort")


async def test_what_is_written_in_one_turn_is_sent_at_once() -> None:
    wire = Wire()
    gathering = GatheringTransport(wire, asyncio.get_running_loop())
    gathering.write(b"head")
    gathering.write(b"body")
    assert wire.calls == []
    await asyncio.sleep(0)
    gathering.write(b"end")
    await asyncio.sleep(0)
    assert wire.calls == [b"headbody", b"end"]


async def test_much_is_sent_without_waiting_and_an_end_takes_what_is_left_with_it() -> None:
    wire = Wire()
    gathering = GatheringTransport(wire, asyncio.get_running_loop())
    gathering.write(b"x" * 100_000)
    assert wire.calls == [b"x" * 100_000]
    gathering.write(b"last")
    gathering.close()
    assert wire.calls[1:] == [b"last", "close"]
    gathering.write(b"lost")
    gathering.abort()
    await asyncio.sleep(0)
    assert wire.calls[3:] == ["abort"] and gathering.get_extra_info("peername") == ("127.0.0.1", 1)
