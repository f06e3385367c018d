"""Which words of a question to look for, what it asks of the past, and how well a note answers. Pure.

The figures were chosen on half of the questions of bench/data/recall, and measured on all of them (`python -m bench recall`).
"""

from __future__ import annotations

import heapq
import math
import re
from collections.abc import Iterable, Mapping
from enum import Enum

_PARTS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")
_WORD = re.compile(r"\w+")
_COMMON = frozenset(
    """
    a about all also am an and any anyone anything are as at be been being but by can could did do does doing done for from get gets give
    given go goes going got had has have he her hers him his how i if in into is it its just let like made make may me might mine more
    most much must my need needs no not now of on one or our ours out please say says shall she should so some such tell than that the
    their them then there these they this those to told too up us used uses using use very want was we were what whats when where
    whether which while who whom whose why will with would you your yours
    before previously formerly originally initially earlier once
    """.split()  # noqa: SIM905 - a hundred words in quotes are harder to read
)
_FORMER = re.compile(
    r"\b(?:before|previous(?:ly)?|former(?:ly)?|original(?:ly)?|initial(?:ly)?|used to|no longer|earlier|in the past|history|prior to|"
    r"until|at first|first place|old|once|back then|replaced?|changed?)\b",
    re.IGNORECASE,
)
_MONTHS = "january|february|march|april|may|june|july|august|september|october|november|december"
_EVENT = re.compile(
    r"\bwh(?:y|en) (?:did|was|were|had|wasn't|didn't|weren't|hadn't)\b|\bwhat (?:was|were|made|convinced|pushed|drove|happened|caused)\b|"
    rf"\bfirst time\b|\bback in\b|\bin (?:{_MONTHS}|spring|summer|autumn|winter|20\d\d)\b",
    re.IGNORECASE,
)
MAX_TERMS = 32
_OF_ITS_WORDS, _OF_ITS_FACT = 1.0, 1.0
"""What a note's own words count, and the best of its facts."""
_OF_STALE_WORDS = 0.8
"""What the words of a note count of which some are no longer true, and which therefore are not shown."""
_FORMER_FIRST = 1.5
"""By so much what is no longer true comes first, where that is asked for."""
_SIBLING = 0.5
"""What each further fact of one note counts, of the one before it: other notes have more to add."""


_OF_MEANING = 1.3
"""What the nearest by meaning counts, in words that one text alone has: BM25 takes each for the logarithm of how many texts there are."""
_NEAREST = 20
"""So many are found by their meaning alone."""


class Tense(Enum):
    """What a question asks of the past: nothing, of something that happened, or what was and may be no longer."""

    NOW = 0
    EVENT = 1
    FORMER = 2


def terms(query: str, *, every: bool = False) -> list[str]:
    """Return the words to look for, each once: those that many texts have are left out, unless there are no others or `every` counts."""
    words = dict.fromkeys(word for whole in _WORD.findall(query) for word in (whole.casefold(), *_parts(whole)))
    telling = [word for word in words if every or word not in _COMMON]
    return (telling or list(words))[:MAX_TERMS]


def tense(query: str) -> Tense:
    """Return what a question asks of the past."""
    if _FORMER.search(query):
        return Tense.FORMER
    return Tense.EVENT if _EVENT.search(query) else Tense.NOW


def of_note(words: float, best_fact: float, *, stale: bool, asked: Tense) -> float:
    """Return how well a note answers, by how well its words and its best fact that is shown do; `stale` when some is no longer true."""
    if stale and asked is Tense.NOW:
        words = words * _OF_STALE_WORDS if best_fact else 0.0
    score = _OF_ITS_WORDS * words + _OF_ITS_FACT * best_fact
    return score * _FORMER_FIRST if stale and asked is Tense.FORMER else score


def fused(words: Mapping[str, float], near: Mapping[str, float], total: int) -> dict[str, float]:
    """Return scores by words and by meaning in one.

    `near` are those near by meaning, from 0 to 1 for the nearest, of `total`. The square tells the nearest from the many that are
    only of the same subject. Ranks in the place of scores (reciprocal rank fusion) put exact names behind in the measurements.
    """
    weight = _OF_MEANING * math.log1p(total)
    found = {name: score + weight * near.get(name, 0.0) ** 2 for name, score in words.items()}
    for name in heapq.nlargest(_NEAREST, near, key=near.__getitem__):
        found.setdefault(name, weight * near[name] ** 2)
    return found


def of_siblings(note: float, facts: Iterable[str], scores: Mapping[str, float]) -> Mapping[str, float]:
    """Return the scores of a note's facts: the best has the note's, and each further one less."""
    found: dict[str, float] = {}
    for fact in sorted(facts, key=lambda fact: -scores.get(fact, 0.0)):
        found[fact] = note
        note *= _SIBLING
    return found


def _parts(word: str) -> list[str]:
    found = [part.casefold() for part in _PARTS.findall(word)]
    return found if len(found) > 1 else []
