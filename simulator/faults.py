"""Scripted faults: which request meets which, in order, how many times."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from .jsonish import Json, as_dict, is_number, is_whole
from .rules import PROVIDERS, parse_times

FAULT_PROVIDERS = (*PROVIDERS, "vertex_claude_count", "vertex_gemini_count", "google_token", "github_catalog", "openrouter_models")

BEFORE_CHECKS = frozenset({
    "status", "refuse", "hang_before_headers", "hang_after_headers", "html_200", "empty", "error_json_200", "delay", "expires_in",
})
"""Met by any request. The others spoil an answer, so only a valid request meets them."""
KINDS = BEFORE_CHECKS | {
    "drip", "cut_before_content", "cut_after_content", "malformed_event", "empty_choices", "no_finish", "error_event", "truncated_json",
    "pings_only",
}
_KNOWN = frozenset({"kind", "provider", "model", "times", "status", "headers", "body", "message", "seconds", "n", "clean", "reset", "by"})


@dataclass(slots=True)
class Fault:
    """One fault. `n` counts content deltas before it strikes; `seconds` is a delay, a pause or a lifetime, by kind."""

    kind: str
    provider: str
    model: str | None = None
    times: int | None = 1
    status: int = 503
    headers: dict[str, str] = field(default_factory=dict[str, str])
    body: Any = None
    message: str | None = None
    seconds: float | None = None
    n: int | None = None
    clean: bool = False
    """Cut: end the stream properly instead of breaking the connection."""
    reset: bool = False
    """Cut: TCP RST instead of FIN."""
    by: str = "event"
    """Drip: "event" or "byte"."""

    def fits(self, provider: str, models: Iterable[str]) -> bool:
        """True when a request to that provider for that model meets this fault."""
        return self.provider == provider and (self.model is None or self.model in models)


def parse_fault(given: Json) -> Fault:
    """A fault from its JSON. Raises ValueError saying what is wrong. `times` is 1 when absent, null or "forever" for ever."""
    _check_kind(given)
    status = _number(given, "status", 503, 200, 599)
    headers = as_dict(given.get("headers", {}))
    if headers is None:
        raise ValueError("headers must be an object")
    seconds = given.get("seconds")
    if seconds is not None and (not is_number(seconds) or seconds < 0):
        raise ValueError("seconds must be a number from 0")
    if given.get("n") is not None:
        _number(given, "n", 0, 0, 1_000_000)
    if given.get("by", "event") not in ("event", "byte"):
        raise ValueError('by must be "event" or "byte"')
    plain = {key: given[key] for key in ("model", "body", "message", "seconds", "n", "clean", "reset", "by") if key in given}
    times = parse_times(given["times"]) if "times" in given else 1
    shown = {key: str(value) for key, value in headers.items()}
    return Fault(given["kind"], given["provider"], times=times, status=status, headers=shown, **plain)


def _check_kind(given: Json) -> None:
    for key in given:
        if key not in _KNOWN:
            raise ValueError(f"unknown key {key!r} in a fault; known: {', '.join(sorted(_KNOWN))}")
    kind, provider = given.get("kind"), given.get("provider")
    if kind not in KINDS:
        raise ValueError(f"unknown fault kind {kind!r}; known: {', '.join(sorted(KINDS))}")
    if provider not in FAULT_PROVIDERS:
        raise ValueError(f"a fault's provider must be one of {', '.join(FAULT_PROVIDERS)}, not {provider!r}")
    if kind == "expires_in" and provider != "google_token":
        raise ValueError("expires_in is a fault of google_token only")


def _number(given: Json, key: str, default: int, low: int, high: int) -> int:
    value = given.get(key, default)
    if not is_whole(value) or not low <= value <= high:
        raise ValueError(f"{key} must be a whole number from {low} to {high}")
    return value


class Faults:
    """The faults to come, in order; the first that fits a request is used."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Append a fault."""
        self._faults.append(fault)

    def clear(self, provider: str | None = None) -> None:
        """Drop the faults of one provider, or all."""
        self._faults = [fault for fault in self._faults if provider is not None and fault.provider != provider]

    def __len__(self) -> int:
        return len(self._faults)

    def take(self, provider: str, models: Iterable[str], *, before_checks: bool) -> Fault | None:
        """The next fault this request meets, used up once; None when it is of the other sort or there is none."""
        names = frozenset(models)
        for fault in self._faults:
            if fault.fits(provider, names):
                if (fault.kind in BEFORE_CHECKS) != before_checks:
                    return None
                if fault.times is not None:
                    fault.times -= 1
                    if fault.times == 0:
                        self._faults.remove(fault)
                return fault
        return None
