"""What chat does about budgets, stores that fail, long answers and calls that are cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from conversation.errors import StoreBusy, StoreUnavailable, ThreadExpired
from conversation.messages import Event
from conversation.spending import Account, Spent
from conversation.threads import NewTurn, Started, Turn
from memory.in_process import InProcessThreadStore
from providers.base import Call
from providers.budget import Budget
from tests.purse import Purse
from tests.tools.house import House, answer, silence
from tools.limits import Limits

UNKNOWN = "6f1c0c1e-0000-4000-8000-000000000000"


# --- the budget --------------------------------------------------------------------------------------------------------


async def test_a_spent_budget_refuses_before_anything_is_asked_or_recorded(workspace: Path) -> None:
    house = House(workspace, budget=Budget(Purse(5.0), 5.0))
    assert (await house.error("chat", {"prompt": "x"}))["code"] == "budget_exceeded"
    assert house.calls == 0
    assert await house.store.list(workspace=None) == []


async def test_a_nearly_spent_budget_is_a_warning_and_the_answer_is_counted(workspace: Path) -> None:
    purse = Purse(4.0)
    house = House(workspace, budget=Budget(purse, 5.0))
    answer = await house.call("chat", {"prompt": "x"})
    assert [warning["code"] for warning in answer["warnings"]] == ["budget_near"]
    assert purse.total == pytest.approx(4.000105)


async def test_half_a_budget_is_no_warning(workspace: Path) -> None:
    answer = await House(workspace, budget=Budget(Purse(1.0), 5.0)).call("chat", {"prompt": "x"})
    assert answer["warnings"] == []


async def test_a_ledger_that_fails_after_the_answer_costs_only_the_warning(workspace: Path) -> None:
    class Failing(Purse):
        asked = 0

        async def spent(self, day: str) -> float:
            self.asked += 1
            if self.asked > 2:
                raise StoreBusy("busy")
            return 4.5

    answer = await House(workspace, budget=Budget(Failing(0), 5.0)).call("chat", {"prompt": "x"})
    assert answer["warnings"] == []


# --- the store ---------------------------------------------------------------------------------------------------------


class Failing(InProcessThreadStore):
    """A store that fails where it is told to."""

    def __init__(self, *methods: str, error: type[StoreBusy] | type[StoreUnavailable] = StoreBusy) -> None:
        super().__init__()
        self.methods = set(methods)
        self.error = error

    def _try(self, method: str) -> None:
        if method in self.methods:
            raise self.error("The store at /home/someone/x cannot.")

    async def begin(self, turn: NewTurn, **keywords: Any) -> Started:
        self._try("begin")
        return await super().begin(turn, **keywords)

    async def complete(self, exchange_id: str, answers: Sequence[NewTurn]) -> tuple[Turn, ...]:
        self._try("complete")
        return await super().complete(exchange_id, answers)

    async def interrupt(self, exchange_id: str) -> None:
        self._try("interrupt")
        await super().interrupt(exchange_id)


@pytest.mark.parametrize("methods", [("begin",), ("complete",), ("complete", "interrupt")])
async def test_an_answer_that_could_not_be_saved_says_so_and_claims_no_thread(workspace: Path, methods: tuple[str, ...]) -> None:
    house = House(workspace, store=Failing(*methods))
    answer = await house.call("chat", {"prompt": "x"})
    assert answer["content"] == "I am vertex_claude"
    assert "continuation_id" not in answer and "turn" not in answer
    assert [warning["code"] for warning in answer["warnings"]] == ["not_saved"]
    assert "/home/someone" not in answer["warnings"][0]["message"]


@pytest.mark.parametrize(("error", "code"), [(StoreBusy, "store_busy"), (StoreUnavailable, "store_unavailable")])
async def test_a_thread_that_cannot_be_read_is_an_error(workspace: Path, error: Any, code: str) -> None:
    store = Failing(error=error)
    house = House(workspace, store=store)
    first = await house.call("chat", {"prompt": "x"})
    store.methods = {"begin"}
    assert (await house.error("chat", {"prompt": "y", "continuation_id": first["continuation_id"]}))["code"] == code
    assert house.calls == 1


async def test_a_count_that_cannot_be_kept_does_not_cost_the_answer(workspace: Path) -> None:
    class Broken(Purse):
        async def add(self, rows: Mapping[Account, Spent]) -> None:
            raise StoreUnavailable("The disk is full.")

    assert (await House(workspace, budget=Budget(Broken(0), None)).call("chat", {"prompt": "x"}))["turn"] == 2


async def test_an_expired_thread_is_an_error_of_its_own(workspace: Path) -> None:
    class Forgetful(InProcessThreadStore):
        async def begin(self, turn: NewTurn, **keywords: Any) -> Started:
            raise ThreadExpired("The thread has expired.")

    house = House(workspace, store=Forgetful())
    assert (await house.error("chat", {"prompt": "x", "continuation_id": UNKNOWN}))["code"] == "thread_expired"
    assert house.calls == 0


async def test_a_thread_of_another_workspace_goes_on_with_a_warning(workspace: Path, tmp_path: Path) -> None:
    house = House(workspace)
    first = await house.call("chat", {"prompt": "x"})
    (tmp_path / "elsewhere").mkdir()
    other = House(tmp_path / "elsewhere", store=house.store)
    for branch_from in (None, 2):
        answer = await other.call("chat", {"prompt": "y", "continuation_id": first["continuation_id"], "branch_from": branch_from})
        assert [warning["code"] for warning in answer["warnings"]] == ["other_workspace"]
    branch = await other.call("chat", {"prompt": "z", "continuation_id": answer["continuation_id"]})
    assert branch["warnings"] == []


async def test_concurrent_questions_on_one_thread_both_land(house: House) -> None:
    first = await house.call("chat", {"prompt": "1"})
    arguments = {"continuation_id": first["continuation_id"]}
    answers = await asyncio.gather(*(house.call("chat", {"prompt": str(n), **arguments}) for n in range(2, 5)))
    assert sorted(answer["turn"] for answer in answers) == [4, 6, 8]


# --- long answers ------------------------------------------------------------------------------------------------------


async def test_a_long_answer_is_cut_and_the_rest_can_be_read_from_the_thread(house: House) -> None:
    text = "".join(f'line {number}: "quoted"\n' for number in range(12_000))
    house.upstreams["vertex_claude"].plays = [text]
    answer = await house.call("chat", {"prompt": "x"})
    assert [warning["code"] for warning in answer["warnings"]] == ["truncated"]
    kept, _, pointer = answer["content"].partition("\n\n[cut: ")
    assert text.startswith(kept) and len(kept) > 30_000
    assert f"continuation_id={answer['continuation_id']}, turn=2, offset={len(kept)}" in pointer
    while len(kept) < len(text):
        arguments = {"action": "show", "continuation_id": answer["continuation_id"], "turn": 2, "offset": len(kept)}
        (turn,) = (await house.call("threads", arguments))["turns"]
        kept += turn["content"]
    assert kept == text


async def test_a_long_answer_that_was_not_saved_says_that_the_rest_is_gone(workspace: Path) -> None:
    house = House(workspace, store=Failing("begin"))
    house.upstreams["vertex_claude"].plays = ["word " * 50_000]
    answer = await house.call("chat", {"prompt": "x"})
    assert [warning["code"] for warning in answer["warnings"]] == ["not_saved", "truncated"]
    assert "not saved" in answer["warnings"][1]["message"]


async def test_an_answer_that_broke_off_at_its_limit_says_so(house: House) -> None:
    async def long(call: Call) -> AsyncGenerator[Event, None]:
        for event in answer("half an ans", stop_reason="max_tokens"):
            yield event

    house.upstreams["vertex_claude"].plays = [long]
    found = await house.call("chat", {"prompt": "x", "max_output_tokens": 7})
    assert [warning["code"] for warning in found["warnings"]] == ["truncated"]
    assert "7 output tokens" in found["warnings"][0]["message"]


async def test_an_answer_with_half_a_surrogate_pair_arrives_all_the_same(house: House) -> None:
    house.upstreams["vertex_claude"].plays = ["a\ud83d b \ud83d\ude00"]
    assert (await house.call("chat", {"prompt": "x"}))["content"] == "a\ufffd b \U0001f600"


# --- cancelling --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_cancelled_call_closes_the_upstream_and_stands_as_interrupted(house: House, mode: str) -> None:
    upstream = house.upstreams["vertex_claude"]
    upstream.plays = [silence]
    async with house.client(mode) as client:
        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                group.start_soon(client.call_tool, "chat", {"prompt": "Hello?"})
                await upstream.asked.wait()
                group.cancel_scope.cancel()
            await until_interrupted(house)
    assert upstream.open == 0


async def until_interrupted(house: House) -> None:
    """Return when the one thread shows its one turn as interrupted."""
    while True:
        for summary in await house.store.list(workspace=None):
            thread = await house.store.load(summary.id)
            if [turn.state for turn in thread.turns] == ["interrupted"]:
                return
        await anyio.lowlevel.checkpoint()


async def test_a_store_that_hangs_does_not_hold_a_cancelled_call(workspace: Path) -> None:
    class Hanging(InProcessThreadStore):
        async def interrupt(self, exchange_id: str) -> None:
            await asyncio.Event().wait()

    house = House(workspace, store=Hanging(), limits=Limits(interrupt_seconds=0.05))
    house.upstreams["vertex_claude"].plays = [silence]
    async with house.client() as client:
        task = asyncio.create_task(client.call_tool("chat", {"prompt": "Hello?"}))
        await house.upstreams["vertex_claude"].asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await asyncio.wait_for(client.call_tool("version"), 5)).is_error is False
