"""What a graph database finds for one question, as candidates for an answer. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from graph._order import Candidates, Head
from graph.episodes import Episode, Fact


@dataclass
class Hits:
    """What was found: facts and episodes by uuid, those that fit the words with how well."""

    facts: dict[str, Fact] = field(default_factory=dict[str, Fact])
    episodes: dict[str, Episode] = field(default_factory=dict[str, Episode])
    by_fact: dict[str, float] = field(default_factory=dict[str, float])
    by_words: dict[str, float] = field(default_factory=dict[str, float])

    def candidates(self, now: str) -> Candidates:
        """Return what may answer."""
        notes: dict[str, list[str]] = {note: [] for note in self.by_words}
        notes |= {note: [] for uuid in self.by_fact for note in self.facts[uuid].episodes}
        ended = [fact for fact in self.facts.values() if fact.has_ended(now)]
        for fact in self.facts.values():
            for note in fact.episodes:
                if note in notes:
                    notes[note].append(fact.uuid)
        return Candidates(
            by_fact=self.by_fact,
            by_words=self.by_words,
            notes=notes,
            heads={uuid: Head(fact.source, fact.target, fact.has_ended(now)) for uuid, fact in self.facts.items()},
            heirs={old.uuid: [new.uuid for new in self.facts.values() if _replaced(old, new)] for old in ended},
            stale={note for fact in ended for note in fact.episodes},
        )


def _replaced(old: Fact, new: Fact) -> bool:
    """Tell whether one fact took another's place: Graphiti ends a fact at the moment from which the one that contradicts it holds."""
    is_next = old.expired_at is not None and new.valid_at is not None and new.valid_at == old.invalid_at and new.uuid != old.uuid
    return is_next and bool({old.source, old.target} & {new.source, new.target})
