"""The health record of one process: circuit breakers, parking and setting aside.

The breaker is the usual one (closed, open, half-open; Nygard, Release It!), counted per provider and model.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple


class Refusal(NamedTuple):
    """Why a provider is not asked now; the seconds until it may be."""

    cause: Literal["breaker_open", "parked", "set_aside"]
    seconds: float
    reason: str


@dataclass(slots=True)
class _Breaker:
    failures: int = 0
    open_until: float | None = None
    probing: bool = False


@dataclass(slots=True)
class _Hold:
    until: float
    reason: str = ""


@dataclass(slots=True)
class LocalHealth:
    """Keeps the record in memory. `failures` in a row open a breaker for `open_seconds`; `clock` is monotonic seconds."""

    failures: int = 5
    open_seconds: float = 10.0
    clock: Callable[[], float] = time.monotonic
    _breakers: dict[tuple[str, str], _Breaker] = field(default_factory=dict[tuple[str, str], _Breaker])
    _parked: dict[str, _Hold] = field(default_factory=dict[str, _Hold])
    _aside: dict[str, _Hold] = field(default_factory=dict[str, _Hold])

    def admit(self, provider: str, model: str) -> Refusal | None:
        now = self.clock()
        held = self._held(provider, now)
        if held is not None:
            return held
        breaker = self._breakers.get((provider, model))
        if breaker is None or breaker.open_until is None:
            return None
        if now < breaker.open_until or breaker.probing:
            return Refusal("breaker_open", max(0.0, breaker.open_until - now), f"{breaker.failures} failures in a row")
        breaker.probing = True
        return None

    def _held(self, provider: str, now: float) -> Refusal | None:
        aside, parked = self._aside.get(provider), self._parked.get(provider)
        if aside is not None and now < aside.until:
            return Refusal("set_aside", aside.until - now, aside.reason)
        if parked is not None and now < parked.until:
            return Refusal("parked", parked.until - now, "rate limited")
        return None

    def succeeded(self, provider: str, model: str) -> None:
        self._breakers.pop((provider, model), None)

    def failed(self, provider: str, model: str) -> None:
        breaker = self._breakers.setdefault((provider, model), _Breaker())
        breaker.failures += 1
        if breaker.probing or breaker.failures >= self.failures:
            breaker.open_until = self.clock() + self.open_seconds
        breaker.probing = False

    def released(self, provider: str, model: str) -> None:
        breaker = self._breakers.get((provider, model))
        if breaker is not None:
            breaker.probing = False

    def park(self, provider: str, seconds: float) -> None:
        self._parked[provider] = _Hold(self.clock() + seconds)

    def set_aside(self, provider: str, seconds: float, reason: str) -> None:
        self._aside[provider] = _Hold(self.clock() + seconds, reason)

    def snapshot(self) -> dict[str, str]:
        now = self.clock()
        unhealthy: dict[str, str] = {}
        for (provider, model), breaker in self._breakers.items():
            if breaker.open_until is not None:
                unhealthy[provider] = f"{model}: {breaker.failures} failures in a row"
        for provider in {*self._parked, *self._aside}:
            held = self._held(provider, now)
            if held is not None:
                unhealthy[provider] = f"{held.reason}, for {held.seconds:.0f} s more"
        return unhealthy
