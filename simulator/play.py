"""Plays an answer, or a fault in its place, on one connection."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, TypeVar

import orjson
from aiohttp import web

from .asked import Asked
from .exchange import Exchange, abort, finish, forever, open_stream, send, send_json
from .faults import Fault
from .refusals import Refusal, default_message, error_body
from .rules import Answer
from .wire_anthropic import Piece
from .wires import Wire

Number = TypeVar("Number", int, float)

_HTML = "<!DOCTYPE html><html><head><title>Simulated gateway</title></head><body>Simulated: a page in place of an answer</body></html>"
_BROKEN_JSON = b'\n{"simulated": "broken", \x00 ]'


# --- faults any request can meet ------------------------------------------------------------------------------------------------------


async def play_early(x: Exchange, fault: Fault) -> web.StreamResponse:
    """A fault that needs no valid request."""
    match fault.kind:
        case "status":
            return await _status(x, fault)
        case "refuse":
            abort(x, reset=True)
            await forever()
        case "hang_before_headers":
            await forever()
        case "hang_after_headers":
            await open_stream(x)
            await forever()
        case "html_200":
            return await send(x, 200, str(fault.body or _HTML).encode(), "text/html; charset=utf-8", fault.headers)
        case "empty":
            return await send(x, 200, b"", x.content_type, fault.headers)
        case _:
            return await send_json(x, 200, _error_of(x, fault), fault.headers)


async def _status(x: Exchange, fault: Fault) -> web.StreamResponse:
    if fault.body is None or not isinstance(fault.body, str):
        body = orjson.dumps(fault.body) if fault.body is not None else orjson.dumps(_error_of(x, fault))
        return await send(x, fault.status, body, x.json_content_type, fault.headers)
    content_type = "text/html; charset=utf-8" if fault.body.lstrip().startswith("<") else "text/plain; charset=utf-8"
    return await send(x, fault.status, fault.body.encode(), content_type, fault.headers)


def _error_of(x: Exchange, fault: Fault) -> Any:
    if fault.body is not None:
        return fault.body
    refusal = Refusal(fault.status, fault.message or default_message(x.provider, fault.status))
    return error_body(x.provider, refusal, messages_route=x.messages_route, stream=x.stream)


# --- answers, and the faults that spoil them ------------------------------------------------------------------------------------------


async def _end(x: Exchange, response: web.StreamResponse, fault: Fault) -> web.StreamResponse:
    """Ends too early: properly when the fault is clean, else by breaking the connection."""
    if fault.clean:
        x.finished()
        await response.write_eof()
        return response
    abort(x, reset=fault.reset)
    await forever()


async def answer_with(x: Exchange, wire: Wire, asked: Asked, answer: Answer, fault: Fault | None, ids: str) -> web.StreamResponse:
    """The answer, as a stream or whole, spoilt by the fault if there is one."""
    if fault is not None:
        answer = _spoil(answer, fault)
    if not asked.stream and (fault is None or fault.kind in ("empty_choices", "no_finish")):
        if answer.delay_s:
            await asyncio.sleep(answer.delay_s)
        return await send_json(x, 200, wire.body(answer, asked, ids))
    pieces = wire.pieces(answer, asked, ids) if asked.stream else _halves(orjson.dumps(wire.body(answer, asked, ids)))
    if fault is None or fault.kind in ("empty_choices", "no_finish"):
        return await _stream(x, pieces, answer)
    return await play_late(x, wire, asked, pieces, fault)


def _spoil(answer: Answer, fault: Fault) -> Answer:
    if fault.kind == "empty_choices":
        return replace(answer, bare=True)
    if fault.kind == "no_finish":
        return replace(answer, endless=True)
    return replace(answer, chunks=max(answer.chunks, (fault.n or 0) + 2))


def _halves(body: bytes) -> list[Piece]:
    middle = len(body) // 2
    return [Piece(body[:middle], True), Piece(body[middle:], True)]


async def send_body(x: Exchange, body: Any, fault: Fault | None) -> web.StreamResponse:
    """A JSON answer that is no model's (a catalogue, a token), spoilt by the fault if there is one."""
    if fault is None:
        return await send_json(x, 200, body)
    if fault.kind in ("empty_choices", "no_finish"):
        return await send_json(x, 200, [] if isinstance(body, list) else {"data": []})
    return await play_late(x, None, None, _halves(orjson.dumps(body)), fault)


async def _stream(x: Exchange, pieces: list[Piece], answer: Answer) -> web.StreamResponse:
    response = await open_stream(x)
    if not answer.delay_s and not answer.chunk_delay_s:
        await response.write(b"".join([piece.data for piece in pieces]))
        return await _close(x, response)
    before = _preamble(pieces)
    await response.write(b"".join([piece.data for piece in pieces[:before]]))
    await asyncio.sleep(answer.delay_s)
    for index, piece in enumerate(pieces[before:]):
        if piece.content and index and answer.chunk_delay_s:
            await asyncio.sleep(answer.chunk_delay_s)
        await response.write(piece.data)
    return await _close(x, response)


async def _close(x: Exchange, response: web.StreamResponse) -> web.StreamResponse:
    finish(x)
    await response.write_eof()
    return response


def _preamble(pieces: list[Piece]) -> int:
    """How many pieces come before the first content."""
    return next((index for index, piece in enumerate(pieces) if piece.content), len(pieces))


def _after(pieces: list[Piece], deltas: int) -> int:
    """How many pieces there are up to and including the n-th content delta."""
    if deltas == 0:
        return _preamble(pieces)
    seen = 0
    for index, piece in enumerate(pieces):
        seen += piece.content
        if seen == deltas:
            return index + 1
    return len(pieces)


async def play_late(x: Exchange, wire: Wire | None, asked: Asked | None, pieces: list[Piece], fault: Fault) -> web.StreamResponse:
    """A fault in the middle of an answer."""
    streaming = wire is not None and asked is not None and asked.stream
    response = await open_stream(x)
    match fault.kind:
        case "drip":
            return await _drip(x, response, pieces, fault)
        case "cut_before_content":
            await response.write(_join(pieces[: _preamble(pieces)]))
            return await _end(x, response, fault)
        case "cut_after_content":
            await response.write(_join(pieces[: _after(pieces, _default(fault.n, 1))]))
            return await _end(x, response, fault)
        case "malformed_event":
            at = _after(pieces, _default(fault.n, 1))
            broken = wire.malformed if streaming and wire else _BROKEN_JSON
            await response.write(_join(pieces[:at]) + broken + _join(pieces[at:]))
        case "error_event":
            return await _error_event(x, response, wire if streaming else None, asked, pieces, fault)
        case "truncated_json":
            at = _after(pieces, 1)
            data = _join(pieces[:at])
            await response.write(data[: len(data) - len(pieces[at - 1].data) // 2])
        case _:
            await _pings(response, wire.ping if streaming and wire else b" ", _default(fault.seconds, 1.0))
    x.finished()
    await response.write_eof()
    return response


def _join(pieces: list[Piece]) -> bytes:
    return b"".join([piece.data for piece in pieces])


def _default(value: Number | None, default: Number) -> Number:
    return default if value is None else value


async def _drip(x: Exchange, response: web.StreamResponse, pieces: list[Piece], fault: Fault) -> web.StreamResponse:
    pause = _default(fault.seconds, 0.05)
    parts = [piece.data for piece in pieces]
    if fault.by == "byte":
        parts = [bytes((byte,)) for byte in b"".join(parts)]
    for part in parts:
        await response.write(part)
        await asyncio.sleep(pause)
    return await _close(x, response)


async def _error_event(
    x: Exchange, response: web.StreamResponse, wire: Wire | None, asked: Asked | None, pieces: list[Piece], fault: Fault
) -> web.StreamResponse:
    """An error under 200: as an event after n deltas of a stream, else as the whole body."""
    error = _error_of(x, fault)
    if wire is None or asked is None:
        await response.write(orjson.dumps(error))
    else:
        if x.provider == "vertex_claude" and fault.body is None:
            refusal = Refusal(fault.status, fault.message or default_message(x.provider, fault.status), google=False)
            error = error_body(x.provider, refusal)
        await response.write(_join(pieces[: _after(pieces, _default(fault.n, 0))]) + wire.error_event(asked, error))
    x.finished()
    await response.write_eof()
    return response


async def _pings(response: web.StreamResponse, ping: bytes, pause: float) -> None:
    """Pings until the client has had enough."""
    while True:
        await response.write(ping)
        await asyncio.sleep(pause)
