"""Texts cut inside an emoji: an upstream may stream one half of a surrogate pair in one event and the other in the next."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from conversation.json_text import whole
from conversation.messages import Event

_FIRST_HALVES = ("\ud800", "\udbff")


class Halves:
    """Passes on one answer's events with every emoji in one piece, and U+FFFD for a half whose other half never came."""

    def __init__(self) -> None:
        self._half = ""
        self._at: tuple[int, str, str] = (0, "", "")
        """Where a half belongs that is kept: the block's index, the delta's type and the field."""

    def joined(self, event: Event) -> Iterator[Event]:
        """Yield the events to pass on for one that came in."""
        if event["type"] == "content_block_delta":
            yield from self._delta(event)
            return
        if self._half:
            index, kind, field = self._at
            self._half = ""
            yield {"type": "content_block_delta", "index": index, "delta": {"type": kind, field: "\ufffd"}}
        yield event

    def _delta(self, event: Event) -> Iterator[Event]:
        delta: dict[str, Any] = event["delta"]
        field = next((name for name, value in delta.items() if name != "type" and isinstance(value, str)), "")
        if not field or (delta[field].isascii() and not self._half):
            yield event
            return
        text = self._half + delta[field]
        self._half = text[-1:] if _FIRST_HALVES[0] <= text[-1:] <= _FIRST_HALVES[1] else ""
        self._at = event["index"], delta["type"], field
        if text := whole(text.removesuffix(self._half)):
            yield {**event, "delta": {**delta, field: text}}
