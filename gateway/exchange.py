"""One HTTP request and its answer, as a shim sees them: a body in; JSON, events or an error out."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from starlette.types import Receive, Scope, Send

from conversation.errors import InvalidInput, ParleyError
from conversation.json_text import written
from conversation.messages import Event
from gateway.errors import Shaped, shaped
from gateway.sse import encoded

Headers = Sequence[tuple[bytes, bytes]]
_UNWATCHED_SECONDS = 0.05


def new_request_id() -> str:
    """Return an id by which a request and its answer are named."""
    return f"req_{random.getrandbits(128):032x}"


class Exchange:
    """Reads one request and writes its answer. `scrub` takes secrets out of messages of errors."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, scrub: Callable[[str], str]) -> None:
        self._headers: Headers = scope["headers"]
        self._receive, self._send, self._scrub = receive, send, scrub
        self._id = new_request_id()
        self._begun = False
        self.is_over = False
        """Whether the last byte of the answer was handed over, so that a client that leaves breaks nothing off."""

    def header(self, name: bytes) -> str:
        """Return a header of the request, the values of several of one name joined by commas; empty when there is none."""
        return ",".join(value.decode("latin-1") for key, value in self._headers if key == name)

    async def body(self) -> bytes:
        """Return the body. Raises InvalidInput when the client left before it was whole."""
        parts: list[bytes] = []
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise InvalidInput("the client left before its request was whole.")
            parts.append(message.get("body", b""))
            more = message.get("more_body", False)
        return b"".join(parts)

    async def gone(self) -> None:
        """Wait until the client has left. To be called once the body was read."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def json(self, status: int, body: Mapping[str, Any], headers: Headers = ()) -> None:
        """Answer with a JSON body."""
        content = written(body)
        fixed = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        await self._send({"type": "http.response.start", "status": status, "headers": [*fixed, *self._marks(), *headers]})
        await self.end(content)

    async def start(self, headers: Headers = ()) -> None:
        """Begin an event stream, if it has not begun."""
        if not self._begun:
            self._begun = True
            fixed = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
            await self._send({"type": "http.response.start", "status": 200, "headers": [*fixed, *self._marks(), *headers]})

    async def events(self, content: bytes) -> None:
        """Send the bytes of events."""
        await self.start()
        await self._send({"type": "http.response.body", "body": content, "more_body": True})

    async def event(self, event: Event) -> None:
        """Send one event."""
        await self.events(encoded(event))

    async def end(self, content: bytes = b"") -> None:
        """Send the last bytes; the client may go."""
        self.is_over = True
        await self._send({"type": "http.response.body", "body": content})

    async def failed(self, error: ParleyError) -> None:
        """Tell the client of an error: as an answer, or as the last event of one that has begun."""
        given = shaped(error)
        given = Shaped(given.status, given.kind, self._scrub(given.message), given.headers)
        if self._begun:
            await self.event(given.body(self._id))
            await self.end()
        else:
            await self.refuse(given)

    async def refuse(self, given: Shaped) -> None:
        """Answer with an error."""
        await self.json(given.status, given.body(self._id), given.headers)

    def _marks(self) -> Headers:
        return [(b"request-id", self._id.encode())]


class Leaving:
    """Cancels an answer when its client leaves. It begins to look after a moment, since many answers are over by then."""

    def __init__(self, exchange: Exchange, answering: asyncio.Task[Any] | None) -> None:
        self._exchange, self._answering = exchange, answering
        self._looking: asyncio.Task[None] | None = None
        self._begins = asyncio.get_running_loop().call_later(_UNWATCHED_SECONDS, self._begin)
        self.happened = False

    def _begin(self) -> None:
        self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        await self._exchange.gone()
        self.happened = True
        if self._answering is not None and not self._exchange.is_over:
            self._answering.cancel()

    def forget(self) -> None:
        """Stop looking."""
        self._begins.cancel()
        if self._looking is not None:
            self._looking.cancel()
