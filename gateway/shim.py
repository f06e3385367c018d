"""A shim: one port that speaks Anthropic's Messages API, pinned to a provider, or the router over the chain.

    HEAD /    POST /v1/messages    POST /v1/messages/count_tokens    GET /v1/models    GET /health    GET /ready

Nothing in a request chooses an address, a key or a header for the upstream. The answer's `model` echoes the one asked for, since
Claude Code drops signed thinking whose model is another; who really answered is in the headers.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, cast

import orjson
from starlette.types import ASGIApp, Receive, Scope, Send

from conversation.errors import InternalError, InvalidInput, ParleyError
from conversation.messages import Event, Fold
from gateway.counting import count
from gateway.errors import Shaped, refusal, shaped
from gateway.requests import parsed_body
from gateway.sse import KEEP_ALIVE_SECONDS, PING, KeepAlive, encoded
from providers.base import ModelInfo
from providers.chain import Chain, Prepare, Streaming

log = logging.getLogger(__name__)

Route = Callable[[str], Sequence[ModelInfo]]
"""(the model asked for) -> the models to ask in order; an unknown name gets the shim's default."""

MAX_BODY_BYTES = 32 * 1024 * 1024
"""What Anthropic's API takes, and what Claude Code names when it is told 413."""


@dataclass(frozen=True, slots=True)
class Shim:
    """One shim as an ASGI application. `name` is the provider's, or "router"; `problem` says why it is not ready, None when it is."""

    name: str
    chain: Chain
    routes: Route
    models: Callable[[], Sequence[ModelInfo]]
    problem: Callable[[], str | None]
    scrub: Callable[[str], str]
    pinned: bool = False
    """Always tries its provider, whatever its breaker says, so that the client sees what the provider says."""
    mcp: ASGIApp | None = None
    status: Callable[[], Mapping[str, Any]] | None = None
    keep_alive: float = KEEP_ALIVE_SECONDS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "lifespan":
            await _lifespan(self.mcp, scope, receive, send)
            return
        path = _session_free(scope["path"])
        if path == "/mcp" and self.mcp is not None:
            await self.mcp({**scope, "path": "/mcp"}, receive, send)
            return
        exchange = _Exchange(self, receive, send, _betas(scope))
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        handler = _PATHS.get((method, path))
        if handler is None:
            known = any(path == other for _, other in _PATHS)
            kind, status = ("invalid_request_error", 405) if known else ("not_found_error", 404)
            await exchange.error(refusal(status, kind, f"there is no {scope['method']} {path[:100]} here"))
            return
        await getattr(exchange, handler)()


_PATHS: Mapping[tuple[str, str], str] = {
    ("GET", "/"): "hello",
    ("GET", "/health"): "health",
    ("GET", "/ready"): "ready",
    ("GET", "/status"): "told",
    ("GET", "/v1/models"): "listed",
    ("POST", "/v1/messages"): "messages",
    ("POST", "/v1/messages/count_tokens"): "counted",
}


def _session_free(path: str) -> str:
    """Return the path without /s/<session> before it, and without a slash at its end."""
    parts = path.split("/")
    if len(parts) > 2 and parts[1] == "s" and parts[2]:
        path = "/" + "/".join(parts[3:])
    return path.rstrip("/") or "/"


def _betas(scope: Scope) -> tuple[str, ...]:
    given = [value.decode("latin-1") for name, value in scope["headers"] if name == b"anthropic-beta"]
    return tuple(one.strip() for value in given for one in value.split(",") if one.strip())


async def _lifespan(mcp: ASGIApp | None, scope: Scope, receive: Receive, send: Send) -> None:
    if mcp is not None:
        await mcp(scope, receive, send)
        return
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


class _Exchange:
    """One request and its answer."""

    def __init__(self, shim: Shim, receive: Receive, send: Send, betas: tuple[str, ...]) -> None:
        self._shim, self._receive, self._send, self._betas = shim, receive, send, betas
        self._id = f"req_{uuid.uuid4().hex}"
        self._begun = self._over = False

    # --- the small routes ------------------------------------------------------------------------------------------

    async def hello(self) -> None:
        await self._json(200, {"shim": self._shim.name})

    async def health(self) -> None:
        await self._json(200, {"status": "ok", "shim": self._shim.name, "server": "parley"})

    async def ready(self) -> None:
        problem = self._shim.problem()
        body = {"ready": problem is None, "shim": self._shim.name, **({"reason": problem} if problem else {})}
        await self._json(200 if problem is None else 503, body)

    async def told(self) -> None:
        if self._shim.status is None:
            await self.error(refusal(404, "not_found_error", "the router tells the status"))
            return
        await self._json(200, self._shim.status())

    async def listed(self) -> None:
        made = "1970-01-01T00:00:00Z"  # when is not known
        rows = [{"type": "model", "id": one.id, "display_name": one.name, "created_at": made} for one in self._shim.models()]
        first, last = (rows[0]["id"], rows[-1]["id"]) if rows else (None, None)
        await self._json(200, {"data": rows, "has_more": False, "first_id": first, "last_id": last})

    async def counted(self) -> None:
        try:
            body = await self._body(counting=True)
        except ParleyError as error:
            await self._failed(error)
            return
        routes = self._shim.routes(str(body.get("model") or ""))
        told = await self._shim.chain.count(routes[0], self._prepare(body)) if routes else None
        await self._json(200, {"input_tokens": await asyncio.to_thread(count, body) if told is None else told})

    # --- messages --------------------------------------------------------------------------------------------------

    async def messages(self) -> None:
        """Answer POST /v1/messages, streamed or whole; a client that leaves closes the upstream."""
        try:
            body = await self._body()
        except ParleyError as error:
            await self._failed(error)
            return
        answering = asyncio.current_task()
        leaving = asyncio.ensure_future(self._gone(answering))
        try:
            await self._answer(body)
        except asyncio.CancelledError:
            if not leaving.done() or leaving.cancelled():
                raise  # it is the server that stops
        finally:
            leaving.cancel()

    async def _gone(self, answering: asyncio.Task[Any] | None) -> None:
        """Cancel the answer when the client leaves."""
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if answering is not None and not self._over:
            answering.cancel()

    async def _answer(self, body: Mapping[str, Any]) -> None:
        try:
            await (self._streamed(body) if body.get("stream") else self._whole(body))
        except ParleyError as error:
            await self._failed(error)
        except Exception as error:  # the boundary to the client, which is told that it is a defect
            log.error("%s failed: %s", self._shim.name, type(error).__name__)
            await self._failed(InternalError(f"the gateway failed unexpectedly ({type(error).__name__})."))

    async def _whole(self, body: Mapping[str, Any]) -> None:
        async with self._asked(body) as answer:
            await answer.begins()
            message: dict[str, Any] = {}
            folding = Fold()
            async for batch in answer.batches():
                for event in batch:
                    folding.add(event)
                    if event["type"] == "message_start":
                        message = dict(event["message"])
                    elif event["type"] == "message_delta":
                        message.update(event["delta"])
                        message["usage"] = {**message.get("usage", {}), **event["usage"]}
            message.update(model=str(body.get("model")), content=list(folding.answer().blocks))
            await self._json(200, _without_cost(message), self._who(answer))

    async def _streamed(self, body: Mapping[str, Any]) -> None:
        model, quiet, every = str(body.get("model")), KeepAlive(), self._shim.keep_alive
        async with self._asked(body) as answer:
            while not await answer.begins(every):
                await self._event(PING)
            await self._start(self._who(answer))
            async for batch in answer.batches(every):
                quiet.saw(batch)
                await self._events(b"".join(encoded(_for_client(event, model)) for event in batch or (quiet.event(),)))
            await self._end(b"")

    def _asked(self, body: Mapping[str, Any]) -> AbstractAsyncContextManager[Streaming]:
        routes = self._shim.routes(str(body.get("model") or ""))
        return self._shim.chain.stream(routes, self._prepare(body), always=self._shim.pinned)

    def _prepare(self, body: Mapping[str, Any]) -> Prepare:
        """Return what gives each model the client's body."""
        asked = {**{key: value for key, value in body.items() if key not in ("model", "stream")}, "betas": self._betas}

        async def prepare(_: ModelInfo) -> Mapping[str, Any]:
            return asked

        return prepare

    def _who(self, answer: Streaming) -> list[tuple[bytes, bytes]]:
        return [
            (b"x-parley-provider", answer.model.provider.encode()),
            (b"x-parley-model", answer.model.id.encode("ascii", "replace")),
            (b"x-parley-attempts", str(len(answer.attempts) + 1).encode()),
        ]

    # --- in and out ------------------------------------------------------------------------------------------------

    async def _body(self, *, counting: bool = False) -> dict[str, Any]:
        """Return the request's JSON object. Raises InvalidInput for what is no Messages request."""
        parts: list[bytes] = []
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise InvalidInput("the client left before its request was whole.")
            parts.append(message.get("body", b""))
            more = message.get("more_body", False)
        return parsed_body(b"".join(parts), counting=counting)

    async def _failed(self, error: ParleyError) -> None:
        """Tell the client of an error: as an answer, or as the last event of one that has begun."""
        given = shaped(error)
        given = Shaped(given.status, given.kind, self._shim.scrub(given.message), given.headers)
        if self._begun:
            await self._event({"type": "error", **{key: value for key, value in given.body(self._id).items() if key != "type"}})
            await self._end(b"")
        else:
            await self.error(given)

    async def error(self, given: Shaped) -> None:
        """Answer with an error."""
        await self._json(given.status, given.body(self._id), given.headers)

    async def _json(self, status: int, body: Mapping[str, Any], headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        content = orjson.dumps(body)
        fixed = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        await self._send({"type": "http.response.start", "status": status, "headers": [*fixed, *self._marks(), *headers]})
        await self._end(content)

    async def _end(self, content: bytes) -> None:
        """Send the last bytes; the client may go."""
        self._over = True
        await self._send({"type": "http.response.body", "body": content})

    async def _start(self, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        if not self._begun:
            self._begun = True
            fixed = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
            await self._send({"type": "http.response.start", "status": 200, "headers": [*fixed, *self._marks(), *headers]})

    def _marks(self) -> list[tuple[bytes, bytes]]:
        return [(b"request-id", self._id.encode())]

    async def _event(self, event: Event) -> None:
        await self._events(encoded(event))

    async def _events(self, content: bytes) -> None:
        await self._start()
        await self._send({"type": "http.response.body", "body": content, "more_body": True})


def _for_client(event: Event, model: str) -> Event:
    """Return an event as the client is to see it: the model it asked for, and no price of ours."""
    if event["type"] == "message_start":
        return {**event, "message": {**event["message"], "model": model}}
    return _without_cost(event) if event["type"] == "message_delta" else event


def _without_cost(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event or message without the price of ours in its usage."""
    usage = event.get("usage")
    if not isinstance(usage, dict) or "cost_usd" not in usage:
        return event
    return {**event, "usage": {key: value for key, value in cast("dict[str, Any]", usage).items() if key != "cost_usd"}}
