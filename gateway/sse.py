"""Messages API events as server-sent events, and what keeps a connection alive while a model is silent.

Claude Code gives a stream up after 300 s without an event it counts, and pings do not count: an empty delta inside an open text
block does (observed with 2.1.197).
"""

from __future__ import annotations

from collections.abc import Iterable

from conversation.json_text import written
from conversation.messages import Event
from providers.base import Relayed

PING: Event = {"type": "ping"}
KEEP_ALIVE_SECONDS = 10.0


def encoded(event: Event) -> bytes:
    """Return one event as the bytes of the stream; the names of the `event:` lines are those of `type`."""
    if isinstance(event, Relayed):
        return event.raw
    return b"event: " + str(event["type"]).encode() + b"\ndata: " + written(event) + b"\n\n"


class KeepAlive:
    """Says what to send while a model is silent, by the events that were passed on."""

    def __init__(self) -> None:
        self._open_text: int | None = None

    def saw(self, batch: Iterable[Event]) -> None:
        """Take note of events that are passed on."""
        for event in batch:
            if event["type"] != "content_block_delta":
                self._open_text = _open_text(event, self._open_text)

    def event(self) -> Event:
        """Return a ping, or an empty delta inside an open text block."""
        return PING if self._open_text is None else _nothing(self._open_text)


def _open_text(event: Event, before: int | None) -> int | None:
    if event["type"] == "content_block_start":
        return event["index"] if event["content_block"].get("type") == "text" else None
    return None if event["type"] in ("content_block_stop", "message_delta") else before


def _nothing(index: int) -> Event:
    return {"type": "content_block_delta", "index": index, "delta": {"type": "text_delta", "text": ""}}
