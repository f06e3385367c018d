"""The entities and facts of an episode: plain notes, messages by speakers, and JSON. A heuristic: the same text gives the same facts."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from . import extraction_words as words
from .extraction_changes import gone, same_name
from .extraction_names import Name, capitalised_inside, found
from .extraction_sentences import Statement, labelled, split, take_apart
from .jsonish import Json, as_dict, as_list

_MOST_FACTS = 80
_MOST_ENTITIES = 80
_PHRASE = 6
"""Words of a predicate that stands for an entity."""
_NO_LAST = words.PREPOSITIONS | words.DETERMINERS | words.CONJUNCTIONS | words.ADVERBS
_BREAK = re.compile(
    r"(?:,|;| - |\b(?:because|when|if|so|but|which|that|since|while|instead|rather|any ?more|from now on|again)\b)", re.IGNORECASE
)
_SPEAKER = re.compile(r"^([\w][\w .'-]{0,38}?)\s*(?:\([\w ]{1,20}\))?:\s+(\S.*)$")
_SOMEBODY = re.compile(r"^(?:he|she|it|they)\b(?!')", re.IGNORECASE)
_NAME_KEYS = ("name", "full_name", "title", "user", "username", "project", "service", "id", "key")
_DEEPEST = 20


@dataclass(frozen=True, slots=True)
class Fact:
    """What is said of two entities."""

    source: str
    name: str
    target: str
    fact: str


@dataclass(slots=True)
class Reading:
    """What stands in an episode, in the order it is said."""

    entities: list[str] = field(default_factory=list[str])
    facts: list[Fact] = field(default_factory=list[Fact])
    _known: set[str] = field(default_factory=set[str])

    def add(self, names: Sequence[str]) -> None:
        """Note entities that are not there yet."""
        for name in names:
            if name and len(self.entities) < _MOST_ENTITIES and name.lower() not in self._known:
                self._known.add(name.lower())
                self.entities.append(name)

    def tell(self, sources: Sequence[str], name: str, targets: Sequence[str], fact: str) -> None:
        """Note a fact of each source and each target."""
        self.add([*sources, *targets])
        for source in sources:
            for target in targets:
                if source.lower() != target.lower() and len(self.facts) < _MOST_FACTS:
                    self.facts.append(Fact(source, name, target, fact))


def read(text: str, *, is_message: bool = False, entities: Collection[str] = ()) -> Reading:
    """The entities and facts of an episode; with `entities`, only facts of those, under these names."""
    value = _json(text)
    reading = Reading()
    if value is not None and not is_message:
        _read_json(reading, value)
    else:
        _read_text(reading, text, frozenset(one.lower() for one in entities), is_message=is_message)
    return _among(reading, entities) if entities else reading


def _among(reading: Reading, entities: Collection[str]) -> Reading:
    named = {name: next((one for one in entities if same_name(name, one)), "") for name in reading.entities}
    kept = Reading(list(entities))
    for fact in reading.facts:
        source, target = named.get(fact.source, ""), named.get(fact.target, "")
        if source and target and source != target:
            kept.facts.append(Fact(source, fact.name, target, fact.fact))
    return kept


# --- sentences ------------------------------------------------------------------------------------------------------------------------


def _read_text(reading: Reading, text: str, entities: Collection[str], *, is_message: bool) -> None:
    known = capitalised_inside(text)
    speaker, before = "", ""
    for sentence in split(text):
        if len(reading.facts) >= _MOST_FACTS:
            break
        said = _spoken(sentence, entities, is_message=is_message)
        if said:
            speaker, sentence = said
            reading.add([speaker])
            before = speaker
        before = _read_sentence(reading, sentence, known, speaker, before) or before


def _spoken(sentence: str, entities: Collection[str], *, is_message: bool) -> tuple[str, str] | None:
    """Who says a line and what; None when nobody is said to. Speakers are among the entities, in lower case, when those are known."""
    match = _SPEAKER.match(sentence)
    if match is None or match[1].lower() in words.LABELS or len(match[1].split()) > 3:
        return None
    if is_message or match[1].lower() in words.ROLES:
        return match[1], match[2]
    is_name = match[1].lower() in entities or all(word[0].isupper() for word in match[1].split())
    return (match[1], match[2]) if is_name and (take_apart(match[2]).base or match[2].endswith("?")) else None


def _read_sentence(reading: Reading, sentence: str, known: Collection[str], speaker: str, before: str) -> str:
    """Note what a sentence says; the one it is about, for a pronoun in the next one."""
    if before and before != speaker and _SOMEBODY.match(sentence):
        sentence = _SOMEBODY.sub(lambda _: before, sentence, count=1)
    fact = f"{speaker}: {sentence}" if speaker else sentence
    names = found(sentence, known)
    label = labelled(sentence)
    if label is not None and _is_label(label[0]):
        return _read_label(reading, label, known, fact)
    statement = take_apart(sentence)
    if sentence.endswith("?") or not (statement.base or len(names) > 1):
        reading.add([one.text for one in names])
        return names[0].text if names else ""
    sources, targets = _ends(statement, names, speaker)
    reading.add([*sources, *(one.text for one in names)])
    for target in targets:
        reading.tell(sources, statement.relation(target.start), [target.text], fact)
    return sources[0] if sources and sources[0] not in (words.TEAM, words.USER) else ""


def _is_label(text: str) -> bool:
    """True for what a line can be about: "Rate limits", but not "We use"."""
    low = text.lower()
    statement = take_apart(text)
    return low not in words.LABELS and low.split()[0] not in words.PRONOUNS and not (statement.base and statement.rest)


def _read_label(reading: Reading, label: tuple[str, str], known: Collection[str], fact: str) -> str:
    """A line like "Port: 8080"."""
    source = _phrase(label[0])
    targets = [one.text for one in found(label[1], known)] or [_phrase(label[1])]
    reading.tell([source], "IS", targets, fact)
    return source


def _ends(statement: Statement, names: list[Name], speaker: str) -> tuple[list[str], list[Name]]:
    """Whom a sentence is about, and what it says of them: names where there are any, else its own words."""
    if not statement.base:
        return [names[0].text], names[1:]
    ahead = [one for one in names if one.end <= statement.start]
    subject = [one for one in names if statement.start <= one.start < statement.subject_end]
    targets = [one for one in names if one.start >= statement.subject_end and one.start >= statement.rest_start - 1]
    sources = _subject(statement, subject, speaker)
    over = {text.lower() for text in gone(statement.text)} if not statement.over else set[str]()
    kept = [one for one in targets if one.text.lower() not in over] or targets
    after = statement.text.find(" to ", statement.rest_start) + 4 if statement.preposition == "from" else 0
    start = after if after > 4 else statement.rest_start  # from this to that: it is that now
    said = Name(_phrase(statement.text[start:]) or statement.base, start, len(statement.text))
    return sources, [*kept, *ahead] or [said]


def _subject(statement: Statement, names: list[Name], speaker: str) -> list[str]:
    """Whom a sentence is about."""
    low = statement.subject.lower().split()
    if names:
        whole = re.fullmatch(r"(?:.*(?:,|\band\b).*)", statement.subject)
        return [one.text for one in names] if whole and len(names) > 1 else [names[0].text]
    if low and low[0] in words.ME:
        return [speaker or words.USER]
    if not low or low[0] in words.PRONOUNS:
        return [words.TEAM]
    phrase = _phrase(statement.subject) or words.TEAM
    return [f"{speaker or words.USER}'s {phrase}" if low[0] == "my" else phrase]


def _phrase(text: str) -> str:
    """The first words of a text that can stand for what it names."""
    parts = text.split()
    while parts and parts[0].lower() in words.DETERMINERS | words.ADVERBS:
        parts.pop(0)
    parts = _BREAK.split(" ".join(parts[:_PHRASE]), maxsplit=1)[0].split()
    while parts and parts[-1].lower() in _NO_LAST:
        parts.pop()
    return " ".join(parts).strip(" \"'“”`.,;:!()")


# --- JSON -----------------------------------------------------------------------------------------------------------------------------


def _json(text: str) -> Any:
    """The object or list that a text is; None when it is neither."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


def _read_json(reading: Reading, value: Any, owner: str = "", path: str = "", depth: int = 0) -> None:
    """Note what an object says of the one it names, or of the one that holds it."""
    for item in as_list(value) or []:
        if not isinstance(item, (dict, list)):
            _tell_value(reading, owner, path, item)
        elif depth < _DEEPEST:
            _read_json(reading, item, owner, path, depth + 1)
    if (given := as_dict(value)) is not None:
        _read_object(reading, given, owner, path, depth)


def _read_object(reading: Reading, given: Json, owner: str, path: str, depth: int) -> None:
    key, name = _named(given, owner)
    if owner and name and name != owner:
        _tell_value(reading, owner, path or "entry", name)
    for field_name, inner in given.items():
        label = re.sub(r"[_\s]+", " ", str(field_name)).strip()
        if isinstance(inner, (dict, list)) and depth < _DEEPEST:
            _read_json(reading, inner, name or label, label if name else "", depth + 1)
        elif field_name != key and name:
            _tell_value(reading, name, f"{path} {label}".strip() if name == owner else label, inner)


def _named(given: Json, owner: str) -> tuple[str, str]:
    """The key and the value that name an object; the one that holds it when it has none."""
    for key in _NAME_KEYS:
        if isinstance(given.get(key), str) and given[key].strip():
            return key, given[key].strip()
    if owner:
        return "", owner
    first = next(((key, value) for key, value in given.items() if isinstance(value, str) and value.strip()), None)
    return (first[0], first[1].strip()) if first else ("", "")


def _tell_value(reading: Reading, owner: str, label: str, value: Any) -> None:
    shown = str(value).lower() if isinstance(value, bool) else str(value).strip()
    if not owner or not label or value is None or not shown or len(shown) > 200:
        reading.add([owner] if owner else [])
        return
    target = shown if len(shown) <= 60 else _phrase(shown)
    reading.tell([owner], re.sub(r"\W+", "_", label).strip("_").upper() or "IS", [target], f"{owner}'s {label} is {shown}")


def mentioning(text: str, name: str) -> Iterator[str]:
    """The sentences of an episode that name somebody or something."""
    seen = read(text)
    low = name.lower()
    facts = [fact.fact for fact in seen.facts if same_name(name, fact.source) or same_name(name, fact.target)]
    yield from dict.fromkeys(facts or [sentence for sentence in split(text) if low in sentence.lower()])
