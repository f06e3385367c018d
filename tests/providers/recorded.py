"""An upstream on loopback that answers every POST with given bytes, cut as told, and keeps what it was sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from pydantic import SecretStr

from conversation.messages import Event
from providers import SPECS
from providers._http import HttpClient
from providers._litellm import LiteLLMProvider
from providers.base import Call, ProviderSpec
from providers.config import ProviderSettings

SPEC = {spec.name: spec for spec in SPECS}


class Recorded:
    """Set `parts` (bytes sent one after the other) before asking; read `bodies` and `headers` after."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.content_type = "text/event-stream"
        self.bodies: list[Any] = []
        self.headers: list[Mapping[str, str]] = []
        self.base_url = ""
        self.stays = False
        """Whether the connection is kept open after the last part; `left` is set when the client then goes."""
        self.left = asyncio.Event()
        self.promised: int | None = None
        """The length the answer is said to have."""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.headers.append(request.headers)
        self.bodies.append(json.loads(await request.read()))
        response = web.StreamResponse(headers={"content-type": self.content_type})
        response.content_length = self.promised
        await response.prepare(request)
        for part in self.parts:
            await response.write(part)
        if self.stays:
            try:
                await asyncio.Event().wait()
            finally:
                self.left.set()
        if self.promised is not None and request.transport is not None:
            request.transport.close()
        return response


@asynccontextmanager
async def recorded() -> AsyncIterator[Recorded]:
    """Serve on a free port until the block ends."""
    upstream = Recorded()
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app.router.add_post("/{path:.*}", upstream.answer)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    upstream.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield upstream
    await runner.cleanup()


async def asked(
    upstream: Recorded, provider: str, *parts: bytes, model: str | None = None, betas: tuple[str, ...] = (), **body: Any
) -> list[Event]:
    """Return the events of one answer made of `parts`. Vertex providers are reached with a key, to leave the token out of it."""
    upstream.parts = list(parts)
    spec: ProviderSpec = SPEC[provider].model_copy(update={"auth": "bearer"})
    settings = ProviderSettings(vertex_project="p", endpoints={provider: upstream.base_url}, keys={provider: SecretStr("recorded-key")})
    http = HttpClient()
    try:
        info = next((one for one in spec.models if one.id == model), spec.models[0])
        call = Call(model=info, body={"max_tokens": 100, "messages": [{"role": "user", "content": "q"}], **body}, betas=betas)
        return [event async for event in LiteLLMProvider(spec, settings, http).stream(call)]
    finally:
        await http.aclose()


def sse(*payloads: Any, done: bool = False, named: bool = False) -> bytes:
    """Return an event stream of JSON payloads; `named` adds the event lines of Anthropic's."""
    lines: Iterable[str] = ((f"event: {payload['type']}\n" if named else "") + f"data: {json.dumps(payload)}\n\n" for payload in payloads)
    return ("".join(lines) + ("data: [DONE]\n\n" if done else "")).encode()
