"""Which kinds of content blocks an upstream knows. Others become text, if they hold any, or are left out.

A block stays in a conversation for as long as that lasts, so one that an upstream refuses would end it. Source of the kinds:
https://docs.claude.com/en/api/messages (November 2026).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from conversation.messages import objects_of
from providers.base import ProviderSpec

Block = Mapping[str, Any]

_EVERYWHERE = frozenset({"text", "image", "document", "tool_use", "tool_result", "thinking", "redacted_thinking"})
_ANTHROPIC = _EVERYWHERE | {
    "search_result",
    "server_tool_use",
    "web_search_tool_result",
    "web_fetch_tool_result",
    "code_execution_tool_result",
    "bash_code_execution_tool_result",
    "text_editor_code_execution_tool_result",
    "tool_search_tool_result",
}
_BETA_BLOCKS: Mapping[str, str] = {"tool_reference": "tool-search-tool-2025-10-19"}
"""Blocks of the wire that is Anthropic's, and the beta without which they are refused."""
_WORDS = ("title", "source", "url", "tool_name", "text", "stdout", "stderr")
"""Fields of blocks that are words for the model, in the order in which they are told."""
_DEEPEST = 3
"""Blocks within blocks: a result, its documents and their text."""


def understood(messages: Any, spec: ProviderSpec, betas: Iterable[str]) -> list[Mapping[str, Any]]:
    """Return the messages with every block of a kind the upstream knows; those where that was so are the same objects."""
    known = _EVERYWHERE
    if spec.wire == "anthropic":
        going = frozenset(betas) & spec.betas
        known = _ANTHROPIC | {kind for kind, beta in _BETA_BLOCKS.items() if beta in going}
    return [_message(message, known) for message in objects_of(messages)]


def _message(message: Mapping[str, Any], known: frozenset[str]) -> Mapping[str, Any]:
    content: Any = message.get("content")
    if not isinstance(content, list):
        return message
    blocks = objects_of(cast("list[Any]", content))
    fit = list(_fitting(blocks, known))
    return message if fit == blocks else {**message, "content": fit}


def _fitting(blocks: Iterable[Block], known: frozenset[str]) -> Iterator[Block]:
    for block in blocks:
        kind, inner = block.get("type"), block.get("content")
        if kind == "tool_result" and isinstance(inner, list):
            parts = objects_of(cast("list[Any]", inner))
            fit = list(_fitting(parts, known))
            yield block if fit == parts else {**block, "content": fit}
        elif isinstance(kind, str) and kind in known:
            yield block
        elif text := "\n".join(_words(block, _DEEPEST)):
            mark = {"cache_control": block["cache_control"]} if "cache_control" in block else {}
            yield {"type": "text", "text": text, **mark}


def _words(block: Block, deepest: int) -> Iterator[str]:
    for key in _WORDS:
        if isinstance(word := block.get(key), str) and word:
            yield word
    content = block.get("content")
    if isinstance(content, str):
        yield content
    elif deepest:
        for inner in objects_of([content] if isinstance(content, Mapping) else content):
            yield from _words(inner, deepest - 1)
