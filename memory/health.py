"""The health record: circuit breakers, parking and setting aside.

The breaker is the usual one (closed, open, half-open; Nygard, Release It!), counted per provider and model. Where the record is kept
decides who shares it: in memory it is one process's, in a file (memory.health_file) every process's on the same state folder.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol, TypeVar

PROBE_SECONDS = 30.0
"""How long a probe that never settled, since its process died, keeps others from probing."""
STALE_SECONDS = 600.0
"""After so long without news of a model, failures of it tell nothing any more."""

_T = TypeVar("_T")


class Refusal(NamedTuple):
    """Why a provider is not asked now; the seconds until it may be."""

    cause: Literal["breaker_open", "parked", "set_aside"]
    seconds: float
    reason: str


@dataclass(slots=True)
class Breaker:
    """Of one provider's model: failures in a row, and the times at which things happen, as the clock of the record tells them."""

    failures: int = 0
    failed_at: float = 0.0
    open_until: float | None = None
    probing_until: float | None = None


@dataclass(slots=True)
class Hold:
    """A time in which a provider is not asked."""

    until: float
    reason: str


@dataclass(slots=True)
class State:
    """All there is to remember. Breakers are named provider/model, what is held by provider."""

    breakers: dict[str, Breaker] = field(default_factory=dict[str, Breaker])
    parked: dict[str, Hold] = field(default_factory=dict[str, Hold])
    aside: dict[str, Hold] = field(default_factory=dict[str, Hold])


class Keeper(Protocol):
    """Where a state is kept. Both return at once and never raise."""

    def read(self) -> State:
        """Return the state as it is, to be looked at only."""
        ...

    def change(self, work: Callable[[State], _T]) -> _T:
        """Return what `work` returns, which may change the state it is handed, while nobody else does."""
        ...


class InMemory:
    """Keeps the state of one process."""

    def __init__(self) -> None:
        self._state = State()

    def read(self) -> State:
        return self._state

    def change(self, work: Callable[[State], _T]) -> _T:
        return work(self._state)


@dataclass(slots=True)
class HealthRecord:
    """See providers.health.Health. `failures` in a row open a breaker for `open_seconds`.

    `clock` is seconds that all who share the keeper agree on.
    """

    failures: int = 5
    open_seconds: float = 10.0
    clock: Callable[[], float] = time.time
    keeper: Keeper = field(default_factory=InMemory)

    def admit(self, provider: str, model: str) -> Refusal | None:
        state, now = self.keeper.read(), self.clock()
        held = _held(state, provider, now)
        if held is not None:
            return held
        breaker = state.breakers.get(f"{provider}/{model}")
        if breaker is None or breaker.open_until is None:
            return None
        refusal = _shut(breaker, now)
        return refusal or self.keeper.change(lambda changing: self._probe(changing, f"{provider}/{model}"))

    def _probe(self, state: State, name: str) -> Refusal | None:
        """Take the one probe's place; somebody may have been quicker."""
        breaker, now = state.breakers.get(name), self.clock()
        refusal = None if breaker is None else _shut(breaker, now)
        if breaker is not None and refusal is None:
            breaker.probing_until = now + PROBE_SECONDS
        return refusal

    def succeeded(self, provider: str, model: str) -> None:
        name = f"{provider}/{model}"
        if name in self.keeper.read().breakers:
            self.keeper.change(lambda state: state.breakers.pop(name, None))

    def failed(self, provider: str, model: str) -> None:
        def work(state: State) -> None:
            now = self.clock()
            _forget(state, now)
            breaker = state.breakers.setdefault(f"{provider}/{model}", Breaker())
            breaker.failures, breaker.failed_at = breaker.failures + 1, now
            if breaker.probing_until is not None or breaker.failures >= self.failures:
                breaker.open_until = now + self.open_seconds
            breaker.probing_until = None

        self.keeper.change(work)

    def released(self, provider: str, model: str) -> None:
        name = f"{provider}/{model}"

        def work(state: State) -> None:
            if name in state.breakers:
                state.breakers[name].probing_until = None

        breaker = self.keeper.read().breakers.get(name)
        if breaker is not None and breaker.probing_until is not None:
            self.keeper.change(work)

    def park(self, provider: str, seconds: float) -> None:
        hold = Hold(self.clock() + seconds, "rate limited")
        self.keeper.change(lambda state: state.parked.update({provider: hold}))

    def set_aside(self, provider: str, seconds: float, reason: str) -> None:
        hold = Hold(self.clock() + seconds, reason)
        self.keeper.change(lambda state: state.aside.update({provider: hold}))

    def snapshot(self) -> dict[str, str]:
        state, now = self.keeper.read(), self.clock()
        unhealthy: dict[str, str] = {}
        for name, breaker in state.breakers.items():
            if breaker.open_until is not None and not _is_stale(breaker, now):
                provider, _, model = name.partition("/")
                unhealthy[provider] = f"{model}: {breaker.failures} failures in a row"
        for provider in {*state.parked, *state.aside}:
            held = _held(state, provider, now)
            if held is not None:
                unhealthy[provider] = f"{held.reason}, for {held.seconds:.0f} s more"
        return unhealthy


def _held(state: State, provider: str, now: float) -> Refusal | None:
    aside, parked = state.aside.get(provider), state.parked.get(provider)
    if aside is not None and now < aside.until:
        return Refusal("set_aside", aside.until - now, aside.reason)
    if parked is not None and now < parked.until:
        return Refusal("parked", parked.until - now, parked.reason)
    return None


def _shut(breaker: Breaker, now: float) -> Refusal | None:
    """Return the refusal of a breaker that is open or being probed."""
    until = breaker.open_until or 0.0
    if now < until or (breaker.probing_until is not None and now < breaker.probing_until):
        return Refusal("breaker_open", max(0.0, until - now), f"{breaker.failures} failures in a row")
    return None


def _is_stale(breaker: Breaker, now: float) -> bool:
    return now - max(breaker.failed_at, breaker.open_until or 0.0) > STALE_SECONDS


def _forget(state: State, now: float) -> None:
    """Take out what is over, so that a record never grows."""
    state.breakers = {name: one for name, one in state.breakers.items() if not _is_stale(one, now)}
    for holds in (state.parked, state.aside):
        for provider in [provider for provider, hold in holds.items() if hold.until <= now]:
            del holds[provider]
