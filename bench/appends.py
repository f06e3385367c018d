"""What two processes do to one thread: `python -m bench.appends [WHERE] [--turns 1000]`; exit 1 when anything is lost, or slow.

WHERE is the path of a database or a URL, as bench.store.open_store takes it, or `redis`; without it, a file in a folder of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from bench.report import Report
from bench.store import WHERE, answer, in_processes, open_store, place, said, user
from conversation.errors import ThreadConflict
from conversation.threads import Thread, ThreadStore

_BARE_S = 1.0


async def _append(store: ThreadStore, thread_id: str, name: str, turns: int) -> tuple[float, float]:
    """Append so many turns, each after the one before is stored, and return when that began and ended (time.time)."""
    began = time.time()
    for number in range(turns):
        await store.append(thread_id, answer(f"{name}/{number}"), uid=f"{name}/{number}")
    return began, time.time()


async def _append_once(store: ThreadStore, thread_id: str, name: str) -> list[tuple[int, str]]:
    """Append five times under one uid, each time with other words, and return what came back."""
    turns = [await store.append(thread_id, answer(f"{name}/{number}"), uid="the one") for number in range(5)]
    return [(turn.seq, turn.content) for turn in turns]


async def _guarded(store: ThreadStore, thread_id: str, name: str, expected_seq: int) -> str:
    """Try an exchange that counts on the thread standing still, and return what became of it."""
    try:
        started = await store.begin(user(name), workspace="/bench", thread_id=thread_id, expected_seq=expected_seq)
    except ThreadConflict as error:
        return error.code
    await store.complete(started.exchange_id, [answer(f"{name}!")])
    return name


async def _exchanges(store: ThreadStore, thread_id: str, name: str, count: int) -> list[tuple[float, str]]:
    """Land so many exchanges of two answers, and return when each was complete."""
    done: list[tuple[float, str]] = []
    for number in range(count):
        text = f"{name}/{number}"
        started = await store.begin(user(text), workspace="/bench", thread_id=thread_id)
        await asyncio.sleep(0.002)  # the time in which the other begins one too
        turns = await store.complete(started.exchange_id, [answer(f"{text}!"), answer(f"{text}?")])
        done.append((turns[0].seq, text))
    return done


class Trial:
    """The measurements over one store. Every check loads the thread anew."""

    def __init__(self, where: str, report: Report, *, least: int) -> None:
        self._where, self._report, self._least = where, report, least

    def run(self, turns: int) -> None:
        """Do all of them."""
        self._appends(turns)
        self._one_uid()
        self._one_winner()
        self._whole_exchanges()

    def _new(self) -> str:
        async def make() -> str:
            store = open_store(self._where)
            try:
                return await said(store, "start")
            finally:
                await store.aclose()

        return asyncio.run(make())

    def _thread(self, thread_id: str) -> Thread:
        async def load() -> Thread:
            store = open_store(self._where)
            try:
                return await store.load(thread_id)
            finally:
                await store.aclose()

        return asyncio.run(load())

    def _appends(self, turns: int) -> None:
        thread_id = self._new()
        times = in_processes(self._where, _append, [(thread_id, name, turns) for name in ("a", "b")])
        there = self._thread(thread_id).turns
        kept = [turn.content for turn in there[2:]]
        numbered = [turn.seq for turn in there] == list(range(1, 2 * turns + 3))
        ordered = all([one for one in kept if one.startswith(name)] == [f"{name}/{n}" for n in range(turns)] for name in ("a", "b"))
        figure = f"turns of two processes x {turns:,} on one thread"
        self._report.row(figure, f"{len(kept):,}", "all, each's in order", numbered and ordered)
        rate = 2 * turns / (max(end for _, end in times) - min(began for began, _ in times))
        self._report.row("durable turns per second", f"{rate:.0f}{self._bare()}", f">= {self._least}", rate >= self._least)

    def _bare(self) -> str:
        """What the disk takes with nothing in between: 4 KB written and synced, again and again, one after the other."""
        if "://" in self._where:
            return ""
        with tempfile.NamedTemporaryFile(dir=Path(self._where).parent) as file:
            ends = time.perf_counter() + _BARE_S
            times = 0
            while time.perf_counter() < ends:
                file.write(b"x" * 4096)
                file.flush()
                os.fdatasync(file.fileno())
                times += 1
        return f" (the bare disk: {times / _BARE_S:.0f} writes)"

    def _one_uid(self) -> None:
        thread_id = self._new()
        answers = [one for many in in_processes(self._where, _append_once, [(thread_id, "a"), (thread_id, "b")]) for one in many]
        kept = self._thread(thread_id).turns[2:]
        met = len(kept) == 1 and set(answers) == {(3, kept[0].content)} and len(answers) == 10
        self._report.row("one uid sent ten times", f"{len(kept)} turns", "1, which all get back", met)

    def _one_winner(self) -> None:
        rounds = [in_processes(self._where, _guarded, [(thread, "a", 2), (thread, "b", 2)]) for thread in (self._new() for _ in range(5))]
        good = sum(sorted(found) in (["a", "thread_conflict"], ["b", "thread_conflict"]) for found in rounds)
        self._report.row("two writers with the same expected_seq", f"{good} of {len(rounds)}", "one wins each time", good == len(rounds))

    def _whole_exchanges(self) -> None:
        thread_id, count = self._new(), 50
        done = [one for many in in_processes(self._where, _exchanges, [(thread_id, name, count) for name in ("a", "b")]) for one in many]
        turns = self._thread(thread_id).turns[2:]
        whole = [tuple(turn.content for turn in turns[at : at + 3]) for at in range(0, len(turns), 3)]
        asked = [text for _, text in sorted(done)]
        met = len(done) == 2 * count and whole == [(text, f"{text}!", f"{text}?") for text in asked]
        self._report.row("exchanges of two processes at once", f"{len(whole)}", "each whole, in order of completion", met)


def main() -> int:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m bench.appends", description="Two processes on one thread of a store.")
    parser.add_argument("where", nargs="?", help=WHERE)
    parser.add_argument("--turns", type=int, default=1000, help="that each of the two appends (1000)")
    parser.add_argument("--least", type=int, default=500, help="durable turns per second (500)")
    asked = parser.parse_args()
    report = Report()
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as folder, ExitStack() as stack:
        Trial(place(asked.where, Path(folder), stack), report, least=asked.least).run(asked.turns)
    return 0 if all(row["met"] for row in report.rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
