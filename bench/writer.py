"""A process that lands exchanges until it is killed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from multiprocessing.connection import Connection

from bench.store import answer, open_store, user


def write(where: str, threads: Sequence[str], name: str, told: Connection) -> None:
    """Land exchanges on one thread after the other, round and round, and tell each once it is stored; before the first, None."""

    async def run() -> None:
        store, number = open_store(where), 0
        await store.ping()
        told.send(None)
        while True:
            thread_id, text = threads[number % len(threads)], f"{name}/{number}"
            started = await store.begin(user(text), workspace="/bench", thread_id=thread_id)
            await store.complete(started.exchange_id, [answer(f"{text}!"), answer(f"{text}?")])
            told.send((thread_id, text))
            number += 1

    asyncio.run(run())
