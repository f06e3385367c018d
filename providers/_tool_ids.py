"""Ids of tool calls as an upstream takes them: in Anthropic's characters, short enough, and each used once.

An id goes as it is, or with the characters replaced that are not taken, as long as no call before it went under that name. Another
is told apart by a hash of itself and of how often it was used before. Nothing depends on what comes later, so a conversation's
beginning stays the same from turn to turn, which is what caches of prompts go by.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterator, Mapping
from typing import Any, cast

from providers._events import tool_id
from providers._fields import Kind

_LONGEST: Mapping[Kind, int] = {"openai": 40}
"""Characters; OpenAI says "string too long. Expected a string with maximum length 40"."""
_DIGEST_BYTES = 8


def set_tool_ids(messages: list[dict[str, Any]], wire: Kind) -> None:
    """Change the ids of calls and results, in place. A result answers the nearest call of its id before it."""
    longest = _LONGEST.get(wire)
    taken: set[str] = set()
    uses: dict[str, int] = {}
    names: dict[str, list[str]] = {}
    for message in messages:
        again: set[str] = set()
        for block in _calls_and_results(message["content"]):
            if block["type"] == "tool_use":
                raw = str(block.get("id") or "")
                block["id"] = name = _name(raw, uses.get(raw, 0), taken, longest)
                taken.add(name)
                uses[raw] = uses.get(raw, 0) + 1
                names[raw] = [*names[raw], name] if raw in again else [name]
                again.add(raw)
            else:
                raw = str(block.get("tool_use_id") or "")
                block["tool_use_id"] = _answered(names.get(raw)) or _name(raw, 0, (), longest)


def _answered(calls: list[str] | None) -> str | None:
    """Return the call a result answers: calls of one id in one message are answered in their order."""
    if not calls:
        return None
    return calls.pop(0) if len(calls) > 1 else calls[0]


def _name(raw: str, uses: int, taken: Container[str], longest: int | None) -> str:
    clean = tool_id(raw)
    if clean not in taken and (longest is None or len(clean) <= longest):
        return clean
    digest = hashlib.blake2b(f"{uses} {raw}".encode(errors="surrogatepass"), digest_size=_DIGEST_BYTES).hexdigest()
    return f"{clean if longest is None else clean[: longest - len(digest) - 1]}_{digest}"


def _calls_and_results(content: Any) -> Iterator[dict[str, Any]]:
    for block in cast("list[dict[str, Any]]", content) if isinstance(content, list) else ():
        if block.get("type") in ("tool_use", "tool_result"):
            yield block
