"""What every test gets: a home of its own, an environment without keys, and no way off this machine."""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SCRUBBED = (
    "ANTHROPIC_", "AWS_", "CLAUDE", "CLOUDSDK_", "GCLOUD_", "GEMINI_", "GITHUB_", "GH_", "GOOGLE_", "LITELLM_",
    "NEO4J_", "OPENAI_", "OPENROUTER_", "PARLEY_", "REDIS_", "VERTEX", "XDG_",
)  # fmt: skip
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
LOCAL_NAMES = {"", "localhost", "ip6-localhost", socket.gethostname().lower()}

_attempts: list[str] = []


class LeftThisMachine(AssertionError):
    """Something in a test tried to reach an address that is not loopback."""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.split("%", 1)[0]).is_loopback
    except ValueError:
        return host.lower() in LOCAL_NAMES


def _may_resolve(host: object) -> bool:
    """Literal addresses need no name server; of names, only this machine's own do not leave it."""
    text = host.decode(errors="replace") if isinstance(host, bytes) else host
    if not isinstance(text, str):
        return True
    try:
        ipaddress.ip_address(text.split("%", 1)[0])
    except ValueError:
        return text.lower() in LOCAL_NAMES
    return True


def _guard(event: str, args: tuple[Any, ...]) -> None:
    """An audit hook: it sees every connection of the process, from C code too, and cannot be patched away by the code under test."""
    if event in {"socket.connect", "socket.sendto", "socket.sendmsg"}:
        address = args[1]
        if not isinstance(address, tuple) or _is_loopback(str(address[0])):
            return
        target = f"{address[0]}:{address[1]}"
    elif event == "socket.getaddrinfo" and not _may_resolve(args[0]):
        target = f"the name {args[0]!r}"
    else:
        return
    _attempts.append(target)
    raise LeftThisMachine(f"a test tried to reach {target}; only loopback is allowed")


sys.addaudithook(_guard)


@pytest.fixture(autouse=True)
def off_machine() -> Iterator[list[str]]:
    """The forbidden addresses this test tried to reach: a failure even when the code under test swallowed the error."""
    _attempts.clear()
    yield _attempts
    assert not _attempts, f"tried to leave this machine: {_attempts}"


@pytest.fixture(autouse=True)
def parley_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty PARLEY_HOME inside an empty HOME, and no credential, proxy or setting from outside."""
    for name in list(os.environ):
        if name.upper().startswith(SCRUBBED) or name.upper() in PROXIES:
            monkeypatch.delenv(name)
    # Child processes of tests are to start as an installed Parley does: from bytecode.
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PARLEY_HOME", str(home / "parley"))
    return home / "parley"
