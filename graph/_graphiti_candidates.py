"""What new entities and facts are compared with where the graph is embedded: found in the read model and among vectors in memory.

Graphiti looks for these in the graph, by indexes of words that it does not make for Kuzu and that Kuzu does not mend after a kill.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from graphiti_core.driver.search_interface.search_interface import SearchInterface  # pyright: ignore[reportMissingTypeStubs]
from graphiti_core.edges import EntityEdge
from graphiti_core.nodes import EntityNode
from pydantic import ConfigDict

from graph.episodes import Entity, Fact
from graph.known import Known
from graph.vectors import Vectors


class Candidates(SearchInterface):
    """Answers Graphiti's searches of a graph while an episode is read. `near` is from which cosine on two facts are compared."""

    model_config = ConfigDict(arbitrary_types_allowed=True)
    known: Known
    near: float
    names: Vectors
    facts: Vectors

    async def edge_fulltext_search(
        self, driver: Any, query: str, search_filter: Any, group_ids: list[str] | None = None, limit: int = 100
    ) -> list[EntityEdge]:
        ends = search_filter.edge_source_node_uuids
        if ends:  # asked for with a new fact's own ends, for what may be the same fact
            return self._edges(await self.known.facts_between(ends, limit))
        return self._edges(await self.known.facts_like(query, group_ids or (), limit))

    async def edge_similarity_search(
        self,
        driver: Any,
        search_vector: list[float],
        source_node_uuid: str | None,
        target_node_uuid: str | None,
        search_filter: Any,
        group_ids: list[str] | None = None,
        limit: int = 100,
        min_score: float = 0.7,
    ) -> list[EntityEdge]:
        if search_filter.edge_source_node_uuids:
            return []
        return self._edges(await self.known.facts(self.facts.nearest(group_ids or (), search_vector, limit, min(min_score, self.near))))

    async def node_similarity_search(
        self,
        driver: Any,
        search_vector: list[float],
        search_filter: Any,
        group_ids: list[str] | None = None,
        limit: int = 100,
        min_score: float = 0.7,
    ) -> list[EntityNode]:
        return self._nodes(await self.known.entities(self.names.nearest(group_ids or (), search_vector, limit, min_score)))

    def learn(self, nodes: Iterable[EntityNode], edges: Iterable[EntityEdge]) -> None:
        """Keep the vectors of what was found."""
        for node in nodes:
            if node.name_embedding:
                self.names.put(node.group_id, node.uuid, node.name_embedding)
        for edge in edges:
            if edge.fact_embedding:
                self.facts.put(edge.group_id, edge.uuid, edge.fact_embedding)

    def _edges(self, facts: Iterable[Fact]) -> list[EntityEdge]:
        return [
            EntityEdge(
                uuid=one.uuid,
                group_id=one.group_id,
                source_node_uuid=one.source,
                target_node_uuid=one.target,
                name=one.name,
                fact=one.fact,
                fact_embedding=self.facts.get(one.group_id, one.uuid),
                created_at=datetime.fromisoformat(one.created_at),
                valid_at=_time(one.valid_at),
                invalid_at=_time(one.invalid_at),
                expired_at=_time(one.expired_at),
                episodes=list(one.episodes),
            )
            for one in facts
        ]

    def _nodes(self, entities: Iterable[Entity]) -> list[EntityNode]:
        return [
            EntityNode(
                uuid=one.uuid,
                group_id=one.group_id,
                name=one.name,
                name_embedding=self.names.get(one.group_id, one.uuid),
                labels=["Entity", *one.labels],
                summary=one.summary,
                created_at=datetime.fromisoformat(one.created_at),
            )
            for one in entities
        ]


def _time(at: str | None) -> datetime | None:
    return None if at is None else datetime.fromisoformat(at)
