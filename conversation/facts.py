"""Facts: the sentences of a thread that are kept word for word when its older turns are condensed.

Which sentences say the most is reckoned without a model and in any language: a sentence counts by the words in it that are rare in
the thread, by who said it and how. Half of the room is the caller's alone, since others' words can mostly be asked for again.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from conversation.threads import Turn
from conversation.tokens import estimate_tokens

CALLER = "the caller"

_LONGEST = 400
_OVERLAP = 80
"""Characters a long sentence's pieces share, so that what stands at a cut is whole in one of them."""
_SENTENCE = re.compile(r"[^.!?\u3002\uff01\uff1f\n]+(?:[.!?](?!\s|$)[^.!?\u3002\uff01\uff1f\n]*)*[.!?\u3002\uff01\uff1f]?")
_SPECIFIC = re.compile(r"`[^`]+`|\"[^\"]+\"|\b[A-Z]{2,}[A-Z0-9_-]*\b|\b\w*[a-z][A-Z]\w*\b|\b\w+_\w+\b|\d|(?<=[a-z,] )[A-Z][a-z]+")
_WORD = re.compile(r"\w[\w.:/-]*\w|\w")
_KEEP = re.compile(
    r"\b(?:remember|important|note that|keep in mind|don't forget|do not forget|must|never|always|deadline|decided|agreed|"
    r"merke|wichtig|niemals|immer|recuerda|importante|nunca|siempre|souviens|retenez|jamais|toujours)|"
    r"\u8bb0\u4f4f|\u91cd\u8981|\u899a\u3048\u3066|\uae30\uc5b5|\u0437\u0430\u043f\u043e\u043c\u043d\u0438|\u0432\u0430\u0436\u043d\u043e",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Fact:
    """One sentence of a turn: the turn's number, who said it, the words."""

    seq: int
    who: str
    text: str

    def shown(self) -> str:
        """Return it as a line of a summary."""
        return f"- turn {self.seq}, {self.who}: {self.text}"


def extract(found: Iterable[Fact], notes: str, tokens: int) -> tuple[Fact, ...]:
    """Return the facts that say the most, within `tokens`, in order. What stands in the notes word for word is left out."""
    facts = list(dict.fromkeys(found))
    said = _plain(notes)
    missing = [fact for fact in facts if _plain(fact.text) not in said]
    worth = _worth(missing)
    ranked = sorted(missing, key=lambda fact: (-worth[fact], fact.seq))
    own = _fitting([fact for fact in ranked if fact.who == CALLER], tokens // 2)
    left = tokens - sum(map(_cost, own))
    chosen = {*own, *_fitting([fact for fact in ranked if fact not in own], left)}
    return tuple(fact for fact in facts if fact in chosen)


def facts_in(turn: Turn) -> list[Fact]:
    """Return the sentences of a turn, and the files shown in it by name."""
    who = CALLER if turn.role == "user" else f"{turn.provider}/{turn.model}" if turn.model else "parley"
    texts = (" ".join(match[0].split()) for match in _SENTENCE.finditer(turn.content))
    pieces = (piece for text in texts for piece in _pieces(text))
    files = [f"the file {item.path} was shown here" for item in turn.attachments]
    return [Fact(turn.seq, who, text) for text in (*files, *pieces) if len(text) > 3]


def _pieces(text: str) -> Iterable[str]:
    start = 0
    while len(text) - start > _LONGEST:
        end = text.rfind(" ", start + _LONGEST // 2, start + _LONGEST + 1)
        end = end if end > 0 else start + _LONGEST
        yield text[start:end]
        again = text.find(" ", end - _OVERLAP, end)
        start = again + 1 if again >= 0 else end
    yield text[start:]


def _fitting(ranked: Sequence[Fact], tokens: int) -> dict[Fact, None]:
    """Return as many of the facts as fit, the first ones first."""
    chosen: dict[Fact, None] = {}
    for fact in ranked:
        cost = _cost(fact)
        if cost <= tokens:
            tokens -= cost
            chosen[fact] = None
    return chosen


def _cost(fact: Fact) -> int:
    return estimate_tokens(fact.shown()) + 1


def _worth(facts: Sequence[Fact]) -> dict[Fact, float]:
    """Return what each fact is worth.

    Words count that hardly another turn has; a turn of many sentences gives each of them less; of those alike but for their
    figures the newest is worth most, since it may replace the others, then the first.
    """
    words = {fact: frozenset(_words(fact.text)) for fact in facts}
    turns = {fact.seq for fact in facts}
    of_turn = Counter(fact.seq for fact in facts)
    spread = Counter(word for seq_words in _by_turn(facts, words) for word in seq_words)
    rare = max(2, len(turns) // 50)
    behind = _behind(facts)
    return {
        fact: min(6, 2 * sum(spread[word] <= rare for word in words[fact]) + min(2, len(_SPECIFIC.findall(fact.text))))
        + (3 + 5 * bool(_KEEP.search(fact.text)) if fact.who == CALLER else 0)
        - 3 * fact.text.endswith(("?", "\uff1f"))
        - min(5, of_turn[fact.seq].bit_length() - 1)
        - min(6, behind[fact] / 3)
        for fact in facts
    }


def _by_turn(facts: Sequence[Fact], words: dict[Fact, frozenset[str]]) -> Iterable[set[str]]:
    gathered: dict[int, set[str]] = {}
    for fact in facts:
        gathered.setdefault(fact.seq, set()).update(words[fact])
    return gathered.values()


def _behind(facts: Sequence[Fact]) -> dict[Fact, int]:
    """Return how many of those alike come before each: the newest has none, the first of all one, then the newer ones."""
    alike: dict[tuple[str, str], list[Fact]] = {}
    for fact in sorted(facts, key=lambda fact: -fact.seq):
        alike.setdefault((fact.who, re.sub(r"\d+", "#", fact.text)), []).append(fact)
    ordered = ([*group[:1], *group[-1:], *group[1:-1]] if len(group) > 2 else group for group in alike.values())
    return {fact: place for group in ordered for place, fact in enumerate(group)}


def _words(text: str) -> list[str]:
    return [re.sub(r"\d+", "#", word.lower()) for word in _WORD.findall(text)]


def _plain(text: str) -> str:
    """Return the words alone, with a blank before and after: what stands in it does so from word to word."""
    return f" {' '.join(word.lower() for word in _WORD.findall(text))} "
