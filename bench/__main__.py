"""Run the measurements: `python -m bench [name …]`; exit 1 when a bound is missed. All upstreams are simulated."""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from pathlib import Path
from statistics import median

from bench.client import RpcClient, server
from bench.gateway import router, shims
from bench.panel import consensus, review
from bench.recall import recall, recall_by_meaning
from bench.redis import redis
from bench.remember import remember
from bench.report import Report, milliseconds
from bench.setting import HERE, PARLEY, PYTHON, Setting, bare_call, dump, plain_environment, resident_megabytes, simulated
from bench.together import together
from bench.window import window

CLAUDE = "vertex_claude/claude-sonnet-4-6"


def percentile(values: list[float], part: float) -> float:
    """Return the value that `part` of the values do not exceed."""
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


async def _start_seconds(command: list[str], env: dict[str, str]) -> float:
    began = time.perf_counter()
    async with server(command, env) as client:
        await client.initialize()
        return time.perf_counter() - began


async def start(setting: Setting, report: Report) -> None:
    """Start to `initialize`, against a bare mcp server; the two take turns."""
    ours: list[float] = []
    bare: list[float] = []
    env = setting.server_env("start")
    for _ in range(11):
        bare.append(await _start_seconds([PYTHON, str(HERE / "bare_server.py")], plain_environment(setting.folder)))
        ours.append(await _start_seconds([PARLEY, "serve"], env))
    ratio = median(ours) / median(bare)
    value = f"{ratio:.2f} x ({median(ours) * 1000:.0f} / {median(bare) * 1000:.0f} ms)"
    report.row("start to initialize, against a bare mcp server", value, "<= 1.2 x", ratio <= 1.2)


async def memory(setting: Setting, report: Report) -> None:
    """Memory of an idle server that has listed its tools, against a bare one."""
    async with (
        server([PYTHON, str(HERE / "bare_server.py")], plain_environment(setting.folder)) as bare,
        server([PARLEY, "serve"], setting.server_env("memory")) as ours,
    ):
        for client in (bare, ours):
            await client.initialize()
            await client.call("tools/list")
        sizes = resident_megabytes(ours.pid), resident_megabytes(bare.pid)
    ratio = sizes[0] / sizes[1]
    report.row(
        "memory when idle, against a bare mcp server", f"{ratio:.2f} x ({sizes[0]:.0f} / {sizes[1]:.0f} MB)", "<= 1.3 x", ratio <= 1.3
    )


async def context(setting: Setting, report: Report) -> None:
    """What all tools cost a model's context: names, descriptions and input schemas as JSON."""
    async with server([PARLEY, "serve"], setting.server_env("context")) as client:
        await client.initialize()
        tools = (await client.call("tools/list"))["tools"]
    parts = [{key: tool.get(key) for key in ("name", "description", "inputSchema")} for tool in tools]
    size = len(json.dumps(parts, separators=(",", ":")).encode())
    report.row("names, descriptions and input schemas of all tools", f"{size} bytes, {len(tools)} tools", "<= 16384 bytes", size <= 16384)


async def overhead(setting: Setting, report: Report) -> None:
    """Own cost of a warm chat on each provider over the bare upstream call."""
    models = [CLAUDE, "vertex_gemini/gemini-3.1-pro-preview", "github_models/openai/gpt-4.1", "openrouter/openai/gpt-4o"]
    async with server([PARLEY, "serve"], setting.server_env("overhead")) as client:
        await client.initialize()
        for model in models:
            await milliseconds(lambda model=model: client.tool("chat", prompt="hello", model=model), 5)
        await milliseconds(lambda: bare_call(setting), 5)
        bare = median(await milliseconds(lambda: bare_call(setting), 60))
        for model in models:
            ours = median(await milliseconds(lambda model=model: client.tool("chat", prompt="hello", model=model), 60))
            own = ours - bare
            report.row(f"own cost of a warm chat: {model}", f"{own:.1f} ms ({ours:.1f} - {bare:.1f})", "<= 15 ms", own <= 15)


async def _pings(client: RpcClient, stop: asyncio.Event) -> list[float]:
    taken: list[float] = []
    while not stop.is_set():
        taken += await milliseconds(lambda: client.call("ping"), 1)
        await asyncio.sleep(0.01)
    return taken


async def concurrent(setting: Setting, report: Report) -> None:
    """Four chats at once on a slow upstream, with pings throughout; the first round also imports LiteLLM."""
    models = [CLAUDE, "vertex_gemini/gemini-3.1-pro-preview", "github_models/openai/gpt-4.1", "openrouter/openai/gpt-4o"]
    for provider in ("vertex_claude", "vertex_gemini", "github_models", "openrouter"):
        await setting.control("rules", {"provider": provider, "text": "slow {provider}", "delay_s": 1.5})
    async with server([PARLEY, "serve"], setting.server_env("concurrent")) as client:
        await client.initialize()
        for name in ("cold, LiteLLM being imported", "warm"):
            stop = asyncio.Event()
            pinging = asyncio.create_task(_pings(client, stop))
            began = time.perf_counter()
            await asyncio.gather(*(client.tool("chat", prompt="hello", model=model) for model in models))
            taken = time.perf_counter() - began
            stop.set()
            pings = await pinging
            slow = percentile(pings, 0.95)
            report.row(f"ping at the 95th percentile, {name}", f"{slow:.1f} ms of {len(pings)}", "< 100 ms", slow < 100)
            if name == "warm":
                report.row("four chats at once on a 1.5 s upstream", f"{taken:.2f} s", "<= 2.5 s", taken <= 2.5)
    await setting.control("reset")


async def failover(setting: Setting, report: Report) -> None:
    """What passing a failing provider adds, warm: fallback to the second provider less a chat on it."""
    faults = {
        "refused": {"kind": "refuse"},
        "429": {"kind": "status", "status": 429},
        "503": {"kind": "status", "status": 503},
        "500": {"kind": "status", "status": 500},
    }
    chain = ["vertex_claude", "github_models"]
    env = setting.server_env("failover", PARLEY_BREAKER_FAILURES="100000")
    async with server([PARLEY, "serve"], env) as client:
        await client.initialize()
        await client.tool("fallback", prompt="hello", chain=chain)
        plain = median(await milliseconds(lambda: client.tool("chat", prompt="hello", model="github_models/openai/gpt-4.1"), 30))
        for name, fault in faults.items():
            await setting.control("faults", {"provider": "vertex_claude", **fault})
            await client.tool("fallback", prompt="hello", chain=chain)
            passed = median(await milliseconds(lambda: client.tool("fallback", prompt="hello", chain=chain), 30)) - plain
            report.row(f"failover adds, warm: {name}", f"{passed:.1f} ms", "<= 200 ms", passed <= 200)
            await setting.control("reset")


async def breaker(setting: Setting, report: Report) -> None:
    """What passing a silent provider costs once its breaker is open."""
    chain = ["vertex_claude", "github_models"]
    env = setting.server_env("breaker", PARLEY_BREAKER_FAILURES="1", PARLEY_BREAKER_OPEN_SECONDS="600", PARLEY_FIRST_BYTE_TIMEOUT="0.5")
    async with server([PARLEY, "serve"], env) as client:
        await client.initialize()
        await client.tool("fallback", prompt="hello", chain=chain)
        plain = median(await milliseconds(lambda: client.tool("chat", prompt="hello", model="github_models/openai/gpt-4.1"), 30))
        await setting.control("faults", {"provider": "vertex_claude", "kind": "hang_after_headers"})
        await client.tool("fallback", prompt="hello", chain=chain)
        passed = median(await milliseconds(lambda: client.tool("fallback", prompt="hello", chain=chain), 30)) - plain
    report.row("passing a silent provider, breaker open", f"{passed:.1f} ms", "<= 20 ms", passed <= 20)
    await setting.control("reset")


_ALL = (
    start, together, memory, context, overhead, concurrent, failover, breaker, consensus, review, shims, router, redis, window, recall,
    recall_by_meaning, remember,
)  # fmt: skip
MEASUREMENTS = {one.__name__: one for one in _ALL}


async def _main(names: list[str], path: Path | None) -> int:
    report = Report()
    async with simulated() as setting:
        for name in names:
            await MEASUREMENTS[name](setting, report)
    if path is not None:
        dump(report.rows, path)
    return 0 if all(row["met"] for row in report.rows) else 1


def main() -> int:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure Parley; every upstream is simulated.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(MEASUREMENTS)} (all)")
    parser.add_argument("--json", type=Path, help="write the rows there as well")
    asked = parser.parse_args()
    unknown = [name for name in asked.names if name not in MEASUREMENTS]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}")
    return asyncio.run(_main(asked.names or list(MEASUREMENTS), asked.json))


if __name__ == "__main__":
    raise SystemExit(main())
