"""The HTTP shims: what they add to a bare relay of the same run, how many requests they take, what failover costs them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp

from bench.loopback import LONG
from bench.report import Report, milliseconds
from bench.setting import PARLEY, PYTHON, Setting, free_port, plain_environment

MODEL = "claude-sonnet-4-6"
SHIMS = ("router", "vertex_claude", "vertex_gemini", "github_models", "openrouter")
PATIENCE = 30.0
CONCURRENCY, REQUESTS = 32, 960
TURNS = 5
"""So often each figure is taken, in turns, and the best counts: the machine's speed drifts."""


@dataclass(frozen=True)
class Running:
    """A gateway: its process and where each shim is."""

    pid: int
    ports: Mapping[str, int]

    def url(self, shim: str) -> str:
        return f"http://127.0.0.1:{self.ports[shim]}/v1/messages"


def large_body(words: str, *, stream: bool) -> bytes:
    """A request of about 80 KB, as Claude Code sends them: most of it are tools, the same ones each time."""
    properties = {f"property_{n}": {"type": "string", "description": "some words on what it is for"} for n in range(8)}
    schema = {"type": "object", "properties": properties}
    tools = [{"name": f"tool_{n}", "description": "what it does. " * 180, "input_schema": schema} for n in range(22)]
    system = [{"type": "text", "text": "Be brief. " * 600}]
    messages = [{"role": "user", "content": [{"type": "text", "text": words}]}]
    body = {"model": MODEL, "max_tokens": 1_000, "stream": stream, "system": system, "tools": tools, "messages": messages}
    return json.dumps(body).encode()


def small_body() -> bytes:
    return json.dumps({"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}]}).encode()


@asynccontextmanager
async def process(*command: str, env: Mapping[str, str]) -> AsyncGenerator[int]:
    """Run a process until the block ends."""
    running = await asyncio.create_subprocess_exec(*command, env=dict(env), stderr=asyncio.subprocess.DEVNULL)
    try:
        yield running.pid
    finally:
        running.terminate()
        await running.wait()


@asynccontextmanager
async def gateway(setting: Setting, home: str, **extra: str) -> AsyncGenerator[Running]:
    """Run `parley up` and give it once every shim is ready."""
    ports = {shim: free_port() for shim in SHIMS}
    env = setting.server_env(home, PARLEY_BREAKER_FAILURES="100000", **extra)
    env.update({f"PARLEY_PORT_{shim.upper()}": str(port) for shim, port in ports.items()})
    async with process(PARLEY, "up", env=env) as pid:
        for port in ports.values():
            await _until_up(setting.http, f"http://127.0.0.1:{port}/ready")
        yield Running(pid, ports)


async def _until_up(http: aiohttp.ClientSession, url: str) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            async with http.get(url) as response:
                if response.status in (200, 405):
                    return
        except aiohttp.ClientConnectionError:
            pass
        await asyncio.sleep(0.05)
    raise RuntimeError(f"{url} does not answer")


async def post(http: aiohttp.ClientSession, url: str, body: bytes) -> bytes:
    """Return the whole answer of a 200."""
    async with http.post(url, data=body, headers={"content-type": "application/json"}) as response:
        content = await response.read()
        if response.status != 200:
            raise RuntimeError(f"{url}: {response.status} {content[:500]!r}")
        return content


async def _median(http: aiohttp.ClientSession, url: str, body: bytes, times: int = 100) -> float:
    await milliseconds(lambda: post(http, url, body), 20)
    return median(await milliseconds(lambda: post(http, url, body), times))


async def _per_second(http: aiohttp.ClientSession, url: str, body: bytes) -> float:
    async def one() -> None:
        for _ in range(REQUESTS // CONCURRENCY):
            await post(http, url, body)

    await asyncio.gather(*(one() for _ in range(CONCURRENCY)))
    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(CONCURRENCY)))
    return REQUESTS / (time.perf_counter() - began)


async def shims(setting: Setting, report: Report) -> None:
    """Bodies of 80 KB against a static upstream: the shims and a bare relay (raw ASGI, aiohttp) take turns."""
    static, relay = free_port(), free_port()
    plain, upstream = plain_environment(setting.folder), f"http://127.0.0.1:{static}"
    away = {"VERTEX_CLAUDE_ENDPOINT": upstream, "VERTEX_GEMINI_ENDPOINT": upstream}
    loopback = (PYTHON, "-m", "bench.loopback")
    async with (
        process(*loopback, "static", str(static), env=plain),
        process(*loopback, "relay", str(relay), f"{upstream}/x:streamRawPredict", env=plain),
        gateway(setting, "shims", **away) as up,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http,
    ):
        bare = f"http://127.0.0.1:{relay}/v1/messages"
        await _until_posts(http, upstream)
        await _until_posts(http, bare)
        await _against_relay(report, http, up, bare)
        long = large_body(LONG.decode(), stream=True)
        gemini = min([await _median(http, up.url("vertex_gemini"), long, 30) for _ in range(TURNS)])
        report.row("Gemini's shim, a stream of 100 events", f"{gemini:.1f} ms", "<= 25 ms", gemini <= 25)
        rates: dict[str, list[float]] = {up.url("vertex_claude"): [], bare: []}
        for _ in range(TURNS):
            for url, found in rates.items():
                found.append(await _per_second(http, url, large_body("hello", stream=True)))
        rate, relayed = map(max, rates.values())
        report.row(f"requests a second, {CONCURRENCY} at once", f"{rate:.0f} (bare relay {relayed:.0f})", ">= 1000", rate >= 1000)
        size = _resident(up.pid)
        report.row("memory of the gateway, all shims warm", f"{size:.0f} MB", "<= 350 MB", size <= 350)


async def _until_posts(http: aiohttp.ClientSession, url: str) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            await post(http, url, small_body())
        except (aiohttp.ClientError, RuntimeError):
            await asyncio.sleep(0.05)
        else:
            return
    raise RuntimeError(f"{url} does not answer")


async def _against_relay(report: Report, http: aiohttp.ClientSession, up: Running, bare: str) -> None:
    claude, router = up.url("vertex_claude"), up.url("router")
    rows: list[tuple[str, str, bool]] = [
        ("plain", "hello", False),
        ("streamed", "hello", True),
        ("a stream of 100 events", LONG.decode(), True),
    ]
    for name, words, stream in rows:
        body = large_body(words, stream=stream)
        taken: dict[str, list[float]] = {bare: [], claude: [], router: []}
        for _ in range(TURNS):
            for url, found in taken.items():
                found.append(await _median(http, url, body))
        base, ours, routed = (min(found) for found in taken.values())
        value = f"{ours / base:.2f} x ({ours:.2f} / {base:.2f} ms)"
        report.row(f"Vertex Claude's shim against a bare relay, {name}", value, "<= 3 x", ours <= 3 * base)
        report.row(f"the router adds to that, {name}", f"{routed - ours:.2f} ms", "<= 1 ms", routed - ours <= 1)


def _resident(pid: int) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


async def router(setting: Setting, report: Report) -> None:
    """What a failing first provider adds on the router, warm; a silent one its deadline, or with hedging that of the next."""
    faults: dict[str, dict[str, Any]] = {
        "refused": {"kind": "refuse"},
        "429": {"kind": "status", "status": 429},
        "503": {"kind": "status", "status": 503},
        "500": {"kind": "status", "status": 500},
    }
    body = small_body()
    async with gateway(setting, "router", PARLEY_FIRST_BYTE_TIMEOUT="0.5", PARLEY_CHAIN="vertex_claude,github_models") as up:
        plain = await _median(setting.http, up.url("github_models"), body, 60)
        for name, fault in faults.items():
            await setting.control("faults", {"provider": "vertex_claude", **fault, "times": None})
            passed = await _median(setting.http, up.url("router"), body, 60) - plain
            report.row(f"failover adds on the router, warm: {name}", f"{passed:.1f} ms", "<= 50 ms", passed <= 50)
            await setting.control("reset")
        await setting.control("faults", {"provider": "vertex_claude", "kind": "hang_after_headers", "times": None})
        silent = median(await milliseconds(lambda: post(setting.http, up.url("router"), body), 5)) - plain - 500
        report.row("failover adds to the deadline of a silent provider", f"{silent:.1f} ms", "<= 50 ms", silent <= 50)
    async with gateway(setting, "hedging", PARLEY_HEDGE_AFTER="0.2", PARLEY_CHAIN="vertex_claude,github_models") as up:
        hedged = median(await milliseconds(lambda: post(setting.http, up.url("router"), body), 5)) - plain - 200
        report.row("failover adds to the seconds after which it hedges", f"{hedged:.1f} ms", "<= 50 ms", hedged <= 50)
    await setting.control("reset")
