"""The drainer over a real graph: all that is told ends, in order, and one that cannot be looked at holds up nobody."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

pytest.importorskip("graphiti_core")

from graph import lexical
from graph._graphiti import Graph
from graph.drainer import Drainer
from graph.episodes import NewEpisode, Queue
from graph.inbox import Inbox
from graph.known import Known
from graph.ownership import alone
from tests.graph.test_graphiti import Model


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
async def inbox(parley_home: Path) -> AsyncIterator[Inbox]:
    one = Inbox(parley_home / "memory.db")
    yield one
    await one.aclose()


def drainer(inbox: Inbox, home: Path, model: Model, max_tries: int = 3) -> Drainer:
    async def opened(generation: int) -> Graph:
        return await Graph.open(home / f"graph-{generation}", model, lexical.embed, Known(inbox.database, generation))

    return Drainer(inbox, opened, idle_s=0.5, max_tries=max_tries)


async def tell(inbox: Inbox, model: Model, body: str, group: str = "g") -> str:
    model.entities[body] = ["Alice", body]
    model.facts[body] = [("Alice", "SAID", body, f"Alice said {body}")]
    return (await inbox.add(NewEpisode(name=body, body=body, group_id=group, uuid=str(uuid.uuid4())))).uuid


async def test_what_is_told_is_looked_at_until_nothing_is_left(inbox: Inbox, parley_home: Path, model: Model) -> None:
    for number in range(6):
        await tell(inbox, model, f"word-{number}-end", group=f"g{number % 2}")
    await drainer(inbox, parley_home, model).run()
    assert await inbox.queue() == Queue(done=6)


async def test_one_that_is_poison_fails_alone_with_its_reason(inbox: Inbox, parley_home: Path, model: Model) -> None:
    poison = await tell(inbox, model, "poison")
    await tell(inbox, model, "good")
    del model.entities["poison"], model.facts["poison"]
    await drainer(inbox, parley_home, model, max_tries=2).run()
    known = await inbox.get(poison)
    assert known is not None and (known.state, known.tries) == ("failed", 2) and known.error
    assert await inbox.queue() == Queue(done=1, failed=1)


async def test_what_was_deleted_is_removed_from_the_graph(inbox: Inbox, parley_home: Path, model: Model) -> None:
    one = await tell(inbox, model, "one")
    await drainer(inbox, parley_home, model).run()
    await inbox.delete(one)
    await drainer(inbox, parley_home, model).run()
    assert await inbox.removals() == []


def test_one_process_drains_at_a_time(tmp_path: Path) -> None:
    with alone(tmp_path / "drain.lock") as first, alone(tmp_path / "drain.lock") as second:
        assert (first, second) == (True, False)
    with alone(tmp_path / "drain.lock") as again:
        assert again
