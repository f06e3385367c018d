"""Graphiti on its embedded engine: https://github.com/getzep/graphiti. The only importer of graphiti_core; one process opens it at a time.

What is mended here of graphiti-core 0.31 and its driver for Kuzu: the indexes of words it needs and does not make (none is needed: what
new facts are compared with is found elsewhere), the database name it asks for and does not have, an episode that has to be there before it
is looked at, what is doubled when one is looked at again, and answers of models that are not what was asked for.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from graphiti_core import Graphiti
from graphiti_core.cross_encoder.client import CrossEncoderClient
from graphiti_core.driver.kuzu_driver import KuzuDriver
from graphiti_core.driver.search_interface.search_interface import SearchInterface  # pyright: ignore[reportMissingTypeStubs]
from graphiti_core.edges import EntityEdge
from graphiti_core.embedder.client import EmbedderClient
from graphiti_core.errors import NodeNotFoundError
from graphiti_core.llm_client.client import LLMClient
from graphiti_core.llm_client.config import LLMConfig, ModelSize
from graphiti_core.nodes import EntityNode, EpisodeType, EpisodicNode
from graphiti_core.prompts.models import Message
from pydantic import BaseModel, ConfigDict, ValidationError

from graph.episodes import Entity, Episode, Fact, Found
from graph.extraction import NotAsAsked
from graph.known import Known
from graph.vectors import Vectors

log = logging.getLogger(__name__)

Ask = Callable[[Sequence[tuple[str, str]], bool, int], Awaitable[str]]
"""Puts messages, each a role and a text, to a model, a small one will do or not, and returns at most so many tokens of text."""
Embed = Callable[[Sequence[str]], Awaitable[Sequence[Sequence[float]]]]
_LONGEST_PROBLEM = 500
NEAR_BY_WORDS = 0.25
"""Cosine of two facts' vectors of words from which one may contradict the other. Graphiti's own, 0.6, is for vectors of meaning."""


class _Models(LLMClient):
    """Our providers as Graphiti's model. An answer of another shape is told what is wrong with it, once."""

    def __init__(self, ask: Ask) -> None:
        super().__init__(LLMConfig(model="parley", small_model="parley"), cache=False)
        self._ask = ask

    async def _generate_response(
        self,
        messages: list[Message],
        response_model: type[BaseModel] | None = None,
        max_tokens: int = 8192,
        model_size: ModelSize = ModelSize.medium,
        *,
        model: str | None = None,
    ) -> dict[str, Any]:
        asked = [(one.role, one.content) for one in messages]
        is_small = model_size is ModelSize.small
        text = await self._ask(asked, is_small, max_tokens)
        try:
            return _read(text, response_model)
        except ValueError as error:
            problem = str(error)[:_LONGEST_PROBLEM]
        again = f"That is not the JSON object that was asked for: {problem}\nAnswer with that object and nothing else."
        text = await self._ask([*asked, ("assistant", text), ("user", again)], is_small, max_tokens)
        try:
            return _read(text, response_model)
        except ValueError as error:
            raise NotAsAsked(f"The model's answer is not what was asked for: {str(error)[:_LONGEST_PROBLEM]}") from None


def _read(text: str, shape: type[BaseModel] | None) -> dict[str, Any]:
    """Return the object an answer holds, as its shape dumps it. Raises ValueError (pydantic's is one)."""
    start, end = text.find("{"), text.rfind("}")
    if start < 0 or end < start:
        raise ValueError("it holds no object")
    found = json.loads(text[start : end + 1])
    if shape is None:
        return found
    try:
        return shape.model_validate(found).model_dump()
    except ValidationError as error:
        where = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'the whole'}: {one['msg']}" for one in error.errors()[:3])
        raise ValueError(where) from None


class _Embedder(EmbedderClient):
    def __init__(self, embed: Embed) -> None:
        self._embed = embed

    async def create(self, input_data: Any) -> list[float]:
        texts = [input_data] if isinstance(input_data, str) else list(input_data)
        return list((await self._embed(texts))[0])

    async def create_batch(self, input_data_list: list[str]) -> list[list[float]]:
        return [list(one) for one in await self._embed(input_data_list)]


class _InOrder(CrossEncoderClient):
    """Ranks nothing: what is searched for while episodes are looked at needs no model for that."""

    async def rank(self, query: str, passages: list[str]) -> list[tuple[str, float]]:
        return [(passage, 1.0 / (1 + number)) for number, passage in enumerate(passages)]


class _Kuzu(KuzuDriver):
    def __init__(self, path: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # README says what it means for a user
            super().__init__(str(path))
        self._database = ""


class _Quiet(Graphiti):
    def _capture_initialization_telemetry(self) -> None:
        """Tell nobody, whatever the environment says."""


class _Candidates(SearchInterface):
    """What new entities and facts are compared with, found in the read model and among vectors in memory, and not in the graph."""

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

    async def node_fulltext_search(
        self, driver: Any, query: str, search_filter: Any, group_ids: list[str] | None = None, limit: int = 100
    ) -> list[EntityNode]:
        return self._nodes(await self.known.entities_like(query, group_ids or (), limit))

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


class Graph:
    """A knowledge graph, opened by one process at a time. Its methods raise what models raise, and NotAsAsked."""

    def __init__(self, driver: _Kuzu, ask: Ask, embed: Embed, candidates: _Candidates) -> None:
        self._driver, self._candidates = driver, candidates
        driver.search_interface = candidates
        self._graphiti = _Quiet(
            graph_driver=driver, llm_client=_Models(ask), embedder=_Embedder(embed), cross_encoder=_InOrder(), max_coroutines=4
        )

    @classmethod
    async def open(cls, path: Path, ask: Ask, embed: Embed, known: Known, near: float = NEAR_BY_WORDS) -> Graph:
        """Open the graph in a file, which is made if it is not there.

        `known` is what the read model has of it; `near`, from which cosine on two facts are compared.
        """
        candidates = _Candidates(known=known, near=near, names=Vectors(), facts=Vectors())
        graph = cls(_Kuzu(path), ask, embed, candidates)
        await graph._recall()
        return graph

    async def _recall(self) -> None:
        """Read the vectors of all that is there."""
        for vectors, label, name in (
            (self._candidates.names, "Entity", "name_embedding"),
            (self._candidates.facts, "RelatesToNode_", "fact_embedding"),
        ):
            rows, _, _ = await self._driver.execute_query(f"MATCH (n:{label}) RETURN n.group_id AS g, n.uuid AS u, n.{name} AS v")
            for row in rows:
                if isinstance(row, dict) and row["v"]:
                    vectors.put(row["g"], row["u"], row["v"])

    async def remember(self, episode: Episode) -> Found:
        """Look for the entities and facts in an episode, and return them. Done again, it changes nothing.

        What a try that was cut off has left is removed first: nothing else knows of it.
        """
        if episode.tries > 1:
            await self.forget_episode(episode.uuid)
        at = datetime.fromisoformat(episode.created_at)
        source = EpisodeType.from_str(episode.source)
        node = EpisodicNode(
            uuid=episode.uuid,
            name=episode.name,
            group_id=episode.group_id,
            labels=[],
            source=source,
            content=episode.body,
            source_description=episode.source_description,
            created_at=at,
            valid_at=at,
        )
        await node.save(self._driver)
        results = await self._graphiti.add_episode(
            name=episode.name,
            episode_body=episode.body,
            source_description=episode.source_description,
            reference_time=at,
            source=source,
            group_id=episode.group_id,
            uuid=episode.uuid,
        )
        self._candidates.learn(results.nodes, results.edges)
        return Found(
            mentions=tuple(edge.target_node_uuid for edge in results.episodic_edges),
            entities=tuple(map(_entity, results.nodes)),
            facts=tuple({edge.uuid: _fact(edge) for edge in results.edges}.values()),
        )

    async def forget_episode(self, uuid: str) -> None:
        """Remove an episode with what it alone says; nothing happens when it is not there."""
        try:
            await self._graphiti.remove_episode(uuid)
        except NodeNotFoundError:
            log.debug("the graph has no episode %s", uuid)

    async def forget_fact(self, uuid: str) -> None:
        """Remove a fact, if it is there."""
        await EntityEdge.delete_by_uuids(self._driver, [uuid])

    async def forget_group(self, group_id: str) -> None:
        """Remove all that is in a group."""
        await self._driver.graph_ops.clear_data(self._driver, [group_id])

    async def aclose(self) -> None:
        """Let go of the file."""
        self._driver.client.close()
        self._driver.db.close()


def _entity(node: EntityNode) -> Entity:
    return Entity(
        uuid=node.uuid,
        group_id=node.group_id,
        name=node.name,
        created_at=_stamp(node.created_at) or "",
        labels=tuple(label for label in node.labels if label != "Entity"),
        summary=node.summary,
    )


def _fact(edge: EntityEdge) -> Fact:
    return Fact(
        uuid=edge.uuid,
        group_id=edge.group_id,
        source=edge.source_node_uuid,
        target=edge.target_node_uuid,
        name=edge.name,
        fact=edge.fact,
        created_at=_stamp(edge.created_at) or "",
        valid_at=_stamp(edge.valid_at),
        invalid_at=_stamp(edge.invalid_at),
        expired_at=_stamp(edge.expired_at),
        episodes=tuple(edge.episodes),
    )


def _time(at: str | None) -> datetime | None:
    return None if at is None else datetime.fromisoformat(at)


def _stamp(at: datetime | None) -> str | None:
    """Return a time, ISO 8601 in UTC; one without a zone is in UTC."""
    if at is None:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
