"""A process of its own on a shared file: `writer FILE THREAD COUNT` lands exchanges through two stores at once; with COUNT `hold` it
begins one and waits for the end of its input.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from conversation.spending import Account, Spent
from conversation.threads import NewTurn
from memory.ledger import SpendLedger
from memory.sqlite import SqliteThreadStore


async def hold(file: Path, thread_id: str) -> None:
    store = SqliteThreadStore(file)
    started = await store.begin(NewTurn(role="user", content="held"), workspace="/w", thread_id=thread_id)
    print(started.exchange_id, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await store.aclose()


async def write(file: Path, thread_id: str, count: int, name: str) -> None:
    store, ledger = SqliteThreadStore(file, busy_timeout_s=30), SpendLedger(file, busy_timeout_s=30)
    for number in range(count):
        text = f"{name}/{number}"
        started = await store.begin(NewTurn(role="user", content=text), workspace="/w", thread_id=thread_id)
        await store.complete(started.exchange_id, [NewTurn(role="assistant", content=f"{text}!")])
        await ledger.add({Account("2027-01-01", "p", "m", name): Spent(1, usd=0.25)})
    await ledger.aclose()
    await store.aclose()


async def main(file: str, thread_id: str, count: str) -> None:
    if count == "hold":
        await hold(Path(file), thread_id)
    else:
        await asyncio.gather(*(write(Path(file), thread_id, int(count), f"{os.getpid()}.{n}") for n in range(2)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
