"""A gateway process with every shim on a free port."""

from __future__ import annotations

import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Generator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

SHIMS = ("router", "vertex_claude", "vertex_gemini", "github_models", "openrouter")
PATIENCE = 30.0


@dataclass(frozen=True)
class Gateway:
    """A running `parley up`."""

    ports: Mapping[str, int]
    process: subprocess.Popen[bytes]
    env: Mapping[str, str]

    def url(self, shim: str) -> str:
        """Where a shim is."""
        return f"http://127.0.0.1:{self.ports[shim]}"


def free_ports(number: int) -> list[int]:
    """Ports that were free a moment ago, all different."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextmanager
def running_gateway(parley: str, env: Mapping[str, str], folder: Path, *arguments: str) -> Generator[Gateway]:
    """Run `parley up` until the block ends; it is given once every shim is ready."""
    ports: dict[str, int] = dict(zip(SHIMS, free_ports(len(SHIMS)), strict=True))
    settings = {f"PARLEY_PORT_{shim.upper()}": str(port) for shim, port in ports.items()}
    with (folder / "gateway.stderr").open("wb") as words:
        process = subprocess.Popen([parley, "up", *arguments], env={**env, **settings}, cwd=folder, stderr=words)
    try:
        gateway = Gateway(ports, process, env)
        only = arguments[arguments.index("--only") + 1].split(",") if "--only" in arguments else SHIMS
        for shim in only:
            _until_ready(gateway, shim)
        yield gateway
        process.terminate()
        assert process.wait(12) == 0
    finally:
        process.kill()
        process.wait(PATIENCE)


def _until_ready(gateway: Gateway, shim: str) -> None:
    """Wait for /ready, which says no until LiteLLM is loaded."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            asked = urllib.request.Request(f"{gateway.url(shim)}/ready", headers={"x-api-key": gateway.env.get("PARLEY_TOKEN", "")})
            with urllib.request.urlopen(asked, timeout=5):
                return
        except urllib.error.HTTPError as error:
            error.close()
        except OSError:
            pass
        assert gateway.process.poll() is None and time.monotonic() < end, f"{shim} is not ready"
