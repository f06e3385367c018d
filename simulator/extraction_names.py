"""The names in a sentence: runs of capitals, identifiers, versions, numbers with their noun, what stands in quotes."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple

from . import extraction_words as words
from .extraction_sentences import LONGEST, take_apart

_CAPITAL = r"[A-Z](?:[\w&-]|'(?!s\b)(?=\w))*"
_NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)*"
_MONTH = "(?:January|February|March|April|May|June|July|August|September|October|November|December)"
_NO_NOUN = "|".join(sorted(words.PREPOSITIONS | words.CONJUNCTIONS | words.ADVERBS | words.BE | words.AUXILIARIES))
_FOUND = re.compile(
    "|".join([
        r'(?P<quoted>"[^"\n]{1,60}"|“[^”\n]{1,60}”|`[^`\n]{1,60}`|(?<!\w)\'[^\'\n]{2,40}\'(?!\w))',
        r"(?P<link>https?://[^\s)>\]\"']+[\w/])",
        r"(?P<date>\b\d{4}-\d\d(?:-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?Z?)?)?\b|\b\d{1,2}:\d\d(?::\d\d)?\b)",
        rf"(?P<day>\b\d{{1,2}}(?:st|nd|rd|th)? {_MONTH}(?: \d{{4}})?\b|\b{_MONTH} \d{{1,2}}\b(?:, \d{{4}}\b)?)",
        r"(?P<year>(?<=\b[Ii]n )(?:19|20)\d\d\b)",
        r"(?P<hour>\b\d{1,2}\s?[ap]m\b|\b\d+(?:st|nd|rd|th)\b)",
        r"(?P<mail>\b[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64})+)",
        r"(?P<host>\b(?:\d{1,3}(?:\.\d{1,3}){3}|localhost)(?::\d+)?\b)",
        r"(?P<path>(?<![\w/])/?(?:[\w.~-]+/)+[\w.*-]*[\w*]/?)",
        r"(?P<flag>(?<!\S)--?[a-z][\w-]*)",
        r"(?P<dotted>\b[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+(?:\(\))?)",
        r"(?P<snake>\b\w+_\w+(?:\(\))?|\b_\w+)",
        rf"(?P<noun>\b(?i:{words.COUNTED_BEFORE})\s+(?:number\s+)?#?v?\d[\w.]*\b)",
        rf"(?P<capital>\b(?:(?:Dr|Mr|Mrs|Ms|Prof)\.\s+)?{_CAPITAL}(?:\s+(?:(?:of|de|van|von|der|la)\s+)?(?:{_CAPITAL}|v?{_NUMBER}\b(?!\s?%)))*)",
        r"(?P<camel>\b[a-z]+[A-Z]\w*)",
        r"(?P<mixed>\b(?=[\w.-]*\d)(?=[\w.-]*[A-Za-z])[A-Za-z0-9][\w-]*(?:\.\d+)*)",
        rf"(?P<number>#?\b{_NUMBER}(?:\s?%|\s+(?!(?:{_NO_NOUN})\b)(?:[a-z]+|[A-Z]{{2,3}})\b)?)",
    ])
)
_CALLED = re.compile(r"(?:'s\b|\s+(?:and|or|&)\s+[A-Z])")
_WORD = re.compile(r"[\w'-]+")
_ODD = frozenset({"e.g", "i.e", "a.k.a", "and/or", "w/o", "n/a", "N/A", "he/she"})
_TIMES = frozenset({"date", "day", "year", "hour"})
_LONGEST = 60


class Name(NamedTuple):
    """A name and where it stands."""

    text: str
    start: int
    end: int


def found(sentence: str, known: Collection[str] = ()) -> list[Name]:
    """The names in a sentence, in order. `known` are words that are names though a sentence begins with them."""
    sentence = sentence[:LONGEST].replace("\u2019", "'")
    names: list[Name] = []
    for match in _FOUND.finditer(sentence):
        kind = match.lastgroup or ""
        if kind == "capital":
            name = _capital(sentence, match, known)
        elif kind in _TIMES or match[0] in _ODD:
            name = None
        else:
            name = Name(match[0].strip("\"“”`'") if kind == "quoted" else match[0].rstrip("."), match.start(), match.end())
        if name is not None and name.text.strip() and len(name.text) <= _LONGEST:
            names.append(name)
    return names


def _capital(sentence: str, match: re.Match[str], known: Collection[str]) -> Name | None:
    """A run of capitalised words without those that are capitalised for another reason; None when nothing is left."""
    start, end = match.start(), match.end()
    is_first = not sentence[:start].strip(" \t-*>#(\"'“")
    while word := _WORD.match(sentence, start, end):
        low = word[0].lower()
        skipped = low in words.STOP or low in words.DATES or (is_first and _is_verb(low) and word.end() < end)
        if not skipped and not (low.isdecimal() and start > match.start()):
            break
        start = word.end() + len(sentence[word.end() : end]) - len(sentence[word.end() : end].lstrip())
        if start >= end:
            return None
        is_first = False
    kept = list(_WORD.finditer(sentence, start, end))
    while kept and kept[-1][0].lower() in words.DATES:
        kept.pop()
    if not kept or not any(char.isupper() for char in sentence[start : kept[-1].end()]):
        return None
    name = Name(sentence[start : kept[-1].end()], start, kept[-1].end())
    return name if not is_first or _is_name(sentence, name, known) else None


def _is_verb(word: str) -> bool:
    return word in words.FORMS


def _is_name(sentence: str, name: Name, known: Collection[str]) -> bool:
    """True for a sentence's first words when they are a name: there are more than one, or it looks or is used like one."""
    text = name.text
    if " " in text or text in known or any(char.isupper() or char.isdigit() for char in text[1:]):
        return True
    if text.lower() in words.KINDS or _CALLED.match(sentence, name.end):
        return True
    is_plural = text.endswith("s") and not text.endswith("ss")
    return not is_plural and not _is_verb(text.lower()) and take_apart(sentence).subject == text


def capitalised_inside(text: str) -> frozenset[str]:
    """The words that are capitalised somewhere but at the beginning of a sentence: those are names everywhere."""
    return frozenset(word for word in re.findall(rf"(?<=[a-z,;] )({_CAPITAL})", text) if word.lower() not in words.STOP | words.DATES)
