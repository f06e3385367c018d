"""Sessions of streamable HTTP, of which clients leave many behind: the longest idle one makes room for a new one."""

from __future__ import annotations

import logging
from collections import Counter

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cli._http_bodies import OPENS

logger = logging.getLogger(__name__)

RETRY_AFTER = (b"retry-after", b"5")
_SESSION = b"mcp-session-id"


class Sessions:
    """Streamable HTTP with at most `limit` sessions; one with no request under way and no open stream is idle.

    When all are busy, the app's own refusal goes out, with a Retry-After.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit
        self._opening = 0
        self._busy: Counter[bytes] = Counter()
        self._idle: dict[bytes, None] = {}  # the longest idle first

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        session = next((value for name, value in scope["headers"] if name == _SESSION), None)
        if session is not None:
            await self._use(session, scope, receive, send)
        elif scope.get(OPENS):
            await self._open(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _use(self, session: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        statuses: list[int] = []

        async def noted_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])
            await send(message)

        self._hold(session)
        try:
            await self._app(scope, receive, noted_send)
        finally:
            self._release(session)
        if 404 in statuses or (scope["method"] == "DELETE" and 200 in statuses):
            self._idle.pop(session, None)

    async def _open(self, scope: Scope, receive: Receive, send: Send) -> None:
        opened: list[bytes] = []

        async def noted_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                if message["status"] == 503:
                    message = {**message, "headers": [*headers, RETRY_AFTER]}
                elif message["status"] < 400:  # from here on it is a session, which its client may use before this request has ended
                    opened.extend(value for name, value in headers if name.lower() == _SESSION)
                    self._opening -= len(opened)
                    self._hold(*opened)
            await send(message)

        self._opening += 1
        try:
            await self._make_room(scope)
            await self._app(scope, receive, noted_send)
        finally:
            self._opening -= 0 if opened else 1
            self._release(*opened)

    def _hold(self, *sessions: bytes) -> None:
        self._busy.update(sessions)
        for session in sessions:
            self._idle.pop(session, None)

    def _release(self, *sessions: bytes) -> None:
        self._busy.subtract(sessions)
        for session in sessions:
            if not self._busy[session]:
                del self._busy[session]
                self._idle[session] = None

    async def _make_room(self, scope: Scope) -> None:
        while self._idle and len(self._idle) + len(self._busy) + self._opening > self._limit:
            session = next(iter(self._idle))
            del self._idle[session]
            logger.info("ending the longest idle of %d sessions to make room for a new one", self._limit)
            await self._app({**scope, "method": "DELETE", "headers": [(_SESSION, session)], OPENS: False}, _nothing, _discard)


async def _nothing() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _discard(_message: Message) -> None:
    """Nobody waits for the answer."""
