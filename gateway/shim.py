"""A shim: one port that speaks Anthropic's Messages API, pinned to a provider, or the router over the chain.

    HEAD /    POST /v1/messages    POST /v1/messages/count_tokens    GET /v1/models    GET /health    GET /ready    GET /status

Each of them also under /s/<session>. Nothing in a request chooses an address, a key or a header for the upstream. The answer's `model`
echoes the one asked for, since Claude Code drops signed thinking whose model is another; who really answered is in the headers.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, cast

from starlette.types import ASGIApp, Receive, Scope, Send

from conversation.errors import InternalError, InvalidInput, NotConfigured, Overloaded, ParleyError
from conversation.messages import Event, Fold, object_of
from conversation.scrub import where
from gateway.bodies import Bodies
from gateway.conversations import SESSION_HEADER, Saying, last_said, session_of, split_path
from gateway.counting import count
from gateway.errors import Shaped, refusal
from gateway.exchange import Exchange, Leaving
from gateway.requests import parsed_body
from gateway.routing import Asked, Routes
from gateway.sse import KEEP_ALIVE_SECONDS, PING, KeepAlive, encoded
from providers.base import ModelInfo
from providers.chain import Chain, Prepare, Streaming
from providers.strategies import STRATEGIES

log = logging.getLogger(__name__)

STRATEGY_HEADER = b"x-parley-strategy"
_JSON_TYPES = frozenset({"", "application/json"})
"""None at all is taken for JSON, as bare clients send it."""
MAX_BODY_BYTES = 32 * 1024 * 1024
"""What Anthropic's API takes, and what Claude Code names when it is told 413."""


_STOPPING = Overloaded("The gateway is stopping.", status=503, retry_after=1.0, hint="Ask again once it runs.")


@dataclass(frozen=True, slots=True)
class Shim:
    """One shim as an ASGI application. `name` is the provider's, or "router"; `problem` says why it is not ready, None when it is."""

    name: str
    chain: Chain
    routes: Routes
    models: Callable[[], Sequence[ModelInfo]]
    problem: Callable[[], str | None]
    scrub: Callable[[str], str]
    pinned: bool = False
    """Always tries its provider, whatever its breaker says, so that the client sees what the provider says."""
    mcp: ASGIApp | None = None
    status: Callable[[], Awaitable[Mapping[str, Any]]] | None = None
    keep_alive: float = KEEP_ALIVE_SECONDS
    bodies: Bodies = field(default_factory=Bodies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "lifespan":
            await _lifespan(self.mcp, scope, receive, send)
            return
        session, path = split_path(scope["path"])
        if path == "/mcp" and self.mcp is not None:
            await self.mcp({**scope, "path": "/mcp"}, receive, send)
            return
        exchange = Exchange(scope, receive, send, self.scrub)
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        handler = _PATHS.get((method, path))
        if handler is None:
            await exchange.refuse(_nothing_there(scope["method"], path))
            return
        await handler(_Serving(self, exchange, session))


def _nothing_there(method: str, path: str) -> Shaped:
    allowed = [one for one, other in _PATHS if other == path]
    message = f"there is no {method} {path[:100]} here"
    return refusal(405, message, (b"allow", ", ".join(allowed).encode())) if allowed else refusal(404, message)


async def _lifespan(mcp: ASGIApp | None, scope: Scope, receive: Receive, send: Send) -> None:
    if mcp is not None:
        await mcp(scope, receive, send)
        return
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


class _Serving:
    """One request to a shim."""

    def __init__(self, shim: Shim, exchange: Exchange, session: str) -> None:
        self._shim, self._exchange, self._session = shim, exchange, session

    # --- the small routes ------------------------------------------------------------------------------------------

    async def hello(self) -> None:
        await self._exchange.json(200, {"shim": self._shim.name})

    async def health(self) -> None:
        await self._exchange.json(200, {"status": "ok", "shim": self._shim.name, "server": "parley"})

    async def ready(self) -> None:
        problem = self._shim.problem()
        body = {"ready": problem is None, "shim": self._shim.name, **({"reason": problem} if problem else {})}
        await self._exchange.json(200 if problem is None else 503, body)

    async def told(self) -> None:
        if self._shim.status is None:
            await self._exchange.refuse(refusal(404, "the router tells the status"))
            return
        await self._exchange.json(200, await self._shim.status())

    async def listed(self) -> None:
        made = "1970-01-01T00:00:00Z"  # when is not known
        rows = [{"type": "model", "id": one.id, "display_name": one.name, "created_at": made} for one in self._shim.models()]
        first, last = (rows[0]["id"], rows[-1]["id"]) if rows else (None, None)
        await self._exchange.json(200, {"data": rows, "has_more": False, "first_id": first, "last_id": last})

    async def counted(self) -> None:
        """Answer POST /v1/messages/count_tokens: from the provider where it tells in time, else an estimate."""
        await self._attended(self._count, counting=True)

    async def _count(self, body: Mapping[str, Any]) -> None:
        routes = self._shim.routes.of(self._asked(body))
        if not routes:
            raise NotConfigured("No provider is configured.")
        told = await self._shim.chain.count(routes[0], self._prepare(body))
        await self._exchange.json(200, {"input_tokens": await asyncio.to_thread(count, body) if told is None else told})

    # --- messages --------------------------------------------------------------------------------------------------

    async def messages(self) -> None:
        """Answer POST /v1/messages, streamed or whole."""
        await self._attended(self._message)

    async def _attended(self, answer: Callable[[Mapping[str, Any]], Awaitable[None]], *, counting: bool = False) -> None:
        """Answer a request for as long as its client is there; one that leaves closes the upstream."""
        body = await self._request(counting=counting)
        if body is None:
            return
        leaving = Leaving(self._exchange, asyncio.current_task())
        try:
            await self._answer(answer, body)
        except asyncio.CancelledError:
            if not leaving.happened:  # it is the server that stops
                await self._exchange.failed(_STOPPING)
        finally:
            leaving.forget()

    async def _request(self, *, counting: bool = False) -> Mapping[str, Any] | None:
        """Return the body of a request; None when it is none, which the client has been told."""
        kind = self._exchange.header(b"content-type").partition(";")[0].strip().lower()
        if kind not in _JSON_TYPES:
            await self._exchange.refuse(refusal(415, f"content-type must be application/json, not {kind[:60]}"))
            return None
        if self._exchange.header(b"content-encoding").strip().lower() not in ("", "identity"):
            await self._exchange.refuse(refusal(415, "content-encoding is not taken: send the body as it is"))
            return None
        try:
            return parsed_body(await self._exchange.body(), self._shim.bodies, counting=counting)
        except ParleyError as error:
            await self._exchange.failed(error)
            return None

    async def _answer(self, answer: Callable[[Mapping[str, Any]], Awaitable[None]], body: Mapping[str, Any]) -> None:
        try:
            await answer(body)
        except ParleyError as error:
            await self._exchange.failed(error)
        except Exception as error:  # the boundary to the client, which is told that it is a defect
            log.error("%s failed: %s at %s", self._shim.name, type(error).__name__, where(error))
            await self._exchange.failed(InternalError(f"the gateway failed unexpectedly ({type(error).__name__})."))

    async def _message(self, body: Mapping[str, Any]) -> None:
        await (self._streamed(body) if body.get("stream") else self._whole(body))

    async def _whole(self, body: Mapping[str, Any]) -> None:
        asked = self._asked(body)
        async with self._streaming(body, asked) as answer:
            await answer.begins()
            message: dict[str, Any] = {}
            folding, saying = Fold(), self._saying(body, asked)
            async for batch in answer.batches():
                if saying is not None:
                    saying.heard(batch)
                for event in batch:
                    folding.add(event)
                    if event["type"] == "message_start":
                        message = dict(object_of(event.get("message")))
                    elif event["type"] == "message_delta":
                        message.update(object_of(event.get("delta")))
                        message["usage"] = {**object_of(message.get("usage")), **object_of(event.get("usage"))}
            message.update(model=asked.model, content=list(folding.answer().blocks))
            self._answered(asked, saying, answer)
            await self._exchange.json(200, _without_cost(message), _who(answer))

    async def _streamed(self, body: Mapping[str, Any]) -> None:
        asked, quiet, every = self._asked(body), KeepAlive(), self._shim.keep_alive
        saying = self._saying(body, asked)
        async with self._streaming(body, asked) as answer:
            while not await answer.begins(every):
                await self._exchange.event(PING)
            await self._exchange.start(_who(answer))
            async for batch in answer.batches(every):
                quiet.saw(batch)
                if saying is not None:
                    saying.heard(batch)
                await self._exchange.events(b"".join(encoded(_for_client(event, asked.model)) for event in batch or (quiet.event(),)))
            self._answered(asked, saying, answer)
            await self._exchange.end()

    def _answered(self, asked: Asked, saying: Saying | None, answer: Streaming) -> None:
        """Note who answered, unless another was only slower than a hedge: its conversations stay with it."""
        if saying is not None and not any(one.outcome == "cancelled" for one in answer.attempts):
            self._shim.routes.answered(saying.key(), asked, answer.model)

    # --- who is asked ----------------------------------------------------------------------------------------------

    def _asked(self, body: Mapping[str, Any]) -> Asked:
        """Return what decides who is asked. Raises InvalidInput for a strategy there is not."""
        strategy = self._exchange.header(STRATEGY_HEADER).strip().lower() or None
        if strategy is not None and strategy not in STRATEGIES:
            raise InvalidInput(f"{STRATEGY_HEADER.decode()} must be one of {', '.join(STRATEGIES)}.", hint="")
        session = session_of(self._session, self._exchange.header(SESSION_HEADER), body)
        key = session or (last_said(body["messages"]) if self._shim.routes.remembers else "")
        return Asked(str(body.get("model") or ""), session, key, strategy)

    def _saying(self, body: Mapping[str, Any], asked: Asked) -> Saying | None:
        """Return what makes the key by which the conversation's next request is known, None where nobody looks for it."""
        return Saying(body["messages"], asked.session) if self._shim.routes.remembers else None

    def _streaming(self, body: Mapping[str, Any], asked: Asked) -> AbstractAsyncContextManager[Streaming]:
        routes = self._shim.routes.of(asked)
        return self._shim.chain.stream(routes, self._prepare(body), always=self._shim.pinned, session=asked.session)

    def _prepare(self, body: Mapping[str, Any]) -> Prepare:
        """Return what gives each model the client's body."""
        betas = tuple(one.strip() for one in self._exchange.header(b"anthropic-beta").split(",") if one.strip())
        asked = {**{key: value for key, value in body.items() if key not in ("model", "stream")}, "betas": betas}

        async def prepare(_: ModelInfo) -> Mapping[str, Any]:
            return asked

        return prepare


_PATHS: Mapping[tuple[str, str], Callable[[_Serving], Awaitable[None]]] = {
    ("GET", "/"): _Serving.hello,
    ("GET", "/health"): _Serving.health,
    ("GET", "/ready"): _Serving.ready,
    ("GET", "/status"): _Serving.told,
    ("GET", "/v1/models"): _Serving.listed,
    ("POST", "/v1/messages"): _Serving.messages,
    ("POST", "/v1/messages/count_tokens"): _Serving.counted,
}


def _who(answer: Streaming) -> list[tuple[bytes, bytes]]:
    return [
        (b"x-parley-provider", answer.model.provider.encode()),
        (b"x-parley-model", answer.model.id.encode("ascii", "replace")),
        (b"x-parley-attempts", str(len(answer.attempts) + 1).encode()),
    ]


def _for_client(event: Event, model: str) -> Event:
    """Return an event as the client is to see it: the model it asked for, and no price of ours."""
    if event["type"] == "message_start":
        return {**event, "message": {**object_of(event.get("message")), "model": model}}
    return _without_cost(event) if event["type"] == "message_delta" else event


def _without_cost(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event or message without the price of ours in its usage."""
    usage = event.get("usage")
    if not isinstance(usage, dict) or "cost_usd" not in usage:
        return event
    return {**event, "usage": {key: value for key, value in cast("dict[str, Any]", usage).items() if key != "cost_usd"}}
