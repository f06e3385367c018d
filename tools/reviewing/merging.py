"""The equal findings of several reviewers made one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain

from tools.reviewing.findings import Finding, fit
from tools.reviewing.written import SEVERITIES

_WORD = re.compile(r"[a-z][a-z0-9_]+")
_CLOSE = 2


@dataclass(frozen=True, slots=True)
class _Said:
    """A finding with what it is compared by."""

    finding: Finding
    title: frozenset[str]
    everything: frozenset[str]
    code: str

    @classmethod
    def of(cls, one: Finding) -> _Said:
        title = _telling(one.title)
        return cls(one, title, title | _telling(one.detail), "".join(one.quote.split()))


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings, worst first and then by place, equal ones as one that names everyone who found it and keeps what each said."""
    kept: list[_Said] = []
    by_line: dict[tuple[str, int], list[int]] = {}
    for one in map(_Said.of, sorted(findings, key=_order)):
        file, place = one.finding.file, one.finding.line
        near = (by_line.get((file, line), ()) for line in range(place - _CLOSE, place + _CLOSE + 1))
        twin = next((at for at in sorted(chain.from_iterable(near)) if _equal(one, kept[at])), None)
        if twin is None:
            by_line.setdefault((file, place), []).append(len(kept))
            kept.append(one)
        else:
            kept[twin] = _Said.of(_joined(kept[twin].finding, one.finding))
    return [one.finding for one in kept]


def _order(one: Finding) -> tuple[int, str, int, str]:
    return SEVERITIES.index(one.severity), one.file, one.line, one.seat


def _joined(kept: Finding, other: Finding) -> Finding:
    said = other.detail and other.detail not in kept.detail
    detail = fit(f"{kept.detail}\n\n{other.found_by[0]}: {other.detail}".strip(), 4_000) if said else kept.detail
    return kept.model_copy(update={"found_by": tuple(dict.fromkeys((*kept.found_by, *other.found_by))), "detail": detail})


def _equal(one: _Said, other: _Said) -> bool:
    """Tell whether two findings near each other are about the same fault: named alike, or alike in all they say.

    Titles that each name something of their own, of different code, are of two faults: a check missing of `db`, and one of `name`.
    One reviewer's two findings at a place are two, unless they say the same: it had a reason to tell them apart.
    """
    titles = _likeness(one.title, other.title, one.finding.title, other.finding.title)
    if set(one.finding.found_by) <= set(other.finding.found_by):
        return one.finding.line == other.finding.line and titles >= 0.8
    each_its_own = one.title - other.title and other.title - one.title
    if titles >= 0.6 and not (each_its_own and one.finding.line != other.finding.line and one.code != other.code):
        return True
    if one.code != other.code:
        return False
    everything = _likeness(one.everything, other.everything, one.finding.detail, other.finding.detail)
    return (titles >= 0.3 and everything >= 0.3) or everything >= 0.6


def _likeness(first: frozenset[str], second: frozenset[str], one: str, other: str) -> float:
    """Return the share of the fewer telling words that both have, 0 to 1; without any, whether the texts are the same."""
    if not first or not second:
        return float(one.strip().lower() == other.strip().lower())
    return len(first & second) / min(len(first), len(second))


def _telling(text: str) -> frozenset[str]:
    """The words that say what it is about, each by its stem, roughly."""
    return frozenset(word.rstrip("s") for word in _WORD.findall(text.lower())) - _COMMON


_COMMON_WORDS = """
of in is to by on at or if it no an as be up do so we me my he us
the and for with that this from when then than are was not can has have its into does will may any all but one two out never always
code line value values function method call calls called caller return returns returned check checked error user input which there
where what because without before after being must should could would nothing something
"""
_COMMON = frozenset(_COMMON_WORDS.split())
"""Words that stand in many a finding and tell nothing of it."""
