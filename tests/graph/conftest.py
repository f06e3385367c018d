"""What tests of the memory share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from graph.inbox import Inbox


@pytest.fixture
async def inbox(parley_home: Path) -> AsyncIterator[Inbox]:
    """An empty inbox, closed again."""
    one = Inbox(parley_home / "memory.db")
    yield one
    await one.aclose()
