"""How many tokens a request is, estimated: errs high, since too low a count lets a client run over the window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from conversation.json_text import written
from conversation.messages import object_of, objects_of
from conversation.tokens import estimate_tokens, image_size, image_tokens

_MESSAGE = 4
_TOOL = 16


def count(body: Mapping[str, Any]) -> int:
    """Return about how many input tokens a Messages API body is: system, messages, tools and their results, images."""
    total = _content(body.get("system"))
    total += sum(_MESSAGE + _content(message.get("content")) for message in objects_of(body.get("messages")))
    total += sum(_TOOL + estimate_tokens(written(tool).decode()) for tool in objects_of(body.get("tools")))
    return max(1, total)


def _content(content: Any) -> int:
    return estimate_tokens(content) if isinstance(content, str) else sum(map(_block, objects_of(content)))


def _block(block: Mapping[str, Any]) -> int:
    if source := object_of(block.get("source")):
        data = str(source.get("data") or "")
        if block.get("type") == "image":
            return image_tokens(image_size(data) if data else None)
        return estimate_tokens(data) if block.get("type") != "document" else max(1, len(data) // 8)
    if block.get("type") == "tool_result":
        return _MESSAGE + _content(block.get("content"))
    if block.get("type") == "tool_use":
        return _TOOL + estimate_tokens(written(block.get("input")).decode())
    return estimate_tokens(str(block.get("text") or block.get("thinking") or ""))
