"""Bodies as JSON, the tools in them recognised that came before.

Claude Code sends the same tools with every request of a session, 60 KB and more: most of a body, until its conversation has grown.
Known by their bytes they are parsed once, and what a provider makes of them is made once.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any, cast

import orjson

from conversation.json_text import parsed_whole
from conversation.repeated import Repeated

_KEY = b'"tools":'
_PLACES = 3
"""Where else the key may stand: the arguments of a call in the conversation."""
_LEAST_BYTES = 8 * 1024
_MOST_KNOWN = 16
_MOST_NEW = 4
_DECODER = json.JSONDecoder()


class Bodies:
    """Parses bodies. Not safe for several threads."""

    def __init__(self) -> None:
        self._known: list[tuple[bytes, Repeated]] = []
        """Tools as they stand in a body, from the key on; those that came last are first."""
        self._new: list[Any] = []
        """Tools that came once."""
        self._mark = f"tools {random.getrandbits(128):x}"
        self._in_place = _KEY + orjson.dumps(self._mark)

    def parsed(self, content: bytes) -> Any:
        """Return the value, as conversation.json_text.parsed_whole does. Raises ValueError for what is no JSON."""
        for at in _places(content):
            for index, (raw, tools) in enumerate(self._known):
                if content.startswith(raw, at) and (body := self._with(tools, content[:at], content[at + len(raw) :])):
                    self._known.insert(0, self._known.pop(index))
                    return body
        found: object = parsed_whole(content)
        if len(content) >= _LEAST_BYTES and isinstance(found, dict):
            self._learn(content, cast("dict[str, Any]", found).get("tools"))
        return cast("Any", found)

    def _with(self, tools: Repeated, before: bytes, after: bytes) -> dict[str, Any] | None:
        """Return the body with its tools between these bytes; None when it is not the body's own tools that stand there."""
        # A quote inside a text is written with a backslash, so what begins with the key is a value of some object, whichever.
        found = parsed_whole(b"".join((before, self._in_place, after)))
        body: dict[str, Any] = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
        return {**body, "tools": tools} if body.get("tools") == self._mark else None

    def _learn(self, content: bytes, tools: Any) -> None:
        """Take note of tools. They are known from the second time on, as the bytes they are written in."""
        if not isinstance(tools, list):
            return
        try:
            if cast("list[Any]", tools) not in self._new:
                self._new = [tools, *self._new[: _MOST_NEW - 1]]
            elif raw := _written_as(content, tools):
                self._known = [(raw, Repeated(cast("list[Any]", tools))), *self._known[: _MOST_KNOWN - 1]]
        except RecursionError:
            return  # so deep that comparing them fails: they are parsed each time


def _places(content: bytes) -> Iterator[int]:
    at = -1
    for _ in range(_PLACES):
        at = content.find(_KEY, at + 1)
        if at < 0:
            return
        yield at


def _written_as(content: bytes, tools: Any) -> bytes | None:
    """Return how the tools are written in a body, from the key on."""
    for at in _places(content):
        text = content[at + len(_KEY) :].decode()
        blanks = len(text) - len(text.lstrip())
        try:
            found, end = _DECODER.raw_decode(text, blanks)
        except ValueError:
            continue
        if found == tools:
            return _KEY + text[:end].encode()
    return None
