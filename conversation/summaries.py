"""Summaries: turns that stand for the older turns of a thread when those do not fit a window any more.

A summary is a turn like others, added to the thread once and never changed: its tool is SUMMARY_TOOL and its meta holds
`upto`, the number of the last turn it covers, `tokens`, the size it was made in, and `facts`, the sentences it keeps word for
word. The turns it covers stay in the thread. A model with room for them is sent them, one without is sent the summary and the
turns after it. Summaries come in few sizes (`summary_tokens`), so that models of like windows share one and none is cut.
"""

from __future__ import annotations

import bisect
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass

from conversation.threads import Turn
from conversation.tokens import estimate_tokens

SUMMARY_TOOL = "condense"

_SHARE = 9
"""A summary has two parts of at most 1/9 of the window each: with its tags it stays below the quarter at which turns are cut."""
_LARGEST, _SMALLEST = 4_096, 32
_LONGEST_FACT = 400
_SENTENCE = re.compile(r"[^.!?\u3002\uff01\uff1f\n]+(?:[.!?](?!\s|$)[^.!?\u3002\uff01\uff1f\n]*)*[.!?\u3002\uff01\uff1f]?")
_PIECE = re.compile(rf"\S.{{0,{_LONGEST_FACT - 1}}}(?=\s|$)|\S{{{_LONGEST_FACT}}}")
_SPECIFIC = re.compile(
    r"`[^`]+`|\"[^\"]+\"|\b[A-Z]{2,}[A-Z0-9_-]*\b|\b\w*[a-z][A-Z]\w*\b|\b\w+_\w+\b|\b[\w.-]*\d[\w.,:/-]*|(?<=[a-z,] )[A-Z][a-z]+"
)
_WORD = re.compile(r"[\w][\w.:/-]*[\w]|\w")
_IDLE = frozenset(
    ["the", "and", "are", "was", "were", "for", "that", "this", "with", "has", "have", "is", "it", "in", "on", "of", "to", "a", "an"]
)
_CUE = re.compile(r"\b(?:decide|agree|call|name|chose|prefer|because|is|are|was|use)", re.I)
_KEEP = re.compile(
    r"\b(?:remember|important|note that|keep in mind|don't forget|do not forget|must|never|always|deadline|"
    r"merke|wichtig|niemals|immer|recuerda|importante|nunca|siempre|souviens|retenez|jamais|toujours)|记住|重要|覚えて|기억",
    re.I,
)


def is_summary(turn: Turn) -> bool:
    """Tell whether a turn stands for earlier ones."""
    return turn.tool == SUMMARY_TOOL and turn.meta is not None and isinstance(turn.meta.get("upto"), int)


def covered(turn: Turn) -> int:
    """Return the number of the last turn a summary covers; 0 for any other turn."""
    return int((turn.meta or {})["upto"]) if is_summary(turn) else 0


def facts_of(turn: Turn) -> tuple[Fact, ...]:
    """Return what a summary keeps word for word."""
    rows = (turn.meta or {}).get("facts", ()) if is_summary(turn) else ()
    return tuple(Fact(int(seq), str(who), str(text)) for seq, who, text in rows)


def summary_tokens(window: int) -> int:
    """Return how many tokens each of the two parts of a summary may take for a window of so many tokens: a power of two."""
    share = max(_SMALLEST, min(_LARGEST, window // _SHARE))
    return 1 << (share.bit_length() - 1)


def _size(turn: Turn) -> int:
    return int((turn.meta or {}).get("tokens") or 0)


class Views:
    """The ways to show a thread's landed turns, the fullest first: as they are, then with each summary of the given size.

    Where turns are not there, the summary that stands for them is.
    """

    def __init__(self, turns: Iterable[Turn], tokens: int) -> None:
        self._said, summaries = _sorted(turns)
        first = self._said[0].seq if self._said else math.inf
        lead = max((one for one in summaries if covered(one) < first), key=covered, default=None)
        self._heads = [lead, *(one for one in summaries if _size(one) == tokens and one is not lead)]

    def __len__(self) -> int:
        return len(self._heads)

    def __getitem__(self, number: int) -> list[Turn]:
        head = self._heads[number]
        return self._said if head is None else _under(head, self._said)


def base(turns: Iterable[Turn], tokens: int) -> list[Turn]:
    """Return the view from which to make the next summary of that size: the shortest that keeps as much as it would."""
    said, summaries = _sorted(turns)
    rich = [one for one in summaries if _size(one) >= tokens]
    return _under(max(rich, key=lambda one: (covered(one), _size(one))), said) if rich else said


def _sorted(turns: Iterable[Turn]) -> tuple[list[Turn], list[Turn]]:
    ordered = sorted((turn for turn in turns if turn.state == "done"), key=lambda turn: turn.seq)
    return [turn for turn in ordered if not is_summary(turn)], sorted(filter(is_summary, ordered), key=covered)


def _under(summary: Turn, said: Sequence[Turn]) -> list[Turn]:
    return [summary, *said[bisect.bisect_right(said, covered(summary), key=lambda turn: turn.seq) :]]


def older(view: Sequence[Turn], prices: Sequence[int], room: int, *, most: int, stored: int) -> list[Turn]:
    """Return the turns at the beginning of a view to condense, so that what stays takes `room` tokens, by the `prices` of the turns.

    Whole exchanges go, and none after the turn number `stored`, which is the last one in the store. The newest exchange stays
    while it takes no more than `most` tokens.
    """
    starts = [number for number, turn in enumerate(view) if turn.role == "user"]
    kept, taken, end = len(view), 0, len(view)
    for start in reversed(starts):
        taken += sum(prices[start:end])
        if taken > (most if start == starts[-1] else room):
            break
        kept = end = start
    return [turn for turn in view[:kept] if turn.seq <= stored or is_summary(turn)]


# --- what is kept word for word ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fact:
    """One sentence of a turn: the turn's number, who said it, the words."""

    seq: int
    who: str
    text: str

    def shown(self) -> str:
        return f"- turn {self.seq}, {self.who}: {self.text}"


def extract(turns: Sequence[Turn], summary: str, tokens: int) -> tuple[Fact, ...]:
    """Return the sentences that say the most, within `tokens`, in order: what the summary has already is left out.

    A sentence counts by what is specific in it (names, figures, code), by who said it and how; one whose like stands in many
    turns counts less. Of two that count the same, the earlier one is taken.
    """
    found = list(dict.fromkeys(fact for turn in turns for fact in (facts_of(turn) or _sentences(turn))))
    alike = Counter(_pattern(fact.text) for fact in found)
    said = [frozenset(_words(match[0])) for match in _SENTENCE.finditer(summary)]
    missing = [fact for fact in found if not _said_in(fact.text, said)]
    ranked = sorted(missing, key=lambda fact: (-_weight(fact) + min(4, alike[_pattern(fact.text)] - 1), fact.seq))
    chosen: set[Fact] = set()
    for fact in ranked:
        cost = estimate_tokens(fact.shown()) + 1
        if cost <= tokens:
            tokens -= cost
            chosen.add(fact)
    return tuple(fact for fact in found if fact in chosen)


def _sentences(turn: Turn) -> list[Fact]:
    who = "the caller" if turn.role == "user" else f"{turn.provider}/{turn.model}" if turn.model else "parley"
    texts = (" ".join(match[0].split()) for match in _SENTENCE.finditer(turn.content))
    pieces = (piece[0] for text in texts for piece in _PIECE.finditer(text))
    files = [f"the file {item.path} was shown here" for item in turn.attachments]
    return [Fact(turn.seq, who, text) for text in (*files, *pieces) if len(text) > 3]


def _pattern(text: str) -> str:
    return re.sub(r"\d+", "#", text)


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]


def _said_in(text: str, sentences: Sequence[Set[str]]) -> bool:
    """Tell whether one of the sentences has each word that counts: a "not" that is missing is a fact of its own."""
    counting = {word for word in _words(text) if word not in _IDLE}
    return bool(counting) and any(words >= counting for words in sentences)


def _weight(fact: Fact) -> int:
    specific = min(3, len(_SPECIFIC.findall(fact.text)))
    asks = fact.text.endswith(("?", "\uff1f"))
    told = 2 * (fact.who == "the caller") + 5 * bool(_KEEP.search(fact.text))
    return 2 * specific + bool(_CUE.search(fact.text)) + told - 3 * asks
