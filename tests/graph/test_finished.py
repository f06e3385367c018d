"""Threads that are remembered on their own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from conversation.threads import NewTurn
from graph.finished import FINISHED_SECONDS, Finished
from graph.memory import Memory
from memory.sqlite import SqliteThreadStore
from tests.graph.notes import remembering
from tests.memory.contract import Clock

WORKSPACE = "/srv/work"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(parley_home: Path, clock: Clock) -> AsyncIterator[SqliteThreadStore]:
    one = SqliteThreadStore(parley_home / "threads.db", clock=clock)
    yield one
    await one.aclose()


@pytest.fixture
async def memory(parley_home: Path) -> AsyncIterator[Memory]:
    one = remembering(parley_home)
    yield one
    await one.aclose()


@pytest.fixture
def finished(store: SqliteThreadStore, memory: Memory, clock: Clock) -> Finished:
    return Finished(store, memory, WORKSPACE, clock=clock)


async def said(store: SqliteThreadStore, *words: str, on: str | None = None, workspace: str = WORKSPACE) -> str:
    """Have words said, each answered, and return the thread."""
    thread = on
    for word in words:
        begun = await store.begin(NewTurn(role="user", content=word), workspace=workspace, thread_id=thread)
        thread = begun.thread.id
        await store.complete(begun.exchange_id, [NewTurn(role="assistant", content="yes", model="m")])
    assert thread is not None
    return thread


async def bodies(memory: Memory) -> list[str]:
    return [one.body for one in reversed(await memory.inbox.episodes(None, 100))]


async def test_a_thread_is_told_once_nobody_goes_on_with_it_and_again_what_is_said_later(
    store: SqliteThreadStore, memory: Memory, finished: Finished, clock: Clock
) -> None:
    await said(store, "long ago")
    clock.now += 1
    assert await finished.tell() == 0, "what was said before is left alone"
    clock.now += 1
    thread = await said(store, "which queue", "redis")
    clock.now += FINISHED_SECONDS - 1
    assert await finished.tell() == 0 and await bodies(memory) == []
    clock.now += 2
    assert await finished.tell() == 1
    assert await bodies(memory) == ["user: which queue\nm: yes\nuser: redis\nm: yes"]
    assert await finished.tell() == 0
    await said(store, "and why", on=thread)
    clock.now += FINISHED_SECONDS + 1
    assert await finished.tell() == 1
    assert await bodies(memory) == ["user: which queue\nm: yes\nuser: redis\nm: yes", "user: and why\nm: yes"]


async def test_threads_of_other_workspaces_are_left_alone(
    store: SqliteThreadStore, memory: Memory, finished: Finished, clock: Clock
) -> None:
    await finished.tell()
    clock.now += 1
    await said(store, "elsewhere", workspace="/srv/other")
    clock.now += FINISHED_SECONDS + 1
    assert await finished.tell() == 0 and await bodies(memory) == []


async def test_a_thread_that_is_gone_by_then_is_passed_over(
    store: SqliteThreadStore, memory: Memory, finished: Finished, clock: Clock
) -> None:
    await finished.tell()
    clock.now += 1
    thread = await said(store, "short-lived")
    clock.now += FINISHED_SECONDS + 1
    (summary,) = await store.list(workspace=WORKSPACE)
    await store.delete(thread)
    await finished._tell(summary)  # pyright: ignore[reportPrivateUsage]
    assert await bodies(memory) == []
