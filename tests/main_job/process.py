"""A `parley serve` process on stdio, and what a client says to it: raw JSON-RPC, so that nothing but the wire is trusted."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from simulator import ThreadedSimulator

PARLEY = Path(sys.executable).with_name("parley")
PATIENCE = 30.0
HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "main-job", "version": "1"}}
ERROR_KEYS = ["code", "message", "hint", "retryable", "attempts"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one tool call."""

    result: dict[str, Any]

    @property
    def answer(self) -> dict[str, Any]:
        """The structured answer; an error fails the test."""
        assert not self.result.get("isError"), self.result
        (block,) = self.result["content"]
        assert json.loads(block["text"]) == self.result["structuredContent"]
        return self.result["structuredContent"]

    @property
    def error(self) -> dict[str, Any]:
        """The error, which must have exactly the promised shape."""
        assert self.result.get("isError") is True, self.result
        assert "structuredContent" not in self.result
        (block,) = self.result["content"]
        assert block["type"] == "text"
        error = json.loads(block["text"])
        assert list(error) == ERROR_KEYS
        assert isinstance(error["retryable"], bool) and error["message"] and error["hint"]
        assert all(set(one) == {"provider", "model", "outcome", "status", "ms"} for one in error["attempts"])
        return error


@dataclass(frozen=True, slots=True)
class Pending:
    """A call that has been sent."""

    id: int
    reply: Future[dict[str, Any]]

    def outcome(self, timeout: float = PATIENCE) -> Outcome:
        """Wait for the result. A JSON-RPC error fails the test, for tools answer with results."""
        reply = self.reply.result(timeout)
        assert "result" in reply, reply
        return Outcome(reply["result"])


class Parley:
    """One server process and its client; use as a context manager. `stderr` is the file its words go to."""

    def __init__(self, env: Mapping[str, str], cwd: Path, stderr: Path, *arguments: str) -> None:
        self.stderr, self.env = stderr, env
        self.notes: list[dict[str, Any]] = []
        self._ids = itertools.count(1)
        self._waiting: dict[int, Future[dict[str, Any]]] = {}
        self._writing = threading.Lock()
        with stderr.open("ab") as words:
            self.process = subprocess.Popen(
                [PARLEY, "serve", *arguments], env=dict(env), cwd=cwd, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=words
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._request("initialize", HELLO)[1].result(PATIENCE)
        self._send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave as a client does, and expect the process to be gone within the five seconds promised."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.close()
            self.process.wait(5)
        finally:
            self.kill()

    def kill(self) -> None:
        """End the process as `kill -9` does."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.kill()
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()

    def call(self, tool: str, /, **arguments: Any) -> Outcome:
        """Call a tool and wait for its result."""
        return self.begin(tool, **arguments).outcome()

    def chat(self, prompt: str, **arguments: Any) -> dict[str, Any]:
        """Call chat and return its answer."""
        return self.call("chat", prompt=prompt, **arguments).answer

    def begin(self, tool: str, /, *, progress: str | None = None, **arguments: Any) -> Pending:
        """Call a tool without waiting. Arguments that are None are left out."""
        given = {name: value for name, value in arguments.items() if value is not None}
        meta = {} if progress is None else {"_meta": {"progressToken": progress}}
        return Pending(*self._request("tools/call", {"name": tool, "arguments": given, **meta}))

    def cancel(self, pending: Pending) -> None:
        """Say that a call is not wanted any more."""
        self._send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": pending.id, "reason": "test"}})

    def pings(self) -> bool:
        """Tell whether the server answers."""
        return self._request("ping", {})[1].result(PATIENCE)["result"] == {}

    def turns(self, thread: str) -> list[dict[str, Any]]:
        """The thread's turns, as the tool shows them."""
        return self.call("threads", action="show", continuation_id=thread, limit=200).answer["turns"]

    def _request(self, method: str, params: Mapping[str, Any]) -> tuple[int, Future[dict[str, Any]]]:
        number = next(self._ids)
        self._waiting[number] = reply = Future[dict[str, Any]]()
        self._send({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        return number, reply

    def _send(self, message: Mapping[str, Any]) -> None:
        assert self.process.stdin is not None
        with self._writing:
            self.process.stdin.write(json.dumps(message).encode() + b"\n")
            self.process.stdin.flush()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            message = json.loads(line)
            if "method" in message:
                self.notes.append(message)
            else:
                self._waiting.pop(message["id"]).set_result(message)
        for reply in self._waiting.values():
            reply.set_exception(ConnectionError("the server has ended"))


def bare_environment(folder: Path) -> dict[str, str]:
    """What a server needs besides its configuration, with a home in `folder`: nothing of the developer's own."""
    return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(folder), "PARLEY_HOME": str(folder / "parley")}


def serving(sim: ThreadedSimulator, folder: Path, *arguments: str, **changes: str | None) -> Parley:
    """A server in `folder` on the simulated upstreams; `changes` to its environment, None to take a variable out."""
    env = {**bare_environment(folder), **sim.environment(folder), **changes}
    work = folder / "work"
    work.mkdir(exist_ok=True)
    return Parley({name: value for name, value in env.items() if value is not None}, work, folder / "stderr", *arguments)
