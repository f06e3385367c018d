"""Many servers that start at once on one home, as when a desktop with many windows is restored."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median

from bench.client import RpcClient, server
from bench.report import Report
from bench.setting import HERE, PARLEY, PYTHON, Setting, plain_environment

SERVERS, ROUNDS = 20, 3
_TROUBLE = re.compile("lock|busy|database|store|error", re.IGNORECASE)


async def together(setting: Setting, report: Report) -> None:
    """Twenty servers against twenty bare ones, in turns; then all of ours use the store they share at once."""
    bare: list[float] = []
    ours: list[float] = []
    log = setting.folder / "together.log"
    unsaved = 0
    for _ in range(ROUNDS):
        async with AsyncExitStack() as stack:
            bare.append((await _started(stack, [PYTHON, str(HERE / "bare_server.py")], plain_environment(setting.folder), log))[0])
        async with AsyncExitStack() as stack:
            seconds, clients = await _started(stack, [PARLEY, "serve"], setting.server_env("together"), log)
            ours.append(seconds)
            unsaved += await _unsaved(clients)
    ratio = median(ours) / median(bare)
    value = f"{ratio:.2f} x ({median(ours):.2f} / {median(bare):.2f} s)"
    report.row(f"{SERVERS} servers at once on one home, against bare ones", value, "<= 1.3 x", ratio <= 1.3)
    said = [line for line in log.read_text(encoding="utf-8").splitlines() if _TROUBLE.search(line)]
    value = f"{unsaved} of {ROUNDS * SERVERS}, {len(said)} lines of trouble"
    report.row("answers of theirs, all at once, that were not saved", value, "0, 0", not unsaved and not said)


async def _started(
    stack: AsyncExitStack, command: Sequence[str], env: Mapping[str, str], log: Path
) -> tuple[float, list[RpcClient]]:
    """Start them all; return after how many seconds the last had shaken hands, and the clients."""

    async def start() -> RpcClient:
        client = await stack.enter_async_context(server(command, env, log=words.fileno()))
        await client.initialize()
        return client

    with log.open("ab") as words:
        began = time.perf_counter()
        clients = await asyncio.gather(*(start() for _ in range(SERVERS)))
        return time.perf_counter() - began, clients


async def _unsaved(clients: Sequence[RpcClient]) -> int:
    """Have every server list threads and answer, all at once, and count answers that have no place in a thread."""

    async def ask(client: RpcClient) -> bool:
        await client.tool("threads", action="list")
        return "turn" in await client.tool("chat", prompt="hello", model="github_models")

    return (await asyncio.gather(*(ask(client) for client in clients))).count(False)
