"""Texts kept within bounds: answers under a number of tokens, as the client's model will see them (as JSON), names on one line."""

from __future__ import annotations

import json
from typing import Any, cast

from conversation.json_text import whole
from conversation.tokens import estimate_tokens


def json_tokens(value: Any) -> int:
    """Return about how many tokens a value is as compact JSON."""
    return estimate_tokens(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def fitting(text: str, tokens: int) -> int:
    """Return how many characters of `text`, from its start, fit into `tokens` as JSON."""
    if json_tokens(text) <= tokens:
        return len(text)
    low, high = 0, len(text)
    while high - low > 32:
        middle = (low + high) // 2
        low, high = (middle, high) if json_tokens(text[:middle]) <= tokens else (low, middle)
    return low


def read_on(continuation_id: str | None, turn: int, offset: int) -> str:
    """Return how to get at the rest of a turn that was cut after so many characters."""
    return f"Read on with threads: action=show, continuation_id={continuation_id}, turn={turn}, offset={offset}."


def cut(text: str, most: int) -> str:
    """Return the text, its end given up for an ellipsis when it has more than `most` characters."""
    return text if len(text) <= most else text[: most - 1] + "\u2026"


def one_line(text: str, most: int) -> str:
    """Return the text on one line, without control characters, cut to `most` characters."""
    return cut(printable(" ".join(text.split())), most)


def printable(text: str) -> str:
    """Return the text with control characters replaced."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)


def cleaned(value: Any, levels: int = 50) -> Any:
    """Return a JSON value with all text in it fit for UTF-8, and null for what is nested deeper than `levels`.

    A string may have been cut in the middle of an emoji, and the parser takes brackets nested deeper than others can follow.
    """
    if isinstance(value, str):
        return whole(value)
    if levels == 0 and isinstance(value, list | dict):
        return None
    if isinstance(value, list):
        return [cleaned(part, levels - 1) for part in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {whole(name): cleaned(part, levels - 1) for name, part in cast("dict[str, Any]", value).items()}
    return value
