"""One search. A note is ranked by its own words and by the best of its facts; what replaced a fact stands in its place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from graph import _rows, ranking
from graph._likeness import Likeness
from graph._rows import CURRENT
from graph.episodes import Findings, FoundEpisode, FoundFact, Told, Wanted
from graph.ranking import Tense
from memory._sql import Sql

DEPTH = 100
"""Facts and episodes that are looked at."""
_SUCCESSIONS = 8
"""How often a fact may have been replaced."""
_EXCERPT = 400
"""Characters of an episode at most that come with the first of its facts; where it is longer, about 60 words around those looked for."""
_FACTS_BY_WORDS = (
    "SELECT f.uuid, b.score FROM (SELECT rowid AS n, -bm25(facts_fts, 1.0, 0.5, 0.0) AS score FROM facts_fts "  # noqa: S608
    f"WHERE facts_fts MATCH ? ORDER BY score DESC LIMIT {DEPTH}) b JOIN facts f ON f.n = b.n"
)
_EPISODES_BY_WORDS = (
    "SELECT e.uuid, b.score FROM (SELECT rowid AS n, -bm25(episodes_fts, 1.0, 1.0, 0.0) AS score FROM episodes_fts "  # noqa: S608
    f"WHERE episodes_fts MATCH ? ORDER BY score DESC LIMIT {DEPTH}) b JOIN episodes e ON e.n = b.n"
)
_TOLD_IN = f"SELECT DISTINCT episode FROM provenance WHERE fact IN (SELECT value FROM json_each(?)) AND generation = {CURRENT}"  # noqa: S608
_FACTS_OF = f"SELECT episode, fact FROM provenance WHERE episode IN (SELECT value FROM json_each(?)) AND generation = {CURRENT}"  # noqa: S608
_STALE = (
    "SELECT DISTINCT p.episode FROM provenance p JOIN facts f ON f.uuid = p.fact AND f.generation = p.generation "  # noqa: S608
    f"WHERE p.episode IN (SELECT value FROM json_each(?1)) AND p.generation = {CURRENT} "
    f"AND {_rows.ENDED}"
)
# Graphiti ends a fact at the moment from which the one that contradicts it holds.
_SUCCESSORS = (
    "SELECT old.uuid, new.uuid FROM json_each(?) e JOIN facts old ON old.uuid = e.value "  # noqa: S608
    "JOIN facts new ON new.group_id = old.group_id AND new.valid_at = old.invalid_at AND new.generation = old.generation "
    "AND (new.source IN (old.source, old.target) OR new.target IN (old.source, old.target)) "
    f"WHERE old.generation = {CURRENT} AND old.expired_at IS NOT NULL AND new.uuid <> old.uuid"
)
_EXCERPTS = (
    "SELECT e.uuid, snippet(episodes_fts, 1, '', '', '\u2026', 60) FROM episodes_fts JOIN episodes e ON e.n = episodes_fts.rowid "
    "WHERE episodes_fts MATCH ?1 AND episodes_fts.rowid IN (SELECT n FROM episodes WHERE uuid IN (SELECT value FROM json_each(?2)))"
)


class Search:
    """One search, within one transaction."""

    def __init__(self, sql: Sql, wanted: Wanted, now: str, like: Likeness | None = None) -> None:
        """`like` is how like the question what is known is by its meaning; None searches by words alone."""
        self._sql, self._wanted, self._now = sql, wanted, now
        self._tense = ranking.tense(wanted.query)
        self._with_past = wanted.include_superseded or self._tense is not Tense.NOW
        self._look(every=False)
        is_near = like is not None and bool(like.facts.by_uuid or like.episodes.by_uuid)
        if not self._by_fact and not self._by_words and not is_near:  # in a small memory "what do we use" has an answer
            self._look(every=True)
        if like is not None:
            self._by_fact = ranking.fused(self._by_fact, *like.facts)
            self._by_words = ranking.fused(self._by_words, *like.episodes)
        notes = [*self._by_words, *_rows.column(sql, _TOLD_IN, _rows.listed(self._by_fact))]
        self._notes: dict[str, list[str]] = {note: [] for note in notes}
        for note, fact in sql.execute(_FACTS_OF, (_rows.listed(notes),)):
            self._notes[note].append(fact)
        self._facts = _rows.heads(sql, {fact for facts in self._notes.values() for fact in facts}, now)
        self._stale = set(_rows.column(sql, _STALE, _rows.listed(notes), now))

    def findings(self) -> Findings:
        """Return what answers best."""
        of_notes = {note: self._of_note(note) for note in self._notes}
        of_facts: dict[str, float] = {}
        for note, score in of_notes.items():
            for fact, of_fact in ranking.of_siblings(score, self._shown(note), self._by_fact).items():
                of_facts[fact] = max(of_facts.get(fact, 0.0), of_fact)
        for fact, score in self._inherited().items():
            of_facts[fact] = max(of_facts.get(fact, 0.0), score)
        facts = self._best(of_facts)
        told = {one.uuid for fact in facts for one in fact.told}
        episodes = self._episodes(of_notes, told)
        best = max((one.score for one in (*facts, *episodes)), default=0.0) or 1.0
        return Findings(
            facts=tuple(one.model_copy(update={"score": _rounded(one.score / best)}) for one in self._with_excerpts(facts)),
            episodes=tuple(one.model_copy(update={"score": _rounded(one.score / best)}) for one in episodes),
        )

    def _look(self, *, every: bool) -> None:
        """Look for the words of the query, for common ones too if that is wanted."""
        query, groups = self._wanted.query, self._wanted.group_ids
        number = _rows.generation(self._sql)
        self._words = _rows.match(query, map(_rows.scope, groups), every=every)
        of_facts = _rows.match(query, (_rows.scope(group, number) for group in groups), every=every)
        self._by_fact = self._matching(_FACTS_BY_WORDS, of_facts)
        self._by_words = self._matching(_EPISODES_BY_WORDS, self._words)

    def _matching(self, statement: str, words: str) -> dict[str, float]:
        return dict(self._sql.execute(statement, (words,)).fetchall())

    def _shown(self, note: str) -> list[str]:
        """Return the facts of a note that are shown."""
        known = (fact for fact in self._notes[note] if fact in self._facts)
        return [fact for fact in known if self._with_past or not self._facts[fact].superseded]

    def _of_note(self, note: str) -> float:
        best = max((self._by_fact.get(fact, 0.0) for fact in self._shown(note)), default=0.0)
        return ranking.of_note(self._by_words.get(note, 0.0), best, stale=note in self._stale, asked=self._tense)

    def _inherited(self) -> Mapping[str, float]:
        """Return the scores of what replaced facts that would have been shown, were they still true."""
        if self._tense is not Tense.NOW:
            return {}
        known: dict[str, float] = {}
        for note, facts in self._notes.items():
            words = self._by_words.get(note, 0.0)
            for fact in (fact for fact in facts if fact in self._facts and self._facts[fact].superseded):
                score = ranking.of_note(words, self._by_fact.get(fact, 0.0), stale=False, asked=self._tense)
                known[fact] = max(known.get(fact, 0.0), score)
        heirs = self._heirs(known)
        self._facts |= _rows.heads(self._sql, heirs.keys() - self._facts.keys(), self._now)
        return {fact: score for fact, score in heirs.items() if fact in self._facts and not self._facts[fact].superseded}

    def _heirs(self, known: Mapping[str, float]) -> dict[str, float]:
        found = dict(known)
        ending = list(known)
        for _ in range(_SUCCESSIONS):
            rows: list[tuple[str, str]] = self._sql.execute(_SUCCESSORS, (_rows.listed(ending),)).fetchall()
            ending: list[str] = []
            for old, new in rows:
                if found[old] > found.get(new, 0.0):
                    found[new] = found[old]
                    ending.append(new)
        return found

    def _best(self, scores: Mapping[str, float]) -> list[FoundFact]:
        """Return as many facts as are wanted: those near the center first, then what is true, then the best."""
        near = _rows.near(self._sql, self._wanted.center)

        def place(uuid: str) -> tuple[int, bool, float]:
            one = self._facts[uuid]
            distance = min(near.get(one.source, _rows.FAR), near.get(one.target, _rows.FAR))
            return distance, one.superseded and self._tense is Tense.NOW, -scores[uuid]

        best = sorted(scores, key=place)[: self._wanted.limit]
        found = _rows.facts(self._sql, best, self._now)
        return [found[uuid].model_copy(update={"score": scores[uuid]}) for uuid in best]

    def _may_be_read(self, note: str) -> bool:
        """Tell whether a note's own words are shown: not when they say what is no longer true, unless that is wanted."""
        return self._with_past or note not in self._stale

    def _with_excerpts(self, facts: Iterable[FoundFact]) -> list[FoundFact]:
        """Return facts with the words of the notes they are from, each once."""
        listed = list(facts)
        notes = {told.uuid for one in listed for told in one.told}
        self._stale |= set(_rows.column(self._sql, _STALE, _rows.listed(notes - self._notes.keys()), self._now))
        words = self._excerpts(note for note in notes if self._may_be_read(note))

        def quoted(told: Told) -> Told:
            return told.model_copy(update={"excerpt": words.pop(told.uuid, "")})

        return [one.model_copy(update={"told": tuple(map(quoted, one.told))}) for one in listed]

    def _excerpts(self, notes: Iterable[str]) -> dict[str, str]:
        bodies = {uuid: episode.body for uuid, episode in _rows.episodes(self._sql, notes).items()}
        long = [uuid for uuid, body in bodies.items() if len(body) > _EXCERPT]
        cut: dict[str, str] = dict(self._sql.execute(_EXCERPTS, (self._words, _rows.listed(long))).fetchall()) if long else {}
        return {uuid: body if len(body) <= _EXCERPT else cut.get(uuid, f"{body[:_EXCERPT]}\u2026") for uuid, body in bodies.items()}

    def _episodes(self, scores: Mapping[str, float], told: Iterable[str]) -> list[FoundEpisode]:
        """Return the notes that none of the facts is from, the best first."""
        rest = self._notes.keys() - set(told)
        fit = sorted((note for note in rest if scores[note] > 0 and self._may_be_read(note)), key=lambda note: -scores[note])
        rows = _rows.episodes(self._sql, fit[: self._wanted.limit])
        return [
            FoundEpisode(episode=rows[note], superseded=note in self._stale, score=scores[note])
            for note in fit[: self._wanted.limit]
        ]


def _rounded(score: float) -> float:
    """Return a score, of which the best is 1, in a few digits."""
    return float(f"{score:.4g}")
