"""A sentence taken apart: who it is about, its verb, and what it says of it. No grammar, but enough for plain notes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from . import extraction_words as words

LONGEST = 1_000
"""Characters of a sentence that are looked at; a longer one is cut."""
_END = re.compile(r"(?<=[.!?])[\"”')\]]*\s+|\n+\s*")
_SHORTENED = re.compile(r"(?:\b(?:e\.g|i\.e|etc|vs|cf|approx|Dr|Mr|Mrs|Ms|Prof|Sr|Jr|No|St)|\b[A-Z][a-z]+ [A-Z]|^[A-Z])\.$")
_QUOTED = re.compile(r"`[^`\n]*`|\"[^\"\n]*\"")
_ENDINGS = (("ies", "y"), ("ches", "ch"), ("shes", "sh"), ("sses", "ss"), ("xes", "x"), ("s", ""), ("ed", ""))
_BULLET = re.compile(r"^(?:[-*•>]|\d+[.)]|#+|\[[ xX]\])\s+")
_OPENING = re.compile(
    rf"^(?:(?:(?:{'|'.join(sorted(words.LABELS))})\s*:|"
    r"(?:from now on|as of (?:now|today|\S+)|starting (?:now|today)|going forward|now|currently|today|also|instead|so|and|but|however|"
    r"finally|actually|please|note that|remember that|remember|for the record)(?:\s*[,:]|(?=\s)))\s*)+",
    re.IGNORECASE,
)
_CLAUSE = re.compile(
    r"^(?:when|if|after|before|since|because|although|while|once|in|on|at|for|during|by|as|until|with)\b[^,]{2,80},\s+", re.IGNORECASE
)
_TOKEN = re.compile(r"'(?:s|m|re|ve|ll|d)\b|\w+n't\b|[\w.-]*\w(?:'(?!(?:s|m|re|ve|ll|d)\b)\w+)?|[,;:()]")
_NO_LONGER = re.compile(
    r"\bno longer\b|(?:n't|\bnot|\bnever|\bstopped|\bstops|\bstop|\bquit)\b.*\b(?:any ?more|using|being)\b|"
    r"\b(?:stopped|quit) \w+ing\b",
    re.IGNORECASE,
)
_OVER = ("longer", "more", "stop", "quit", "using", "being")
"""One of these is in all that says so; to look for them is quick."""
_LABEL = re.compile(r"^([A-Za-z][\w /.'-]{0,40}?)\s*(?::|=|->|→)\s+(\S.*)$")


@dataclass(frozen=True, slots=True)
class Statement:
    """One sentence: its subject, its verb's base, the preposition right after it, and the rest. `base` is empty when no verb was found."""

    text: str
    start: int
    """Where the subject begins: before it are words like "from now on"."""
    subject_end: int
    rest_start: int
    base: str = ""
    verb: str = ""
    preposition: str = ""
    passive: bool = False
    negated: bool = False
    over: bool = False
    """It says that something is so no longer."""

    @property
    def subject(self) -> str:
        """What stands before the verb."""
        return self.text[self.start : self.subject_end].strip(" ,:")

    @property
    def rest(self) -> str:
        """What stands after the verb and its preposition."""
        return self.text[self.rest_start :].strip(" ,:").rstrip(".!;")

    @property
    def is_past(self) -> bool:
        """True for what was done once: moved, chose."""
        once = self.verb not in (self.base, words.third(self.base or "be")) and not self.verb.endswith("ing")
        return once and self.base != "be" and not self.passive

    def relation(self, target: int | None = None) -> str:
        """The verb in SCREAMING_SNAKE_CASE, with the preposition before what stands at `target`: WORKS_AT, DOES_NOT_USE, IS_OWNED_BY."""
        if not self.base:
            return "RELATES_TO"
        said = f"is {self.verb}" if self.passive else "is" if self.base == "be" else self.verb if self.is_past else words.third(self.base)
        if self.over:
            said = f"no longer {said}"
        elif self.negated:
            said = "is not" if self.base == "be" else f"does not {self.base}"
        before = self.text[:target].split()[-1:] if target is not None and target > self.rest_start else []
        preposition = before[0].lower() if before and before[0].lower() in words.PREPOSITIONS else self.preposition
        return re.sub(r"\W+", "_", f"{said} {preposition}".strip()).upper()


def split(text: str) -> Iterator[str]:
    """The sentences of a text, each on its own."""
    held = ""
    at = 0
    for end in [*_END.finditer(text), None]:
        piece = text[at : end.start() if end else len(text)]
        at = end.end() if end else len(text)
        held = f"{held} {piece}".strip() if held else piece.strip()
        if end and "\n" not in end[0] and len(held) < LONGEST and _SHORTENED.search(held[-30:]):
            continue
        if sentence := _BULLET.sub("", held):
            yield sentence[:LONGEST]
        held = ""


def labelled(sentence: str) -> tuple[str, str] | None:
    """What stands before the colon of a line, and what after it."""
    match = _LABEL.match(sentence)
    return (match[1], match[2]) if match and len(match[1].split()) <= 4 else None


@lru_cache(maxsize=512)
def take_apart(sentence: str) -> Statement:
    """The sentence's parts."""
    sentence = sentence[:LONGEST].replace("\u2019", "'")
    start = _start(sentence)
    tokens = list(_TOKEN.finditer(_QUOTED.sub(lambda match: "x" * len(match[0]), sentence), start))
    low = [token[0].lower() for token in tokens]
    at = _verb(low)
    if at is None:
        return Statement(sentence, start, start, start)
    main, passive = _main(low, at)
    after = main + 1
    while after < len(low) and low[after] in words.ADVERBS:
        after += 1
    preposition = low[after] if after < len(low) and low[after] in words.PREPOSITIONS else ""
    last = tokens[after] if preposition else tokens[after - 1]
    first = at
    while first > 0 and low[first - 1] in words.ADVERBS:
        first -= 1
    around = low[first : min(len(low), main + 3)]
    return Statement(
        text=sentence,
        start=start,
        subject_end=tokens[first].start() if first < len(tokens) else start,
        rest_start=last.end(),
        base=_base(low[main]),
        verb=low[main],
        preposition=preposition,
        passive=passive,
        negated=bool(words.NEGATIONS.intersection(around)) and "longer" not in around,
        over=any(hint in sentence for hint in _OVER) and bool(_NO_LONGER.search(sentence)),
    )


def _start(sentence: str) -> int:
    opening = _OPENING.match(sentence)
    start = opening.end() if opening else 0
    clause = _CLAUSE.match(sentence[start:])
    start += clause.end() if clause else 0
    again = _OPENING.match(sentence[start:]) if clause else None
    return start + (again.end() if again else 0)


def _base(word: str) -> str:
    """A verb's base: of one that is not known, by its ending."""
    if word in words.BE or word in words.FORMS:
        return words.FORMS.get(word, "be")
    for ending, instead in _ENDINGS:
        if word.endswith(ending) and len(word) > len(ending) + 2:
            return word.removesuffix(ending) + instead
    return word


def _verb(low: list[str]) -> int | None:
    """Where the first verb is, None when there is none."""
    helping = words.BE | words.AUXILIARIES
    for at, word in enumerate(low):
        if at == 0 or (at == 1 and low[0] in words.ADVERBS):
            if (word == words.FORMS.get(word) or word in ("don't", "do")) and not helping.intersection(low[at + 1 : at + 2]):
                return at  # an order
        elif word in helping:
            if word != "'s" or low[at - 1] in words.PRONOUNS | words.DETERMINERS:
                return at
        elif word in words.FORMS and _is_verb_here(low, at):
            return at
    return next((at for at in range(1, len(low)) if _looks_like_verb(low, at)), None)


def _looks_like_verb(low: list[str], at: int) -> bool:
    """True for a word of no known verb where a verb has to be: she studies, we study."""
    word, before = low[at], low[at - 1]
    if not word.isalpha() or word in words.STOP or len(low) < 3 or not before[-1].isalnum():
        return False
    if before in words.DETERMINERS or before in words.PREPOSITIONS:
        return False
    if before in words.PRONOUNS:
        return True
    return at + 1 < len(low) and len(word) > 3 and word.endswith(("s", "ed")) and not word.endswith(("ss", "us", "is", "need"))


def _is_verb_here(low: list[str], at: int) -> bool:
    """True for a verb's form that is no noun in this place."""
    word, before, after = low[at], low[at - 1], low[at + 1] if at + 1 < len(low) else ""
    base = words.FORMS[word]
    if before in words.DETERMINERS or before in words.PREPOSITIONS or before in (",", "("):
        return False
    if word == base:  # use: we use, tests use, Alice and Bob use
        is_many = before.endswith("s") or "and" in low[:at] or before in words.ADVERBS
        return before in words.PRONOUNS or is_many
    if word.endswith("ing"):
        return False
    is_plural = base in words.NOUNISH and word.endswith("s")
    return not (is_plural and (before.isdigit() or (after in words.FORMS and words.FORMS[after] not in words.NOUNISH) or after in words.BE))


def _main(low: list[str], at: int) -> tuple[int, bool]:
    """Where the verb is that says it, past auxiliaries and words like decided to; and whether it is passive."""
    passive = False
    for _ in range(4):
        word, after = low[at], at + 1
        helps = word in words.AUXILIARIES or word in words.BE or _base(word) in words.CATENATIVE or _base(word) == "stop"
        while helps and after < len(low) and (low[after] in words.ADVERBS or low[after] == "to"):
            after += 1
        if not helps or after >= len(low) or (low[after] not in words.FORMS and low[after] not in words.BE):
            break
        if word not in words.AUXILIARIES and _base(word) in words.CATENATIVE and not (low[at + 1] == "to" or low[after].endswith("ing")):
            break
        is_be = word in words.BE
        if is_be and (low[after] == words.FORMS.get(low[after]) or low[after] in words.KINDS):
            break  # is default, is broken: no verb
        passive = is_be and not low[after].endswith("ing")
        at = after
    return at, passive
