"""A workspace and a whole Parley in it."""

from __future__ import annotations

from pathlib import Path

import pytest

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
def users(workspace: Path) -> Path:
    """A file with two faults."""
    path = workspace / "users.py"
    path.write_text(CODE)
    return path
