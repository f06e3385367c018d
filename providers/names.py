"""Model names compared: case, dots and dashes, families, near names. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher
from heapq import nsmallest
from itertools import pairwise

FAMILIES = ("opus", "sonnet", "haiku", "gemini", "gpt")
_SEPARATORS = re.compile(r"[._\s]+")
LONGEST_NAME = 200
"""Characters; a longer name is nobody's, and is not looked for."""
_NEAR = 0.6
_FEW = 64
"""So many names are all compared in full, which takes up to half a millisecond each."""
_LIKELY = 6
"""Of more, so many for each reason they are likely."""
_PIECES = 24


def folded(name: str) -> str:
    """Return the name in the one spelling that stands for all: lower case, dashes for dots and underscores."""
    return _SEPARATORS.sub("-", name.strip().lower())


def tail(model_id: str) -> str:
    """Return the id without its vendor: gpt-4o of openai/gpt-4o."""
    return model_id.rsplit("/", 1)[-1]


def served_as(model_id: str) -> str:
    """Return what a model is called wherever it is served: of anthropic/claude-sonnet-4.5 and claude-sonnet-4-5@20250929 the same."""
    return folded(tail(model_id).partition("@")[0])


def family(model_id: str) -> str | None:
    """Return the family an id belongs to: sonnet of anthropic/claude-sonnet-4.5; None when it is none of them."""
    words = re.split(r"[^a-z]+", tail(model_id).lower())
    return next((name for name in FAMILIES if name in words), None)


def near(wanted: str, names: Sequence[str], *, limit: int = 5) -> list[str]:
    """Return the names most like `wanted`, best first; those too far off are left out.

    Thousands of names take some milliseconds: only those that share most with `wanted` are compared in full.
    """
    target = folded(wanted[:LONGEST_NAME])
    if not target:
        return []
    forms = [folded(name) for name in names]
    likeness = _Likeness(target)
    likely = range(len(names)) if len(names) <= _FEW else _likely(target, forms)
    scored = [(likeness.of(forms[position]), -position, names[position]) for position in likely]
    best = sorted((row for row in scored if row[0] >= _NEAR), reverse=True)
    return list(dict.fromkeys(name for _, _, name in best))[:limit]


def _likely(target: str, forms: Sequence[str]) -> set[int]:
    """The positions of the forms that share most letters and pairs of letters with the target, and the shortest that hold all of it."""
    ids = [tail(form) for form in forms]
    holding = sorted((len(form), position) for position, form in enumerate(forms) if target in form)[:_LIKELY]
    chosen = {position for _, position in holding}
    for sought, spellings in ((target, forms), (tail(target), ids)):
        pieces = _pieces(sought)
        scored = ((-sum(map(form.__contains__, pieces)) / (len(pieces) + 2 * len(form)), at) for at, form in enumerate(spellings))
        chosen.update(position for _, position in nsmallest(_LIKELY, scored))
    return chosen


def _pieces(text: str) -> list[str]:
    """Its letters and pairs of neighbours, each once; of a long text evenly spread ones."""
    found = list(dict.fromkeys([*map("".join, pairwise(text)), *text]))
    return found[:: 1 + len(found) // _PIECES]


class _Likeness:
    """How like one target names are. The target's letters are counted once, which is the dear part of a comparison."""

    def __init__(self, target: str) -> None:
        self._matchers = {one: SequenceMatcher(None, "", one, autojunk=False) for one in (target, tail(target))}

    def of(self, whole: str) -> float:
        """From 0 to 1: how like the target the name is, with or without its provider and vendor, whichever is greatest."""
        best = 0.0
        for form in {whole, whole.partition("/")[2] or whole, tail(whole)}:
            for candidate, matcher in self._matchers.items():
                if len(candidate) >= 4 and candidate in form:
                    best = max(best, 0.75 + 0.25 * len(candidate) / len(form))
                best = max(best, _ratio(matcher, form, best))
        return best


def _ratio(matcher: SequenceMatcher[str], form: str, least: float) -> float:
    """difflib's ratio, or 0 where cheaper bounds already tell that it is under the threshold or under `least`."""
    matcher.set_seq1(form)
    least = max(least, _NEAR)
    promising = matcher.real_quick_ratio() >= least and matcher.quick_ratio() >= least
    return matcher.ratio() if promising else 0.0
