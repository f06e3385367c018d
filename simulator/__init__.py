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

The prompts that Graphiti sends while it adds an episode get the JSON they ask for, entities and facts being found by a heuristic, so that
plain notes give facts and changes end them. A script may say instead what is found, and what goes wrong:

    sim.extractions([{
        "body": "text of an episode, or a part of it", "entities": ["Ada"],
        "facts": [{"source": "Ada", "name": "STUDIES", "target": "owls", "fact": "Ada studies owls", "valid_at": "2020-05-06",
                   "invalid_at": None, "contradicts": ["text of an earlier fact"]}],
    }])
    sim.odd_extraction("prose", times=2, match="in the episode", prompt="ExtractedEdges")

An odd extraction spoils the next `times` answers (None: all) to such prompts, to those about an episode or a fact that holds `match`, to
those of one `prompt`, named by the title of its schema: schema_echo, prose, truncated, fenced, list, empty_object. The log says which
prompt an answer was to (`prompt`) and how it was spoilt (`odd`). Over HTTP, each POST takes one object or a list of them:
/_sim/rules, /_sim/faults, /_sim/models, /_sim/extractions, /_sim/odd_extractions, /_sim/reset; GET /_sim/log and /_sim/state.

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
