"""Graphiti on its embedded engine, with a model that answers as it is told: what is remembered, repeated, contradicted and forgotten."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import pytest

pytest.importorskip("graphiti_core")

from graph import lexical
from graph._graphiti import Graph, _InOrder, _read  # pyright: ignore[reportPrivateUsage]
from graph.episodes import Episode, Found, NewEpisode
from graph.extraction import NotAsAsked
from graph.inbox import Inbox
from graph.known import Known

Answer = dict[str, object]


class Model:
    """Finds what a test says is in each episode: its entities, and its facts as (source, name, target, words)."""

    def __init__(self) -> None:
        self.entities: dict[str, list[str]] = {}
        self.facts: dict[str, list[tuple[str, str, str, str]]] = {}
        self.contradicts = False
        self.odd: list[str] = []
        """What is answered first, whatever is asked."""
        self.errors: list[Exception] = []
        """What is raised first, whatever is asked."""
        self.asked: list[str] = []
        self.blocked: asyncio.Event | None = None
        """Waited for before anything is answered."""

    async def __call__(self, messages: Sequence[tuple[str, str]], is_small: bool, max_tokens: int) -> str:
        text = "\n".join(content for _, content in messages)
        self.asked.append(text)
        if self.blocked is not None:
            await self.blocked.wait()
        if self.errors:
            raise self.errors.pop(0)
        return self.odd.pop(0) if self.odd else json.dumps(self._answer(text))

    def _answer(self, text: str) -> Answer:
        body = max((body for body in self.entities if body in text), key=text.rfind, default="")  # earlier episodes are shown before it
        if '"extracted_entities"' in text:
            return {"extracted_entities": [{"name": name, "entity_type_id": 0} for name in self.entities[body]]}
        if '"contradicted_facts"' in text:
            numbers = [int(number) for number in re.findall(r"'idx': (\d+)", text)]
            return {"duplicate_facts": [], "contradicted_facts": numbers if self.contradicts else []}
        if '"edges"' in text:
            at = re.search(r"<REFERENCE_TIME>\s*(\S+ \S+)", text)
            when = {"valid_at": at[1] if at else None}
            edges = [
                {"source_entity_name": source, "target_entity_name": target, "relation_type": name, "fact": words, **when}
                for source, name, target, words in self.facts[body]
            ]
            return {"edges": edges}
        return {"summaries": [], "entity_resolutions": [], "timestamps": []}


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
async def graph(tmp_path: Path, model: Model, inbox: Inbox) -> AsyncIterator[Graph]:
    one = await Graph.open(tmp_path / "graph", model, lexical.embed, Known(inbox.database, 1))
    yield one
    await one.aclose()


Read = Callable[[Episode], Awaitable[Found]]


@pytest.fixture
def read(graph: Graph, inbox: Inbox) -> Read:
    """Has an episode read and what was found kept, as the drainer does."""

    async def through(episode: Episode) -> Found:
        await inbox.add(NewEpisode(name=episode.name, body=episode.body, group_id=episode.group_id, uuid=episode.uuid))
        found = await graph.remember(episode)
        await inbox.done(episode.uuid, found)
        return found

    return through


Told = Callable[..., Episode]


@pytest.fixture
def told(model: Model) -> Told:
    def tell(body: str, *facts: tuple[str, str, str, str], at: str = "2026-01-01T00:00:00Z", group: str = "g") -> Episode:
        model.entities[body] = list(dict.fromkeys(name for source, _, target, _ in facts for name in (source, target)))
        model.facts[body] = list(facts)
        return Episode(name="told", body=body, group_id=group, uuid=str(uuid.uuid4()), created_at=at, state="running")

    return tell


async def test_what_an_episode_says_is_found_with_where_it_was_said(graph: Graph, told: Told) -> None:
    episode = told("Alice works at Acme.", ("Alice", "WORKS_AT", "Acme", "Alice works at Acme"))
    found = await graph.remember(episode)
    names = {one.uuid: one.name for one in found.entities}
    (fact,) = found.facts
    assert (names[fact.source], names[fact.target], fact.fact) == ("Alice", "Acme", "Alice works at Acme")
    assert fact.episodes == (episode.uuid,) and set(found.mentions) == set(names)


async def test_an_episode_that_is_looked_at_again_doubles_nothing(graph: Graph, told: Told) -> None:
    episode = told("Alice works at Acme.", ("Alice", "WORKS_AT", "Acme", "Alice works at Acme"))
    await graph.remember(episode)
    again = await graph.remember(episode.model_copy(update={"tries": 2}))
    rows, _, _ = await (await graph._engine.to_write("g")).execute_query("MATCH (n) RETURN count(*) AS n")  # pyright: ignore[reportPrivateUsage]
    assert rows == [{"n": 1 + len(again.entities) + len(again.facts)}]
    await graph.forget_episode(episode.uuid, "g")
    await graph.forget_episode(episode.uuid, "g")
    rows, _, _ = await (await graph._engine.to_write("g")).execute_query("MATCH (n) RETURN count(*) AS n")  # pyright: ignore[reportPrivateUsage]
    assert rows == [{"n": 0}]


async def test_a_fact_that_is_contradicted_is_told_to_have_ended(read: Read, told: Told, model: Model) -> None:
    old = await read(told("We use Postgres.", ("We", "USE", "Postgres", "We use Postgres")))
    model.contradicts = True
    new = await read(told("We use SQLite now.", ("We", "USE", "SQLite", "We use SQLite"), at="2026-02-01T00:00:00Z"))
    ended = {one.fact: one.expired_at or one.invalid_at for one in new.facts}
    assert old.facts[0].fact in ended and ended["We use Postgres"] and not ended["We use SQLite"]


@pytest.mark.parametrize("odd", ["I cannot do that.", "{}", '{"extracted_entities": "Alice"', '{"$defs": {}, "properties": {}}', "[]"])
async def test_an_answer_of_another_shape_is_told_so_once(graph: Graph, told: Told, model: Model, odd: str) -> None:
    episode = told("Alice works at Acme.", ("Alice", "WORKS_AT", "Acme", "Alice works at Acme"))
    model.odd = [odd]
    assert len((await graph.remember(episode)).facts) == 1
    assert "That is not the JSON object that was asked for" in model.asked[1]
    model.odd = [odd, odd]
    with pytest.raises(NotAsAsked):
        await graph.remember(episode)


def test_an_answer_without_a_shape_is_taken_as_it_is() -> None:
    assert _read('so: {"a": [1]}, that is it', None) == {"a": [1]}


async def test_nothing_is_ranked_by_a_model() -> None:
    assert await _InOrder().rank("x", ["a", "b"]) == [("a", 1.0), ("b", 0.5)]
