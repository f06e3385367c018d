"""What a POST must hold before MCP sees it: one JSON-RPC message, as on stdio."""

from __future__ import annotations

from mcp_types import JSONRPCRequest
from starlette.types import ASGIApp, Receive, Scope, Send

from cli._stdio_messages import Refusal, checked
from gateway.guard import replay, send_json

OPENS = "parley.opens"
"""Scope key: whether the request asks for a new session."""


class CheckedBodies:
    """Hands on POSTs whose body is one JSON-RPC message, mended where a text was cut inside an emoji; answers the others with 400 and why.

    The SDK takes an id that is none (null, 1.5) for a notification and never answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, whose body the guard has bounded."""
        if scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        body = await _whole(receive)
        if body is None:
            return
        body, found = checked(body)
        if isinstance(found, Refusal):
            await send_json(send, 400, found.answer().model_dump(mode="json", by_alias=True, exclude_unset=True))
            return
        headers = [(name, value) for name, value in scope["headers"] if name not in (b"content-length", b"transfer-encoding")]
        headers.append((b"content-length", str(len(body)).encode()))
        opens = isinstance(found, JSONRPCRequest) and found.method == "initialize"
        await self._app({**scope, "headers": headers, OPENS: opens}, replay(body, receive), send)


async def _whole(receive: Receive) -> bytes | None:
    """The body, None when the client leaves before its end."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return bytes(body)
