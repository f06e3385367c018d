"""What answers took, counted by day, provider, model and session. Pure functions and values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from conversation.messages import Usage


class Account(NamedTuple):
    """What is counted together. Days are of UTC, such as 2026-11-23; provider and model are empty where they were never noted."""

    day: str
    provider: str = ""
    model: str = ""
    session: str = ""
    """Whose requests: the session a client named; empty where it named none."""


class Spent(NamedTuple):
    """Requests, tokens and USD. `unpriced` of the requests cost what is not known, and nothing in `usd`."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    usd: float = 0.0
    unpriced: int = 0

    @classmethod
    def of(cls, usage: Usage) -> Spent:
        """Return what one request took."""
        unpriced = usage.cost_usd is None
        return cls(1, usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.cost_usd or 0.0, int(unpriced))

    def plus(self, other: Spent) -> Spent:
        """Return the sum."""
        return Spent(
            self.requests + other.requests,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cached_tokens + other.cached_tokens,
            self.usd + other.usd,
            self.unpriced + other.unpriced,
        )


_MOST_TOLD = 100
"""Of providers, models and sessions of a day, the dearest."""

Rows = Sequence[tuple[Account, Spent]]


def told(day: str, rows: Iterable[tuple[Account, Spent]]) -> dict[str, Any]:
    """Return a day's totals as users are told them: {day, usd, requests, ..., providers{}, models{}, sessions{}}, each by its name."""
    total = Spent()
    groups: dict[str, dict[str, Spent]] = {"providers": {}, "models": {}, "sessions": {}}
    for account, spent in rows:
        if account.day != day:
            continue
        total = total.plus(spent)
        names = {"providers": account.provider, "models": account.provider and f"{account.provider}/{account.model}"}
        for group, name in {**names, "sessions": account.session}.items():
            if name:
                groups[group][name] = groups[group].get(name, Spent()).plus(spent)
    dearest = {group: sorted(found.items(), key=lambda item: -item[1].usd)[:_MOST_TOLD] for group, found in groups.items()}
    return {"day": day, **_figures(total), **{group: {name: _figures(one) for name, one in found} for group, found in dearest.items()}}


def _figures(spent: Spent) -> Mapping[str, Any]:
    return {**spent._asdict(), "usd": round(spent.usd, 6)}
