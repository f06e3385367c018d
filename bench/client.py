"""A raw JSON-RPC client over stdio, so that a measurement holds no client library's own cost."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

INITIALIZE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "bench", "version": "1"},
}


class RpcClient:
    """Requests over a server's pipes, any number at once; `call` returns the result object."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._reader = asyncio.create_task(self._read())

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._process.pid

    async def _read(self) -> None:
        stdout = self._process.stdout
        if stdout is None:
            return
        async for line in stdout:
            message = json.loads(line)
            future = self._waiting.pop(message.get("id"), None)
            if future is not None and not future.done():
                future.set_result(message)
        for future in self._waiting.values():
            future.cancel()

    def send(self, message: Mapping[str, Any]) -> None:
        """Write one message."""
        if self._process.stdin is not None:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")

    async def call(self, method: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Return the result of one request. Raises RuntimeError with the error the server answered, ConnectionError when it has ended."""
        if self._reader.done():
            raise ConnectionError("the server has ended")
        number = next(self._ids)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        self.send({"jsonrpc": "2.0", "id": number, "method": method, "params": dict(params or {})})
        message = await future
        if "error" in message:
            raise RuntimeError(str(message["error"]))
        return message["result"]

    async def initialize(self) -> None:
        """Shake hands."""
        await self.call("initialize", INITIALIZE)
        self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    async def tool(self, name: str, /, **arguments: Any) -> dict[str, Any]:
        """Return a tool's structured answer. Raises RuntimeError with the text of an error result."""
        result = await self.call("tools/call", {"name": name, "arguments": arguments})
        if result.get("isError"):
            raise RuntimeError(result["content"][0]["text"])
        return result["structuredContent"]

    async def close(self) -> None:
        """Hang up and wait for the server's end."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            await asyncio.wait_for(self._process.wait(), 10)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._reader


@asynccontextmanager
async def server(command: Sequence[str], env: Mapping[str, str], *, log: int = asyncio.subprocess.DEVNULL) -> AsyncGenerator[RpcClient]:
    """Start a stdio server and yield a client of it, before any handshake."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=log,
        env=dict(env),
        limit=64 * 2**20,
    )
    client = RpcClient(process)
    try:
        yield client
    finally:
        await client.close()
