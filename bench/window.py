"""Long threads: what an exchange begins with of 10,000 turns, for a model of 200,000 tokens, in each durable store."""

from __future__ import annotations

import time
from statistics import median

from bench.redis import redis_server
from bench.report import Report
from bench.setting import Setting
from bench.store import answer, open_store, user
from conversation.summaries import SUMMARY_TOOL
from conversation.threads import ThreadStore, Turn
from providers.base import ModelInfo
from tools.limits import Limits
from tools.past import recent

TURNS = 10_000
WORDS = "Two of the writers hold the lock for as long as the third one waits. " * 14
ROUNDS, TIMES = 5, 10
_MODEL = ModelInfo(provider="p", id="m", context_window=200_000, max_output=8_192)


async def window(setting: Setting, report: Report) -> None:
    """Begin exchanges on a long thread and on a short one, and load the long one whole."""
    with redis_server(setting.folder / "window") as url:
        for name, where in (("SQLite", str(setting.folder / "window.db")), ("Redis", url)):
            store = open_store(where)
            try:
                await _measure(store, name, report)
            finally:
                await store.aclose()


async def _measure(store: ThreadStore, name: str, report: Report) -> None:
    short, long = await store.restore(_turns(2), workspace="/bench"), await store.restore(_turns(TURNS), workspace="/bench")
    notes = answer("Notes. " * 500).model_copy(update={"tool": SUMMARY_TOOL, "meta": {"upto": TURNS - 200, "tokens": 4_096}})
    await store.append(long, notes, uid="notes")
    size = recent([_MODEL], Limits())
    taken: dict[str, list[float]] = {short: [], long: []}
    for _ in range(ROUNDS):  # in turns, since the machine's speed drifts
        for thread_id, medians in taken.items():
            medians.append(median([await _begin(store, thread_id, size) for _ in range(TIMES)]))
    began = time.perf_counter()
    whole = len((await store.load(long)).turns)
    loading = (time.perf_counter() - began) * 1000
    begun = await store.begin(user("And now?"), workspace="/bench", thread_id=long, recent=size)
    shown = len(begun.thread.turns)
    plain, ours = min(taken[short]), min(taken[long])
    figure = f"{ours - plain:.1f} ms for {shown:,} turns ({ours:.1f} - {plain:.1f}; all {whole:,}: {loading:.0f} ms)"
    report.row(f"{name}: the window of a thread of {TURNS:,} turns, loaded", figure, "<= 10 ms", ours - plain <= 10)


async def _begin(store: ThreadStore, thread_id: str, size: int) -> float:
    """Begin an exchange, and return the milliseconds it took."""
    began = time.perf_counter()
    started = await store.begin(user("And now?"), workspace="/bench", thread_id=thread_id, recent=size)
    taken = (time.perf_counter() - began) * 1000
    await store.interrupt(started.exchange_id)
    return taken


def _turns(count: int) -> list[Turn]:
    whose = ("user", "assistant")
    return [
        Turn(role=whose[number % 2], content=f"{number}: {WORDS}", uid="", seq=number + 1, exchange_id="", state="done", at="")
        for number in range(count)
    ]
