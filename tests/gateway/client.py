"""A plain HTTP client of the shims, and what it got back taken apart."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from conversation.messages import Answer, Event, fold
from simulator import ThreadedSimulator
from tests.gateway.running import SHIMS, Gateway

PROVIDERS = SHIMS[1:]
MODEL = "claude-sonnet-4-5"
"""What the client asks for; each shim has a model of its own for it."""
HASTY = "claude-haiku-4-5"


@dataclass(frozen=True, slots=True)
class Got:
    """An answer as it came."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def body(self) -> dict[str, Any]:
        """The JSON body."""
        return json.loads(self.content)

    @property
    def events(self) -> list[Event]:
        """The events of a stream, whose every frame has to be named after its type."""
        frames = [frame.split(b"\n") for frame in self.content.split(b"\n\n") if frame]
        found: list[Event] = []
        for frame in frames:
            (name, data) = frame
            found.append(json.loads(data.removeprefix(b"data: ")))
            assert name == b"event: " + found[-1]["type"].encode()
        return found

    @property
    def answer(self) -> Answer:
        """The answer, streamed or whole; the events of a stream have to keep the grammar."""
        assert self.status == 200, self.content
        if self.headers["content-type"] == "application/json":
            usage = self.body["usage"]
            return Answer(
                text="".join(block["text"] for block in self.body["content"] if block["type"] == "text"),
                blocks=tuple(self.body["content"]),
                stop_reason=self.body["stop_reason"],
                input_tokens=usage["input_tokens"] + usage["cache_read_input_tokens"] + usage["cache_creation_input_tokens"],
                output_tokens=usage["output_tokens"],
                cached_tokens=usage["cache_read_input_tokens"],
                complete=True,
            )
        check_grammar(self.events)
        return fold(self.events)


def check_grammar(events: list[Event]) -> None:
    """Contiguous indexes, one message_start first, every block closed, one message_delta and message_stop at the end."""
    events = [event for event in events if event["type"] != "ping"]
    kinds = [event["type"] for event in events]
    assert kinds[0] == "message_start" and kinds[-2:] == ["message_delta", "message_stop"], kinds
    assert kinds.count("message_start") == kinds.count("message_delta") == kinds.count("message_stop") == 1
    index, is_open, arguments = -1, False, ""
    for event in events[1:-2]:
        if event["type"] == "content_block_start":
            assert not is_open and event["index"] == index + 1
            index, is_open, arguments = index + 1, True, ""
        elif event["type"] == "content_block_delta":
            assert is_open and event["index"] == index
            arguments += event["delta"].get("partial_json", "")
        else:
            assert event["type"] == "content_block_stop" and is_open and event["index"] == index
            is_open = False
            assert not arguments or isinstance(json.loads(arguments), dict)
    assert not is_open
    assert events[-2]["delta"]["stop_reason"]


@dataclass(frozen=True, slots=True)
class Client:
    """Asks the shims of one gateway."""

    session: aiohttp.ClientSession
    gateway: Gateway
    sim: ThreadedSimulator
    secrets: tuple[str, ...] = ()
    """The keys the gateway has."""

    async def ask(
        self, shim: str, *, stream: bool = False, path: str = "/v1/messages?beta=true", betas: str = "", **body: Any
    ) -> Got:
        """Post a Messages request; what is not named is as small as can be."""
        asked = {"model": MODEL, "max_tokens": 1000, "messages": [{"role": "user", "content": "hello"}], **body}
        if stream:
            asked["stream"] = True
        return await self.post(shim, path, json.dumps(asked).encode(), {"anthropic-beta": betas} if betas else None)

    async def post(self, shim: str, path: str, content: bytes, headers: Mapping[str, str] | None = None) -> Got:
        """Post bytes."""
        sent = {"content-type": "application/json", **(headers or {})}
        async with self.session.post(f"{self.gateway.url(shim)}{path}", data=io.BytesIO(content), headers=sent) as response:
            return Got(response.status, {name.lower(): value for name, value in response.headers.items()}, await response.read())

    async def get(self, shim: str, path: str, method: str = "GET") -> Got:
        """Ask for something small."""
        async with self.session.request(method, f"{self.gateway.url(shim)}{path}") as response:
            return Got(response.status, {name.lower(): value for name, value in response.headers.items()}, await response.read())

    def sent(self, provider: str) -> dict[str, Any]:
        """The body the provider received last."""
        return self.sim.requests(provider)[-1]["body"]
