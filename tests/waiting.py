"""Time that has to pass, where that is what is tested."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress

PATIENCE = 20.0


async def a_while(seconds: float) -> None:
    """Let so much time pass."""
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), seconds)


def until(true: Callable[[], bool], what: str = "it") -> None:
    """Wait for what becomes true in another process."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, f"{what} did not come about in {PATIENCE:g} s"
        threading.Event().wait(0.05)


async def auntil(true: Callable[[], bool], what: str = "it") -> None:
    """Wait for what becomes true in another task."""
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, f"{what} did not come about in {PATIENCE:g} s"
        await a_while(0.01)
