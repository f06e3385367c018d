"""The part of the demo that remembers: told in one process, contradicted in another, and asked in a third after a kill."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from mcp import Client

from simulator import ThreadedSimulator

OLD = "The job queue runs on PostgreSQL, because LISTEN/NOTIFY saves a second broker."
NEW = "The job queue runs on Redis Streams now, no longer on PostgreSQL, since it has to hold 5,000 jobs a second."
OLD_FACT = "The job queue runs on PostgreSQL"
NEW_FACT = "The job queue runs on Redis Streams"
QUESTION = "Where does our job queue run?"
_ANSWER = 'My notes say: "{quote:The job queue runs on [A-Z][A-Za-z]+ ?[A-Za-z]*}". (simulated)'
_SECONDS = 60.0
Call = Callable[..., Any]


class Stage(Protocol):
    """What the demo plays on."""

    @property
    def sim(self) -> ThreadedSimulator: ...
    def server(self) -> AbstractAsyncContextManager[tuple[Client, int]]: ...


def script(sim: ThreadedSimulator) -> None:
    """Tell the simulated models what to find in the two notes, and what to answer."""
    sim.extractions(
        [
            {
                "body": OLD,
                "entities": ["job queue", "PostgreSQL"],
                "facts": [{"source": "job queue", "name": "RUNS_ON", "target": "PostgreSQL", "fact": OLD_FACT}],
            },
            {
                "body": NEW,
                "entities": ["job queue", "Redis Streams"],
                "facts": [
                    {"source": "job queue", "name": "RUNS_ON", "target": "Redis Streams", "fact": NEW_FACT, "contradicts": [OLD_FACT]}
                ],
            },
        ]
    )
    sim.rule("vertex_gemini", _ANSWER, match_last_user=QUESTION)


async def play(stage: Stage, call: Call, tell: Callable[[str, str], None], show: Callable[[Mapping[str, Any]], None]) -> dict[str, bool]:
    """Play the part; return what it has to show, and whether it did."""
    print("\n8. A decision is remembered. A model (simulated) finds the facts in it, in a process of its own.")
    async with stage.server() as (client, _):
        await call(client, "add_memory", name="Job queue", episode_body=OLD)
        tell("you", f"Remember: {OLD}")
        first = await _until(client, call, lambda status: status["queue"]["done"] == 1)
        tell("memory", f"[read by process {first['owner']}]")
    print("\n9. Another server is told that it is no longer so; what reads it is killed with -9 while it does, and the server ends.")
    stage.sim.fault("vertex_claude", "hang_before_headers")
    async with stage.server() as (client, _):
        await call(client, "add_memory", name="Job queue, again", episode_body=NEW)
        tell("you", f"Remember: {NEW}")
        reading = await _until(client, call, lambda status: status["queue"]["running"] == 1 and status["owner"])
    os.kill(reading["owner"], signal.SIGKILL)
    tell("", f"[killed: process {reading['owner']}]")
    stage.sim.clear_faults()
    print("\n10. A third server sees to it that it is read after all, and answers.")
    async with stage.server() as (client, _):
        began = time.monotonic()
        await call(client, "get_status")
        again = await _until(client, call, lambda status: status["queue"]["done"] == 2)
        tell("memory", f"[read by process {again['owner']}, {time.monotonic() - began:.1f} s after the server began]")
        found = await call(client, "search_memory_facts", query=QUESTION, include_superseded=True)
        for fact in found["facts"]:
            tell("memory", _line(fact))
        current = await call(client, "search_memory_facts", query=QUESTION)
        tell("you", f"{QUESTION} (with use_memory)")
        answer = await call(client, "chat", prompt=QUESTION, model="gemini", use_memory=True)
        show(answer)
    os.kill(again["owner"], signal.SIGTERM)
    return _checks(found["facts"], current["facts"], answer, reading["owner"], again["owner"])


def _line(fact: Mapping[str, Any]) -> str:
    state = f"superseded {fact['invalid_at'][:10]}" if fact["superseded"] else "current"
    told = "; ".join(f'"{one["name"]}", {one["created_at"][:16]}' for one in fact["sources"])
    return f"{fact['fact']} [{state}; from {told}]"


def _checks(found: list[Any], current: list[Any], answer: Mapping[str, Any], killed: int, after: int) -> dict[str, bool]:
    shown = {fact["fact"]: (fact["superseded"], [one["name"] for one in fact["sources"]]) for fact in found}
    return {
        "the memory outlived kill -9 of what reads": killed != after and len(found) == 2,
        "the old fact is marked as superseded, the new one is not": shown
        == {OLD_FACT: (True, ["Job queue"]), NEW_FACT: (False, ["Job queue, again"])},
        "what is no longer true is left out unless asked for": [fact["fact"] for fact in current] == [NEW_FACT],
        "a model answered from the memory": NEW_FACT in answer["content"],
    }


async def _until(client: Client, call: Call, holds: Callable[[Any], Any]) -> Any:
    """Return the status of the memory once it is so. Raises RuntimeError when that takes too long."""
    until = time.monotonic() + _SECONDS
    while not holds(status := await call(client, "get_status")):
        if time.monotonic() > until:
            raise RuntimeError(f"the memory is not that far after {_SECONDS:.0f} s: {status['message']}")
        await asyncio.sleep(0.1)
    return status
