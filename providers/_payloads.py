"""The JSON objects of a streamed answer, whatever it came as: an event stream, one JSON document, or something that is neither.

Sniffed from the first byte and not from the content type, which upstreams and gateways get wrong.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any, cast

from conversation.errors import ProviderError
from conversation.json_text import parsed
from providers._http import HttpReply
from providers._sse import MAX_EVENT_BYTES, ServerEvent, SSEError, SSEParser
from providers.causes import error_in_body, failure

DRAIN_SECONDS = 0.05
_TURN_BYTES = 32 * 1024
"""How much is looked at before others have their turn: as comments, a few milliseconds' work."""
_MOST_BLANKS = 1024 * 1024
_BLANKS = b"\xef\xbb\xbf \t\r\n"


class Payloads:
    """Iterates one answer's objects. Raises ProviderError for an `error` object, bad JSON, HTML, or a body that breaks off."""

    def __init__(self, reply: HttpReply, provider: str, model: str, secrets: tuple[str, ...] = ()) -> None:
        self._reply, self._chunks = reply, reply.chunks()
        self._head: bytes | None = None
        self._provider, self._model, self._secrets = provider, model, secrets
        self.ended = False
        """Whether the upstream marked the end itself: [DONE], or the end of a JSON document."""
        self.count = 0

    def __aiter__(self) -> AsyncIterator[dict[str, Any]]:
        return self._objects()

    async def peek(self) -> bytes:
        """Return the first bytes from the first on that is not blank, empty when there are none; they are still to come."""
        if self._head is None:
            self._head = await self._first_bytes()
        return self._head

    async def chunks(self) -> AsyncGenerator[bytes]:
        """Yield the body as it arrives, in the place of its objects; what came at once piece by piece."""
        chunk = await self.peek()
        while chunk is not None:
            yield chunk[:_TURN_BYTES]
            for at in range(_TURN_BYTES, len(chunk), _TURN_BYTES):
                await asyncio.sleep(0)
                yield chunk[at : at + _TURN_BYTES]
            chunk = await anext(self._chunks, None)

    async def drain(self) -> None:
        """Read what is left of a finished answer, for a moment, so that its connection can be used again."""
        try:
            async with asyncio.timeout(None if self._reply.is_here else DRAIN_SECONDS):
                async for _ in self._chunks:
                    pass
        except (TimeoutError, ProviderError):
            return  # the answer is complete: at worst the connection is closed

    async def _objects(self) -> AsyncIterator[dict[str, Any]]:
        first = await self.peek()
        match first[:1]:
            case b"{" | b"[":
                for value in await self._document(first):
                    yield self._checked(value)
                self.ended = True
            case b"<":
                raise self._failed("malformed", "a web page instead of an answer")
            case _:
                async for event in self._events():
                    if event.data.strip() == "[DONE]":
                        self.ended = True
                        await self.drain()
                        return
                    yield self._checked(self._parsed(event))

    async def _first_bytes(self) -> bytes:
        """Return what begins the body, without blanks and a byte order mark, which mean nothing there whatever it is."""
        blanks = 0
        async for chunk in self._chunks:
            if head := chunk.lstrip(_BLANKS):
                return head
            blanks += len(chunk)
            if blanks > _MOST_BLANKS:
                raise self._failed("malformed", f"more than {_MOST_BLANKS} blank bytes in the place of an answer")
        return b""

    async def _document(self, first: bytes) -> list[Any]:
        body = bytearray(first)
        async for chunk in self._chunks:
            body += chunk
            if len(body) > MAX_EVENT_BYTES:
                raise self._failed("malformed", f"an answer of more than {MAX_EVENT_BYTES} bytes")
        try:
            value = parsed(body)
        except ValueError:
            whole = bytes(body.rstrip()[-1:]) in {b"}", b"]"}
            raise self._failed("malformed" if whole else "truncated", "an answer whose JSON is broken") from None
        return cast("list[Any]", value) if isinstance(value, list) else [value]

    async def _events(self) -> AsyncIterator[ServerEvent]:
        parser = SSEParser()
        try:
            async for chunk in self.chunks():
                for event in parser.feed(chunk):
                    yield event
            last = parser.close()
        except SSEError as error:
            raise self._failed("malformed", f"a broken event stream: {error}") from None
        if last is not None:
            if last.data.strip() != "[DONE]" and not _is_json(last.data):
                raise self._failed("truncated", "the answer broke off inside an event")
            yield last

    def _parsed(self, event: ServerEvent) -> Any:
        try:
            return parsed(event.data)
        except ValueError:
            raise self._failed("malformed", "an event whose JSON is broken") from None

    def _checked(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self._failed("malformed", "an event that is not a JSON object")
        payload = cast("dict[str, Any]", value)
        if payload.get("error"):
            raise error_in_body(self._provider, self._model, payload["error"], secrets=self._secrets)
        self.count += 1
        return payload

    def _failed(self, cause: str, message: str) -> ProviderError:
        return failure(cause, message, provider=self._provider, model=self._model)


def _is_json(text: str) -> bool:
    try:
        parsed(text)
    except ValueError:
        return False
    return True
