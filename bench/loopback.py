"""Two bare ASGI servers to measure against, run as `python -m bench.loopback static|relay PORT [UPSTREAM]`.

`static` answers any POST at once with recorded events; `relay` passes each body on to an upstream and the answer's bytes back.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import uvicorn

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
LONG = b"a long answer, please"
"""In the last bytes of a body: a stream of 100 pieces, else of three."""
USAGE = {"input_tokens": 10, "output_tokens": 1, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}


def _claude(pieces: int) -> bytes:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "stop_reason": None, "usage": USAGE}
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": f"word {n} "}} for n in range(pieces)),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {**USAGE, "output_tokens": pieces}},
        {"type": "message_stop"},
    ]
    return b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)


def _gemini(pieces: int) -> bytes:
    chunks: list[dict[str, Any]] = [
        {"candidates": [{"index": 0, "content": {"role": "model", "parts": [{"text": f"word {n} "}]}}]} for n in range(pieces)
    ]
    usage = {"promptTokenCount": 10, "candidatesTokenCount": 9}
    chunks.append({"candidates": [{"index": 0, "finishReason": "STOP"}], "usageMetadata": usage})
    return b"".join(f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks)


ANSWERS = {(kind, pieces): made(pieces) for kind, made in (("claude", _claude), ("gemini", _gemini)) for pieces in (3, 100)}


async def _body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


async def static(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answer at once."""
    if scope["type"] != "http":
        return
    body = await _body(receive)
    kind = "gemini" if "Content" in scope["path"] else "claude"
    answer = ANSWERS[kind, 100 if LONG in body else 3]
    headers = [(b"content-type", b"text/event-stream"), (b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


class Relay:
    """Pass bodies on to one address, over one pool of connections."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = await _body(receive)
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        async with self._session.post(self._upstream, data=body, headers={"content-type": "application/json"}) as response:
            headers = [(b"content-type", b"text/event-stream")]
            await send({"type": "http.response.start", "status": response.status, "headers": headers})
            async for chunk in response.content.iter_any():
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


def main() -> None:
    """Serve until a signal."""
    kind, port, *upstream = sys.argv[1:]
    app: Any = static if kind == "static" else Relay(upstream[0])
    uvicorn.run(app, port=int(port), loop="asyncio", http="httptools", lifespan="off", access_log=False, log_level="error")


if __name__ == "__main__":
    main()
