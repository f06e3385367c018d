"""What the stores' tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from memory.sqlite import SqliteThreadStore
from tests.memory.contract import Clock

Open = Callable[[Path], SqliteThreadStore]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def file(parley_home: Path) -> Path:
    return parley_home / "threads.db"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return tmp_path / "copy.db"


@pytest.fixture
async def opened(clock: Clock) -> AsyncIterator[Open]:
    stores: list[SqliteThreadStore] = []

    def make(path: Path) -> SqliteThreadStore:
        stores.append(SqliteThreadStore(path, ttl_days=30, clock=clock))
        return stores[-1]

    yield make
    for store in stores:
        await store.aclose()
