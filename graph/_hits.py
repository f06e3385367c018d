"""What a graph database finds for one question, put in order: as graph._search does it for what is found by words here. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from graph import ranking
from graph.episodes import Episode, Fact, Wanted
from graph.ranking import Tense

_FAR = 2
"""How far from the center all those are that no fact joins with it."""
_SUCCESSIONS = 8
"""How often a fact may have been replaced."""
_EXCERPT, _BEFORE = 400, 100
"""Characters of an episode at most that come with the first of its facts, and of those how many before the first word looked for."""


@dataclass
class Hits:
    """What was found: facts and episodes by uuid, those that fit the words with how well."""

    facts: dict[str, Fact] = field(default_factory=dict[str, Fact])
    episodes: dict[str, Episode] = field(default_factory=dict[str, Episode])
    by_fact: dict[str, float] = field(default_factory=dict[str, float])
    by_words: dict[str, float] = field(default_factory=dict[str, float])

    def ended(self, now: str) -> list[Fact]:
        """Return the facts that are no longer true."""
        return [fact for fact in self.facts.values() if fact.has_ended(now)]


class Ordered:
    """Hits in the order in which they answer. `near` says how far entities are from the center, none when there is no center."""

    def __init__(self, hits: Hits, wanted: Wanted, now: str, near: Mapping[str, int]) -> None:
        self._hits, self._wanted, self._now, self._near = hits, wanted, now, near
        self._tense = ranking.tense(wanted.query)
        self.with_past = wanted.include_superseded or self._tense is not Tense.NOW
        notes = dict.fromkeys(hits.by_words)
        notes |= dict.fromkeys(note for uuid in hits.by_fact for note in hits.facts[uuid].episodes)
        told: dict[str, list[str]] = {note: [] for note in notes}
        for fact in hits.facts.values():
            for note in fact.episodes:
                told.setdefault(note, []).append(fact.uuid)
        self._told = told
        self.stale = frozenset(note for note, facts in told.items() if any(hits.facts[one].has_ended(now) for one in facts))
        self._of_notes = {note: self._of_note(note) for note in notes}

    def facts(self) -> Sequence[tuple[Fact, float]]:
        """Return as many facts as are wanted, with their scores: those near the center first, then what is true, then the best."""
        scores: dict[str, float] = {}
        for note, score in self._of_notes.items():
            for fact, one in ranking.of_siblings(score, self._shown(note), self._hits.by_fact).items():
                scores[fact] = max(scores.get(fact, 0.0), one)
        for fact, score in self._inherited().items():
            scores[fact] = max(scores.get(fact, 0.0), score)

        def place(uuid: str) -> tuple[int, bool, float]:
            fact = self._hits.facts[uuid]
            distance = min(self._near.get(fact.source, _FAR), self._near.get(fact.target, _FAR))
            return distance, fact.has_ended(self._now) and self._tense is Tense.NOW, -scores[uuid]

        return [(self._hits.facts[uuid], scores[uuid]) for uuid in sorted(scores, key=place)[: self._wanted.limit]]

    def episodes(self, told: Iterable[str]) -> Sequence[tuple[Episode, float]]:
        """Return the episodes that fit and that none of these is, the best first."""
        rest = self._hits.by_words.keys() - set(told)
        fit = [note for note in rest if self._of_notes[note] > 0 and self.may_be_read(note) and note in self._hits.episodes]
        best = sorted(fit, key=lambda note: -self._of_notes[note])[: self._wanted.limit]
        return [(self._hits.episodes[note], self._of_notes[note]) for note in best]

    def may_be_read(self, note: str) -> bool:
        """Tell whether an episode's own words are shown: not when they say what is no longer true, unless that is wanted."""
        return self.with_past or note not in self.stale

    def _shown(self, note: str) -> list[str]:
        facts = self._told[note]
        return [fact for fact in facts if self.with_past or not self._hits.facts[fact].has_ended(self._now)]

    def _of_note(self, note: str) -> float:
        best = max((self._hits.by_fact.get(fact, 0.0) for fact in self._shown(note)), default=0.0)
        return ranking.of_note(self._hits.by_words.get(note, 0.0), best, stale=note in self.stale, asked=self._tense)

    def _inherited(self) -> Mapping[str, float]:
        """Return the scores of what replaced facts that would have been shown, were they still true."""
        if self._tense is not Tense.NOW:
            return {}
        found: dict[str, float] = {}
        for fact in self._hits.ended(self._now):
            words = max((self._hits.by_words.get(note, 0.0) for note in fact.episodes), default=0.0)
            found[fact.uuid] = ranking.of_note(words, self._hits.by_fact.get(fact.uuid, 0.0), stale=False, asked=self._tense)
        ending = [self._hits.facts[uuid] for uuid, score in found.items() if score > 0]
        for _ in range(_SUCCESSIONS):
            heirs: list[Fact] = []
            for old in ending:
                for new in self._hits.facts.values():
                    if _replaced(old, new) and found[old.uuid] > found.get(new.uuid, 0.0):
                        found[new.uuid] = found[old.uuid]
                        heirs.append(new)
            ending = heirs
        return {uuid: score for uuid, score in found.items() if score > 0 and not self._hits.facts[uuid].has_ended(self._now)}


def _replaced(old: Fact, new: Fact) -> bool:
    """Tell whether one fact took another's place: Graphiti ends a fact at the moment from which the one that contradicts it holds."""
    is_next = old.expired_at is not None and new.valid_at is not None and new.valid_at == old.invalid_at and new.uuid != old.uuid
    return is_next and bool({old.source, old.target} & {new.source, new.target})


def excerpt(body: str, words: Iterable[str]) -> str:
    """Return what of an episode's words is shown with a fact of it: all, or where the first of the words looked for stands."""
    if len(body) <= _EXCERPT:
        return body
    folded = body.casefold()
    places = [place for place in map(folded.find, words) if place >= 0]
    start = max(0, min(places, default=0) - _BEFORE)
    ends = ("\u2026" if start else "", "\u2026" if start + _EXCERPT < len(body) else "")
    return f"{ends[0]}{body[start : start + _EXCERPT]}{ends[1]}"
