"""The drainer over a real graph: all that is told ends, in order, and one that cannot be looked at holds up nobody."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path

import pytest

pytest.importorskip("graphiti_core")

from conversation.errors import BadRequest, BudgetExceeded, RateLimited
from graph import lexical
from graph._graphiti import Graph
from graph.drainer import Drainer
from graph.episodes import NewEpisode, Queue, Wanted
from graph.inbox import Inbox
from graph.known import Known
from graph.ownership import alone
from graph.read_model import ReadModel
from tests.graph.test_graphiti import Model
from tests.waiting import a_while, auntil


@pytest.fixture
def model() -> Model:
    return Model()


def drainer(inbox: Inbox, home: Path, model: Model, max_tries: int = 3, idle_s: float = 0.5) -> Drainer:
    async def opened(generation: int) -> Graph:
        return await Graph.open(home / f"graph-{generation}", model, lexical.embed, Known(inbox.database, generation))

    return Drainer(inbox, opened, idle_s=idle_s, max_tries=max_tries, pause_s=0.1)


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


LIMITED = RateLimited("limited", provider="p", model="m", cause="rate_limited", retry_after=0.05)


async def test_when_providers_limit_it_rests_and_goes_on(inbox: Inbox, parley_home: Path, model: Model) -> None:
    one, other = await tell(inbox, model, "one"), await tell(inbox, model, "two", group="h")
    model.errors = [LIMITED]
    await drainer(inbox, parley_home, model).run()
    tries = [known.tries for uuid in (one, other) if (known := await inbox.get(uuid))]
    assert await inbox.queue() == Queue(done=2) and sorted(tries) == [1, 2]


async def test_what_is_no_fault_of_an_episode_costs_it_no_try(inbox: Inbox, parley_home: Path, model: Model) -> None:
    uuid = await tell(inbox, model, "one")
    model.errors = [BudgetExceeded("spent, see /home/somebody/x", hint="Tomorrow.")]
    work = asyncio.create_task(drainer(inbox, parley_home, model).run())
    await auntil(lambda: not model.errors)
    while (known := await inbox.get(uuid)) is not None and known.state != "queued":
        await a_while(0.01)
    assert known is not None and (known.state, known.tries) == ("queued", 0) and (known.error or "").startswith("spent")
    assert (await inbox.due_in() or 0) > 200
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)


async def test_what_can_never_be_read_is_given_up_at_once(inbox: Inbox, parley_home: Path, model: Model) -> None:
    uuid = await tell(inbox, model, "one")
    model.errors = [BadRequest("no such thing", provider="p", model="m", cause="bad_request")]
    await drainer(inbox, parley_home, model).run()
    known = await inbox.get(uuid)
    assert known is not None and (known.state, known.tries) == ("failed", 1) and "no such thing" in (known.error or "")


async def test_an_answer_that_is_never_what_was_asked_for_is_told_as_it_is(inbox: Inbox, parley_home: Path, model: Model) -> None:
    uuid = await tell(inbox, model, "one")
    model.odd = ["prose"] * 20
    await drainer(inbox, parley_home, model, max_tries=2).run()
    known = await inbox.get(uuid)
    assert known is not None and known.error == "The model's answer is not what was asked for: it holds no object"


async def test_a_graph_that_is_made_anew_is_searched_once_it_is_whole(inbox: Inbox, parley_home: Path, model: Model) -> None:
    for number in range(3):
        await tell(inbox, model, f"word-{number}-end")
    await drainer(inbox, parley_home, model).run()
    first = await found(inbox)
    assert await inbox.rebuild() == 3 and await inbox.is_building()
    assert await found(inbox) == first
    await drainer(inbox, parley_home, model).run()
    again = await found(inbox)
    assert set(again) == set(first) and again != first and not await inbox.is_building()
    assert await inbox.target() == 2 and (parley_home / "graph-2").exists()


async def test_a_rebuild_that_comes_while_it_drains_is_turned_to(inbox: Inbox, parley_home: Path, model: Model) -> None:
    await tell(inbox, model, "word-1-end")
    work = asyncio.create_task(drainer(inbox, parley_home, model, idle_s=2).run())
    while (await inbox.queue()).done < 1:
        await a_while(0.02)
    await inbox.rebuild()
    while await inbox.is_building():
        await a_while(0.02)
    assert len(await found(inbox)) == 1 and await inbox.queue() == Queue(done=1)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)


async def test_what_groups_and_facts_were_removed_is_removed_from_the_graph(inbox: Inbox, parley_home: Path, model: Model) -> None:
    await tell(inbox, model, "word-1-end")
    await tell(inbox, model, "word-2-end", group="h")
    await drainer(inbox, parley_home, model).run()
    (fact,) = (await found(inbox)).values()
    await inbox.delete_fact(fact)
    await inbox.clear(["h"])
    await drainer(inbox, parley_home, model).run()
    assert await inbox.removals() == []
    graph = await Graph.open(parley_home / "graph-1", model, lexical.embed, Known(inbox.database, 1))
    driver = await graph._engine.to_write("g")  # pyright: ignore[reportPrivateUsage]
    rows, _, _ = await driver.execute_query("MATCH (n) RETURN n.group_id AS g, label(n) AS kind")
    await graph.aclose()
    assert {(row["g"], row["kind"]) for row in rows} == {("g", "Episodic"), ("g", "Entity")}  # pyright: ignore


async def found(inbox: Inbox) -> dict[str, str]:
    """The facts that are searched in group g, each with its uuid."""
    findings = await ReadModel(inbox.database).search(Wanted(query="said Alice", group_ids=("g",)))
    return {one.fact.fact: one.fact.uuid for one in findings.facts}


async def test_when_it_is_told_to_end_what_it_was_at_is_left_for_the_next(inbox: Inbox, parley_home: Path, model: Model) -> None:
    uuid = await tell(inbox, model, "one")
    model.blocked = asyncio.Event()
    work = asyncio.create_task(drainer(inbox, parley_home, model).run())
    await auntil(lambda: bool(model.asked))
    await inbox.delete(await tell(inbox, model, "two"))
    await inbox.rebuild()  # waits for what is running, as what was deleted does
    await a_while(0.4)
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    model.blocked = None
    known = await inbox.get(uuid)
    assert known is not None and known.state == "running" and await inbox.recover() == 1
    await drainer(inbox, parley_home, model).run()
    assert await inbox.queue() == Queue(done=1) and not await inbox.is_building()
