"""FalkorDB against a stand-in that speaks its protocol alone: which graph is asked, and that no password is told to anybody else."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from pathlib import Path

import pytest

pytest.importorskip("graphiti_core")

from conversation.errors import MemoryUnavailable
from graph import lexical
from graph._graphiti import Graph
from graph._graphiti_search import GraphKnowledge
from graph._graphiti_servers import connect
from graph.config import GraphConfig, Server
from graph.episodes import Episode, Findings, NewEpisode, Wanted
from graph.inbox import Inbox
from graph.opening import Opener
from tests.graph.contract import WORKS
from tests.graph.resp_stand_in import FalkorStandIn, Row
from tests.graph.test_graphiti import Model

SECRET = "s3cr3t/of#it"
EPISODE = Episode(
    name="told", body="Alice works at Acme.", group_id="my-group", uuid=str(uuid.uuid4()), created_at="2026-01-01T00:00:00Z", state="queued"
)


def server(port: int, password: str = "s3cr3t%2Fof%23it") -> Server:
    return Server.of(f"falkor://parley:{password}@127.0.0.1:{port}")


async def opened(falkor: FalkorStandIn, model: Model) -> Graph:
    return Graph(await connect(server(falkor.port)), model, lexical.embed)


def the_episode(graph: str, question: str) -> Sequence[Row]:
    """Answer with the episode once it is asked for, as a graph that holds it would."""
    if "MATCH (e:Episodic {uuid: $uuid})" not in question or "RETURN" not in question:
        return ()
    at = "2026-01-01T00:00:00+00:00"
    of_episode = {"uuid": EPISODE.uuid, "name": EPISODE.name, "group_id": EPISODE.group_id, "source": "text", "content": EPISODE.body}
    return [{**of_episode, "source_description": "", "created_at": at, "valid_at": at, "entity_edges": []}]


async def test_all_that_is_asked_for_an_episode_is_asked_of_its_groups_graph(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    model = Model()
    model.entities[EPISODE.body], model.facts[EPISODE.body] = ["Alice", "Acme"], [WORKS]
    async with FalkorStandIn(answers=the_episode) as falkor:
        graph = await opened(falkor, model)
        found = await graph.remember(EPISODE)
        assert [one.fact for one in found.facts] == ["Alice works at Acme"] and len(found.mentions) == 2
        assert {name for name, _ in falkor.asked} == {"my-group"}
        questions = [question for _, question in falkor.asked]
        indexes, saved = [place for place, one in enumerate(questions) if "CREATE" in one and "INDEX" in one], len(questions)
        for place, one in enumerate(questions):
            saved = min(saved, place) if "MERGE (n:Episodic" in one else saved
        assert indexes and max(indexes) < saved, "the indexes are there before anything is written, and are made once"
        assert any("MENTIONS]->(:Entity) DELETE m" in one for one in questions)
        assert not any("@group_id" in one for one in questions), "a group's name with a hyphen is found by no words"
        count = len(indexes)
        await graph.remember(EPISODE)
        assert sum("CREATE" in one and "INDEX" in one for _, one in falkor.asked) == count
        assert ["AUTH", "parley", SECRET] in falkor.commands
        driver = await graph._engine.to_write("my-group")  # pyright: ignore[reportPrivateUsage]
        assert driver.clone("my-group") is driver
        await driver.clone("_").execute_query("MATCH (n) RETURN n")  # pyright: ignore[reportUnknownMemberType]
        assert falkor.asked[-1][0] == "_"
        await graph.aclose()
    assert SECRET not in caplog.text and "s3cr3t" not in caplog.text


async def test_what_is_to_be_forgotten_is_looked_for_in_its_groups_graph_alone() -> None:
    async with FalkorStandIn(["my-group", "other"], the_episode) as falkor:
        graph = await opened(falkor, Model())
        await graph.forget_episode(EPISODE.uuid, "my-group")
        await graph.forget_fact(str(uuid.uuid4()), "my-group")
        await graph.forget_group("my-group")
        assert {name for name, _ in falkor.asked} == {"my-group"}
        assert any("DETACH DELETE" in question for _, question in falkor.asked)
        count = len(falkor.asked)
        await graph.forget_episode(EPISODE.uuid, "never-told")
        await graph.forget_fact(EPISODE.uuid, "never-told")
        await graph.forget_group("never-told")
        assert len(falkor.asked) == count, "a question to a graph that is not there would make it"
        await graph.aclose()


async def test_a_search_asks_the_graphs_of_its_groups_that_are_there() -> None:
    async with FalkorStandIn(["a-b", "other"]) as falkor:
        knowledge = await GraphKnowledge.open(server(falkor.port), lexical.embed)
        wanted = Wanted(query="Alice OR (a:b", group_ids=("a-b", "never-told"), center=str(uuid.uuid4()))
        assert await knowledge.search(wanted) == Findings() and list(await knowledge.nodes(wanted)) == []
        assert {name for name, _ in falkor.asked} == {"a-b"}
        assert any("(alice | b)" in question for _, question in falkor.asked), "the words, and nothing of the syntax around them"
        assert await knowledge.fact(str(uuid.uuid4())) is None
        assert {name for name, _ in falkor.asked} == {"a-b", "other"}
        assert not any("INDEX" in question for _, question in falkor.asked)
        await knowledge.aclose()


async def test_rebuilding_takes_back_what_this_inbox_told_and_nothing_else(parley_home: Path) -> None:
    inbox = Inbox(parley_home / "memory.db")
    own = [await inbox.add(NewEpisode(name="n", body="b", group_id=group, uuid=str(uuid.uuid4()))) for group in ("a", "b")]
    async with FalkorStandIn(["a", "b", "others"]) as falkor:
        config = GraphConfig(home=parley_home, server=server(falkor.port))
        opener = Opener(config, inbox, Model())  # pyright: ignore[reportArgumentType]
        await (await opener(1)).aclose()
        assert falkor.asked == []
        await (await opener(2)).aclose()
        for episode in own:
            assert any(name == episode.group_id and episode.uuid in question for name, question in falkor.asked)
        assert len(falkor.asked) == 2 and not any("DELETE" in question for _, question in falkor.asked)
        await (await opener(2)).aclose()
        assert len(falkor.asked) == 2, "once"
    other = GraphConfig(home=parley_home)
    with pytest.raises(MemoryUnavailable, match="made with backend falkordb, the settings say kuzu"):
        await Opener(other, inbox, Model())(2)  # pyright: ignore[reportArgumentType]
    await inbox.aclose()


@pytest.mark.parametrize(
    ("says", "means", "retryable"),
    [
        ("WRONGPASS invalid username-password pair or user is disabled.", "refuses us", False),
        ("NOAUTH Authentication required.", "refuses us", False),
        ("NOPERM this user has no permissions", "refuses us", False),
        ("LOADING Redis is loading the dataset in memory", "is away", True),
        ("ERR unknown command 'GRAPH.QUERY'", "cannot do what it is asked: ResponseError", False),
    ],
)
async def test_what_the_server_objects_to_is_told_without_its_words(says: str, means: str, retryable: bool) -> None:
    async with FalkorStandIn() as falkor:
        knowledge = await GraphKnowledge.open(server(falkor.port), lexical.embed)
        falkor.refuses = says
        with pytest.raises(MemoryUnavailable) as caught:
            await knowledge.search(Wanted(query="Alice", group_ids=("a",)))
        assert caught.value.message.startswith(f"The graph database at falkor://127.0.0.1:{falkor.port} {means}")
        assert caught.value.retryable is retryable and "s3cr3t" not in str(caught.value.as_dict())
        with pytest.raises(MemoryUnavailable):
            await connect(server(falkor.port))
        await knowledge.aclose()
