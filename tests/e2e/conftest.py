"""Where the real clients are, and a simulator for the server they start."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator import ThreadedSimulator, running

CLIENTS = Path(__file__).resolve().parents[2] / ".e2e" / "node_modules" / ".bin"


def _client(name: str) -> str:
    found = CLIENTS / name
    if not found.exists():
        pytest.fail(f"{name} is not installed: run `make e2e`, which installs it with npm")
    return str(found)


@pytest.fixture
def claude() -> str:
    """The Claude Code command."""
    return _client("claude")


@pytest.fixture
def inspector() -> list[str]:
    """The MCP inspector's command line."""
    return [_client("mcp-inspector-cli")]


@pytest.fixture
def parley() -> str:
    """The installed console script."""
    return str(Path(sys.executable).with_name("parley"))


@pytest.fixture
def client_env() -> dict[str, str]:
    """What a client needs of its surroundings: a path with node on it."""
    node = shutil.which("node")
    assert node is not None, "node is not installed"
    return {"PATH": f"{Path(node).parent}{os.pathsep}{os.environ['PATH']}", "LANG": "C.UTF-8"}


@pytest.fixture
def sim() -> Iterator[ThreadedSimulator]:
    """A running simulator."""
    with running() as sim:
        yield sim


@pytest.fixture
def upstreams(sim: ThreadedSimulator, tmp_path: Path) -> dict[str, str]:
    """The environment that points at the simulator."""
    folder = tmp_path / "credentials"
    folder.mkdir()
    return sim.environment(folder)


@pytest.fixture
def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
