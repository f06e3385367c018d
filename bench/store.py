"""The store of threads a script runs against, by what stands on its command line: one script over every kind."""

from __future__ import annotations

import asyncio
import multiprocessing
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any
from urllib.parse import urldefrag

from bench.redis import redis_server
from conversation.threads import NewTurn, ThreadStore
from memory._redis_client import RedisLink
from memory._spool_folder import Spool
from memory.redis import RedisThreadStore
from memory.spool import SpoolingThreadStore
from memory.sqlite import SqliteThreadStore

PATIENCE_S = 60.0
WHERE = "the path of a database, a URL, or redis for a server of its own (a new file)"
Work = Callable[..., Awaitable[Any]]
"""What a process does: with a store, a function to wait with for the others, and arguments of its own."""


def open_store(where: str) -> ThreadStore:
    """Return the store of a file's path, or of a Redis by its URL.

    Its fragment is the folder by which processes of one machine see who of them is alive; without one, they are of many machines.
    """
    if "://" in where:
        url, folder = urldefrag(where)
        link, home = RedisLink(url), Path(folder or tempfile.mkdtemp(prefix="parley-bench-home-"))
        return SpoolingThreadStore(RedisThreadStore(link, home / "owners"), link, Spool(home / "spool"))
    return SqliteThreadStore(Path(where), busy_timeout_s=30)


def place(where: str | None, folder: Path, stack: ExitStack) -> str:
    """Return where a script's store is: as its command line says, or in a new file; `redis` runs a server until `stack` ends."""
    if where == "redis":
        return f"{stack.enter_context(redis_server(folder / 'redis'))}#{folder}"
    return where or str(folder / "threads.db")


def user(text: str) -> NewTurn:
    """Return a turn of the caller."""
    return NewTurn(role="user", content=text)


def answer(text: str) -> NewTurn:
    """Return a turn of a model."""
    return NewTurn(role="assistant", content=text, provider="p", model="m")


async def said(store: ThreadStore, text: str, thread_id: str | None = None) -> str:
    """Land one exchange, `text` and `text!`, and return the thread's id."""
    started = await store.begin(user(text), workspace="/bench", thread_id=thread_id)
    await store.complete(started.exchange_id, [answer(f"{text}!")])
    return started.thread.id


def in_processes(where: str, work: Work, arguments: Sequence[Sequence[Any]]) -> list[Any]:
    """Do `work` in one process for each row of arguments, each with a store of its own, and return what each returned."""
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(len(arguments))
    with context.Pool(len(arguments), initializer=_begin, initargs=(together,)) as pool:
        rows = [pool.apply_async(_process, (where, work, tuple(own))) for own in arguments]
        return [row.get(PATIENCE_S) for row in rows]


_together: list[Barrier] = []


def _begin(together: Barrier) -> None:
    _together.append(together)


def _process(where: str, work: Work, arguments: tuple[Any, ...]) -> Any:
    async def run() -> Any:
        store = open_store(where)
        try:
            await store.ping()
            await asyncio.to_thread(_together[0].wait, PATIENCE_S)
            return await work(store, *arguments)
        finally:
            await store.aclose()

    return asyncio.run(run())
