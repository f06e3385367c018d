"""Upstreams that play a script, and answers as their events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

from conversation.messages import Event
from providers.base import Call
from providers.causes import failure

Play = Callable[[Call], AsyncGenerator[Event, None]]


def answer(text: str, *, stop_reason: str = "end_turn") -> list[Event]:
    return [
        {"type": "message_start", "message": {"usage": {"input_tokens": 10}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}},
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": stop_reason}, "usage": {"output_tokens": 5}},
        {"type": "message_stop"},
    ]


class Upstream:
    """A provider that plays a script, the last play for ever: a text to answer, `!cause` to fail with, or a function.

    `!rate_limited 30` is a failure with a time to come back after. `open` counts the calls under way; `asked` is set by the first.
    """

    def __init__(self, name: str, *plays: str | Play) -> None:
        self.name = name
        self.plays: list[str | Play] = list(plays)
        self.calls: list[Call] = []
        self.open = 0
        self.asked = asyncio.Event()

    async def stream(self, call: Call) -> AsyncGenerator[Event, None]:
        self.calls.append(call)
        self.asked.set()
        play = self.plays.pop(0) if len(self.plays) > 1 else self.plays[0]
        self.open += 1
        try:
            if callable(play):
                async for event in play(call):
                    yield event
            elif play.startswith("!"):
                cause, _, seconds = play[1:].partition(" ")
                raise failure(cause, "scripted", provider=self.name, model=call.model.id, retry_after=float(seconds) if seconds else None)
            else:
                for event in answer(play):
                    yield event
        finally:
            self.open -= 1

    async def count(self, call: Call) -> int | None:
        return None

    async def fitted(self, call: Call) -> Call:
        return call

    async def ready(self) -> None: ...

    async def warm(self) -> None: ...
