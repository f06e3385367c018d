"""The three wires by name: how an answer looks on each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from . import wire_anthropic, wire_gemini, wire_openai
from .asked import Asked
from .jsonish import Json
from .rules import Answer
from .wire_anthropic import Piece


@dataclass(frozen=True, slots=True)
class Wire:
    """One wire format."""

    body: Callable[[Answer, Asked, str], Json]
    pieces: Callable[[Answer, Asked, str], list[Piece]]
    error_event: Callable[[Asked, Any], bytes]
    malformed: bytes
    ping: bytes


MESSAGES = Wire(wire_anthropic.body, wire_anthropic.pieces, wire_anthropic.error_event, wire_anthropic.MALFORMED, wire_anthropic.PING)
GEMINI = Wire(wire_gemini.body, wire_gemini.pieces, wire_gemini.error_event, wire_gemini.MALFORMED, wire_gemini.PING)
CHAT = Wire(wire_openai.body, wire_openai.pieces, wire_openai.error_event, wire_openai.MALFORMED, wire_openai.PING)
