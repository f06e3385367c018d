"""What every measurement runs against: a simulator in a process of its own, and environments that point at it."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import tempfile
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

PYTHON = sys.executable
PARLEY = str(Path(sys.executable).with_name("parley"))
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Setting:
    """A running simulator: where it is, how to reach it, a folder to work in."""

    base_url: str
    env: Mapping[str, str]
    folder: Path
    http: aiohttp.ClientSession

    async def control(self, what: str, body: Mapping[str, Any] | None = None) -> None:
        """Tell the simulator something: rules, faults or reset."""
        async with self.http.post(f"{self.base_url}/_sim/{what}", json=dict(body or {})) as response:
            if response.status >= 300:
                raise RuntimeError(f"/_sim/{what}: {response.status} {await response.text()}")

    async def state(self) -> dict[str, Any]:
        """Return the simulator's counts."""
        async with self.http.get(f"{self.base_url}/_sim/state") as response:
            return await response.json()

    def server_env(self, home: str, **extra: str) -> dict[str, str]:
        """Return the environment for a Parley with a home of its own."""
        return {**self.env, "PARLEY_HOME": str(self.folder / home), **extra}


async def bare_call(setting: Setting) -> None:
    """One request to the same upstream with nothing in between."""
    body = {"model": "openai/gpt-4.1", "max_tokens": 100, "stream": True, "messages": [{"role": "user", "content": "hello"}]}
    headers = {"Authorization": f"Bearer {setting.env['GITHUB_TOKEN']}"}
    url = f"{setting.env['GITHUB_MODELS_ENDPOINT']}/chat/completions"
    async with setting.http.post(url, json=body, headers=headers) as response:
        await response.read()


def plain_environment(folder: Path) -> dict[str, str]:
    """Return the environment of a bare process: a path, a home, and bytecode as users have it."""
    return {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"}


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@asynccontextmanager
async def simulated() -> AsyncGenerator[Setting]:
    """Run the simulator (all upstreams are simulated, on loopback) and yield how to reach it."""
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as name:
        folder, port = Path(name), free_port()
        plain = plain_environment(folder)
        process = await asyncio.create_subprocess_exec(
            PARLEY, "simulate", "--port", str(port), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, env=plain
        )
        try:
            env = {**plain, **await _announced(process)}
            async with aiohttp.ClientSession() as http:
                yield Setting(f"http://127.0.0.1:{port}", env, folder, http)
        finally:
            process.terminate()
            await process.wait()


async def _announced(process: asyncio.subprocess.Process) -> dict[str, str]:
    """Read the `export NAME=VALUE` lines the simulator prints once it is ready."""
    found: dict[str, str] = {}
    stdout = process.stdout
    if stdout is None:
        raise RuntimeError("the simulator has no output")
    while "OPENROUTER_ENDPOINT" not in found:
        line = (await asyncio.wait_for(stdout.readline(), 20)).decode().strip()
        if not line and process.returncode is not None:
            raise RuntimeError("the simulator ended")
        if line.startswith("export "):
            key, _, value = line.removeprefix("export ").partition("=")
            found[key] = value.strip("'\"")
    return found


def resident_megabytes(pid: int) -> float:
    """Return the proportional set size of a process in MB (its own pages and its share of shared ones)."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    line = next(line for line in rollup.splitlines() if line.startswith("Pss:"))
    return int(line.split()[1]) / 1024


def show(figure: str, value: str, bound: str, met: bool, *, as_json: list[dict[str, Any]]) -> None:
    """Print one row and keep it for --json."""
    as_json.append({"figure": figure, "value": value, "bound": bound, "met": met})
    print(f"{'ok  ' if met else 'MISS'} {figure:<58} {value:<34} {bound}", flush=True)


def dump(rows: list[dict[str, Any]], path: Path) -> None:
    """Write the rows as JSON."""
    path.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
