"""Which words of a question to look for, whether it asks for the past, and how several orders become one. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

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
_PAST = re.compile(
    r"\b(?:before|previous(?:ly)?|former(?:ly)?|original(?:ly)?|initial(?:ly)?|used to|no longer|earlier|in the past|history|prior to|"
    r"until|was .* first|at first|first place|old|once|back then|replaced?|changed?)\b",
    re.IGNORECASE,
)
MAX_TERMS = 32
CLOSENESS = 10.0
"""Of reciprocal rank fusion (Cormack, Clarke and Buettcher, 2009): the smaller, the more the first places count."""


def terms(query: str) -> list[str]:
    """Return the words to look for, each once: those that many texts have are left out, unless there are no others."""
    words = dict.fromkeys(word for whole in _WORD.findall(query) for word in (whole.casefold(), *_parts(whole)))
    telling = [word for word in words if word not in _COMMON]
    return (telling or list(words))[:MAX_TERMS]


def asks_for_the_past(query: str) -> bool:
    """Tell whether a question asks for what was, and may be no longer."""
    return _PAST.search(query) is not None


def spread(text: str) -> str:
    """Return the parts of the names in a text that are written as one word, such as maxRetries."""
    return " ".join(dict.fromkeys(part for whole in _WORD.findall(text) for part in _parts(whole)))


def fused(orders: Iterable[tuple[float, Sequence[str]]]) -> Mapping[str, float]:
    """Return the score of everything that is in one of the orders, each of which has a weight."""
    scores: dict[str, float] = {}
    for weight, order in orders:
        for place, name in enumerate(order):
            scores[name] = scores.get(name, 0.0) + weight / (CLOSENESS + place)
    return scores


def _parts(word: str) -> list[str]:
    found = [part.casefold() for part in _PARTS.findall(word)]
    return found if len(found) > 1 else []
