"""The tools over the durable store: threads outlive the server."""

from __future__ import annotations

import asyncio
from pathlib import Path

import anyio

from memory.sqlite import SqliteThreadStore
from tests.tools.house import House, silence


async def test_a_thread_goes_on_after_the_server_was_closed_and_started_again(workspace: Path, parley_home: Path) -> None:
    (workspace / "a.py").write_text("ANSWER = 42\n")
    house = House(workspace, store=SqliteThreadStore(parley_home / "parley.db", ttl_days=None))
    first = await house.call("chat", {"prompt": "Name a colour", "model": "gemini", "files": ["a.py"]})
    await house.app.aclose()

    house = House(workspace, store=SqliteThreadStore(parley_home / "parley.db", ttl_days=None))
    second = await house.call("chat", {"prompt": "Again", "continuation_id": first["continuation_id"]})
    assert (second["turn"], second["provider"]) == (4, "vertex_gemini")
    received = house.received("vertex_gemini")
    for text in ("Name a colour", "I am vertex_gemini", "ANSWER = 42", "Again"):
        assert received.count(text) == 1
    (found,) = (await house.call("threads", {"action": "search", "query": "colour"}))["threads"]
    assert found["continuation_id"] == first["continuation_id"]
    await house.app.aclose()


async def test_two_servers_on_one_store_share_a_thread(workspace: Path, parley_home: Path) -> None:
    houses = [House(workspace, store=SqliteThreadStore(parley_home / "parley.db", ttl_days=None)) for _ in range(2)]
    thread = (await houses[0].call("chat", {"prompt": "1"}))["continuation_id"]
    answers = await asyncio.gather(*(house.call("chat", {"prompt": "x", "continuation_id": thread}) for house in houses * 3))
    assert sorted(answer["turn"] for answer in answers) == list(range(4, 16, 2))
    for house in houses:
        await house.app.aclose()


async def test_a_call_that_is_cancelled_stands_as_interrupted(workspace: Path, parley_home: Path) -> None:
    house = House(workspace, store=SqliteThreadStore(parley_home / "parley.db", ttl_days=None))
    house.upstreams["vertex_claude"].plays = [silence]
    async with house.client() as client:
        call = asyncio.create_task(client.call_tool("chat", {"prompt": "Hello?"}))
        await house.upstreams["vertex_claude"].asked.wait()
        call.cancel()
        with anyio.fail_after(5):
            while not (states := await turn_states(house)) or states == ["pending"]:
                await anyio.lowlevel.checkpoint()
    assert states == ["interrupted"]
    assert house.upstreams["vertex_claude"].open == 0
    await house.app.aclose()


async def turn_states(house: House) -> list[str]:
    (summary,) = await house.store.list(workspace=None)
    return [turn.state for turn in (await house.store.load(summary.id)).turns]
