"""A long run of the gateway under mixed load and faults: `python -m bench.soak [--minutes 30]`; exit 1 when it grows.

Eight clients ask all shims, streamed and whole, some leave in mid-answer, and providers fail now and then. After a warm-up of a
tenth of the time, memory, open files and tasks are read at rest six times; they have to stay where they were.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from bench.gateway import MODEL, SHIMS, Running, gateway
from bench.setting import Setting, show, simulated

CLIENTS, SAMPLES, PAUSE = 8, 6, 0.02
FAULTS = (
    {"kind": "status", "status": 503},
    {"kind": "status", "status": 429},
    {"kind": "refuse"},
    {"kind": "cut_after_content", "n": 2},
    {"kind": "malformed_event"},
    {"kind": "empty"},
)
_MOST_MEGABYTES, _MOST_FILES, _MOST_TASKS = 15.0, 20, 10
"""How much may be added between the first sample and the highest: allocators and pools breathe."""


@dataclass(slots=True)
class Sample:
    """What the gateway holds at rest."""

    megabytes: float
    files: int
    tasks: int


@dataclass(slots=True)
class Soak:
    """One run: clients that ask until `ends`, and what they got."""

    http: aiohttp.ClientSession
    up: Running
    ends: float
    seed: random.Random = field(default_factory=lambda: random.Random(7))
    got: Counter[str] = field(default_factory=Counter[str])
    free: asyncio.Event = field(default_factory=asyncio.Event)
    """Unset while a sample is taken."""
    asking: int = 0

    async def client(self, number: int) -> None:
        """Ask until it is over."""
        for turn in itertools.count(number):
            await self.free.wait()
            if time.monotonic() > self.ends:
                return
            self.asking += 1
            try:
                await self._ask(SHIMS[turn % len(SHIMS)], stream=turn % 2 == 0, leave=turn % 11 == 0)
            finally:
                self.asking -= 1
            await asyncio.sleep(PAUSE)

    async def _ask(self, shim: str, *, stream: bool, leave: bool) -> None:
        words = "word " * self.seed.randint(1, 3_000)
        body = {"model": MODEL, "max_tokens": 500, "stream": stream, "messages": [{"role": "user", "content": words}]}
        try:
            async with self.http.post(self.up.url(shim), json=body) as response:
                if leave:
                    self.got["left"] += 1
                    return
                await response.read()
                self.got[str(response.status)] += 1
        except aiohttp.ClientError as error:
            self.got[type(error).__name__] += 1

    async def sample(self) -> Sample:
        """Read what the gateway holds while nobody asks, and no client holds a connection to it."""
        self.free.clear()
        while self.asking:
            await asyncio.sleep(0.05)
        await self.http.close()
        self.http = session()
        await asyncio.sleep(1.0)  # what clients that left had begun is closed by then
        async with self.http.get(self.up.url("router").replace("/v1/messages", "/status")) as response:
            tasks = json.loads(await response.read())["tasks"]
        self.free.set()
        process = Path(f"/proc/{self.up.pid}")
        line = next(line for line in (process / "status").read_text(encoding="ascii").splitlines() if line.startswith("VmRSS"))
        return Sample(int(line.split()[1]) / 1024, len(list((process / "fd").iterdir())), tasks)


def session() -> aiohttp.ClientSession:
    """Return a session that opens and keeps as many connections as there are requests at once."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))


async def soak(setting: Setting, seconds: float) -> bool:
    """Run and print the figures; tell whether all stayed flat."""
    async with gateway(setting, "soak") as up:
        run = Soak(session(), up, time.monotonic() + seconds)
        run.free.set()
        clients = [asyncio.create_task(run.client(number)) for number in range(CLIENTS)]
        faults = asyncio.create_task(_faults(setting, run))
        samples: list[Sample] = []
        await asyncio.sleep(seconds / 10)
        for _ in range(SAMPLES):
            samples.append(await run.sample())
            await asyncio.sleep(max(0.0, (run.ends - time.monotonic()) / (SAMPLES - len(samples) + 1)))
        await asyncio.gather(*clients)
        faults.cancel()
        await asyncio.gather(faults, return_exceptions=True)
        await run.http.close()
    return _told(run, samples, seconds)


async def _faults(setting: Setting, run: Soak) -> None:
    while True:
        await setting.control("faults", {"provider": run.seed.choice(SHIMS[1:]), **run.seed.choice(FAULTS)})
        await asyncio.sleep(0.5)


def _told(run: Soak, samples: list[Sample], seconds: float) -> bool:
    first = samples[0]
    grown = (
        max(one.megabytes for one in samples) - first.megabytes,
        max(one.files for one in samples) - first.files,
        max(one.tasks for one in samples) - first.tasks,
    )
    asked = sum(run.got.values())
    kinds = ", ".join(f"{kind} {number}" for kind, number in sorted(run.got.items()))
    rows = (
        ("requests", f"{asked} in {seconds:.0f} s: {kinds}", "", run.got["200"] > asked / 2),
        ("memory grew", f"{grown[0]:.1f} MB from {first.megabytes:.0f} MB", f"<= {_MOST_MEGABYTES:.0f} MB", grown[0] <= _MOST_MEGABYTES),
        ("open files grew", f"{grown[1]} from {first.files}", f"<= {_MOST_FILES}", grown[1] <= _MOST_FILES),
        ("tasks grew", f"{grown[2]} from {first.tasks}", f"<= {_MOST_TASKS}", grown[2] <= _MOST_TASKS),
    )
    for figure, value, bound, met in rows:
        show(figure, value, bound, met, as_json=[])
    return all(met for *_, met in rows)


async def _main(seconds: float) -> int:
    async with simulated() as setting:
        return 0 if await soak(setting, seconds) else 1


def main() -> int:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description="Load the gateway for long; every upstream is simulated.")
    parser.add_argument("--minutes", type=float, default=30.0)
    return asyncio.run(_main(60 * parser.parse_args().minutes))


if __name__ == "__main__":
    raise SystemExit(main())
