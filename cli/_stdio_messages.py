"""One line of the wire, or one body of HTTP, into one JSON-RPC message, or into the error that answers it. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from mcp_types import INVALID_REQUEST, PARSE_ERROR, ErrorData, JSONRPCError, JSONRPCMessage, JSONRPCNotification, jsonrpc_message_adapter
from pydantic import ValidationError
from pydantic_core import from_json

_KEPT = 1024
"""Bytes kept of each end of an over-long line, to find its id in."""


@dataclass(frozen=True, slots=True)
class Overlong:
    """A line that was skipped: its size in bytes, how it began and how it ended."""

    size: int
    head: bytes
    tail: bytes


class LineSplitter:
    """Whole lines out of chunks of any size, holding at most `max_line_bytes` (and one chunk) whatever arrives."""

    def __init__(self, max_line_bytes: int) -> None:
        self._max = max_line_bytes
        self._line = bytearray()
        self._size = 0
        self._head = self._tail = b""

    def feed(self, chunk: bytes) -> Iterator[bytes | Overlong]:
        """The lines this chunk completes, without their newline."""
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            self._hold(chunk[start:end])
            yield self._take()
            start = end + 1
        self._hold(chunk[start:])

    def finish(self) -> bytes | Overlong:
        """What came after the last newline."""
        return self._take()

    def _hold(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size <= self._max:
            self._line += piece
            return
        if self._line or not self._head:
            self._head, self._tail = bytes(self._line[:_KEPT]), bytes(self._line[-_KEPT:])
            self._line = bytearray()
        if len(self._head) < _KEPT:
            self._head = (self._head + piece[:_KEPT])[:_KEPT]
        self._tail = (self._tail + piece[-_KEPT:])[-_KEPT:]

    def _take(self) -> bytes | Overlong:
        line = bytes(self._line) if self._size <= self._max else Overlong(self._size, self._head, self._tail)
        self._line, self._size, self._head, self._tail = bytearray(), 0, b"", b""
        return line


def parse(line: bytes) -> JSONRPCMessage | Refusal:
    """The message on a line that is not blank, or why it is none."""
    return checked(line)[1]


def checked(text: bytes) -> tuple[bytes, JSONRPCMessage | Refusal]:
    """A text, mended where it was cut inside an emoji, with the message it is or why it is none."""
    try:
        message = jsonrpc_message_adapter.validate_json(text, by_name=False)
    except ValidationError:
        mended = _mended(text)
        return (text, _refusal(text)) if mended is None else checked(mended)
    # An id that is no id (null, 1.5, true) leaves a shape that validates as a notification, which nobody would answer.
    if isinstance(message, JSONRPCNotification) and b'"id"' in text and "id" in cast(dict[str, object], from_json(text)):
        return text, Refusal(INVALID_REQUEST, "Invalid request: id must be a string or an integer")
    return text, message


def _mended(line: bytes) -> bytes | None:
    """The line with halves of surrogate pairs replaced, None when it holds none.

    A client in JavaScript that cuts a text inside an emoji writes one half as \\ud83d: its own JSON allows that, the parser here does not.
    """
    if b"\\ud" not in line and b"\\uD" not in line:
        return None
    from conversation.json_text import whole

    try:
        found = json.dumps(json.loads(line), ensure_ascii=False)
    except (ValueError, RecursionError):
        return None
    mended = whole(found)
    return None if mended == found else mended.encode()


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a line is no message, and the id of the request it would have been."""

    code: int
    message: str
    id: str | int | None = None

    def answer(self) -> JSONRPCError:
        """The error response for the wire; an unreadable id is null, as JSON-RPC 2.0 section 5 asks."""
        return JSONRPCError(jsonrpc="2.0", id=self.id, error=ErrorData(code=self.code, message=self.message))


def refuse_overlong(line: Overlong, max_line_bytes: int) -> Refusal:
    """The answer to a line that was skipped, with the request's id when it stands at either end."""
    text = f"Invalid request: a line of {line.size} bytes is over the limit of {max_line_bytes}; hand large files over by path"
    return Refusal(INVALID_REQUEST, text, _id_at_an_end(line.head, line.tail))


def _refusal(line: bytes) -> Refusal:
    try:
        value: object = from_json(line)
    except ValueError as error:  # names a position, never the input
        # JSON that is merely nested too deeply (200 levels) is whole, so that its ends can be trusted.
        found = _id_at_an_end(line[:_KEPT], line[-_KEPT:]) if "recursion limit" in str(error) else None
        return Refusal(PARSE_ERROR, f"Parse error: {error}", found)
    if isinstance(value, list):
        return Refusal(INVALID_REQUEST, "Invalid request: batches are not supported, send messages one by one")
    if not isinstance(value, dict):
        return Refusal(INVALID_REQUEST, "Invalid request: a message is a JSON object")
    message = cast(dict[str, object], value)
    return Refusal(INVALID_REQUEST, f"Invalid request: {_fault(message)}", _readable_id(message))


def _fault(message: dict[str, object]) -> str:
    if message.get("jsonrpc") != "2.0":
        return 'jsonrpc must be "2.0"'
    if "method" not in message:
        return "neither a method nor a complete response"
    if not isinstance(message["method"], str):
        return "method must be a string"
    if not isinstance(message.get("params", {}), dict):
        return "params must be an object"
    return "id must be a string or an integer"


def _readable_id(message: dict[str, object]) -> str | int | None:
    """The id to answer; a broken response is answered without, since its id names a request of ours."""
    found = message.get("id")
    if "result" in message or "error" in message or isinstance(found, bool):
        return None
    return found if isinstance(found, str | int) else None


# Only simple members may stand before "method" and id at the start, or behind the id at the end: there they are certainly the message's own
# and not those of something nested. The official TypeScript client writes the id last, the Python client second.
_SIMPLE = rb'\s*"(?:jsonrpc|method|id)"\s*:\s*(?:"[^"\\]*"|\d+)\s*'
_ID = rb'"id"\s*:\s*("[^"\\]*"|\d+)\s*'
_HAS_METHOD = re.compile(rb"\s*\{(?:" + _SIMPLE + rb',){0,2}\s*"method"\s*:')
_ID_FIRST = re.compile(rb"\s*\{(?:" + _SIMPLE + rb",){0,2}?\s*" + _ID + rb",")
_ID_LAST = re.compile(rb",\s*" + _ID + rb"(?:," + _SIMPLE + rb"){0,2}\}\s*\Z")


def _id_at_an_end(head: bytes, tail: bytes) -> str | int | None:
    if not _HAS_METHOD.match(head):
        return None
    found = _ID_FIRST.match(head) or _ID_LAST.search(tail)
    return cast("str | int", from_json(found[1])) if found else None
