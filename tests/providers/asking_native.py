"""Asks the native adapter of an upstream that sends given bytes, and the events such answers are made of."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import SecretStr

from conversation.errors import ProviderError
from conversation.messages import Event
from providers._http import HttpClient
from providers._native import NativeProvider
from providers.base import Call, ModelInfo, Provider, Relayed
from providers.config import ProviderSettings
from providers.signatures import SignatureBook
from tests.providers.recorded import SPEC, Recorded

MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude", "content": [], "stop_reason": None}
USAGE = {"input_tokens": 3, "output_tokens": 1, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
START: Event = {"type": "message_start", "message": {**MESSAGE, "usage": {**USAGE, "service_tier": "standard"}}}
ENDED = {"stop_reason": "end_turn", "stop_sequence": None}
END: Event = {"type": "message_delta", "delta": {**ENDED, "container": None}, "usage": {**USAGE, "output_tokens": 9}}
TOOL = {"name": "f", "input_schema": {"type": "object"}}
STOP: Event = {"type": "message_stop"}


def block(*deltas: Event, index: Any = 0, **start: Any) -> list[Event]:
    return [
        {"type": "content_block_start", "index": index, "content_block": start or {"type": "text", "text": ""}},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def said(text: str) -> Event:
    return {"type": "text_delta", "text": text}


class Asker:
    """Asks the native adapter of one provider, whose upstream sends `parts`."""

    def __init__(self, server: Recorded, provider: str = "vertex_claude", others: Provider | None = None) -> None:
        self.server = server
        spec = SPEC[provider].model_copy(update={"auth": "bearer"})
        keys = {provider: SecretStr("recorded-key")}
        settings = ProviderSettings(vertex_project="p", endpoints={provider: server.base_url}, keys=keys)
        self.http, self.book, self.models = HttpClient(), SignatureBook(), spec.models
        self.provider = NativeProvider(spec, settings, self.http, others=others, signatures=self.book)

    async def ask(self, *parts: bytes, model: ModelInfo | None = None, betas: tuple[str, ...] = (), **body: Any) -> list[Event]:
        self.server.parts = list(parts)
        call = Call(
            model=model or self.models[0], body={"max_tokens": 100, "messages": [{"role": "user", "content": "q"}], **body}, betas=betas
        )
        try:
            return [event async for event in self.provider.stream(call)]
        finally:
            await self.http.aclose()

    async def fails(self, *parts: bytes, **body: Any) -> ProviderError:
        with pytest.raises(ProviderError) as caught:
            await self.ask(*parts, **body)
        return caught.value


def raw(events: list[Event]) -> bytes:
    return b"".join(event.raw for event in events if isinstance(event, Relayed))
