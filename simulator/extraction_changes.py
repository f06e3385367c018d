"""Which facts say the same, which end others, and which names are the same one's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from . import extraction_words as words
from .extraction_sentences import LONGEST, Statement, labelled, take_apart

_WORD = re.compile(r"[\w/@#%+-]+(?:[.:'][\w/@#%+-]+)*")
_ENDED = "|".join(sorted(words.ENDED))
_UNTIL = r"(?=\s+(?:with|by|to|for|in|on|at|and|but|because|since|as|now|any|over|from|after|when|so|entirely|completely)\b|[.,;!)]|$)"
_WHAT = rf"([\w./#@+-]*[\w+](?: [\w./#@+-]*[\w+]){{0,3}}?){_UNTIL}"
_GONE = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\b(?:instead of|rather than|in place of)(?: using)?\s+{_WHAT}",
        rf"\b(?:no longer|stopped|quit)\s+\w+(?:\s+(?:on|in|at|to|with|for))?\s+{_WHAT}",
        rf"(?:n't|\bnot)\s+\w+(?:\s+(?:on|in|at|to|with|for))?\s+{_WHAT}(?=.*\bany ?more\b)",
        rf"\b(?:{_ENDED}|replaces|supersedes|left)\s+{_WHAT}",
        rf"\b(?:from|away from|off)\s+{_WHAT}(?=\s+(?:to|over|onto)\b|\s*[.,;!]|\s*$)",
        rf"\bnot\s+{_WHAT}(?=,? but\b)",
        rf", not\s+{_WHAT}",
        rf"^(?:the |our )?(.+?) (?:was|were|is|are|has been|have been) (?:{_ENDED})\b",
    )
)
_DROPPED = words.DETERMINERS | words.ADVERBS | {"using", "also"}
_OF_ONE = frozenset({"as", "in", "at"})
"""Prepositions of what is one at a time: as an engineer, in Berlin."""
_QUALIFIERS = words.PREPOSITIONS - {"of"}
_TO = re.compile(r"^(?P<what>.+?)\s+(?:from\s+(?P<old>.+?)\s+)?(?:to|into)\s+(?P<new>.+)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Claim:
    """A fact as it is compared: words are in lower case, without articles and "now"."""

    words: tuple[str, ...]
    subjects: tuple[tuple[str, ...], ...]
    base: str
    preposition: str
    families: frozenset[str]
    negated: bool
    value: tuple[str, ...]
    qualifiers: frozenset[tuple[str, ...]]
    changed: bool
    gone: tuple[tuple[str, ...], ...]
    is_past: bool
    is_trait: bool
    """It says of somebody or something by name what they are like, and may say more of that."""


def same_fact(one: str, other: str) -> bool:
    """True when two facts are the same words, whatever their case and marks."""
    return _plain(one) == _plain(other)


def contradicts(new: str, old: str) -> bool:
    """True when the new fact says that the old one is so no longer."""
    if same_fact(new, old):
        return False
    one, other = claim(new), claim(old)
    return any(ends(one, other) for ends in (_names_what_is_gone, _is_opposite, _has_another_value, _has_another_owner))


def _plain(text: str) -> tuple[str, ...]:
    return tuple(_WORD.findall(text.lower()))


def _key(text: str) -> tuple[str, ...]:
    """The words of a text that are compared."""
    return tuple(word for word in _plain(text) if word not in _DROPPED)


@lru_cache(maxsize=512)
def claim(fact: str) -> Claim:
    """What a fact claims."""
    fact = fact[:LONGEST]
    label = labelled(fact)
    speaker, said = ("", fact)
    if label is not None and take_apart(label[1]).base:
        speaker, said = label
    elif label is not None:
        said = f"{label[0]} is {label[1]}"
    statement = take_apart(said)
    subject = _subject(statement.subject, speaker)
    rest, subjects, base = statement.rest, [subject], statement.base
    setting = _TO.match(rest) if base in words.SETTERS and not statement.preposition else None
    if setting is not None:
        subjects.append(_key(setting["what"]))
        rest = setting["new"]
    value, qualifiers = _value(rest)
    families = _families(statement, rest)
    if base == "be" and (owned := _owned(value, qualifiers)):
        value, families = owned, frozenset({"own"})
    is_named = statement.subject[:1].isupper() and subject and _plain(statement.subject)[0] not in words.DETERMINERS
    return Claim(
        words=_key(said),
        subjects=tuple(subjects),
        base=base,
        preposition="" if statement.passive else statement.preposition,
        families=families,
        negated=statement.negated or statement.over,
        value=value,
        qualifiers=qualifiers,
        changed=_changed(fact),
        gone=tuple(filter(None, map(_key, gone(said)))),
        is_past=statement.is_past,
        is_trait=bool(is_named) and _pair(statement) == "be" and rest[:1].islower() and not words.KINDS.keys() & set(value),
    )


def _pair(statement: Statement) -> str:
    """A verb, with its preposition if it is "to be": to be in is no value."""
    return f"be-{statement.preposition}" if statement.base == "be" and statement.preposition else statement.base


def _families(statement: Statement, rest: str) -> frozenset[str]:
    """What a verb tells of: where one lives, what one uses, what a value is."""
    pair = _pair(statement)
    families = {pair, *(name for name, of in words.FAMILIES.items() if pair in of)}
    return frozenset(families if rest[:1].isupper() else families - {"work"} | {pair})


def _owned(value: tuple[str, ...], qualifiers: frozenset[tuple[str, ...]]) -> tuple[str, ...]:
    """What somebody is said to be the owner of."""
    said = tuple(word for word in value if word not in ("new", "current"))
    if not said or said[0] not in words.OWNERS:
        return ()
    return said[2:] if said[1:2] == ("of",) else next((phrase[1:] for phrase in qualifiers if phrase[0] == "for"), ())


def _subject(text: str, speaker: str) -> tuple[str, ...]:
    """The words of a subject; those who speak are the team, or the speaker."""
    low = _plain(text)
    if not low or low[0] in words.WE or low in (("the", "team"), ("our", "team")):
        return (words.TEAM,)
    if low[0] in words.ME and len(low) == 1:
        return _key(speaker) or (words.USER,)
    return _key(text)


def _value(rest: str) -> tuple[tuple[str, ...], frozenset[tuple[str, ...]]]:
    """What a verb says, and the phrases that say of what, where or when it is so."""
    head: list[str] = []
    phrases: list[list[str]] = []
    for word in re.split(r"[,;]", rest)[0].split():
        low = word.lower().strip(".,;:!()\"'“”`")
        if low in ("and", "but", "because", "since", "so", "instead", "rather", "when", "which", "that"):
            break
        if low in _QUALIFIERS:
            phrases.append([low])
        elif low not in _DROPPED and low:
            (phrases[-1] if phrases else head).append(low)
    return tuple(head), frozenset(tuple(phrase) for phrase in phrases if len(phrase) > 1)


def _changed(said: str) -> bool:
    """True for the language of change: now, moved to, instead of, not this but that."""
    low = f" {said.lower()} "
    not_but = " but " in low.partition(" not ")[2]
    return not_but or not words.CHANGED.isdisjoint(_plain(low)) or any(phrase in low for phrase in words.CHANGED_TO)


def gone(said: str) -> list[str]:
    """What a sentence says is so no longer."""
    if not _changed(said):
        return []
    return [match[1].strip() for pattern in _GONE for match in pattern.finditer(said)]


def _holds(text: Sequence[str], part: Sequence[str]) -> bool:
    return any(tuple(text[at : at + len(part)]) == tuple(part) for at in range(len(text) - len(part) + 1))


def _about_the_same(new: Claim, old: Claim) -> bool:
    return bool(set(new.subjects) & set(old.subjects))


def _compatible(new: Claim, old: Claim) -> bool:
    """True unless both say of what they are so, and of different things."""
    mine, yours = ({phrase[0]: phrase for phrase in one.qualifiers} for one in (new, old))
    return all(mine[word] == yours[word] for word in mine.keys() & yours.keys())


# --- the ways a fact ends another ---------------------------------------------------------------------------------------------------


def _names_what_is_gone(new: Claim, old: Claim) -> bool:
    """It says what is so no longer: no longer X, instead of X, replaced X, from X to Y."""
    if old.negated or (old.base in words.ADDITIVE and old.base != new.base):
        return False
    held = any(_holds(old.words, one) and one not in old.gone and not any(_holds(who, one) for who in old.subjects) for one in new.gone)
    replaces = new.base in ("replace", "supersede", "retire", "deprecate")
    return held and (replaces or _about_the_same(new, old)) and _compatible(new, old)


def _is_opposite(new: Claim, old: Claim) -> bool:
    """It says the same with, or without, a not."""
    if new.negated == old.negated or not new.base or new.base != old.base:
        return False
    return _about_the_same(new, old) and new.preposition == old.preposition and new.value == old.value and _compatible(new, old)


def _has_another_value(new: Claim, old: Claim) -> bool:
    """It gives the same thing of the same subject another value, and says that it changed or says nothing else."""
    if new.negated or old.negated or not new.base or not old.base or not new.families & old.families or not _about_the_same(new, old):
        return False
    if new.base == old.base and (new.base in words.ADDITIVE or new.preposition != old.preposition):
        return False
    if not new.changed:
        return not (new.is_trait and old.is_trait) and _differs_in_one(new, old)
    mine, yours = _values(new), _values(old)
    if not mine or not yours or mine == yours or not _compatible(new, old) or _stand_beside(mine, yours):
        return _differs_in_one(new, old)
    return not (old.is_past and new.base != old.base and not old.changed)


def _values(of: Claim) -> tuple[str, ...]:
    """A value without what it was before."""
    if of.value:
        return of.value
    return next((phrase[1:] for phrase in of.qualifiers if phrase[0] in ("to", "at", "in", "on")), ())


def _stand_beside(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """True for values of different kinds: a database and a linter, Python 3.12 and Node 20."""
    kinds = [next((words.KINDS[word] for word in value if word in words.KINDS), None) for value in (one, other)]
    if kinds[0] != kinds[1]:
        return True
    names, numbers = zip(*(_parted(value) for value in (one, other)), strict=True)
    return kinds[0] is None and all(names) and all(numbers) and names[0] != names[1]


def _parted(value: tuple[str, ...]) -> tuple[tuple[str, ...], bool]:
    """A value's words but the numbers, and whether there are numbers."""
    names = tuple(word for word in value if not word[0].isdigit() and word not in words.DATES)
    return names, len(names) < len(value)


def _differs_in_one(new: Claim, old: Claim) -> bool:
    """True for the same sentence with one other value."""
    if new.base != old.base or new.is_past or old.is_past or new.subjects[0] != old.subjects[0]:
        return False
    mine, yours = list(new.words), list(old.words)
    while mine and yours and mine[0] == yours[0]:
        mine, yours = mine[1:], yours[1:]
    while mine and yours and mine[-1] == yours[-1]:
        mine, yours = mine[:-1], yours[:-1]
    if not mine or not yours or max(len(mine), len(yours)) > 3 or (words.PREPOSITIONS | words.CONJUNCTIONS).intersection(mine + yours):
        return False
    beside = {phrase[0] for phrase in new.qualifiers ^ old.qualifiers}  # for tests, for orders: both may be so
    return beside <= _OF_ONE and not _stand_beside(tuple(mine), tuple(yours))


def _has_another_owner(new: Claim, old: Claim) -> bool:
    """It says that another one now has what only one can have."""
    exclusive = new.families & old.families & words.EXCLUSIVE
    taken = new.changed and exclusive and not new.negated and not old.negated and not _about_the_same(new, old)
    return bool(taken) and bool(new.value) and new.value == old.value and _compatible(new, old)


# --- names ----------------------------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=512)
def _name(text: str) -> str:
    """A name as it is compared."""
    return re.sub(r"[\s_-]+", " ", text.lower()).strip().removeprefix("the ").strip("\"'`.")


def same_name(one: str, other: str) -> bool:
    """True for two ways to write one name. "Anna Berg" and "Anne Berg" are two."""
    mine, yours = _name(one), _name(other)
    return mine == yours or words.SHORT.get(mine, mine) == words.SHORT.get(yours, yours)


def is_short_for(short: str, name: str) -> bool:
    """True for the initials of a name: NYC and New York City."""
    if not (2 < len(short) < 8 and short.isupper() and short.isalpha() and " " in name):
        return False
    return "".join(re.findall(r"\b([A-Z])", name)) == short
