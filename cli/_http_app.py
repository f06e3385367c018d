"""The ASGI application of the MCP server: streamable HTTP at /mcp, SSE at /sse and /messages/, and /health."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Collection
from typing import Any, cast

from mcp.server import Server, ServerRequestContext
from mcp.server.context import CallNext, HandlerResult
from mcp.server.sse import SseServerTransport
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp, StreamableHTTPSessionManager
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cli._http_bodies import CheckedBodies
from cli._http_sessions import RETRY_AFTER, Sessions
from gateway.guard import error_body, send_json

_SESSION_IDLE_SECONDS = 30 * 60


def build_app(server: Server[Any], *, transports: Collection[str], max_body_bytes: int, max_sessions: int) -> Starlette:
    """Routes for the wanted transports of "http" and "sse", and GET /health, which answers while the process lives.

    A server's MCP lifespan is entered once for streamable HTTP and once for each SSE connection.
    """
    routes: list[BaseRoute] = [Route("/health", _health)]
    manager: StreamableHTTPSessionManager | None = None
    if "http" in transports:
        manager = StreamableHTTPSessionManager(
            app=server,
            max_request_body_size=max_body_bytes,
            max_sessions=max_sessions,
            session_idle_timeout=_SESSION_IDLE_SECONDS,
        )
        routes.append(Route("/mcp", CancelOnDisconnect(CheckedBodies(Sessions(StreamableHTTPASGIApp(manager), max_sessions)))))
    if "sse" in transports:
        messages = SseServerTransport("/messages/", max_request_body_size=max_body_bytes)
        routes.append(Route("/sse", SseConnections(server, messages, max_sessions), methods=["GET"]))
        routes.append(Mount("/messages/", CheckedBodies(messages.handle_post_message)))

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncGenerator[None]:
        async with manager.run() if manager else contextlib.nullcontext():
            yield

    return Starlette(routes=routes, lifespan=lifespan, exception_handlers={HTTPException: _http_error})


async def _health(_request: Request) -> JSONResponse:
    return JSONResponse({"status": "ok"})


async def _http_error(_request: Request, error: Exception) -> JSONResponse:
    fault = cast(HTTPException, error)
    kind = "not_found_error" if fault.status_code == 404 else "invalid_request_error"
    return JSONResponse(error_body(kind, fault.detail), fault.status_code, fault.headers)


class SseConnections:
    """GET /sse: one MCP connection each, at most `limit` at a time; its calls are cancelled when the client leaves."""

    def __init__(self, server: Server[Any], messages: SseServerTransport, limit: int) -> None:
        self._server = server
        self._messages = messages
        self._limit = limit
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection until it is closed."""
        if scope["method"] != "GET":  # HEAD, which Starlette adds
            await send_json(send, 405, error_body("invalid_request_error", "Method Not Allowed"), [(b"allow", b"GET")])
            return
        if self._open >= self._limit:
            await send_json(send, 503, error_body("overloaded_error", "too many open sessions"), [RETRY_AFTER])
            return
        self._open += 1
        try:
            async with self._messages.connect_sse(scope, receive, send) as (read, write):
                await self._server.run(read, write, self._server.create_initialization_options())
        finally:
            self._open -= 1


class CancelOnDisconnect:
    """Streamable HTTP whose calls end with the connection that waits for them.

    The specification keeps a call of a 2025 session running when its connection drops, so that a client may fetch the answer later. Without
    an event store nobody can, and a model would go on being paid for: so the session is told what the client would have said, that the
    request is cancelled. Requests of the 2026 era have no session; the SDK cancels those itself.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["method"] != "POST" or not any(name == b"mcp-session-id" for name, _ in scope["headers"]):
            await self._app(scope, receive, send)
            return
        body: list[bytes] = []
        gone = answered = False

        async def noted_receive() -> Message:
            nonlocal gone
            message = await receive()
            if message["type"] == "http.request":
                body.append(message.get("body", b""))
            gone = gone or message["type"] == "http.disconnect"
            return message

        async def noted_send(message: Message) -> None:
            nonlocal answered
            await send(message)
            answered = answered or (message["type"] == "http.response.body" and not message.get("more_body", False))

        await self._app(scope, noted_receive, noted_send)
        if gone and not answered:
            await self._cancel(scope, b"".join(body))

    async def _cancel(self, scope: Scope, body: bytes) -> None:
        request_id = _request_id(body)
        if request_id is None:
            return
        params = {"requestId": request_id, "reason": "the client disconnected"}
        note = json.dumps({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}).encode()

        async def receive() -> Message:
            return {"type": "http.request", "body": note, "more_body": False}

        async def discard(_message: Message) -> None:
            return None

        headers = [(name, value) for name, value in scope["headers"] if name != b"content-length"]
        await self._app({**scope, "headers": headers}, receive, discard)


def _request_id(body: bytes) -> str | int | None:
    try:
        value: object = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    message = cast(dict[str, object], value)
    found = message.get("id")
    return found if "method" in message and isinstance(found, str | int) else None


class RunningCalls:
    """Counts the requests a server is working on, over every transport; a middleware of the MCP server."""

    def __init__(self) -> None:
        self._count = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        """Work on one message."""
        if ctx.method == "subscriptions/listen":  # open as long as its client likes
            return await call_next(ctx)
        self._count += 1
        self._idle.clear()
        try:
            return await call_next(ctx)
        finally:
            self._count -= 1
            if not self._count:
                self._idle.set()

    async def until_idle(self) -> None:
        """Wait until nothing is being worked on."""
        await self._idle.wait()

    def stop(self) -> None:
        """Closing its connection is what tells a session of MCP to end what it still does."""
