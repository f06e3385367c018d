"""The order in which what was found answers a question, wherever it was found, and how it is shown. Pure.

A note is ranked by its own words and by the best of its facts; what replaced a fact stands in its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from graph import ranking
from graph.episodes import Findings, FoundEpisode, FoundFact, Told, Wanted
from graph.ranking import Tense

FAR = 2
"""How far from the center all those are that no fact joins with it: it itself is 0, those joined with it 1."""
_SUCCESSIONS = 8
"""How often a fact may have been replaced."""
_EXCERPT, _BEFORE = 400, 100
"""Characters of an episode at most that come with the first of its facts, and of those how many before the first word looked for."""
_PLACES = 200
"""Of words, that are looked at for the best excerpt."""


class Head(NamedTuple):
    """What the rank of a fact depends on."""

    source: str
    target: str
    superseded: bool


@dataclass
class Candidates:
    """What may answer a question, by uuid.

    `by_fact` and `by_words` say how well facts and notes fit it. `notes` has the facts of each note that fits itself or by a fact of
    its, `heads` these facts and those that took the place of others, `heirs` which these are by those others; `stale` the notes some
    of which is no longer true.
    """

    by_fact: Mapping[str, float]
    by_words: Mapping[str, float]
    notes: Mapping[str, Sequence[str]]
    heads: Mapping[str, Head]
    heirs: Mapping[str, Sequence[str]]
    stale: set[str]


class Order:
    """Candidates in the order in which they answer. `near` says how far entities are from the center, none when there is no center."""

    def __init__(self, found: Candidates, wanted: Wanted, near: Mapping[str, int]) -> None:
        self._found, self._limit, self._near = found, wanted.limit, near
        self._tense = ranking.tense(wanted.query)
        self._with_past = wanted.include_superseded or self._tense is not Tense.NOW
        self._of_notes = {note: self._of_note(note) for note in found.notes}

    def facts(self) -> list[tuple[str, float]]:
        """Return as many facts as are wanted, with their scores: those near the center first, then what is true, then the best."""
        scores: dict[str, float] = {}
        for note, score in self._of_notes.items():
            for fact, one in ranking.of_siblings(score, self._shown(note), self._found.by_fact).items():
                scores[fact] = max(scores.get(fact, 0.0), one)
        for fact, score in self._inherited().items():
            scores[fact] = max(scores.get(fact, 0.0), score)

        def place(uuid: str) -> tuple[int, bool, float]:
            one = self._found.heads[uuid]
            distance = min(self._near.get(one.source, FAR), self._near.get(one.target, FAR))
            return distance, one.superseded and self._tense is Tense.NOW, -scores[uuid]

        return [(uuid, scores[uuid]) for uuid in sorted(scores, key=place)[: self._limit]]

    def episodes(self, told: Iterable[str]) -> list[tuple[str, float]]:
        """Return the notes that answer and that none of these is, with their scores, the best first."""
        rest = self._found.notes.keys() - set(told)
        fit = [(note, self._of_notes[note]) for note in rest if self._of_notes[note] > 0 and self.may_be_read(note)]
        return sorted(fit, key=lambda pair: -pair[1])[: self._limit]

    def may_be_read(self, note: str) -> bool:
        """Tell whether a note's own words are shown: not when they say what is no longer true, unless that is wanted."""
        return self._with_past or note not in self._found.stale

    def _shown(self, note: str) -> list[str]:
        known = (fact for fact in self._found.notes[note] if fact in self._found.heads)
        return [fact for fact in known if self._with_past or not self._found.heads[fact].superseded]

    def _of_note(self, note: str) -> float:
        best = max((self._found.by_fact.get(fact, 0.0) for fact in self._shown(note)), default=0.0)
        return ranking.of_note(self._found.by_words.get(note, 0.0), best, stale=note in self._found.stale, asked=self._tense)

    def _inherited(self) -> Mapping[str, float]:
        """Return the scores of what replaced facts that would have been shown, were they still true."""
        if self._tense is not Tense.NOW:
            return {}
        scores: dict[str, float] = {}
        heads = self._found.heads
        for note, facts in self._found.notes.items():
            words = self._found.by_words.get(note, 0.0)
            for fact in (fact for fact in facts if fact in heads and heads[fact].superseded):
                score = ranking.of_note(words, self._found.by_fact.get(fact, 0.0), stale=False, asked=self._tense)
                scores[fact] = max(scores.get(fact, 0.0), score)
        ending = list(scores)
        for _ in range(_SUCCESSIONS):
            pairs = [(old, new) for old in ending for new in self._found.heirs.get(old, ()) if scores[old] > scores.get(new, 0.0)]
            for old, new in pairs:
                scores[new] = max(scores.get(new, 0.0), scores[old])
            ending = [new for _, new in pairs]
        return {fact: score for fact, score in scores.items() if fact in heads and not heads[fact].superseded}


def findings(facts: Iterable[FoundFact], episodes: Iterable[FoundEpisode]) -> Findings:
    """Return what was found, in this order, with scores of which the best is 1."""
    shown, told = list(facts), list(episodes)
    best = max((one.score for one in (*shown, *told)), default=0.0) or 1.0
    return Findings(
        facts=tuple(one.model_copy(update={"score": _rounded(one.score / best)}) for one in shown),
        episodes=tuple(one.model_copy(update={"score": _rounded(one.score / best)}) for one in told),
    )


def quoted(facts: Iterable[FoundFact], bodies: Mapping[str, str], words: Sequence[str]) -> list[FoundFact]:
    """Return facts with the words of the notes they are from, each once, where these are at hand."""
    left = dict(bodies)

    def with_words(told: Told) -> Told:
        return told.model_copy(update={"excerpt": excerpt(left.pop(told.uuid, ""), words)})

    return [one.model_copy(update={"told": tuple(map(with_words, one.told))}) for one in facts]


def excerpt(body: str, words: Sequence[str]) -> str:
    """Return what of a note's words is shown with a fact of it: all, or the part that has most of the words looked for."""
    if len(body) <= _EXCERPT:
        return body
    found = [(match.start(), word) for word in words for match in re.finditer(re.escape(word), body, re.IGNORECASE)]
    places = sorted(found)[:_PLACES]

    def held(start: int) -> int:
        return len({word for place, word in places if start <= place < start + _EXCERPT - _BEFORE})

    start = max(0, max((place for place, _ in places), key=held, default=0) - _BEFORE)
    ends = ("\u2026" if start else "", "\u2026" if start + _EXCERPT < len(body) else "")
    return f"{ends[0]}{body[start : start + _EXCERPT]}{ends[1]}"


def _rounded(score: float) -> float:
    return float(f"{score:.4g}")
