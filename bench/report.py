"""Rows of figures with their bounds, and the clock they are taken with."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from bench.setting import show


@dataclass
class Report:
    """The rows so far."""

    rows: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])

    def row(self, figure: str, value: str, bound: str, met: bool) -> None:
        show(figure, value, bound, met, as_json=self.rows)


async def milliseconds(work: Callable[[], Awaitable[Any]], times: int) -> list[float]:
    """Return how long each of so many runs took."""
    taken: list[float] = []
    for _ in range(times):
        began = time.perf_counter()
        await work()
        taken.append((time.perf_counter() - began) * 1000)
    return taken
