"""The measurements of panels: they end with their work, whatever becomes of it."""

from __future__ import annotations

import asyncio

import pytest

from bench.panel import until_asked


async def never() -> int:
    return 0


async def test_waiting_for_a_request_ends_with_the_failure_of_the_work_that_was_to_make_it() -> None:
    async def broken() -> None:
        raise RuntimeError("the review failed")

    async def idle() -> None: ...

    for work, message in ((broken, "the review failed"), (idle, "never asked")):
        async with asyncio.timeout(5):
            with pytest.raises(RuntimeError, match=message):
                await until_asked(asyncio.create_task(work()), never)


async def test_waiting_for_a_request_ends_with_the_request() -> None:
    asked = asyncio.Event()

    async def work() -> None:
        asked.set()
        await asyncio.Event().wait()

    async def requests() -> int:
        return int(asked.is_set())

    task = asyncio.create_task(work())
    async with asyncio.timeout(5):
        await until_asked(task, requests)
    task.cancel()
