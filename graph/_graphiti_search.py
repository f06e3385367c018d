"""What a graph database holds, found through Graphiti: with a server, every process searches here, and finds what others told too."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from graphiti_core import Graphiti
from graphiti_core.driver.driver import GraphDriver
from graphiti_core.edges import EntityEdge
from graphiti_core.errors import EdgeNotFoundError
from graphiti_core.nodes import EntityNode, EpisodicNode
from graphiti_core.search.search_config import (
    EdgeReranker,
    EdgeSearchConfig,
    EdgeSearchMethod,
    EpisodeReranker,
    EpisodeSearchConfig,
    EpisodeSearchMethod,
    NodeReranker,
    NodeSearchConfig,
    NodeSearchMethod,
    SearchConfig,
    SearchResults,
)

from graph import ranking
from graph._graphiti import Embed, Engine, as_entity, as_fact, as_stamp, edges, graphiti, rows
from graph._graphiti_servers import connect
from graph._hits import Hits
from graph._order import FAR, Order, findings, quoted
from graph.config import Server
from graph.episodes import Entity, Episode, Fact, Findings, FoundEpisode, FoundFact, Source, Told, Wanted, checked_uuid
from memory._sql import Clock, stamp

DEPTH = 50
"""Facts and episodes of each group that are looked at."""
_MOST_NEAR = 200
"""Facts, the newest, that are looked through for those that took the place of others, or join an entity with the center."""


class _Configs(NamedTuple):
    facts: SearchConfig
    nodes: SearchConfig


def _configs(*, by_meaning: bool) -> _Configs:
    """Return how facts, with episodes, and entities are looked for."""
    of_facts, of_nodes = [EdgeSearchMethod.bm25], [NodeSearchMethod.bm25]
    if by_meaning:
        of_facts.append(EdgeSearchMethod.cosine_similarity)
        of_nodes.append(NodeSearchMethod.cosine_similarity)
    told = EpisodeSearchConfig(search_methods=[EpisodeSearchMethod.bm25], reranker=EpisodeReranker.rrf)
    found = EdgeSearchConfig(search_methods=of_facts, reranker=EdgeReranker.rrf)
    nodes = NodeSearchConfig(search_methods=of_nodes, reranker=NodeReranker.rrf)
    return _Configs(SearchConfig(edge_config=found, episode_config=told, limit=DEPTH), SearchConfig(node_config=nodes, limit=DEPTH))


class GraphKnowledge:
    """Implements Knowledge over a graph database. Every method raises MemoryUnavailable.

    `by_meaning` tells that vectors are of meanings; those of words would find the same words once more.
    """

    def __init__(self, engine: Engine, embed: Embed, *, by_meaning: bool = False, clock: Clock = time.time) -> None:
        self._engine, self._embed, self._clock = engine, embed, clock
        self._graphitis: dict[GraphDriver, Graphiti] = {}
        self._by_words = _configs(by_meaning=False)
        self._best = _configs(by_meaning=by_meaning)

    @classmethod
    async def open(cls, server: Server, embed: Embed, *, by_meaning: bool = False) -> GraphKnowledge:
        """Connect to what is to be searched. Raises MemoryUnavailable."""
        return cls(await connect(server), embed, by_meaning=by_meaning)

    async def search(self, wanted: Wanted, *, by_words: bool = False) -> Findings:
        """Return the facts that answer best, and the episodes that say more. See Knowledge. `by_words` asks for no vector.

        Raises what the embedding model raises as well.
        """
        config = (self._by_words if by_words else self._best).facts
        words, now = ranking.terms(wanted.query), stamp(self._clock())
        center = None if wanted.center is None else checked_uuid(wanted.center)
        hits, near, drivers = Hits(), dict[str, int](), dict[str, GraphDriver]()
        with self._engine.speaking():
            for group in wanted.group_ids:
                driver = await self._engine.to_read(group)
                if driver is not None and words:
                    drivers[group] = driver
                    results = await self._over(driver).search_(" ".join(words), config, group_ids=[group])
                    await self._look(driver, results, now, hits)
                    near |= await self._near(driver, center)
            found = hits.candidates(now)
            order = Order(found, wanted, near)
            facts = await self._shown(order.facts(), hits, drivers, now)
        told = {one.uuid for fact in facts for one in fact.told}
        bodies = {note: hits.episodes[note].body for note in told if order.may_be_read(note)}
        episodes = [
            FoundEpisode(episode=hits.episodes[note], superseded=note in found.stale, score=score)
            for note, score in order.episodes(told)
            if note in hits.episodes
        ]
        return findings(quoted(facts, bodies, words), episodes)

    async def nodes(self, wanted: Wanted, *, by_words: bool = False) -> Sequence[Entity]:
        """Return the entities that fit best. See Knowledge. `by_words`, and what is raised, are as in a search."""
        config = (self._by_words if by_words else self._best).nodes
        words = " ".join(ranking.terms(wanted.query))
        center = None if wanted.center is None else checked_uuid(wanted.center)
        found: dict[str, tuple[Entity, float]] = {}
        near: dict[str, int] = {}
        with self._engine.speaking():
            for group in wanted.group_ids:
                driver = await self._engine.to_read(group)
                if driver is None or not words:
                    continue
                results = await self._over(driver).search_(words, config, group_ids=[group])
                scores = zip(results.nodes, results.node_reranker_scores, strict=True)
                found |= {node.uuid: (as_entity(node), score) for node, score in scores}
                near |= await self._near(driver, center)
        best = sorted(found, key=lambda uuid: (near.get(uuid, FAR), -found[uuid][1]))
        return [found[uuid][0] for uuid in best[: wanted.limit]]

    async def fact(self, uuid: str) -> FoundFact | None:
        """Return a fact. See Knowledge."""
        known, now = checked_uuid(uuid), stamp(self._clock())
        with self._engine.speaking():
            for driver in await self._engine.everywhere():
                try:
                    fact = as_fact(await EntityEdge.get_by_uuid(driver, known))
                except EdgeNotFoundError:
                    continue
                told = {note: _episode(one) for note, one in (await _episodes(driver, fact.episodes)).items()}
                (found,) = await _with_ends(driver, [(fact, 0.0)], told, now)
                return found
        return None

    async def aclose(self) -> None:
        """Let go of the engine."""
        await self._engine.aclose()

    async def _look(self, driver: GraphDriver, results: SearchResults, now: str, hits: Hits) -> None:
        """Add what was found in a group, and what stands in the place of what is no longer true.

        One group at a time: for more than one, Graphiti's question to Neo4j finds those of the last alone.
        """
        hits.by_fact |= {one.uuid: score for one, score in zip(results.edges, results.edge_reranker_scores, strict=True)}
        hits.by_words |= {one.uuid: score for one, score in zip(results.episodes, results.episode_reranker_scores, strict=True)}
        found = {one.uuid: as_fact(one) for one in results.edges}
        notes = {one.uuid: one for one in results.episodes}
        notes |= await _episodes(driver, {note for fact in found.values() for note in fact.episodes} - notes.keys())
        hits.episodes |= {uuid: _episode(one) for uuid, one in notes.items()}
        of_notes = {uuid for one in notes.values() for uuid in one.entity_edges} - found.keys()
        found |= {one.uuid: as_fact(one) for one in await edges(driver, of_notes)}
        hits.facts |= found
        ends = {end for fact in found.values() if fact.has_ended(now) for end in (fact.source, fact.target)}
        newer = await self._around(driver, ends) - hits.facts.keys() if ends else set[str]()
        hits.facts |= {one.uuid: as_fact(one) for one in await edges(driver, newer)}

    async def _around(self, driver: GraphDriver, entities: Iterable[str]) -> set[str]:
        """Return the newest facts of these entities."""
        statement = (
            f"MATCH {self._engine.fact_of} WHERE n.uuid IN $entities "
            f"RETURN DISTINCT e.uuid AS uuid, e.created_at AS created ORDER BY created DESC LIMIT {_MOST_NEAR}"
        )
        return {row["uuid"] for row in await rows(driver, statement, entities=sorted(entities))}

    async def _near(self, driver: GraphDriver, center: str | None) -> Mapping[str, int]:
        """Return how far the entities near the center are from it: it itself, and those that a fact joins with it."""
        if center is None:
            return {}
        facts = await edges(driver, await self._around(driver, [center]))
        ends = {end for fact in facts for end in (fact.source_node_uuid, fact.target_node_uuid)}
        return {**dict.fromkeys(ends, 1), center: 0}

    async def _shown(
        self, best: Sequence[tuple[str, float]], hits: Hits, drivers: Mapping[str, GraphDriver], now: str
    ) -> list[FoundFact]:
        """Return the facts that are shown, each with the names of its ends and with what told it, whoever that was."""
        shown: dict[str, FoundFact] = {}
        for group, driver in drivers.items():
            facts = [(hits.facts[uuid], score) for uuid, score in best if hits.facts[uuid].group_id == group]
            missing = {note for fact, _ in facts for note in fact.episodes} - hits.episodes.keys()
            hits.episodes |= {uuid: _episode(one) for uuid, one in (await _episodes(driver, missing)).items()}
            shown |= {one.fact.uuid: one for one in await _with_ends(driver, facts, hits.episodes, now)}
        return [shown[uuid] for uuid, _ in best if uuid in shown]

    def _over(self, driver: GraphDriver) -> Graphiti:
        if driver not in self._graphitis:
            self._graphitis[driver] = graphiti(driver, _ask_nobody, self._embed)
        return self._graphitis[driver]


async def _ask_nobody(messages: Sequence[tuple[str, str]], is_small: bool, max_tokens: int) -> str:
    raise NotImplementedError("a search asks no model")  # pragma: no cover - Graphiti wants a model even where it asks none


async def _episodes(driver: GraphDriver, uuids: Iterable[str]) -> dict[str, EpisodicNode]:
    named = sorted(uuids)
    return {one.uuid: one for one in await EpisodicNode.get_by_uuids(driver, named)} if named else {}


async def _with_ends(
    driver: GraphDriver, facts: Sequence[tuple[Fact, float]], episodes: Mapping[str, Episode], now: str
) -> list[FoundFact]:
    ends = {end for fact, _ in facts for end in (fact.source, fact.target)}
    names = {one.uuid: one.name for one in await EntityNode.get_by_uuids(driver, sorted(ends))} if ends else {}
    return [
        FoundFact(
            fact=fact,
            source_name=names.get(fact.source, ""),
            target_name=names.get(fact.target, ""),
            superseded=fact.has_ended(now),
            told=tuple(_told(episodes[note]) for note in fact.episodes if note in episodes),
            score=score,
        )
        for fact, score in facts
    ]


def _episode(node: EpisodicNode) -> Episode:
    """Return an episode as we know it; one that is there has been read."""
    source: Source = "json" if node.source.value == "json" else "message" if node.source.value == "message" else "text"
    return Episode(
        name=node.name,
        body=node.content,
        group_id=node.group_id,
        uuid=node.uuid,
        source=source,
        source_description=node.source_description,
        created_at=as_stamp(node.valid_at) or "",
        state="done",
    )


def _told(episode: Episode) -> Told:
    return Told(
        uuid=episode.uuid,
        name=episode.name,
        created_at=episode.created_at,
        source=episode.source,
        source_description=episode.source_description,
    )
