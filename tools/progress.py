"""Progress of a call that takes longer than a second: what is going on and for how long."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

log = logging.getLogger(__name__)

Send = Callable[[float, str], Awaitable[None]]
"""Sends one report: seconds since the call began, and a sentence."""

CLOSE_TOGETHER = 5
FARTHER_APART = 5


class Watch:
    """What a call is doing now; `say` replaces it."""

    def __init__(self, doing: str) -> None:
        self.doing = doing

    def say(self, doing: str) -> None:
        self.doing = doing


@asynccontextmanager
async def reporting(watch: Watch, send: Send, *, every: float) -> AsyncGenerator[None]:
    """Send reports while the body runs: `every` seconds at first, later less often."""
    reporter = asyncio.create_task(_report(watch, send, every))
    try:
        yield
    finally:
        reporter.cancel()


async def _report(watch: Watch, send: Send, every: float) -> None:
    began = time.monotonic()
    sent = 0
    while True:
        await asyncio.sleep(every if sent < CLOSE_TOGETHER else every * FARTHER_APART)
        elapsed = time.monotonic() - began
        try:
            await send(round(elapsed, 3), f"{watch.doing} ({elapsed:.0f} s)")
        except Exception as error:  # the boundary to the client's transport: a call does not fail because nobody watches it
            log.debug("progress stopped: %s", type(error).__name__)
            return
        sent += 1
