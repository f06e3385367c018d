"""Time that has to pass, where that is what is tested."""

from __future__ import annotations

import asyncio
from contextlib import suppress


async def a_while(seconds: float) -> None:
    """Let so much time pass."""
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.Event().wait(), seconds)
