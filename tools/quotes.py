"""Quotes: whether words that one model says stand in another's answer do stand there, and stand there as its own view.

Spacing, letter case, Markdown and typographic signs are forgiven, and an ellipsis stands for up to some hundred characters.
A quote bears out nothing when

- it is too short to mean anything, unless it is the whole answer;
- one of the four words before it in its sentence is a negation, or after `but`, which begins a new thought: the quote leaves it out;
- it only repeats the question: its words stand there too, and in the answer they are no sentence of their own.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from conversation.tokens import estimate_tokens

LONGEST_QUOTE = 4_000
"""Characters; what is longer is no quote, and is not looked for."""

_ENDS = " .\u2026\"'`*"
_LEAST_TOKENS, _LEAST_CHARACTERS = 3, 4
_WIDEST_GAP = 400
_MOST_PLACES = 64
"""Of one quote in one answer, so many are looked at."""
_BEFORE = 120
_WORDS_BEFORE = 4

_SIGNS = str.maketrans("\u2018\u2019\u201c\u201d\u2013\u2014", "''\"\"--", "*`_\u200b\u200c\u200d\ufeff")
_WRITTEN_OUT = re.compile(r"&(lt|gt|amp);")
_CHARACTERS = {"lt": "<", "gt": ">", "amp": "&"}
_ELLIPSIS = re.compile(r"\s*[\[(]?\.{3,}[\])]?\s*")
_SENTENCE_END = re.compile(r"[.!?;:](?=\s)|[\u3002\uff01\uff1f]|\bbut\b")
_NEGATION = re.compile(r"n't\b|\b(?:not|never|no(?!,)|cannot|dont|without|hardly|neither|nor|none|nobody)\b")
_NEGATION_BEFORE = re.compile(r"[\u4e0d\u6ca1\u6c92\u52ff\u522b\u5225\u7121\u65e0\u672a].{0,3}$")
"""Chinese puts it right before what it negates."""


def plain(words: str) -> str:
    """Return the words in the one spelling in which they are compared."""
    written = _WRITTEN_OUT.sub(lambda found: _CHARACTERS[found[1]], words)
    return " ".join(unicodedata.normalize("NFKC", written).translate(_SIGNS).casefold().split())


class Quote:
    """A quote as it is looked for; `question` is what was asked, in plain spelling."""

    def __init__(self, words: str, question: str) -> None:
        self._wanted = plain(words).strip(_ENDS) if len(words) <= LONGEST_QUOTE else ""
        self._parts = [part for part in _ELLIPSIS.split(self._wanted) if part]
        self._asked = bool(self._wanted) and self._wanted in question

    def stands_in(self, said: str) -> bool:
        """Tell whether an answer, in plain spelling, bears the quote out."""
        if not self._wanted:
            return False
        if self._wanted == said.strip(_ENDS):
            return True
        if long_enough(self._wanted) and any(self._is_said(said, at) for at in _places(said, self._wanted)):
            return True
        return len(self._parts) > 1 and all(map(long_enough, self._parts)) and self._in_parts(said)

    def _is_said(self, said: str, at: int) -> bool:
        end = at + len(self._wanted)
        return not _is_negated(said, at) and (not self._asked or _is_sentence(said, at, end))

    def _in_parts(self, said: str) -> bool:
        """Tell whether the parts between ellipses stand in order, not far from each other."""
        first, *rest = self._parts
        return any(not _is_negated(said, at) and _follow(said, at + len(first), rest) for at in _places(said, first))


def long_enough(words: str) -> bool:
    """Tell whether words are more than one or two common ones. Chinese says as much in four characters as English in three words."""
    letters = "".join(char for char in words if char.isalpha() or char == " ")
    return len(words) >= _LEAST_CHARACTERS and estimate_tokens(letters) >= _LEAST_TOKENS


def _follow(said: str, after: int, parts: list[str]) -> bool:
    for part in parts:
        near = said[: after + _WIDEST_GAP + len(part)]
        found = next((at for at in _places(near, part, after) if not _is_negated(said, at)), None)
        if found is None:
            return False
        after = found + len(part)
    return True


def _places(said: str, wanted: str, start: int = 0) -> Iterator[int]:
    """Yield where the words stand, not inside a longer word. Scripts without spaces have no such edges."""
    for _ in range(_MOST_PLACES):
        at = said.find(wanted, start)
        if at < 0:
            return
        end = at + len(wanted)
        if not _is_inside(said[at - 1 : at + 1] if at else "") and not _is_inside(said[end - 1 : end + 1]):
            yield at
        start = at + 1


def _is_inside(pair: str) -> bool:
    """Tell whether two neighbouring characters belong to one word."""
    return len(pair) == 2 and pair.isascii() and all(char.isalnum() for char in pair)


def _is_negated(said: str, at: int) -> bool:
    *_, clause = _SENTENCE_END.split(said[max(0, at - _BEFORE) : at])
    return bool(_NEGATION.search(" ".join(clause.split()[-_WORDS_BEFORE:])) or _NEGATION_BEFORE.search(clause))


def _is_sentence(said: str, at: int, end: int) -> bool:
    """Tell whether the words are a whole sentence, and none that asks."""
    before, after = said[:at].rstrip(" \"'"), said[end : end + 2].strip(" \"'")
    return (not before or before[-1] in ".!?:;\u3002") and (not after or after[0] in ".!;:,\u3002")
