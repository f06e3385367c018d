"""The memory under kill -9: `python -m bench.memory_kills [--episodes 200]`; exit 1 when something is lost, doubled or stuck.

Four servers are told episodes over MCP, each in a group of its own, and are killed at random, as is whatever reads the episodes. One
episode is poison: the simulated model never answers with what is asked for. In the end every episode that was acknowledged has to be
there once, read, failed with its reason, or queued, and in the graph nothing may be twice and nothing without an episode.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
import time
import uuid
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from bench.client import server
from bench.report import Report
from bench.setting import PARLEY, Setting, simulated
from cli.memory import graph_config
from graph.config import QUIET_ENVIRONMENT
from graph.inbox import Inbox
from graph.ownership import owner
from memory._sql import Sql

CLIENTS = 4
POISON = "poisonous words"
_DRAIN_SECONDS = 420.0
_LIFE_OF_A_CLIENT, _LIFE_OF_A_DRAINER, _BETWEEN_NOTES = (0.4, 4.0), (2.0, 6.0), (0.0, 0.8)
"""Seconds, from and to."""
_KILLING_SECONDS = 40.0
"""How long what reads is still killed after all was told."""


@dataclass
class Run:
    """One run and what was seen in it."""

    setting: Setting
    env: dict[str, str]
    dice: random.Random
    told: dict[str, str] = field(default_factory=dict[str, str])
    """By uuid, the bodies that were acknowledged."""
    killed: Counter[str] = field(default_factory=Counter[str])
    waits: list[float] = field(default_factory=list[float])
    """Seconds from the death of a drainer to the next one."""

    @property
    def home(self) -> Path:
        return Path(self.env["PARLEY_HOME"])

    async def tell(self, number: int, count: int) -> None:
        """Have a group told so many episodes, by servers that are killed."""
        bodies = [f"Person{number}x{one} maintains Service{number}x{one}." for one in range(count)]
        if number == 0:
            bodies[count // 2] = f"Person0 says {POISON} to Service0."
        left = {str(uuid.uuid4()): body for body in bodies}
        while left:
            with suppress(asyncio.CancelledError, ConnectionError, BrokenPipeError):
                await self._tell_some(f"group{number}", left)

    async def _tell_some(self, group: str, left: dict[str, str]) -> None:
        async with server([PARLEY, "serve"], self.env) as client:
            killing = asyncio.get_running_loop().call_later(self.dice.uniform(*_LIFE_OF_A_CLIENT), self._kill, client.pid, "client")
            try:
                await client.initialize()
                for one, body in list(left.items()):
                    await client.tool("add_memory", name="A note", episode_body=body, group_id=group, uuid=one)
                    self.told[one] = left.pop(one)
                    await asyncio.sleep(self.dice.uniform(*_BETWEEN_NOTES))
            finally:
                killing.cancel()

    async def kill_drainers(self) -> None:
        """Kill whatever reads the episodes, again and again."""
        lock = graph_config(self.env, self.home).lock
        died: float | None = None
        until = time.monotonic() + self.dice.uniform(*_LIFE_OF_A_DRAINER)
        while True:
            await asyncio.sleep(0.02)
            pid = owner(lock)
            if pid and died is not None:
                self.waits.append(time.monotonic() - died)
                died = None
            if pid and time.monotonic() > until:
                self._kill(pid, "drainer")
                died, until = time.monotonic(), time.monotonic() + self.dice.uniform(*_LIFE_OF_A_DRAINER)

    def _kill(self, pid: int, what: str) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            self.killed[what] += 1

    async def drained(self) -> None:
        """Wait, with one server that lives, until nothing is queued, and have the drainer end."""
        inbox = Inbox(self.home / "memory.db")
        until = time.monotonic() + _DRAIN_SECONDS
        async with server([PARLEY, "serve"], self.env) as client:
            await client.initialize()
            await client.tool("get_status")
            while await inbox.waiting() is not None and time.monotonic() < until:
                await asyncio.sleep(0.5)
        await inbox.aclose()
        lock = graph_config(self.env, self.home).lock
        if pid := owner(lock):
            os.kill(pid, signal.SIGTERM)
        while owner(lock) is not None:
            await asyncio.sleep(0.1)

    async def report(self, report: Report) -> None:
        """Say what is there."""
        inbox = Inbox(self.home / "memory.db")
        rows = await inbox.episodes(None, sys.maxsize)
        doubled = await inbox.database.run(_doubled, write=False)
        await inbox.aclose()
        states = Counter(row.state for row in rows)
        report.row("episodes acknowledged", f"{len(self.told)}", "all", True)
        report.row("killed: clients, drainers", f"{self.killed['client']}, {self.killed['drainer']}", "some", all(self.killed.values()))
        counts = ", ".join(str(states[one]) for one in _STATES)
        report.row("in the end: done, failed, queued, running", counts, "none running", not states["running"])
        lost = [one for one in self.told if one not in {row.uuid for row in rows}]
        report.row("lost, twice", f"{len(lost)}, {len(rows) - len({row.uuid for row in rows})}", "0, 0", not lost)
        failed = [row for row in rows if row.state == "failed"]
        poison = [row for row in failed if POISON in row.body]
        tries = f"{len(poison)} after {poison[0].tries if poison else 0} tries"
        report.row("poison failed with its reason", tries, "1", len(poison) == 1 and bool(poison[0].error))
        report.row("others that failed", f"{len(failed) - len(poison)}", "0", len(failed) == len(poison))
        report.row("facts, entities twice in what is searched", doubled, "0, 0", doubled == "0, 0")
        graph = await _in_the_graph(self.home)
        report.row("in the graph: facts twice, entities twice, orphans", graph, "0, 0, 0", graph == "0, 0, 0")
        slowest = max(self.waits, default=0.0)
        report.row("a killed drainer was replaced after", f"{slowest:.1f} s at most, {len(self.waits)} times", "<= 10 s", slowest <= 10)


_STATES = ("done", "failed", "queued", "running")


def _doubled(sql: Sql) -> str:
    facts = "SELECT count(*) FROM (SELECT 1 FROM facts GROUP BY group_id, fact HAVING count(*) > 1)"
    names = "SELECT count(*) FROM (SELECT 1 FROM entities GROUP BY group_id, name HAVING count(*) > 1)"
    return ", ".join(str(sql.execute(one).fetchone()[0]) for one in (facts, names))


async def _in_the_graph(home: Path) -> str:
    import kuzu

    connection = kuzu.Connection(kuzu.Database(str(home / "graph" / "1")))
    counts: list[str] = []
    for query in (
        "MATCH (n:RelatesToNode_) WITH n.group_id AS g, n.fact AS f, count(*) AS c WHERE c > 1 RETURN count(*)",
        "MATCH (n:Entity) WITH n.group_id AS g, n.name AS f, count(*) AS c WHERE c > 1 RETURN count(*)",
        "MATCH (n:Entity) WHERE NOT EXISTS { MATCH (e:Episodic)-[:MENTIONS]->(n) } RETURN count(*)",
    ):
        result = connection.execute(query)
        assert not isinstance(result, list)
        counts.append(str(next(iter(result.get_next()))))
    return ", ".join(counts)


async def _main(episodes: int, seed: int) -> int:
    os.environ.update(QUIET_ENVIRONMENT)
    report = Report()
    async with simulated() as setting:
        await setting.control("odd_extractions", {"odd_extractions": [{"kind": "prose", "times": None, "match": POISON}]})
        run = Run(setting, setting.server_env("kills"), random.Random(seed))
        killing = asyncio.create_task(run.kill_drainers())
        await asyncio.gather(*(run.tell(number, episodes // CLIENTS) for number in range(CLIENTS)))
        await asyncio.sleep(_KILLING_SECONDS)
        killing.cancel()
        await run.drained()
        await run.report(report)
    print(f"seed {seed}")
    return 0 if all(row["met"] for row in report.rows) else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    arguments = parser.parse_args()
    raise SystemExit(asyncio.run(_main(arguments.episodes, arguments.seed)))
