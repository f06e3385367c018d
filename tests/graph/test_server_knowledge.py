"""A graph database as what is searched: its address, and what is answered while it is away."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

pytest.importorskip("graphiti_core")
from graphiti_core.driver.neo4j_driver import Neo4jDriver
from graphiti_core.search.search_config_recipes import EDGE_HYBRID_SEARCH_RRF

from conversation.errors import InvalidInput, MemoryUnavailable
from graph import lexical, server_knowledge
from graph._graphiti_search import GraphKnowledge
from graph._graphiti_servers import Neo4j, _without_indexing, compare_from, connect  # pyright: ignore[reportPrivateUsage]
from graph._order import excerpt
from graph.config import GraphConfig, Server
from graph.drainer import Drainer
from graph.episodes import Episode, Found, NewEpisode, Wanted
from graph.inbox import Inbox
from graph.memory import Memory
from graph.read_model import ReadModel
from graph.server_knowledge import REST_SECONDS, ServerKnowledge
from tests.graph.contract import WORKS, House, indexed, searched_through_graphiti
from tests.memory.contract import Clock

AWAY = MemoryUnavailable("The graph database at bolt://127.0.0.1:1 is away.", retryable=True)


class Lent(GraphKnowledge):
    """What somebody else closes."""

    def __init__(self, house: House) -> None:
        super().__init__(house.graph._engine, lexical.embed)  # pyright: ignore[reportPrivateUsage]

    async def aclose(self) -> None: ...


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    told = Inbox(tmp_path / "memory.db")
    async with searched_through_graphiti(await indexed(tmp_path / "graph", told), tmp_path) as one:
        yield one
    await told.aclose()


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def config(home: Path, url: str = "bolt://127.0.0.1:1") -> GraphConfig:
    return GraphConfig(home=home, server=Server.of(url))


def told(body: str) -> NewEpisode:
    return NewEpisode(name=body[:20], body=body, group_id="g", uuid=str(uuid.uuid4()))


@pytest.mark.parametrize(
    ("url", "address", "user", "password", "database"),
    [
        ("neo4j://neo4j:sesame@db.example:7688/facts", "neo4j://db.example:7688", "neo4j", "sesame", "facts"),
        ("bolt+s://db.example", "bolt+s://db.example:7687", "", "", ""),
        ("falkor://127.0.0.1", "falkor://127.0.0.1:6379", "", "", ""),
        ("falkors://:p%40%2F%23@[::1]:7000", "falkors://[::1]:7000", "", "p@/#", ""),
        ("falkor://me:sesame@h:1/", "falkor://h:1", "me", "sesame", ""),
    ],
)
def test_an_address_is_read_in_its_parts(url: str, address: str, user: str, password: str, database: str) -> None:
    found = Server.of(url)
    assert (found.address, found.user, found.password.get_secret_value(), found.database) == (address, user, password, database)
    assert found.is_tls is url.startswith("falkors") and (not password or password not in f"{found!r} {found}")
    assert GraphConfig.from_env({"PARLEY_GRAPH_URL": f" {url} "}, Path("/h")).backend == found.backend


@pytest.mark.parametrize(
    "url",
    ["redis://h", "neo4j://", "secret", "falkor://h:x", "falkor://h:0", "neo4j://u:se#cret@h:1", "falkor://h/secret", "bolt://h?secret=1", "bolt://[h"],
)
def test_what_is_no_address_is_refused_without_a_word_of_it(url: str) -> None:
    with pytest.raises(InvalidInput, match="PARLEY_GRAPH_URL") as caught:
        Server.of(url)
    assert "secret" not in str(caught.value.as_dict()) and "cret" not in str(caught.value.as_dict())


@pytest.mark.filterwarnings("ignore:.*unclosed <socket")  # the driver of Neo4j leaves those that did not connect to the collector
@pytest.mark.parametrize("scheme", ["neo4j", "bolt", "falkor", "falkors"])
async def test_a_server_that_is_away_is_told_of_soon_and_without_its_password(
    scheme: str, closed_port: int, parley_home: Path, inbox: Inbox, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    settings = config(parley_home, f"{scheme}://parley:s3cr3t@127.0.0.1:{closed_port}")
    assert settings.server is not None
    started = time.monotonic()
    with pytest.raises(MemoryUnavailable, match=f"at {scheme}://127.0.0.1:{closed_port} is away") as caught:
        await connect(settings.server)
    assert caught.value.retryable and time.monotonic() - started < 20
    knowledge = ServerKnowledge(settings, ReadModel(inbox.database))
    await inbox.add(told("The gazebo is turquoise."))
    found = await knowledge.search(Wanted(query="turquoise", group_ids=("g",)))
    assert [one.episode.body for one in found.episodes] == ["The gazebo is turquoise."]
    assert found.notice == f"{caught.value.message} Only what this machine told was searched."
    with pytest.raises(MemoryUnavailable, match="is away"):
        await knowledge.nodes(Wanted(query="turquoise", group_ids=("g",)))
    await knowledge.aclose()
    assert "s3cr3t" not in caplog.text
    del caught
    gc.collect()


async def test_a_server_that_is_away_is_asked_again_after_a_while(inbox: Inbox, parley_home: Path, house: House) -> None:
    clock, opened = Clock(), list[GraphConfig]()
    answers: list[MemoryUnavailable | GraphKnowledge] = [AWAY, AWAY, Lent(house)]

    async def open_server(settings: GraphConfig) -> GraphKnowledge:
        opened.append(settings)
        answer = answers[len(opened) - 1]
        if isinstance(answer, MemoryUnavailable):
            raise answer
        return answer

    await house.tell("Alice works at Acme.", WORKS)
    wanted = Wanted(query="Alice", group_ids=(house.group("a"),))
    knowledge = ServerKnowledge(config(parley_home), ReadModel(inbox.database), open_server=open_server, clock=clock)
    for count in (1, 1, 2, 3, 3):
        found = await knowledge.search(wanted)
        assert len(opened) == count
        clock.now += REST_SECONDS * (0.6 if count == 1 else 1.1)
    assert not found.notice and [one.fact.fact for one in found.facts] == ["Alice works at Acme"]
    await knowledge.nodes(wanted)
    assert await knowledge.fact(found.facts[0].fact.uuid) is not None and len(opened) == 3
    await knowledge.aclose()


async def test_what_a_server_refuses_is_an_error_and_no_answer_from_here(inbox: Inbox, parley_home: Path) -> None:
    async def refused(settings: GraphConfig) -> GraphKnowledge:
        raise MemoryUnavailable("refuses us")

    knowledge = ServerKnowledge(config(parley_home), ReadModel(inbox.database), open_server=refused)
    with pytest.raises(MemoryUnavailable, match="refuses us"):
        await knowledge.search(Wanted(query="x", group_ids=("g",)))


async def test_what_was_told_here_and_is_not_read_yet_is_found_beside_what_the_server_holds(house: House, parley_home: Path) -> None:
    async def open_server(settings: GraphConfig) -> GraphKnowledge:
        return Lent(house)

    await house.tell("Alice works at Acme.", WORKS)
    await house.inbox.add(told("Acme moves to Berlin.").model_copy(update={"group_id": house.group("a")}))
    knowledge = ServerKnowledge(config(parley_home), ReadModel(house.inbox.database), open_server=open_server)
    found = await knowledge.search(Wanted(query="Acme", group_ids=(house.group("a"),)))
    assert [one.fact.fact for one in found.facts] == ["Alice works at Acme"]
    assert [(one.episode.body, one.episode.state) for one in found.episodes] == [("Acme moves to Berlin.", "queued")]


async def test_a_fact_that_only_others_told_is_found_with_who_told_it_and_can_be_forgotten(house: House, parley_home: Path) -> None:
    async def open_server(settings: GraphConfig) -> GraphKnowledge:
        return Lent(house)

    theirs = await house.tell("Alice works at Acme.", WORKS)
    ours = Inbox(parley_home / "ours.db")
    knowledge = ServerKnowledge(config(parley_home), ReadModel(ours.database), open_server=open_server)
    memory = Memory(config(parley_home), ours, knowledge, group=house.group("a"))
    (found,) = (await memory.search(Wanted(query="Acme", group_ids=()))).facts
    assert [(one.uuid, one.name, one.excerpt) for one in found.told] == [(theirs.uuid, theirs.name, theirs.body)]
    await memory.delete_fact(found.fact.uuid)
    assert [one[1:] for one in await ours.removals()] == [("fact", found.fact.uuid, house.group("a"))]
    with pytest.raises(InvalidInput, match="no fact with this uuid"):
        await memory.delete_fact(str(uuid.uuid4()))
    with pytest.raises(InvalidInput, match="no episode with this uuid"):
        await memory.delete_episode(theirs.uuid)
    await ours.rebuild()
    assert "is being told anew" in (await memory.status()).message
    await memory.aclose()


async def test_a_server_that_takes_too_long_is_left_alone_for_a_while(
    inbox: Inbox, parley_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def open_server(settings: GraphConfig) -> GraphKnowledge:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(server_knowledge, "ANSWER_SECONDS", 0.01)
    knowledge = ServerKnowledge(config(parley_home), ReadModel(inbox.database), open_server=open_server)
    found = await knowledge.search(Wanted(query="x", group_ids=("g",)))
    assert found.notice.startswith("The graph database at bolt://127.0.0.1:1 takes too long.")


async def test_vectors_of_meaning_find_facts_without_the_words_of_the_question(house: House) -> None:
    await house.tell("Alice works at Acme.", WORKS)

    async def meaning(texts: Sequence[str]) -> list[list[float]]:
        meant = {"employer": "Alice works at Acme", "company": "Acme"}
        return [lexical.vector(meant.get(text, text)) for text in texts]

    by_meaning = GraphKnowledge(house.graph._engine, meaning, by_meaning=True)  # pyright: ignore[reportPrivateUsage]
    wanted = Wanted(query="employer", group_ids=(house.group("a"),))
    assert [one.fact.fact for one in (await by_meaning.search(wanted)).facts] == ["Alice works at Acme"]
    assert not (await house.knowledge.search(wanted)).facts
    assert [one.name for one in await by_meaning.nodes(wanted.model_copy(update={"query": "company"}))] == ["Acme"]


def test_of_a_long_episode_what_stands_around_the_words_is_shown() -> None:
    body = f"{'before ' * 100}Acme moved to Berlin.{' after' * 100}"
    shown = excerpt(body, ["nothing", "berlin"])
    assert "Acme moved to Berlin." in shown and len(shown) <= 402 and shown[0] == shown[-1] == "\u2026"
    assert excerpt(body, []).startswith("before") and excerpt("short", ["x"]) == "short"


async def test_what_replaced_what_replaced_a_fact_stands_in_its_place(house: House) -> None:
    for month, name in enumerate(("Postgres", "MySQL", "SQLite"), 1):
        said = ("We", "USE", name, f"We store {'rows' if month == 1 else 'things'} in {name}")
        await house.tell(f"Note {month}: {said[3]}.", said, at=f"2026-0{month}-01T00:00:00Z", contradicts=month > 1)
    found = await house.search("rows Postgres")
    assert [one.fact.fact for one in found.facts] == ["We store things in SQLite"]


class Unwilling:
    """A graph that can do nothing."""

    def __init__(self, error: MemoryUnavailable) -> None:
        self.error, self.tried = error, 0

    async def remember(self, episode: Episode) -> Found:
        self.tried += 1
        raise self.error

    async def forget_episode(self, uuid: str, group_id: str) -> None:
        raise self.error

    forget_fact = forget_episode

    async def forget_group(self, group_id: str) -> None:
        raise self.error

    async def aclose(self) -> None: ...


@pytest.mark.parametrize(("retryable", "state", "tries"), [(True, "queued", 0), (False, "failed", 1)])
async def test_a_server_that_is_away_costs_an_episode_none_of_its_tries(inbox: Inbox, retryable: bool, state: str, tries: int) -> None:
    graph = Unwilling(MemoryUnavailable("is away", retryable=retryable))

    async def opened(generation: int) -> Unwilling:
        return graph

    made = await inbox.add(told("Alice works at Acme."))
    drainer = Drainer(inbox, opened, max_tries=1)
    await drainer._step()  # pyright: ignore[reportPrivateUsage]
    await drainer._wait()  # pyright: ignore[reportPrivateUsage]
    known = await inbox.get(made.uuid)
    assert known is not None and (known.state, known.tries, graph.tried) == (state, tries, 1)
    assert known.error is not None and known.error.startswith("is away")


async def test_neo4j_has_one_database_for_all_groups() -> None:
    driver = Neo4jDriver("bolt://127.0.0.1:1", None, None)
    _without_indexing(driver)
    one = Neo4j(driver, "bolt://127.0.0.1:1")
    assert await one.to_write("a") is await one.to_read("b") is driver and await one.everywhere() == [driver]
    one.learn([], [])
    await one.aclose()


def test_a_cosine_is_told_to_servers_as_the_similarity_they_make_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    found = EDGE_HYBRID_SEARCH_RRF.edge_config
    assert found is not None
    monkeypatch.setattr(found, "sim_min_score", 0.6)
    compare_from(0.25)
    assert found.sim_min_score == 0.625
