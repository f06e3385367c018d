"""A loopback stand-in for the four upstreams; everything it answers is simulated.

In a test's own loop, or in a thread beside it:

    async with Simulator() as sim:
        sim.rule("vertex_claude", "I say {quote:[a-z]+-42}", match="magic")
        sim.fault("github_models", "status", status=429, headers={"retry-after": "2"})
        environ = sim.environment(tmp_path)
        ...
        await sim.until(lambda log: log[-1]["disconnected"])

    with running() as sim: ...

A rule answers a provider's requests (or those of "*"): text, with {last_user} {model} {provider} {turns} {images} {quote:REGEX} filled in,
thinking, tool_use [{name, input}], usage, finish, delay_s before the first content, chunk_delay_s, chunks; when `match` is somewhere in
the request, `match_last_user` in its last user text, `model` is the model; `times` times (None: for ever). Faults are in faults.KINDS.

As a process: `parley simulate`. Names are imported on first use, so that naming the command costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cli import main
    from .identity import environment, write_authorized_user, write_service_account
    from .log import LogEntry
    from .server import Simulator
    from .thread import ThreadedSimulator, running

__all__ = [
    "LogEntry",
    "Simulator",
    "ThreadedSimulator",
    "environment",
    "main",
    "running",
    "write_authorized_user",
    "write_service_account",
]

_HOMES = {
    "LogEntry": "log",
    "Simulator": "server",
    "ThreadedSimulator": "thread",
    "environment": "identity",
    "main": "cli",
    "running": "thread",
    "write_authorized_user": "identity",
    "write_service_account": "identity",
}


def __getattr__(name: str) -> Any:
    """The name, from the module it lives in."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'simulator' has no attribute {name!r}")
    return getattr(import_module(f"simulator.{home}"), name)
