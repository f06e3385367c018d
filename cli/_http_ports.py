"""Listening sockets, taken before anything else starts, and words for when they cannot be had."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from pathlib import Path

_BACKLOG = 128
_LISTENING = "0A"  # the state column of /proc/net/tcp


class BindError(Exception):
    """A port that cannot be listened on; its text is one line for the user."""


class PortTakenError(BindError):
    """Somebody else listens on the port."""


def listen(host: str, port: int, *, setting: str = "--port") -> list[socket.socket]:
    """Sockets listening on every address `host` stands for, all on one port; port 0 takes a free one.

    `setting` is the option or variable that moves the port, for the error's text.

    Raises BindError.
    """
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise BindError(f"cannot listen on {host!r}: {error.strerror}") from error
    sockets: list[socket.socket] = []
    for family, _, _, _, address in dict.fromkeys(found):
        chosen = sockets[0].getsockname()[1] if sockets else port
        try:
            sockets.append(_listen(family, (address[0], chosen, *address[2:])))
        except OSError as error:
            # localhost may name an IPv6 address on a machine that has none.
            if sockets and error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                continue
            for sock in sockets:
                sock.close()
            raise _explained(error, host, chosen, setting) from error
    return sockets


def _listen(family: int, address: tuple[object, ...]) -> socket.socket:
    # With the protocol named, asyncio switches off the delay of small packets on connections that come in.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        # Binding alone does not keep others out; and who connects before the server runs waits instead of being refused.
        sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


def _explained(error: OSError, host: str, port: int, setting: str) -> BindError:
    if error.errno == errno.EADDRINUSE:
        owner = port_owner(port)
        return PortTakenError(f"port {port} on {host} is taken{f' by {owner}' if owner else ''}; choose another with {setting}")
    if error.errno == errno.EACCES:
        return BindError(f"port {port} on {host} may not be used by this user; choose another with {setting}")
    return BindError(f"cannot listen on {host} port {port}: {error.strerror}")


def port_owner(port: int) -> str | None:
    """Who listens on a TCP port, as "name (pid 123)"; None where the system does not tell (no /proc, or another user's process)."""
    wanted = {f"socket:[{inode}]" for inode in _listening_inodes(port)}
    if not wanted:
        return None
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or is not ours to look at
            if any(os.readlink(entry) in wanted for entry in (process / "fd").iterdir()):
                return f"{(process / 'comm').read_text().strip()} (pid {process.name})"
    return None


def _listening_inodes(port: int) -> set[str]:
    inodes: set[str] = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        with contextlib.suppress(OSError):
            for line in table.read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                    inodes.add(fields[9])
    return inodes
