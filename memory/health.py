"""The health record: circuit breakers, parking and setting aside.

The breaker is the usual one (closed, open, half-open; Nygard, Release It!), counted per provider and model. Where the record is kept
decides who shares it: in memory it is one process's, in a file (memory.health_file) every process's on the same state folder.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol, TypeVar

PROBE_SECONDS = 30.0
"""How long a probe that tells nothing keeps others from probing: a silent one, or one whose process died."""
STALE_SECONDS = 600.0
"""After so long without news of a model, failures of it tell nothing any more."""
LONGEST_SECONDS = 86_400.0
"""Nothing is kept out for longer: a time further off was noted under a clock that was wrong."""

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
    """All there is to remember. Breakers are named provider/model, what is held by provider; see HealthRecord for its realm."""

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

    `clock` is seconds that all who share the keeper agree on; `realms` says by provider which account and address of it is meant, so
    that one that asks with another key learns nothing from this one.
    """

    failures: int = 5
    open_seconds: float = 10.0
    clock: Callable[[], float] = time.time
    keeper: Keeper = field(default_factory=InMemory)
    realms: Mapping[str, str] = field(default_factory=dict[str, str])

    def _named(self, provider: str, model: str = "") -> str:
        realm = self.realms.get(provider)
        account = f"{provider}#{realm}" if realm else provider
        return f"{account}/{model}" if model else account

    def admit(self, provider: str, model: str) -> Refusal | None:
        state, now = self.keeper.read(), self.clock()
        held = _held(state, self._named(provider), now)
        if held is not None:
            return held
        name = self._named(provider, model)
        breaker = state.breakers.get(name)
        if breaker is None or breaker.open_until is None:
            return None
        refusal = _shut(breaker, now)
        return refusal or self.keeper.change(lambda changing: self._probe(changing, name))

    def _probe(self, state: State, name: str) -> Refusal | None:
        """Take the one probe's place; somebody may have been quicker."""
        breaker, now = state.breakers.get(name), self.clock()
        refusal = None if breaker is None else _shut(breaker, now)
        if breaker is not None and refusal is None:
            breaker.probing_until = now + PROBE_SECONDS
        return refusal

    def succeeded(self, provider: str, model: str) -> None:
        name = self._named(provider, model)
        if name in self.keeper.read().breakers:
            self.keeper.change(lambda state: state.breakers.pop(name, None))

    def failed(self, provider: str, model: str) -> None:
        def work(state: State) -> None:
            now = self.clock()
            _forget(state, now)
            breaker = state.breakers.setdefault(self._named(provider, model), Breaker())
            breaker.failures, breaker.failed_at = breaker.failures + 1, now
            if breaker.probing_until is not None or breaker.failures >= self.failures:
                breaker.open_until = now + self.open_seconds
            breaker.probing_until = None

        self.keeper.change(work)

    def released(self, provider: str, model: str) -> None:
        name = self._named(provider, model)

        def work(state: State) -> None:
            if name in state.breakers:
                state.breakers[name].probing_until = None

        breaker = self.keeper.read().breakers.get(name)
        if breaker is not None and breaker.probing_until is not None:
            self.keeper.change(work)

    def park(self, provider: str, seconds: float) -> None:
        self._hold("parked", provider, Hold(self.clock() + seconds, "rate limited"))

    def set_aside(self, provider: str, seconds: float, reason: str) -> None:
        self._hold("aside", provider, Hold(self.clock() + seconds, reason))

    def _hold(self, kind: Literal["parked", "aside"], provider: str, hold: Hold) -> None:
        """Hold a provider until the later of this time and the one it is held until already."""
        name, now = self._named(provider), self.clock()

        def work(state: State) -> None:
            holds = state.parked if kind == "parked" else state.aside
            before = holds.get(name)
            if before is None or before.until <= hold.until or not _is_ahead(before.until, now):
                holds[name] = hold

        self.keeper.change(work)

    def rejected(self, provider: str) -> str | None:
        state, now = self.keeper.read(), self.clock()
        held = state.aside.get(self._named(provider))
        return _told(held, now) if held is not None and _is_ahead(held.until, now) else None

    def snapshot(self) -> dict[str, str]:
        state, now = self.keeper.read(), self.clock()
        unhealthy: dict[str, str] = {}
        for name, breaker in state.breakers.items():
            account, _, model = name.partition("/")
            if _shut(breaker, now):
                unhealthy[account] = f"{model}: {breaker.failures} failures in a row"
        for holds in (state.parked, state.aside):  # the second tells more
            unhealthy.update({account: _told(hold, now) for account, hold in holds.items() if _is_ahead(hold.until, now)})
        ours = {account: account.partition("#")[0] for account in unhealthy}
        return {provider: unhealthy[account] for account, provider in ours.items() if self._named(provider) == account}


def _held(state: State, account: str, now: float) -> Refusal | None:
    aside, parked = state.aside.get(account), state.parked.get(account)
    if aside is not None and _is_ahead(aside.until, now):
        return Refusal("set_aside", aside.until - now, aside.reason)
    if parked is not None and _is_ahead(parked.until, now):
        return Refusal("parked", parked.until - now, parked.reason)
    return None


def _told(hold: Hold, now: float) -> str:
    return f"{hold.reason}, for {hold.until - now:.0f} s more"


def _is_ahead(until: float, now: float) -> bool:
    """Tell whether a time is still to come, and not so far off that the clock was wrong."""
    return now < until <= now + LONGEST_SECONDS


def _shut(breaker: Breaker, now: float) -> Refusal | None:
    """Return the refusal of a breaker that is open or being probed."""
    ahead = [until for until in (breaker.open_until, breaker.probing_until) if until is not None and _is_ahead(until, now)]
    return Refusal("breaker_open", max(ahead) - now, f"{breaker.failures} failures in a row") if ahead else None


def _is_stale(breaker: Breaker, now: float) -> bool:
    news = max(breaker.failed_at, breaker.open_until or 0.0)
    return not now - STALE_SECONDS <= news <= now + LONGEST_SECONDS


def _forget(state: State, now: float) -> None:
    """Take out what is over, so that a record never grows."""
    state.breakers = {name: one for name, one in state.breakers.items() if not _is_stale(one, now)}
    for holds in (state.parked, state.aside):
        for account in [account for account, hold in holds.items() if not _is_ahead(hold.until, now)]:
            del holds[account]
