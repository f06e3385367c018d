"""What a tool call works with: the wired parts of one process, and the call itself."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from conversation.errors import MemoryUnavailable, ParleyError
from conversation.scrub import scrub
from providers.strategies import DEFAULT_STRATEGY, STICKY_SECONDS
from tools.limits import Limits
from tools.roles import RoleBook

if TYPE_CHECKING:
    from conversation.threads import ThreadStore
    from graph.memory import Memory
    from providers.budget import Budget
    from providers.catalogue import Catalogue
    from providers.chain import Chain
    from providers.health import Health
    from tools.files import FileReader


NOTES_REST_SECONDS = 300.0


@dataclass(slots=True)
class NoteTaking:
    """Whether cheap models are asked for notes of long threads: after all of them failed, for some minutes none is."""

    clock: Callable[[], float] = time.monotonic
    _until: float = 0.0

    def rest(self) -> None:
        """Note that all failed just now."""
        self._until = self.clock() + NOTES_REST_SECONDS

    def resting(self) -> bool:
        """Tell whether that is less than some minutes ago."""
        return self.clock() < self._until


async def _nothing() -> None:
    """Nothing to warm."""


def _no_memory() -> Memory:
    raise MemoryUnavailable("This server has no memory.")


@dataclass(frozen=True, kw_only=True)
class App:
    """The parts every tool shares. `workspace` is the folder the process serves; `home` the state folder, for `version`.

    `git_env` is what git needs of the environment. `scrub` takes secrets and home paths out of error texts. `strategy` and
    `sticky_seconds` are the router's. `on_close` is awaited in order by `aclose`. `warm` loads all that asking the configured
    providers needs, after which `is_warm` is true. `memory` opens the memory when it is first called; `attend` sees, while a server
    serves, to what was left to be read.
    """

    catalogue: Catalogue
    chain: Chain
    store: ThreadStore
    files: FileReader
    health: Health
    workspace: str
    home: str
    version: str
    git_env: Mapping[str, str] = field(default_factory=dict[str, str])
    budget: Budget | None = None
    strategy: str = DEFAULT_STRATEGY
    sticky_seconds: float = STICKY_SECONDS
    limits: Limits = field(default_factory=Limits)
    roles: RoleBook = field(default_factory=RoleBook)
    notes: NoteTaking = field(default_factory=NoteTaking)
    scrub: Callable[[str], str] = scrub
    clock: Callable[[], float] = time.monotonic
    started: float = field(default_factory=time.monotonic)
    warm: Callable[[], Awaitable[None]] = _nothing
    is_warm: Callable[[], bool] = lambda: True
    memory: Callable[[], Memory] = _no_memory
    attend: Callable[[], Coroutine[Any, Any, None]] = _nothing
    on_close: tuple[Callable[[], Awaitable[None]], ...] = ()

    async def aclose(self) -> None:
        """Close the store and what was registered; a part that cannot close does not keep the others open."""
        for close in (self.store.aclose, *self.on_close):
            with suppress(ParleyError, OSError):
                await close()


def _silent(_: str) -> None:
    """Progress nobody asked for."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call of one tool. `say` takes a few words on what is going on, for whoever watches the progress."""

    app: App
    say: Callable[[str], None] = _silent
