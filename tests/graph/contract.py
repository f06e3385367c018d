"""What every graph and every Knowledge over it does. A test module subclasses the contract and gives it the fixture `house`."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

pytest.importorskip("graphiti_core")
from graphiti_core.graph_queries import get_fulltext_indices
from graphiti_core.search.search_config_recipes import EDGE_HYBRID_SEARCH_RRF

from conversation.errors import InvalidInput
from graph import lexical
from graph._graphiti import NEAR_BY_WORDS, Engine, Graph, rows
from graph._graphiti_kuzu import Kuzu
from graph._graphiti_search import GraphKnowledge
from graph._graphiti_servers import compare_from, connect
from graph.config import Server
from graph.episodes import Episode, Findings, NewEpisode, Wanted
from graph.inbox import Inbox
from graph.knowledge import Knowledge
from graph.known import Known
from graph.read_model import ReadModel
from tests.graph.test_graphiti import Model

Said = tuple[str, str, str, str]
"""A fact: its source, name and target, and its words."""
WORKS: Said = ("Alice", "WORKS_AT", "Acme", "Alice works at Acme")
ODD = [
    "?!... --", "a:b OR (c", 'Alice" OR "', "Alice AND NOT", "@group_id:{x}", "(@fact:*)", "Alice~2 Al* [a TO z]", "\\", "{}", "-Alice",
    "%%%", "日本語", "é", "\u200b", "Alice\x00", "' DETACH DELETE n //", "Alice\n\nAcme\t", "the of and", "NOT", "👍",
]  # fmt: skip


class House:
    """An inbox, a graph and what searches it, with groups that nobody else has."""

    def __init__(self, folder: Path, graph: Graph, model: Model, knowledge: Knowledge | None = None) -> None:
        self.inbox = Inbox(folder / "memory.db")
        self.graph, self.model = graph, model
        self.knowledge = knowledge or ReadModel(self.inbox.database)
        self.groups: set[str] = set()
        self._own = uuid.uuid4().hex[:8]

    def group(self, name: str) -> str:
        group = f"contract-{self._own}-{name}"
        self.groups.add(group)
        return group

    async def tell(self, body: str, *facts: Said, at: str = "2026-01-01T00:00:00Z", group: str = "a", contradicts: bool = False) -> Episode:
        """Have an episode read, in which a model finds these facts; they contradict what it is shown, if so told."""
        self.model.entities[body] = list(dict.fromkeys(name for source, _, target, _ in facts for name in (source, target)))
        self.model.facts[body] = list(facts)
        self.model.contradicts = contradicts
        new = NewEpisode(name=f"note of {body[:20]}", body=body, group_id=self.group(group), uuid=str(uuid.uuid4()), at=at)
        await self.inbox.add(new)
        await self.settle()
        found = await self.inbox.get(new.uuid)
        assert found is not None and found.state == "done"
        return found

    async def settle(self) -> None:
        """Do what a drainer does, until nothing is left."""
        for number, kind, name, group in await self.inbox.removals():
            if kind == "group":
                await self.graph.forget_group(name)
            else:
                await (self.graph.forget_episode if kind == "episode" else self.graph.forget_fact)(name, group)
            await self.inbox.removed(number)
        while (episode := await self.inbox.claim()) is not None:
            await self.inbox.done(episode.uuid, await self.graph.remember(episode), group_id=episode.group_id)

    async def search(self, query: str, *groups: str, past: bool = False, center: str | None = None, limit: int = 10) -> Findings:
        named = tuple(map(self.group, groups or ("a",)))
        found = await self.knowledge.search(
            Wanted(query=query, group_ids=named, limit=limit, include_superseded=past, center=center)
        )
        return found.model_copy(update={"by_words": ""})  # how it was searched is not what is held against the contract

    async def facts(self, query: str, *groups: str, past: bool = False) -> list[str]:
        return [one.fact.fact for one in (await self.search(query, *groups, past=past)).facts]

    async def nodes(self, query: str, *groups: str) -> list[str]:
        named = tuple(map(self.group, groups or ("a",)))
        return [one.name for one in await self.knowledge.nodes(Wanted(query=query, group_ids=named))]

    async def aclose(self) -> None:
        for group in self.groups:
            await self.graph.forget_group(group)
        await self.inbox.aclose()


@asynccontextmanager
async def searched_through_graphiti(engine: Engine, folder: Path) -> AsyncGenerator[House]:
    """Yield a house whose facts are compared and searched in the graph itself, as they are with a server."""
    model = Model()
    house = House(folder, Graph(engine, model, lexical.embed), model, GraphKnowledge(engine, lexical.embed))
    try:
        yield house
        await house.aclose()
    finally:
        await engine.aclose()


async def indexed(path: Path, inbox: Inbox) -> Kuzu:
    """Return the embedded engine with the indexes that a server has, in the place of what it is given for itself."""
    engine = await Kuzu.open(path, Known(inbox.database, 1), NEAR_BY_WORDS)
    driver = await engine.to_write("")
    driver.search_interface = None
    for query in get_fulltext_indices(driver.provider):
        await rows(driver, query)
    if EDGE_HYBRID_SEARCH_RRF.edge_config is not None:
        EDGE_HYBRID_SEARCH_RRF.edge_config.sim_min_score = NEAR_BY_WORDS
    return engine


async def served(url: str) -> Engine:
    """Return the engine of a server, as it is opened for a graph."""
    compare_from(NEAR_BY_WORDS)
    return await connect(Server.of(url))


class GraphContract:
    async def test_a_fact_is_found_with_its_ends_and_with_what_told_it(self, house: House) -> None:
        episode = await house.tell("Alice works at Acme.", WORKS)
        (found,) = (await house.search("Where does Alice work?")).facts
        assert (found.fact.fact, found.source_name, found.target_name, found.superseded) == ("Alice works at Acme", "Alice", "Acme", False)
        assert found.fact.valid_at == "2026-01-01T00:00:00.000000Z" and found.fact.invalid_at is None
        (told,) = found.told
        assert (told.uuid, told.name, told.excerpt) == (episode.uuid, episode.name, "Alice works at Acme.")
        assert found.fact.episodes == (episode.uuid,) and told.created_at[:19] == episode.created_at[:19] == "2026-01-01T00:00:00"

    async def test_a_fact_is_found_by_its_uuid(self, house: House) -> None:
        await house.tell("Alice works at Acme.", WORKS)
        (found,) = (await house.search("Acme")).facts
        known = await house.knowledge.fact(found.fact.uuid.upper())
        assert known is not None and known.fact == found.fact and [one.uuid for one in known.told] == list(found.fact.episodes)
        assert await house.knowledge.fact(str(uuid.uuid4())) is None
        with pytest.raises(InvalidInput):
            await house.knowledge.fact("mine")

    async def test_an_episode_in_which_nothing_was_found_is_found_by_its_own_words(self, house: House) -> None:
        episode = await house.tell("The gazebo is painted turquoise.")
        found = await house.search("turquoise")
        assert [one.episode.uuid for one in found.episodes] == [episode.uuid] and not found.facts
        assert found.episodes[0].episode.body == "The gazebo is painted turquoise." and not found.episodes[0].superseded

    async def test_what_is_contradicted_gives_way_to_what_is_true(self, house: House) -> None:
        await house.tell("We use Postgres.", ("We", "USE", "Postgres", "We use Postgres"))
        new = ("We", "USE", "SQLite", "We use SQLite")
        await house.tell("We use SQLite now.", new, at="2026-02-01T00:00:00Z", contradicts=True)
        assert await house.facts("Which database do we use, Postgres?") == ["We use SQLite"]
        assert await house.facts("Postgres SQLite", past=True) == ["We use SQLite", "We use Postgres"]
        (_, old) = (await house.search("Postgres SQLite", past=True)).facts
        assert old.superseded and old.fact.invalid_at == "2026-02-01T00:00:00.000000Z" and old.fact.expired_at is not None
        assert "We use Postgres" in await house.facts("What did we use before SQLite, Postgres?")
        assert not (await house.search("Postgres")).episodes, "an episode that says what is no longer true is not shown for what is"

    async def test_an_episode_that_is_read_again_doubles_nothing(self, house: House) -> None:
        episode = await house.tell("Alice works at Acme.", WORKS)
        before = await house.search("Alice")
        await house.inbox.done(episode.uuid, await house.graph.remember(episode))
        assert await house.search("Alice") == before and len(before.facts) == 1
        assert sorted(await house.nodes("Alice Acme")) == ["Acme", "Alice"]

    async def test_an_episode_whose_first_try_was_cut_off_after_it_was_written_doubles_nothing(self, house: House) -> None:
        await house.tell("We use Postgres.", ("We", "USE", "Postgres", "We use Postgres"))
        body, said = "We use SQLite now.", ("We", "USE", "SQLite", "We use SQLite")
        house.model.entities[body], house.model.facts[body], house.model.contradicts = ["We", "SQLite"], [said], True
        new = NewEpisode(name="n", body=body, group_id=house.group("a"), uuid=str(uuid.uuid4()), at="2026-02-01T00:00:00Z")
        await house.inbox.add(new)
        claimed = await house.inbox.claim()
        assert claimed is not None
        await house.graph.remember(claimed)
        assert await house.inbox.recover() == 1
        await house.settle()
        assert await house.facts("SQLite") == ["We use SQLite"]
        assert await house.facts("Postgres SQLite", past=True) == ["We use SQLite", "We use Postgres"]
        assert (await house.nodes("We Postgres SQLite")).count("We") == 1

    async def test_a_forgotten_episode_leaves_nothing_that_it_alone_said(self, house: House) -> None:
        episode = await house.tell("Alice works at Acme.", WORKS)
        await house.inbox.done(episode.uuid, await house.graph.remember(episode))
        await house.inbox.delete(episode.uuid)
        await house.settle()
        assert await house.search("Alice works at Acme") == Findings() and await house.nodes("Alice Acme") == []
        await house.graph.forget_episode(episode.uuid, episode.group_id)

    async def test_what_another_episode_says_too_stays(self, house: House) -> None:
        first = await house.tell("Alice works at Acme.", WORKS)
        second = await house.tell("Alice, who works at Acme, called.", WORKS, at="2026-01-02T00:00:00Z")
        assert [one.uuid for one in (await house.search("Acme")).facts[0].told] == [first.uuid, second.uuid]
        await house.inbox.delete(first.uuid)
        await house.settle()
        (found,) = (await house.search("Acme")).facts
        assert found.fact.episodes == (second.uuid,) and [one.uuid for one in found.told] == [second.uuid]
        await house.inbox.delete(second.uuid)
        await house.settle()
        assert await house.search("Acme") == Findings()

    async def test_a_forgotten_fact_leaves_its_episode(self, house: House) -> None:
        episode = await house.tell("Alice works at Acme.", WORKS)
        (found,) = (await house.search("Acme")).facts
        assert await house.inbox.delete_fact(found.fact.uuid)
        await house.settle()
        left = await house.search("Acme")
        assert not left.facts and [one.episode.uuid for one in left.episodes] == [episode.uuid]
        assert await house.knowledge.fact(found.fact.uuid) is None

    async def test_groups_are_apart_from_each_other(self, house: House) -> None:
        await house.tell("Alice works at Acme.", WORKS)
        await house.tell("Alice works at Globex.", ("Alice", "WORKS_AT", "Globex", "Alice works at Globex"), group="a-b")
        assert await house.facts("Alice") == ["Alice works at Acme"]
        assert await house.facts("Alice", "a-b") == ["Alice works at Globex"]
        assert sorted(await house.facts("Alice", "a", "a-b")) == ["Alice works at Acme", "Alice works at Globex"]
        assert await house.nodes("Globex") == [] and "Globex" in await house.nodes("Globex", "a", "a-b")
        assert await house.search("Alice", "never-told") == Findings() and await house.nodes("Alice", "never-told") == []

    async def test_a_forgotten_group_leaves_the_others(self, house: House) -> None:
        await house.tell("Alice works at Acme.", WORKS)
        await house.tell("Bob works at Acme.", ("Bob", "WORKS_AT", "Acme", "Bob works at Acme"), group="b")
        await house.inbox.clear([house.group("a"), house.group("never-told")])
        await house.settle()
        assert await house.search("Acme") == Findings() and await house.facts("Acme", "b") == ["Bob works at Acme"]

    async def test_names_that_are_nearly_equal_stay_apart(self, house: House) -> None:
        await house.tell("Anna Lee leads Atlas.", ("Anna Lee", "LEADS", "Atlas", "Anna Lee leads Atlas"))
        await house.tell("Anna Leeds leads Borealis.", ("Anna Leeds", "LEADS", "Borealis", "Anna Leeds leads Borealis"))
        assert sorted(await house.nodes("Anna Lee Leeds Atlas Borealis")) == ["Anna Lee", "Anna Leeds", "Atlas", "Borealis"]
        assert sorted(await house.facts("Anna")) == ["Anna Lee leads Atlas", "Anna Leeds leads Borealis"]

    async def test_a_name_that_is_told_again_is_one_entity(self, house: House) -> None:
        await house.tell("Alice works at Acme.", WORKS)
        await house.tell("Alice knows Bob.", ("Alice", "KNOWS", "Bob", "Alice knows Bob"))
        assert (await house.nodes("Alice")).count("Alice") == 1

    async def test_what_is_near_the_center_comes_first(self, house: House) -> None:
        await house.tell("Alice likes tea.", ("Alice", "LIKES", "tea", "Alice likes tea"))
        await house.tell("Bob likes tea, likes tea.", ("Bob", "LIKES", "green tea", "Bob likes tea"))
        named = {one.name: one.uuid for one in await house.knowledge.nodes(Wanted(query="Alice Bob", group_ids=(house.group("a"),)))}
        for name in ("Alice", "Bob"):
            found = await house.search("likes tea", center=named[name])
            assert found.facts[0].source_name == name and len(found.facts) == 2
            wanted = Wanted(query="Alice Bob", group_ids=(house.group("a"),), center=named[name])
            assert (await house.knowledge.nodes(wanted))[0].name == name

    async def test_no_more_is_returned_than_is_wanted(self, house: House) -> None:
        for name in ("Ada", "Bea", "Cleo"):
            await house.tell(f"{name} likes tea.", (name, "LIKES", "tea", f"{name} likes tea"))
            await house.tell(f"{name} spoke of tea at length.")
        found = await house.search("tea", limit=2)
        assert (len(found.facts), len(found.episodes)) == (2, 2)

    async def test_whatever_is_asked_for_is_words_and_nothing_of_it_is_obeyed(self, house: House) -> None:
        await house.tell("Alice works at Acme.", WORKS)
        for query in ODD:
            await house.search(query)
            await house.nodes(query)
        for query in ("a:b OR (Acme", "Acme* -Alice", '"Acme', "@Acme:{", "acme " * 1000, "x" * 4000 + " acme"):
            assert await house.facts(query) == ["Alice works at Acme"], query

    async def test_an_episode_of_odd_words_is_kept_as_it_was_told(self, house: House) -> None:
        body = "日本語 \"quoted\" 'single' \\back \\n $dollar {brace} `tick` a:b OR (c — é 👍 zanzibar"
        await house.tell(body, ("Zanzibar", "IS", "日本語", "Zanzibar \"is\" '日本語' \\ $x"))
        found = await house.search("zanzibar")
        assert [one.fact.fact for one in found.facts] == ["Zanzibar \"is\" '日本語' \\ $x"]
        assert found.facts[0].told[0].excerpt == body and found.facts[0].target_name == "日本語"

    async def test_the_words_of_a_note_come_with_the_first_of_its_facts(self, house: House) -> None:
        await house.tell("Alice works at Acme and lives in Oslo.", WORKS, ("Alice", "LIVES_IN", "Oslo", "Alice lives in Oslo"))
        excerpts = [one.told[0].excerpt for one in (await house.search("Alice Acme Oslo")).facts]
        assert sorted(excerpts) == ["", "Alice works at Acme and lives in Oslo."] and excerpts[0]
