"""Model names compared: case, dots and dashes, families, near names. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

FAMILIES = ("opus", "sonnet", "haiku", "gemini", "gpt")
_NEAR = 0.6


def folded(name: str) -> str:
    """Return the name in the one spelling that stands for all: lower case, dashes for dots and underscores."""
    return re.sub(r"[._\s]+", "-", name.strip().lower())


def tail(model_id: str) -> str:
    """Return the id without its vendor: gpt-4o of openai/gpt-4o."""
    return model_id.rsplit("/", 1)[-1]


def family(model_id: str) -> str | None:
    """Return the family an id belongs to: sonnet of anthropic/claude-sonnet-4.5; None when it is none of them."""
    words = re.split(r"[^a-z]+", tail(model_id).lower())
    return next((name for name in FAMILIES if name in words), None)


def near(wanted: str, names: Sequence[str], *, limit: int = 5) -> list[str]:
    """Return the names most like `wanted`, best first; those too far off are left out."""
    target = folded(wanted)
    scored = [(_likeness(target, name), -position, name) for position, name in enumerate(names)]
    best = sorted((row for row in scored if row[0] >= _NEAR), reverse=True)
    return list(dict.fromkeys(name for _, _, name in best))[:limit]


def _likeness(target: str, name: str) -> float:
    """From 0 to 1: how like `target` the name is, with or without its provider and vendor, whichever is greatest."""
    if not target:
        return 0.0
    whole = folded(name)
    best = 0.0
    for form in {whole, whole.partition("/")[2] or whole, tail(whole)}:
        for candidate in {target, tail(target)}:
            if len(candidate) >= 4 and candidate in form:
                best = max(best, 0.75 + 0.25 * len(candidate) / len(form))
            best = max(best, _ratio(candidate, form))
    return best


def _ratio(one: str, other: str) -> float:
    """difflib's ratio, or 0 where cheaper bounds already tell that it is under the threshold."""
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    promising = matcher.real_quick_ratio() >= _NEAR and matcher.quick_ratio() >= _NEAR
    return matcher.ratio() if promising else 0.0
