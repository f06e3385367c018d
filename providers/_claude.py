"""What Claude models take, by their version, where they are asked through the Messages API itself.

From Anthropic's migration guides and extended-thinking pages (November 2026): adaptive thinking from 4.6 on, and nothing else from
Opus 4.7 on; `effort` from Opus 4.5 and from Sonnet 4.6 on; a beta's fields only with its header.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from conversation.messages import object_of
from providers._fields import CONTEXT_MANAGEMENT
from providers._prepare import Body, breaks_thinking, drop_effort, stop_thinking
from providers.base import ModelInfo

_VERSION = re.compile(r"claude-(?:[a-z]+-)?(\d+)(?:[-.](\d{1,2})(?!\d))?")
_BUDGETS: Mapping[str, int] = {"low": 4_096, "medium": 10_000}
_BUDGET = 31_999
"""Tokens; what Claude Code asks of the models that take a budget."""


def version(model_id: str) -> tuple[int, int]:
    """Return a Claude model's version, (0, 0) for a name without one."""
    found = _VERSION.search(model_id)
    return (int(found[1]), int(found[2] or 0)) if found else (0, 0)


def fit_claude(body: Body, model: ModelInfo, asked: Iterable[str], taken: Iterable[str]) -> list[str]:
    """Change the body to what the model takes, and return the betas to send: those asked for that are taken there."""
    known = frozenset(taken)
    adaptive, only = version(model.id) >= (4, 6), "temperature" in model.drop
    thinking = object_of(body.get("thinking"))
    if thinking.get("type") == "disabled":
        del body["thinking"]
    elif thinking.get("type") == "adaptive" and not adaptive:
        _set_budget(body)
    elif thinking.get("type") == "enabled" and only:
        body["thinking"] = {"type": "adaptive", **({"display": thinking["display"]} if "display" in thinking else {})}
    if not (adaptive or "opus-4-5" in model.id.replace(".", "-")):
        drop_effort(body)
    betas = [beta for beta in dict.fromkeys(asked) if beta in known]
    if "context_management" in body and CONTEXT_MANAGEMENT not in betas:
        betas.append(CONTEXT_MANAGEMENT)
    return betas


def _set_budget(body: Body) -> None:
    effort = str(object_of(body.get("output_config")).get("effort"))
    budget = min(_BUDGETS.get(effort, _BUDGET), body["max_tokens"] - 1)
    if budget < 1_024:
        stop_thinking(body)
    else:
        body["thinking"] = {"type": "enabled", "budget_tokens": budget}


def without_thinking(body: Body) -> Body | None:
    """Return the body without thinking in its messages; None when there is none. Claude then does not think where it may not."""
    messages: list[Body] = []
    for message in body["messages"]:
        blocks: list[Any] = message["content"] if isinstance(message["content"], list) else []
        kept = [block for block in blocks if block.get("type") not in ("thinking", "redacted_thinking")]
        if len(kept) == len(blocks):
            messages.append(message)
        elif kept:
            messages.append({**message, "content": kept})
    if messages == body["messages"]:
        return None
    stripped = {**body, "messages": messages}
    if breaks_thinking(stripped):
        stop_thinking(stripped)
    return stripped
