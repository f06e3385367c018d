"""A workspace and a whole Parley in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from graph.memory import Memory
from tests.graph.notes import remembering
from tests.tools.house import House
from tests.tools.reviews import CODE


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


@pytest.fixture
def house(workspace: Path) -> House:
    return House(workspace)


@pytest.fixture
async def memory(tmp_path: Path) -> AsyncIterator[Memory]:
    """A memory whose notes nobody reads but the tests; a house has it only if it is given it."""
    one = remembering(tmp_path / "memory")
    yield one
    await one.aclose()


@pytest.fixture
def users(workspace: Path) -> Path:
    """A file with two faults."""
    path = workspace / "users.py"
    path.write_text(CODE)
    return path
