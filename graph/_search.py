"""What the read model holds, looked through for one question, within one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from graph import _order, _rows, ranking
from graph._likeness import Likeness
from graph._order import Candidates, Head, Order
from graph._rows import CURRENT, ENDED
from graph.episodes import Findings, FoundEpisode, FoundFact, Wanted
from memory._sql import Sql

DEPTH = 100
"""Facts and episodes that are looked at."""
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
    f"WHERE p.episode IN (SELECT value FROM json_each(?1)) AND p.generation = {CURRENT} AND {ENDED}"
)
# Graphiti ends a fact at the moment from which the one that contradicts it holds.
_HEIRS = (
    "SELECT old.uuid, new.uuid FROM json_each(?) e JOIN facts old ON old.uuid = e.value "  # noqa: S608
    "JOIN facts new ON new.group_id = old.group_id AND new.valid_at = old.invalid_at AND new.generation = old.generation "
    "AND (new.source IN (old.source, old.target) OR new.target IN (old.source, old.target)) "
    f"WHERE old.generation = {CURRENT} AND old.expired_at IS NOT NULL AND new.uuid <> old.uuid"
)


def search(sql: Sql, wanted: Wanted, now: str, like: Likeness | None = None) -> Findings:
    """Return what answers best. `like` is how like the question what is known is by its meaning; None searches by words alone."""
    by_fact, by_words = _fitting(sql, wanted, like)
    notes = _with_facts(sql, [*by_words, *_rows.column(sql, _TOLD_IN, _rows.listed(by_fact))])
    heads = _rows.heads(sql, {fact for facts in notes.values() for fact in facts}, now)
    heirs = _heirs(sql, heads)
    heads |= _rows.heads(sql, {new for news in heirs.values() for new in news} - heads.keys(), now)
    found = Candidates(by_fact, by_words, notes, heads, heirs, _stale(sql, notes, now))
    order = Order(found, wanted, _rows.near(sql, wanted.center))
    facts = _facts(sql, order.facts(), now)
    told = {one.uuid for fact in facts for one in fact.told}
    found.stale |= _stale(sql, told - notes.keys(), now)
    shown = order.episodes(told)
    rows = _rows.episodes(sql, (*filter(order.may_be_read, told), *(note for note, _ in shown)))
    bodies = {uuid: rows[uuid].body for uuid in told if uuid in rows}
    episodes = [FoundEpisode(episode=rows[note], superseded=note in found.stale, score=score) for note, score in shown]
    return _order.findings(_order.quoted(facts, bodies, ranking.terms(wanted.query)), episodes)


def _fitting(sql: Sql, wanted: Wanted, like: Likeness | None) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """Return how well facts and notes fit."""
    by_fact, by_words = _by_words(sql, wanted, every=False)
    is_near = like is not None and bool(like.facts.by_uuid or like.episodes.by_uuid)
    if not by_fact and not by_words and not is_near:  # in a small memory "what do we use" has an answer
        by_fact, by_words = _by_words(sql, wanted, every=True)
    if like is None:
        return by_fact, by_words
    return ranking.fused(by_fact, *like.facts), ranking.fused(by_words, *like.episodes)


def _by_words(sql: Sql, wanted: Wanted, *, every: bool) -> tuple[dict[str, float], dict[str, float]]:
    """Return how well facts and notes fit by the words of the query, by common ones too if that is wanted."""
    number = _rows.generation(sql)
    of_facts = _rows.match(wanted.query, (_rows.scope(group, number) for group in wanted.group_ids), every=every)
    of_notes = _rows.match(wanted.query, map(_rows.scope, wanted.group_ids), every=every)
    return dict(sql.execute(_FACTS_BY_WORDS, (of_facts,))), dict(sql.execute(_EPISODES_BY_WORDS, (of_notes,)))


def _with_facts(sql: Sql, notes: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {note: [] for note in notes}
    for note, fact in sql.execute(_FACTS_OF, (_rows.listed(notes),)):
        found[note].append(fact)
    return found


def _heirs(sql: Sql, heads: Mapping[str, Head]) -> dict[str, list[str]]:
    """Return which facts took the places of those that have ended, and of these in turn."""
    found: dict[str, list[str]] = {}
    ending = {fact for fact, head in heads.items() if head.superseded}
    while ending:
        for old, new in sql.execute(_HEIRS, (_rows.listed(ending),)):
            found.setdefault(old, []).append(new)
        ending = {new for old in ending for new in found.get(old, ())} - found.keys()
    return found


def _stale(sql: Sql, notes: Iterable[str], now: str) -> set[str]:
    return set(_rows.column(sql, _STALE, _rows.listed(notes), now))


def _facts(sql: Sql, best: Sequence[tuple[str, float]], now: str) -> list[FoundFact]:
    rows = _rows.facts(sql, [uuid for uuid, _ in best], now)
    return [rows[uuid].model_copy(update={"score": score}) for uuid, score in best]
