"""What chat completions refuse inside `messages`."""

from __future__ import annotations

import re
from typing import Any

from .asked import Asked, check_image
from .jsonish import Json, as_dict, as_list
from .models import ANTHROPIC, OPEN_WEIGHTS
from .refusals import Refusal

_ROLES = ("system", "assistant", "user", "function", "tool", "developer")
_KEYS = frozenset({"role", "content", "name", "tool_calls", "tool_call_id", "refusal", "audio", "function_call"})
_ROUTER_KEYS = _KEYS | {"reasoning", "reasoning_details", "cache_control", "annotations", "images"}
_PARTS = {
    "text": frozenset({"type", "text"}),
    "image_url": frozenset({"type", "image_url"}),
    "input_audio": frozenset({"type", "input_audio"}),
    "file": frozenset({"type", "file"}),
    "refusal": frozenset({"type", "refusal"}),
}
_ID = re.compile(r"[a-zA-Z0-9_-]+\Z")
_DATA_URL = re.compile(r"data:([\w./+-]+);base64,")


class Messages:
    """Walks a conversation once: refuses what the API refuses, collects the texts into `asked`."""

    def __init__(self, asked: Asked, *, strict: bool) -> None:
        self.asked = asked
        self.strict = strict and asked.model.family != OPEN_WEIGHTS
        """GPT on GitHub refuses unknown keys; OpenRouter and the open models drop them."""
        self._used: set[str] = set()
        self._open: list[str] = []

    def check(self, messages: Any) -> None:
        """The whole conversation."""
        turns = as_list(messages)
        if turns is None:
            raise self._bad("Missing required parameter: 'messages'.")
        if not turns:
            raise self._bad("Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.")
        self.asked.turns = len(turns)
        for index, raw in enumerate(turns):
            self._message(as_dict(raw) or {}, f"messages[{index}]")
        self._close()

    def _bad(self, message: str) -> Refusal:
        return self.asked.refusal(message)

    def _close(self) -> None:
        if self._open:
            raise self._bad(
                "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. The "
                f"following tool_call_ids did not have response messages: {', '.join(self._open)}"
            )

    def _message(self, message: Json, where: str) -> None:
        role = message.get("role")
        if role not in _ROLES:
            names = ", ".join(f"'{name}'" for name in _ROLES)
            raise self._bad(f"Invalid value: '{role}'. Supported values are: {names}. ({where}.role)")
        self._keys(message, _KEYS if self.strict else _ROUTER_KEYS, where)
        if role == "tool":
            self._tool_message(message, where)
            return
        self._close()
        calls = as_list(message.get("tool_calls"))
        if calls is not None and role == "assistant":
            self._calls(calls, where)
        texts: list[str] = []
        content = message.get("content")
        if content is not None or not calls:
            self._content(content, f"{where}.content", texts)
        if role == "user":
            self.asked.last_user = "\n".join(texts)

    def _keys(self, given: Json, allowed: frozenset[str], where: str) -> None:
        for key in given:
            if key in allowed:
                continue
            if self.strict:
                raise self._bad(f"Unknown parameter: '{where}.{key}'.")
            self.asked.ignored.append(f"{where}.{key}")

    def _tool_message(self, message: Json, where: str) -> None:
        call_id = message.get("tool_call_id")
        if not isinstance(call_id, str):
            raise self._bad(f"Missing required parameter: '{where}.tool_call_id'.")
        if call_id not in self._open:
            raise self._bad(
                f"Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'. ({where}.role)"
            )
        self._open.remove(call_id)
        texts: list[str] = []
        self._content(message.get("content"), f"{where}.content", texts)
        self.asked.last_user = "\n".join(texts)

    def _calls(self, calls: list[Any], where: str) -> None:
        if not calls:
            raise self._bad(
                f"Invalid '{where}.tool_calls': empty array. Expected an array with minimum length 1, but got an empty array instead."
            )
        for index, raw in enumerate(calls):
            at = f"{where}.tool_calls[{index}]"
            call = as_dict(raw) or {}
            self._keys(call, frozenset({"id", "type", "function", "index"}), at)
            call_id = call.get("id")
            if not isinstance(call_id, str) or not _ID.match(call_id):
                raise self._bad(f"Invalid '{at}.id': String should match pattern '^[a-zA-Z0-9_-]+$'")
            if self.strict and len(call_id) > 40:
                raise self._bad(
                    f"Invalid '{at}.id': string too long. Expected a string with maximum length 40, but got a string with length "
                    f"{len(call_id)} instead."
                )
            if call_id in self._used:
                raise self._bad(f"Duplicate value for 'tool_call_id' of '{call_id}' in {where}")
            function = as_dict(call.get("function")) or {}
            if not isinstance(function.get("name"), str) or not isinstance(function.get("arguments"), str):
                raise self._bad(f"Missing required parameter: '{at}.function'.")
            self._used.add(call_id)
            self._open.append(call_id)
            self.asked.tool_chars += len(function["arguments"])

    def _content(self, content: Any, where: str, texts: list[str]) -> None:
        if isinstance(content, str):
            self._text(content, where, texts)
            return
        parts = as_list(content)
        if parts is None:
            raise self._bad(f"Invalid value for 'content': expected a string, got {'null' if content is None else 'object'}. ({where})")
        if not parts:
            raise self._bad(f"Invalid '{where}': empty array. Expected an array with minimum length 1, but got an empty array instead.")
        for index, raw in enumerate(parts):
            self._part(as_dict(raw) or {}, f"{where}[{index}]", texts)

    def _text(self, text: str, where: str, texts: list[str]) -> None:
        if not text and self.asked.model.family == ANTHROPIC:
            raise self._bad("messages: text content blocks must be non-empty")
        texts.append(text)
        self.asked.texts.append(text)

    def _part(self, part: Json, where: str, texts: list[str]) -> None:
        kind = str(part.get("type"))
        if kind not in _PARTS:
            names = ", ".join(f"'{name}'" for name in _PARTS)
            raise self._bad(f"Invalid value: '{kind}'. Supported values are: {names}. ({where}.type)")
        self._keys(part, _PARTS[kind] if self.strict else _PARTS[kind] | {"cache_control"}, where)
        if kind == "image_url":
            self._image(part.get("image_url"), where)
        elif kind == "text":
            text = part.get("text")
            if not isinstance(text, str):
                raise self._bad(f"Missing required parameter: '{where}.text'.")
            if not text and self.strict:
                raise self._bad(
                    f"Invalid '{where}.text': empty string. Expected a string with minimum length 1, but got an empty string instead."
                )
            self._text(text, where, texts)

    def _image(self, value: Any, where: str) -> None:
        url = (as_dict(value) or {}).get("url")
        if not isinstance(url, str):
            raise self._bad(f"Missing required parameter: '{where}.image_url.url'.")
        if not self.asked.model.vision:
            if self.asked.provider == "openrouter":
                raise Refusal(404, "No endpoints found that support image input")
            raise self._bad("This model does not support image inputs.")
        if url.startswith("data:"):
            found = _DATA_URL.match(url)
            if not found:
                raise self._bad("Invalid image_url. Expected a base64-encoded data URL with an image MIME type.")
            try:
                check_image(url[found.end():], found[1], where)
            except Refusal as refusal:
                raise self._bad(refusal.message) from refusal
        elif not url.startswith(("https://", "http://")):
            raise self._bad(f"Invalid 'image_url': '{url[:60]}' is not a valid URL.")
        self.asked.images += 1
