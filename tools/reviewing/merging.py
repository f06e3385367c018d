"""The equal findings of several reviewers made one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import chain

from tools.reviewing.findings import Finding, fit
from tools.reviewing.written import SEVERITIES

_WORD = re.compile(r"[a-z][a-z0-9_]{2,}")
_CLOSE = 2


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings, worst first and then by place, equal ones as one that names everyone who found it and keeps what each said."""
    kept: list[Finding] = []
    by_line: dict[tuple[str, int], list[int]] = {}
    for one in sorted(findings, key=_order):
        near = (by_line.get((one.file, line), ()) for line in range(one.line - _CLOSE, one.line + _CLOSE + 1))
        twin = next((at for at in sorted(chain.from_iterable(near)) if _equal(one, kept[at])), None)
        if twin is None:
            by_line.setdefault((one.file, one.line), []).append(len(kept))
            kept.append(one)
        else:
            kept[twin] = _joined(kept[twin], one)
    _telling.cache_clear()  # what was reviewed does not stay in memory
    return kept


def _order(one: Finding) -> tuple[int, str, int, str]:
    return SEVERITIES.index(one.severity), one.file, one.line, one.seat


def _joined(kept: Finding, other: Finding) -> Finding:
    said = other.detail and other.detail not in kept.detail
    detail = fit(f"{kept.detail}\n\n{other.found_by[0]}: {other.detail}".strip(), 4_000) if said else kept.detail
    return kept.model_copy(update={"found_by": tuple(dict.fromkeys((*kept.found_by, *other.found_by))), "detail": detail})


def _equal(one: Finding, other: Finding) -> bool:
    """Tell whether two findings near each other are about the same fault: named alike, or alike in all they say.

    One reviewer's two findings at a place are two, unless they say the same: it had a reason to tell them apart.
    """
    titles = _likeness(one.title, other.title)
    if set(one.found_by) <= set(other.found_by):
        return one.line == other.line and titles >= 0.8
    same_code = "".join(one.quote.split()) == "".join(other.quote.split())
    everything = _likeness(f"{one.title} {one.detail}", f"{other.title} {other.detail}")
    return titles >= 0.6 or (same_code and titles >= 0.3 and everything >= 0.3) or (same_code and everything >= 0.6)


def _likeness(one: str, other: str) -> float:
    """Return the share of the fewer telling words that both have, 0 to 1."""
    first, second = _telling(one), _telling(other)
    if not first or not second:
        return float(one.strip().lower() == other.strip().lower())
    return len(first & second) / min(len(first), len(second))


@lru_cache(maxsize=4_096)
def _telling(text: str) -> frozenset[str]:
    """The words that say what it is about, each by its stem, roughly."""
    return frozenset(word.rstrip("s") for word in _WORD.findall(text.lower())) - _COMMON


_COMMON_WORDS = """
the and for with that this from when then than are was not can has have its into does will may any all but one two out never always
code line value values function method call calls called caller return returns returned check checked error user input which there
where what because without before after being must should could would nothing something
"""
_COMMON = frozenset(_COMMON_WORDS.split())
"""Words that stand in many a finding and tell nothing of it."""
