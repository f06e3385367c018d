"""The guard that keeps tests on this machine does keep them there."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

ELSEWHERE = "192.0.2.1"  # TEST-NET-1 of RFC 5737: routed nowhere


def test_a_connection_off_this_machine_raises_and_is_remembered(off_machine: list[str]) -> None:
    # An assertion and no OSError, so that failover does not take it for a dead upstream.
    with socket.socket() as sock, pytest.raises(AssertionError, match=ELSEWHERE):
        sock.connect((ELSEWHERE, 443))
    assert off_machine == [f"{ELSEWHERE}:443"]
    off_machine.clear()


def test_a_datagram_off_this_machine_raises(off_machine: list[str]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, pytest.raises(AssertionError):
        sock.sendto(b"x", (ELSEWHERE, 53))
    off_machine.clear()


def test_looking_up_a_foreign_name_raises(off_machine: list[str]) -> None:
    with pytest.raises(AssertionError, match=r"example\.invalid"):
        socket.getaddrinfo("example.invalid", 443)
    off_machine.clear()


def test_loopback_and_unix_sockets_are_open(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(("localhost", server.getsockname()[1])):
        pass
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(path)
        server.listen()
        client.connect(path)


def test_the_environment_of_a_test_holds_no_credential_and_a_home_of_its_own(parley_home: Path) -> None:
    assert os.environ["PARLEY_HOME"] == str(parley_home)
    assert parley_home.is_relative_to(os.environ["HOME"])
    assert not [name for name in os.environ if name.startswith(("GITHUB_", "GOOGLE_", "OPENROUTER_", "VERTEX"))]
