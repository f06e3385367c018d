"""A stdio server process on wires of the test's own making, and what a client does with it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

SERVER = Path(__file__).with_name("tiny_server.py")
GONE_WITHIN = 5.0
PATIENCE = 20.0
INITIALIZE = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}


def command(*arguments: str) -> list[str]:
    return [sys.executable, str(SERVER), *arguments]


class Words:
    """The lines a process writes to stderr, in order, to wait for."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self.heard: list[str] = []

    async def until(self, word: str) -> str:
        """The first line from here on that begins with `word`."""
        async with asyncio.timeout(PATIENCE):
            while line := await self._reader.readline():
                self.heard.append(line.decode().rstrip("\n"))
                if self.heard[-1].startswith(word):
                    return self.heard[-1]
        raise AssertionError(f"{word!r} was never said, but: {self.heard}")

    async def until_silent(self, within: float = GONE_WITHIN) -> float:
        """Seconds until everyone who held this stderr had ended."""
        began = asyncio.get_running_loop().time()
        async with asyncio.timeout(within):
            self.heard += (await self._reader.read()).decode().splitlines()
        return asyncio.get_running_loop().time() - began


async def reading(descriptor: int) -> tuple[asyncio.StreamReader, asyncio.ReadTransport]:
    reader = asyncio.StreamReader(limit=1 << 27)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", buffering=0)
    )
    return reader, transport


class Wired:
    """One server process and its client's side of the wire."""

    def __init__(self, kind: str = "pipe", **options: object) -> None:
        self._kind = kind
        self._options = [f"{name}={value}" for name, value in options.items()]
        self._last_id = 0

    async def __aenter__(self) -> Self:
        if self._kind == "socket":
            ours_in, theirs_in = (end.detach() for end in socket.socketpair())
            ours_out, theirs_out = (end.detach() for end in socket.socketpair())
        else:
            theirs_in, ours_in = os.pipe()
            ours_out, theirs_out = os.pipe()
        ours_err, theirs_err = os.pipe()
        self.process = subprocess.Popen(
            command("stdio", *self._options), stdin=theirs_in, stdout=theirs_out, stderr=theirs_err
        )
        for end in (theirs_in, theirs_out, theirs_err):
            os.close(end)
        self.stdin: int | None = ours_in
        self.stdout, self._stdout_transport = await reading(ours_out)
        stderr, self._stderr_transport = await reading(ours_err)
        self.words = Words(stderr)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close_stdin()
        self.process.kill()
        await asyncio.to_thread(self.process.wait)
        self._stdout_transport.close()
        self._stderr_transport.close()

    async def send(self, message: dict[str, Any] | bytes) -> None:
        line = message if isinstance(message, bytes) else json.dumps(message).encode() + b"\n"
        assert self.stdin is not None
        await asyncio.to_thread(_write_all, self.stdin, line)

    async def line(self) -> bytes:
        async with asyncio.timeout(PATIENCE):
            return await self.stdout.readline()

    async def receive(self) -> dict[str, Any]:
        return json.loads(await self.line())

    async def request(self, method: str, **params: object) -> int:
        """Send a request; the id it got."""
        self._last_id += 1
        await self.send({"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params})
        return self._last_id

    async def call(self, tool: str, **arguments: object) -> int:
        return await self.request("tools/call", name=tool, arguments=arguments)

    async def initialize(self) -> dict[str, Any]:
        await self.request("initialize", **INITIALIZE)
        answer = await self.receive()
        await self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return answer

    async def pings(self) -> bool:
        asked = await self.request("ping")
        return await self.receive() == {"jsonrpc": "2.0", "id": asked, "result": {}}

    def close_stdin(self) -> None:
        if self.stdin is not None:
            os.close(self.stdin)
            self.stdin = None

    def pause_reading(self) -> None:
        self._stdout_transport.pause_reading()

    def close_stdout(self) -> None:
        self._stdout_transport.close()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self) -> int:
        """The exit status, which must come within the five seconds promised."""
        async with asyncio.timeout(GONE_WITHIN):
            status = await asyncio.to_thread(self.process.wait, GONE_WITHIN)
        await self.words.until_silent()
        return status


def _write_all(descriptor: int, line: bytes) -> None:
    view = memoryview(line)
    while view:
        view = view[os.write(descriptor, view) :]
