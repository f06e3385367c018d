"""In which order providers are asked: by the chain, or by what they cost, how soon they begin, how seldom they fail.

What the last two go by is what was seen in this process in the last minutes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from providers.base import ModelInfo

SHARE = 0.3
"""Of the newest observation in a moving average; the rest is what was known before."""
FRESH_SECONDS = 600.0
"""For so long an observation counts. A model that did badly is then tried again as one nothing is known of."""
_INPUT_SHARE = 0.75
"""Of the tokens of a price that stands for input and output, the mix by which price lists compare models."""


@dataclass(slots=True)
class _Lately:
    waited: float = math.inf
    success: float = 1.0
    at: float = 0.0
    times: int = 0


class Experience:
    """How models did lately, by their provider/model names."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, _Lately] = {}

    def note(self, name: str, waited: float | None, *, ok: bool) -> None:
        """Take note of an attempt: the seconds until its content began, None when none did, and whether it ended well."""
        before = self._fresh(name) or _Lately()
        success = before.success + SHARE * (ok - before.success)
        if waited is None:
            waited = before.waited
        elif before.waited < math.inf:
            waited = before.waited + SHARE * (waited - before.waited)
        self._known[name] = _Lately(waited, success, self._clock(), before.times + 1)

    def waited(self, name: str) -> float | None:
        """Return after how many seconds its content begins, infinite when none ever did, None when it was not asked lately."""
        found = self._fresh(name)
        return None if found is None else found.waited

    def times(self, name: str) -> int:
        """Return how often it was asked lately."""
        found = self._fresh(name)
        return 0 if found is None else found.times

    def success(self, name: str) -> float:
        """Return which part of attempts ended well, 1 when nothing is known."""
        found = self._fresh(name)
        return 1.0 if found is None else found.success

    def _fresh(self, name: str) -> _Lately | None:
        found = self._known.get(name)
        return found if found is not None and self._clock() - found.at < FRESH_SECONDS else None


def price(model: ModelInfo) -> float:
    """Return USD per million tokens, three of four of them input; infinite when a price is not known."""
    if model.input_usd_per_mtok is None or model.output_usd_per_mtok is None:
        return math.inf
    return _INPUT_SHARE * model.input_usd_per_mtok + (1 - _INPUT_SHARE) * model.output_usd_per_mtok


def _not_asked_first(model: ModelInfo, lately: Experience) -> float:
    waited = lately.waited(model.name)
    return -1.0 if waited is None else waited


STRATEGIES: Mapping[str, Callable[[ModelInfo, Experience], float]] = {
    "priority": lambda model, lately: 0.0,
    "cost": lambda model, lately: price(model),
    "latency": _not_asked_first,
    "availability": lambda model, lately: -round(lately.success(model.name), 2),
}
"""What models are sorted by, least first; those that are equal keep the order of the chain."""

DEFAULT_STRATEGY = "priority"
STICKY_SECONDS = 3600.0
"""How long after its last answer a conversation stays with its provider: an hour, the longest that a prompt cache is kept."""


def ordered(models: Sequence[ModelInfo], strategy: str, lately: Experience) -> list[ModelInfo]:
    """Return the models in the order a strategy, one of STRATEGIES, asks them."""
    key = STRATEGIES[strategy]
    return sorted(models, key=lambda model: key(model, lately))
