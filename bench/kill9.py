"""Writers that are killed: `python -m bench.kill9 [WHERE] [--rounds 500]`; exit 1 when an exchange is lost that was said to be stored.

In every round four processes land exchanges, in turn on a thread that all share and on one of their own, and tell each one that is
stored. They are killed with SIGKILL at random moments. Then everything that was told has to be there, and nothing in halves.
WHERE is the path of a database or a URL, as bench.store.open_store takes it, or `redis`; without it, a file in a folder of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import groupby
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from bench.report import Report
from bench.store import WHERE, open_store, place, said
from bench.writer import write
from conversation.threads import Thread, Turn
from memory.checkup import examine

WRITERS = 4
_LONGEST_S = 0.3
"""Of a writer's life after it has opened the store."""
_HASTY = 0.15
"""How many are killed before, or while they do so."""
_PATIENCE_S = 30.0
_ROUNDS_A_THREAD = 10
"""After which there are new ones, so that a round takes as long in the end as in the beginning."""


# Writers are forked from a process that has imported all they need, and has opened nothing: so they write from the first moment on.
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload(["bench.writer", "apsw"])


@dataclass
class Run:
    """The rounds over one store, and what was seen in them."""

    where: str
    seed: random.Random
    told: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict[str, set[str]](set))
    """By thread, the exchanges that are stored as their writers said."""
    threads: list[str] = field(default_factory=list[str])
    """The shared one, and one for each writer."""
    problems: list[str] = field(default_factory=list[str])

    def round(self, number: int) -> None:
        """Start the writers, kill them, and look at what they left."""
        if number % _ROUNDS_A_THREAD == 0:
            self.threads = asyncio.run(self._new_threads())
        for thread_id, text in self._killed(number):
            self.told[thread_id].add(text)
        asyncio.run(self.check(self.threads))
        if number % _ROUNDS_A_THREAD == 0:
            self.look_at_file()

    async def _new_threads(self) -> list[str]:
        store = open_store(self.where)
        try:
            return [await said(store, "start") for _ in range(WRITERS + 1)]
        finally:
            await store.aclose()

    def _killed(self, number: int) -> list[tuple[str, str]]:
        """Return what writers told before they were killed, each at a moment of its own."""
        living: list[tuple[BaseProcess, Connection]] = []
        for writer in range(WRITERS):
            reading, writing = _processes.Pipe(duplex=False)
            own = (self.where, (self.threads[0], self.threads[1 + writer]), f"{number}.{writer}", writing)
            process = _processes.Process(target=write, args=own)
            process.start()
            writing.close()
            living.append((process, reading))
        for _, reading in living:
            if self.seed.random() > _HASTY:
                reading.poll(_PATIENCE_S)  # it has opened the store
        began = time.monotonic()
        for end, process in sorted(((self.seed.uniform(0, _LONGEST_S), one) for one, _ in living), key=lambda one: one[0]):
            time.sleep(max(0.0, began + end - time.monotonic()))
            process.kill()
            process.join()
        return [one for _, reading in living for one in _all_of(reading) if one is not None]

    async def check(self, threads: Sequence[str]) -> list[Thread]:
        """Load threads, note what is wrong with them, and return them."""
        store = open_store(self.where)
        try:
            found = [await store.load(thread_id) for thread_id in threads]
        finally:
            await store.aclose()
        for thread in found:
            self._check(thread)
        return found

    def _check(self, thread: Thread) -> None:
        if [turn.seq for turn in thread.turns] != list(range(1, len(thread.turns) + 1)):
            self.problems.append(f"{thread.id}: its turns are not numbered one by one")
        whole: set[str] = set()
        for _, turns in groupby(thread.turns[2:], key=lambda turn: turn.exchange_id):
            exchange = list(turns)
            if _is_whole(exchange):
                whole.add(exchange[0].content)
            elif [(turn.role, turn.state) for turn in exchange] != [("user", "interrupted")]:
                self.problems.append(f"{thread.id}: {exchange[0].content} is neither whole nor interrupted")
        lost = self.told[thread.id] - whole
        self.problems += [f"{thread.id}: {text} is lost" for text in sorted(lost)]

    def look_at_file(self) -> None:
        """Note what is wrong with the file, if it is one."""
        if "://" not in self.where:
            found = examine(Path(self.where), seconds=None, locked_seconds=None)
            self.problems += [*found.damage, *([found.index] if found.index else [])]


def _is_whole(exchange: Sequence[Turn]) -> bool:
    text = exchange[0].content
    said = [(turn.role, turn.content, turn.state) for turn in exchange]
    return said == [("user", text, "done"), ("assistant", f"{text}!", "done"), ("assistant", f"{text}?", "done")]


def _all_of(pipe: Connection) -> list[tuple[str, str] | None]:
    """Return what was sent whole."""
    found: list[tuple[str, str] | None] = []
    with pipe:
        while True:
            try:
                found.append(pipe.recv())
            except (EOFError, OSError):  # the end, or the middle of a message of one that was killed
                return found


def trial(where: str, rounds: int, seed: int, report: Report) -> None:
    """Do the rounds, look at all of it once more, and report."""
    run = Run(where, random.Random(seed))
    for number in range(rounds):
        run.round(number)
    threads = asyncio.run(run.check(list(run.told)))
    run.look_at_file()
    asked = [turn for thread in threads for turn in thread.turns[2:] if turn.role == "user"]
    interrupted = sum(turn.state == "interrupted" for turn in asked)
    told = sum(map(len, run.told.values()))
    problems = list(dict.fromkeys(run.problems))
    for problem in problems[:20]:
        print(problem)
    value = f"{told:,} in {rounds} rounds, seed {seed}"
    report.row("exchanges told as stored by writers that were killed", value, "> 0", told > 0)
    report.row("of them lost, torn or in a damaged file", str(len(problems)), "0", not problems)
    untold = len(asked) - interrupted - told
    report.row("stored but not told, and interrupted", f"{untold}, {interrupted}", "", True)


def main() -> int:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m bench.kill9", description="Kill writers and look for what they said was stored.")
    parser.add_argument("where", nargs="?", help=WHERE)
    parser.add_argument("--rounds", type=int, default=500)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of the moments at which writers are killed (a new one)")
    asked = parser.parse_args()
    report = Report()
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as folder, ExitStack() as stack:
        trial(place(asked.where, Path(folder), stack), asked.rounds, asked.seed, report)
    return 0 if all(row["met"] for row in report.rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
