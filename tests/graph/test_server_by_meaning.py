"""A graph database searched by meaning, and by words where vectors cannot be compared or had."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

pytest.importorskip("graphiti_core")

from conversation.errors import MemoryUnavailable
from graph import lexical, server_knowledge
from graph._graphiti_search import GraphKnowledge
from graph.config import GraphConfig, Server
from graph.embedding import NO_MODEL, Meaning
from graph.episodes import Wanted
from graph.inbox import Inbox
from graph.read_model import ReadModel
from graph.server_knowledge import ServerKnowledge
from providers.causes import failure
from tests.graph.contract import WORKS, House, indexed, searched_through_graphiti
from tests.graph.meanings import NAME, Model, made_with

SERVER = Server.of("bolt://127.0.0.1:1")


class Meant(Model):
    """Knows what an employer is, and fails when it is asked for the time that a test says."""

    fails_at = 0

    async def embed(self, texts: Sequence[str], *, is_query: bool = False, within_s: float | None = None) -> list[list[float]]:
        self.queries += [(text, within_s) for text in texts]
        if len(self.queries) == self.fails_at:
            raise failure("rate_limited", "later", provider="p", model="m")
        return [lexical.vector({"employer": "Alice works at Acme"}.get(text, text)) for text in texts]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    told = Inbox(tmp_path / "memory.db")
    async with searched_through_graphiti(await indexed(tmp_path / "graph", told), tmp_path) as one:
        await one.tell("Alice works at Acme.", WORKS)
        yield one
    await told.aclose()


def searched(house: House, inbox: Inbox, model: Model) -> ServerKnowledge:
    async def open_server(settings: GraphConfig) -> GraphKnowledge:
        return GraphKnowledge(house.graph._engine, model.meaning.of_queries, by_meaning=True)  # pyright: ignore[reportPrivateUsage]

    config = GraphConfig(home=Path("/h"), server=SERVER, embedding_model=model.name)
    return ServerKnowledge(config, ReadModel(inbox.database, meaning=model.meaning), meaning=model.meaning, open_server=open_server)


def wanted(house: House, query: str = "employer") -> Wanted:
    return Wanted(query=query, group_ids=(house.group("a"),))


async def test_a_paraphrase_is_found_by_its_meaning(house: House, inbox: Inbox) -> None:
    await made_with(inbox, dimension=lexical.DIMENSION)
    knowledge = searched(house, inbox, Meant())
    found = await knowledge.search(wanted(house))
    assert [one.fact.fact for one in found.facts] == ["Alice works at Acme"] and found.by_words == ""
    assert "Acme" in [one.name for one in await knowledge.nodes(wanted(house, "Acme"))]


async def test_where_the_model_fails_words_are_searched(house: House, inbox: Inbox) -> None:
    await made_with(inbox, dimension=lexical.DIMENSION)
    model = Meant()
    model.fails_at = 2
    found = await searched(house, inbox, model).search(wanted(house, "Acme"))
    assert [one.fact.fact for one in found.facts] == ["Alice works at Acme"]
    assert found.by_words == "The search went by words alone: p/m: later"


async def test_vectors_of_another_model_are_not_compared(house: House, inbox: Inbox) -> None:
    await made_with(inbox, "lexical", lexical.DIMENSION)
    model = Meant()
    found = await searched(house, inbox, model).search(wanted(house))
    assert found.facts == () and "read with embedding lexical" in found.by_words and not model.queries


@pytest.mark.parametrize(("model", "by_words"), [(Model(), "nothing that was told has been read yet"), (None, NO_MODEL)])
async def test_a_server_is_opened_with_the_model_that_is_set(
    house: House, inbox: Inbox, monkeypatch: pytest.MonkeyPatch, model: Model | None, by_words: str
) -> None:
    asked: list[bool] = []

    class Opened(GraphKnowledge):
        @classmethod
        async def open(cls, server: Server, embed: object, *, by_meaning: bool = False) -> GraphKnowledge:
            asked.append(by_meaning)
            return house.knowledge  # pyright: ignore[reportReturnType]

    monkeypatch.setattr(server_knowledge, "_loaded", lambda: Opened)
    meaning: Meaning | None = model and model.meaning
    config = GraphConfig(home=Path("/h"), server=SERVER, embedding_model=model.name if model else "")
    found = await ServerKnowledge(config, ReadModel(inbox.database, meaning=meaning), meaning=meaning).search(wanted(house, "Acme"))
    assert asked == [model is not None] and by_words in found.by_words and len(found.facts) == 1


async def test_without_a_server_there_is_none_to_open(tmp_path: Path) -> None:
    with pytest.raises(MemoryUnavailable):
        await server_knowledge.opened(GraphConfig(home=tmp_path, embedding_model=NAME))
