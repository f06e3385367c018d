"""What is lost when Redis and a writer die together: `python -m bench.loss [--rounds 20]`; exit 1 when an acknowledged exchange is.

In every round a server and the process that writes to it are killed at the same moment, so that nobody can write again what the
server had not passed on. Then either the server comes back with what it kept, or its replica takes its place, which may have hung for
up to 0.3 s before. What was told as stored has to be there, at once or from the spool of the machine the writer was on; what only the
spool had is counted, since a machine that is lost takes it along. All servers are on this machine: a power cut is not measured. By
https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/ it costs a server up to a second of writes.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import redis

from bench.redis import started, url_of
from bench.report import Report
from bench.setting import free_port
from bench.store import open_store, said
from bench.writer import write

_LONGEST_S = 0.3
_PATIENCE_S = 30.0
_processes = multiprocessing.get_context("spawn")


@dataclass
class Servers:
    """A server, and the one that follows it, if there is one."""

    folder: Path
    port: int
    leader: subprocess.Popen[bytes]
    replica: subprocess.Popen[bytes] | None
    replica_port: int

    @classmethod
    def start(cls, folder: Path, *, is_followed: bool) -> Servers:
        """Start them, the second in step with the first."""
        port, second = free_port(), free_port()
        leader = started(folder / "leader", port)
        if not is_followed:
            return cls(folder, port, leader, None, port)
        quick = ("--repl-diskless-sync-delay", "0", "--replicaof", "127.0.0.1", str(port))
        replica = started(folder / "replica", second, *quick)
        _until(second, lambda client: client.info("replication")["master_link_status"] == "up")
        return cls(folder, port, leader, replica, second)

    def successor(self) -> int:
        """Return the port of whoever takes the place of the killed server."""
        if self.replica is None:
            self.leader = started(self.folder / "leader", self.port)
            _until(self.port, lambda client: not client.info("persistence")["loading"])
        else:
            os.kill(self.replica.pid, signal.SIGCONT)
            _until(self.replica_port, lambda client: bool(client.execute_command("REPLICAOF", "NO", "ONE")))
        return self.replica_port

    def end(self) -> None:
        """Kill what still runs."""
        for one in (self.leader, self.replica):
            if one is not None:
                one.kill()
                one.wait()


def _until(port: int, true: Callable[[redis.Redis], bool]) -> None:
    end = time.monotonic() + _PATIENCE_S
    with redis.Redis(port=port, decode_responses=True) as client:
        while time.monotonic() < end:
            try:
                if true(client):
                    return
            except redis.ConnectionError:
                pass
            time.sleep(0.02)
    raise RuntimeError(f"redis-server on {port} did not get there")


@dataclass
class Losses:
    """What was told as stored, how much of it a successor had, and what was missing after the spool had landed."""

    told: int = 0
    spooled: int = 0
    lost: int = 0

    def round(self, folder: Path, seed: random.Random, *, is_followed: bool, hangs: bool) -> None:
        """Kill a server and its writer, and look at what there is afterwards."""
        servers, home = Servers.start(folder, is_followed=is_followed), folder / "home"
        try:
            thread_id, told = _killed(servers, home, seed, hangs=hangs)
            where = f"{url_of(servers.successor())}#"
            alone = asyncio.run(_texts(f"{where}{folder / 'elsewhere'}", thread_id))
            there = asyncio.run(_texts(f"{where}{home}", thread_id))
        finally:
            servers.end()
        self.told += len(told)
        self.spooled += len(told - alone)
        self.lost += len(told - there)


def _killed(servers: Servers, home: Path, seed: random.Random, *, hangs: bool) -> tuple[str, set[str]]:
    """Return a thread and what a writer told of it before it and the server were killed."""
    where = f"{url_of(servers.port)}#{home}"
    thread_id = asyncio.run(_begun(where))
    reading, writing = _processes.Pipe(duplex=False)
    process = _processes.Process(target=write, args=(where, (thread_id,), "w", writing))
    process.start()
    writing.close()
    reading.poll(_PATIENCE_S)  # it has opened the store
    time.sleep(0.1 + seed.uniform(0, _LONGEST_S))
    if hangs and servers.replica is not None:
        os.kill(servers.replica.pid, signal.SIGSTOP)
        time.sleep(seed.uniform(0, _LONGEST_S))
    servers.leader.kill()
    process.kill()
    servers.leader.wait()
    process.join()
    return thread_id, _all_of(reading)


def _all_of(reading: Connection) -> set[str]:
    found: set[str] = set()
    try:
        while True:
            told = reading.recv()
            if told is not None:
                found.add(told[1])
    except EOFError:
        return found


async def _begun(where: str) -> str:
    store = open_store(where)
    try:
        return await said(store, "start")
    finally:
        await store.aclose()


async def _texts(where: str, thread_id: str) -> set[str]:
    store = open_store(where)
    try:
        return {turn.content for turn in (await store.load(thread_id)).landed}
    finally:
        await store.aclose()


_CASES = {
    "a server that comes back": {"is_followed": False, "hangs": False},
    "its replica in its place": {"is_followed": True, "hangs": False},
    "a replica that hung before": {"is_followed": True, "hangs": True},
}


def main() -> int:
    """Parse the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m bench.loss", description="Kill Redis and a writer, and look for what was stored.")
    parser.add_argument("--rounds", type=int, default=20, help="of each kind (20)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of the moments of death (a new one)")
    asked = parser.parse_args()
    report, seed = Report(), random.Random(asked.seed)
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as folder:
        for name, case in _CASES.items():
            losses = Losses()
            for _ in range(asked.rounds):
                losses.round(Path(tempfile.mkdtemp(dir=folder)), seed, **case)
            figure = f"{losses.lost} of {losses.told:,} ({losses.spooled} were in the spool alone; seed {asked.seed})"
            report.row(f"acknowledged exchanges lost: {name}", figure, "0", losses.lost == 0)
            shutil.rmtree(folder, ignore_errors=True)
            Path(folder).mkdir(exist_ok=True)
    return 0 if all(row["met"] for row in report.rows) else 1


if __name__ == "__main__":
    raise SystemExit(main())
