"""Panels and reviews: how long beside their models they take, and what a large review costs before it begins."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Any

from bench.client import server
from bench.report import Report, milliseconds
from bench.setting import PARLEY, Setting, bare_call

GEMINI, GPT, ROUTER = "vertex_gemini/gemini-3.1-pro-preview", "github_models/openai/gpt-4.1", "openrouter/openai/gpt-4o"
PANEL = ["vertex_claude/claude-sonnet-4-6", GEMINI, GPT, ROUTER]
JUDGE = "openrouter/openai/gpt-4.1"
OUTCOME = {"agreements": [], "disagreements": [], "recommendation": "Yes.", "confidence": "low", "confidence_reason": "It is simulated."}
FILES = 2_000


async def consensus(setting: Setting, report: Report) -> None:
    """A panel of four: on a slow upstream with a judge who answers at once, and its own cost where all answer at once."""
    async with server([PARLEY, "serve"], setting.server_env("consensus")) as client:
        await client.initialize()
        await setting.control("rules", {"provider": "openrouter", "model": "openai/gpt-4.1", "text": json.dumps(OUTCOME)})

        async def ask() -> None:
            answer = await client.tool("consensus", prompt="hello", models=PANEL, synthesizer=JUDGE)
            if len(answer["answers"]) != 4 or answer["recommendation"] != "Yes.":
                raise RuntimeError(f"not a whole panel: {answer}")

        await milliseconds(ask, 3)
        await milliseconds(lambda: bare_call(setting), 5)
        bare = median(await milliseconds(lambda: bare_call(setting), 30))
        ours = median(await milliseconds(ask, 30))
        own = ours - 2 * bare
        report.row("own cost of a panel of four and its judge", f"{own:.1f} ms ({ours:.1f} - 2 x {bare:.1f})", "<= 50 ms", own <= 50)
        for name in ("vertex_claude", "vertex_gemini", "github_models", "openrouter"):
            await setting.control("rules", {"provider": name, "text": "slow", "delay_s": 1.5})
        seconds = median(await milliseconds(ask, 3)) / 1000
        report.row("panel of four models at 1.5 s each", f"{seconds:.2f} s", "<= 2.2 s", seconds <= 2.2)
    await setting.control("reset")


def _large_repository(folder: Path) -> None:
    for n in range(FILES):
        path = folder / f"package_{n // 50:02}" / f"module_{n:04}.py"
        path.parent.mkdir(exist_ok=True, parents=True)
        functions = (f"def function_{n}_{line}(value):\n    return value + {line}\n\n\n" for line in range(15))
        path.write_text("".join(functions), encoding="utf-8")


def _peak_megabytes(pid: int) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


async def _requests(setting: Setting) -> int:
    return (await setting.state())["totals"].get("vertex_claude", 0)


async def until_asked(work: asyncio.Task[Any], requests: Callable[[], Awaitable[int]]) -> None:
    """Return once the work has asked its upstream. Raises what the work raises when it fails before that."""
    while not await requests():
        if work.done():
            await work
            raise RuntimeError("the work ended, and its upstream was never asked")
        await asyncio.sleep(0.005)


async def review(setting: Setting, report: Report) -> None:
    """A review of a large repository by a warm server: when its first request is at the upstream, and the most memory it took."""
    folder = setting.folder / "repository"
    _large_repository(folder)
    await setting.control("rules", {"provider": "vertex_claude", "text": '{"issues": [], "summary": ""}'})
    env = setting.server_env("review", PARLEY_WORKSPACE_ROOTS=str(folder))
    async with server([PARLEY, "serve"], env) as client:
        await client.initialize()
        await client.tool("chat", prompt="hello", model=PANEL[0])
        await setting.control("reset", {"parts": ["log"]})
        began = time.perf_counter()
        reviewing = asyncio.create_task(client.tool("codereview", paths=[str(folder)], models=[PANEL[0]]))
        await until_asked(reviewing, lambda: _requests(setting))
        first = time.perf_counter() - began
        answer = await reviewing
        seconds, peak = time.perf_counter() - began, _peak_megabytes(client.pid)
    value = f"{first:.2f} s (all {seconds:.1f} s, {FILES - len(answer['skipped']):,} files)"
    report.row(f"review of {FILES:,} files: first request upstream", value, "<= 1 s", first <= 1)
    report.row(f"review of {FILES:,} files: most memory", f"{peak:.0f} MB", "<= 300 MB", peak <= 300)
    await setting.control("reset")
