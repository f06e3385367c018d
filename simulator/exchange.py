"""One request being answered: whole answers, streams, and connections broken on purpose."""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import orjson
from aiohttp import web

from .faults import Fault
from .log import LogEntry
from .refusals import Refusal, error_body

LABEL = {"x-parley-simulated": "1"}
_RST = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class Exchange:
    """One request being answered."""

    request: web.Request
    entry: LogEntry
    provider: str
    finished: Callable[[], None]
    """Called once, when the last byte is about to go out."""
    stream: bool = False
    content_type: str = "application/json"
    messages_route: bool = False
    body: Any = None
    """The parsed JSON; None when there was none or it was broken."""
    early: Fault | None = None
    """The fault met before the checks, if any."""
    cut: bool = False
    """True when this side broke the connection."""

    @property
    def json_content_type(self) -> str:
        """The type of an answer that is no stream."""
        return "application/json" if self.messages_route or not self.provider.startswith("vertex") else "application/json; charset=UTF-8"


async def forever() -> NoReturn:
    """Waits until the connection is lost, which cancels the handler."""
    await asyncio.get_running_loop().create_future()
    raise AssertionError("nobody sets this future")


async def send(x: Exchange, status: int, body: bytes, content_type: str, headers: dict[str, str] | None = None) -> web.StreamResponse:
    """One whole answer, with its length."""
    response = web.Response(status=status, body=body, headers={"content-type": content_type, **LABEL, **(headers or {})})
    x.entry["status"] = status
    await response.prepare(x.request)
    finish(x)
    await response.write_eof()
    return response


async def send_json(x: Exchange, status: int, body: Any, headers: dict[str, str] | None = None) -> web.StreamResponse:
    """One whole JSON answer."""
    return await send(x, status, orjson.dumps(body), x.json_content_type, headers)


async def refuse(x: Exchange, refusal: Refusal) -> web.StreamResponse:
    """The request is refused, in the provider's own shape."""
    x.entry["error"] = refusal.message
    body = error_body(x.provider, refusal, messages_route=x.messages_route, stream=x.stream)
    return await send_json(x, refusal.status, body)


def finish(x: Exchange) -> None:
    x.entry["answered"] = True
    x.entry["answered_at"] = time.monotonic()
    x.finished()


def abort(x: Exchange, *, reset: bool) -> None:
    x.cut = True
    transport = x.request.transport
    if transport is None:
        return
    raw = transport.get_extra_info("socket")
    if reset and raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
    transport.abort()


async def open_stream(x: Exchange, status: int = 200) -> web.StreamResponse:
    """Headers of an answer whose length is not known yet."""
    response = web.StreamResponse(status=status, headers={"content-type": x.content_type, "cache-control": "no-cache", **LABEL})
    x.entry["status"] = status
    await response.prepare(x.request)
    return response
