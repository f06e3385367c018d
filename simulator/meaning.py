"""Vectors that mimic meaning a little: words of one stem, or of one line of SYNONYMS, are one direction, others are random ones."""

from __future__ import annotations

import functools
import math
import re
from hashlib import blake2b

from .meaning_words import FUNCTION_WORDS, SYNONYMS

_WORD = re.compile(r"\w+")
_ENDINGS = ("ations", "ation", "ings", "ing", "edly", "ers", "ed", "er", "ies", "es", "ly", "s", "e", "y")
_SHORTEST = 3
"""Letters that are left of a word at least."""
_DIRECTIONS = 8
"""Numbers of a vector that one meaning adds to."""
_OF_FUNCTION_WORDS = 0.1


def vector(text: str, dimension: int) -> list[float]:
    """Return a vector of length 1; the same text has the same one in every process."""
    found = [0.0] * dimension
    for word in _WORD.findall(text.casefold()):
        weight = _OF_FUNCTION_WORDS if word in FUNCTION_WORDS else 1.0
        for position, sign in _directions(_meaning(word)):
            found[position % dimension] += sign * weight
    length = math.sqrt(sum(number * number for number in found))
    return [round(number / length, 7) for number in found] if length else [1.0, *found[1:]]


@functools.lru_cache(maxsize=20_000)
def _directions(meaning: str) -> tuple[tuple[int, float], ...]:
    digest = blake2b(meaning.encode("utf-8", "replace"), digest_size=5 * _DIRECTIONS).digest()
    parts = (digest[at : at + 5] for at in range(0, len(digest), 5))
    return tuple((int.from_bytes(part[:4]), 1.0 if part[4] & 1 else -1.0) for part in parts)


def _meaning(word: str) -> str:
    """Return the first word of the line that a word stands in, by its stem; the stem of any other."""
    stem = _stem(word)
    return _meanings().get(stem, stem)


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _SHORTEST:
            word = word[: -len(ending)]
            break
    return word[:-1] if len(word) > _SHORTEST and word[-1] == word[-2] else word


@functools.cache
def _meanings() -> dict[str, str]:
    found: dict[str, str] = {}
    for line in SYNONYMS.splitlines():
        first, *others = map(_stem, line.split())
        found.update({word: found.get(first, first) for word in (first, *others) if word not in found})
    return found
