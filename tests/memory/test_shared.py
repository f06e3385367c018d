"""What machines tell each other through a real Redis: health and spending, each from a state folder of its own."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from conversation.spending import Account, Spent
from memory._redis_client import RedisLink
from memory.health import Breaker, HealthRecord, Hold, InMemory, State
from memory.ledger import SpendLedger
from memory.shared import Shared, SharedHealth, SharedLedger, folder_name, merged
from tests.memory.contract import Clock
from tests.redis_servers import Server, server
from tests.waiting import a_while

DAY = "2026-11-29"
MINE = Account(DAY, "p", "m", "s")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with server(tmp_path_factory.mktemp("redis"), appendfsync="always") as one:
        yield one


@dataclass
class Machine:
    """One state folder and what its process knows."""

    shared: Shared
    health: HealthRecord
    ledger: SharedLedger

    async def told(self) -> None:
        """Wait until what it has to tell is told."""
        while self.shared.is_telling:
            await a_while(0.02)

    async def looked(self) -> None:
        """Wait until it knows what others told."""
        self.shared.look()
        while self.shared.is_looking:
            await a_while(0.02)


Make = Callable[[str], Machine]


@pytest.fixture
async def machine(running: Server, tmp_path: Path, clock: Clock) -> AsyncIterator[Make]:
    with running.client() as client:
        client.flushall()
    made: list[Machine] = []

    def make(name: str) -> Machine:
        home = tmp_path / name
        shared = Shared(RedisLink(running.url), lambda: folder_name(home), clock)
        health = HealthRecord(2, 30.0, clock=clock, keeper=SharedHealth(InMemory(), shared))
        made.append(Machine(shared, health, SharedLedger(SpendLedger(home / "threads.db"), shared)))
        return made[-1]

    yield make
    for one in made:
        await one.ledger.aclose()


async def test_what_keeps_a_provider_out_on_one_machine_keeps_it_out_on_all(machine: Make, clock: Clock) -> None:
    here, there = machine("here"), machine("there")
    here.health.failed("a", "m")
    here.health.failed("a", "m")
    here.health.park("b", 50)
    here.health.set_aside("c", 60, "401")
    await here.told()
    await there.looked()
    refusals = {name: there.health.admit(name, "m") for name in ("a", "b", "c", "d")}
    assert {name: refusal and refusal.cause for name, refusal in refusals.items()} == {
        "a": "breaker_open",
        "b": "parked",
        "c": "set_aside",
        "d": None,
    }
    clock.now += 31
    assert there.health.admit("a", "m") is None
    there.health.succeeded("a", "m")
    assert there.health.admit("a", "m") is None


async def test_failures_are_counted_by_each_machine_for_itself(machine: Make) -> None:
    here, there = machine("here"), machine("there")
    here.health.failed("a", "m")
    await here.told()
    await there.looked()
    there.health.failed("a", "m")
    assert there.health.admit("a", "m") is None


async def test_machines_whose_clocks_differ_hold_a_provider_for_the_same_time(running: Server, tmp_path: Path) -> None:
    shared: list[Shared] = []
    for name, ahead in (("here", 3600.0), ("there", -600.0)):
        shared.append(Shared(RedisLink(running.url), lambda name=name: name, lambda ahead=ahead: time.time() + ahead))
    here, there = shared
    state = State(parked={"a": Hold(here.clock() + 30, "rate limited")}, aside={"b": Hold(here.clock() + 20, "x")})
    state.breakers["c/m"] = Breaker(3, here.clock(), here.clock() + 10)
    state.breakers["d/m"] = Breaker(1, here.clock())
    await here.tell_health(state)
    there.look()
    while there.is_looking:
        await a_while(0.01)
    told = there.states["here"]
    ends = [told.parked["a"].until, told.aside["b"].until, told.breakers["c/m"].open_until or 0.0]
    assert [round(end - there.clock()) for end in ends] == [30, 20, 10]
    assert told.breakers["d/m"].open_until is None
    for one in shared:
        await one.aclose()


async def test_news_that_are_old_or_make_no_sense_are_passed_over(machine: Make, running: Server, clock: Clock) -> None:
    here, there = machine("here"), machine("there")
    here.health.park("a", 3600)
    await here.told()
    with running.client() as client:
        for number, text in enumerate(["{", "[]", '{"at": "x"}', json.dumps({"at": clock.now, "state": {"parked": 5}}), '{"at": 1e18}']):
            client.hset("parley:health", f"odd {number}", text)
    await there.looked()
    assert there.health.admit("a", "m") is not None
    with running.client() as client:
        known: Any = client.hgetall("parley:health")
        for name, text in known.items():
            client.hset("parley:health", name, text.replace(f'"at": {clock.now}', f'"at": {clock.now - 901}'))
    clock.now += 2
    await there.looked()
    assert there.health.admit("a", "m") is None


async def test_a_day_is_the_sum_of_all_machines(machine: Make, running: Server, clock: Clock) -> None:
    clock.now = datetime.fromisoformat(f"{DAY}T12:00:00Z").timestamp()
    here, there = machine("here"), machine("there")
    for one in (here, there):
        await one.ledger.add({MINE: Spent(1, 10, 5, 0, 0.25, 0)})
    await here.ledger.add({MINE: Spent(1, 0, 0, 0, 0.25, 0), MINE._replace(session="t"): Spent(1, usd=1.0)})
    await here.told()
    await there.told()
    await there.looked()
    await here.looked()
    assert (await here.ledger.spent(DAY), await there.ledger.spent(DAY)) == (1.75, 1.75)
    expected = [(MINE, Spent(3, 20, 10, 0, 0.75, 0)), (MINE._replace(session="t"), Spent(1, usd=1.0))]
    assert list(await there.ledger.accounts("2026-11-28", DAY)) == expected
    await here.ledger.add({MINE: Spent(0)})
    await here.told()
    with running.client() as client:
        (key,) = [name for name in client.keys(f"parley:spending:{DAY}:*") if str(name).endswith(there.shared.name())]
        client.hset(key, mapping={"[1]": "[", '["a","b","c","d","e"]': "[1]"})
    again = machine("here")
    await again.looked()
    assert list(await again.ledger.accounts(DAY, DAY)) == expected


async def test_what_was_spent_last_is_told_as_a_process_ends(machine: Make) -> None:
    here, there = machine("here"), machine("there")
    await here.ledger.add({MINE: Spent(1, usd=0.5)})
    await here.ledger.aclose()
    assert list(await there.ledger.accounts(DAY, DAY)) == [(MINE, Spent(1, usd=0.5))]


async def test_what_is_spent_while_redis_is_away_is_told_when_it_is_back(machine: Make, running: Server) -> None:
    here, there = machine("here"), machine("there")
    running.kill()
    await here.ledger.add({MINE: Spent(1, usd=0.5)})
    assert (await here.ledger.spent(DAY), list(await here.ledger.accounts(DAY, DAY))) == (0.5, [(MINE, Spent(1, usd=0.5))])
    await a_while(0.3)
    assert here.shared.is_telling
    await asyncio.to_thread(running.start)
    await here.told()
    assert list(await there.ledger.accounts(DAY, DAY)) == [(MINE, Spent(1, usd=0.5))]


def test_without_an_event_loop_nothing_is_asked_or_told(tmp_path: Path) -> None:
    shared = Shared(RedisLink("redis://127.0.0.1:9"), lambda: "x")
    keeper = SharedHealth(InMemory(), shared)
    keeper.change(lambda state: state.parked.update(a=Hold(1.0, "r")))
    assert keeper.read().parked and not shared.is_telling and not shared.is_looking


def test_a_state_folder_keeps_its_name_and_one_that_cannot_be_written_has_one_for_now(tmp_path: Path) -> None:
    name = folder_name(tmp_path / "home")
    assert name == folder_name(tmp_path / "home") != folder_name(tmp_path / "other")
    (tmp_path / "file").write_text("")
    assert folder_name(tmp_path / "file") != folder_name(tmp_path / "file")


def test_of_two_that_say_a_provider_is_held_the_later_end_counts() -> None:
    own = State({"a/m": Breaker(1, 1.0, 50.0), "b/m": Breaker(1)}, {"p": Hold(9.0, "own"), "q": Hold(5.0, "own")})
    others = {"a/m": Breaker(9, 1.0, 40.0), "b/m": Breaker(9, 1.0, 60.0), "c/m": Breaker(9)}
    other = State(others, {"p": Hold(8.0, "o"), "q": Hold(6.0, "o")})
    found = merged(own, [other])
    assert {name: one.open_until for name, one in found.breakers.items()} == {"a/m": 50.0, "b/m": 60.0}
    assert {name: hold.reason for name, hold in found.parked.items()} == {"p": "own", "q": "o"}
    assert own.parked["q"].reason == "own"
