from __future__ import annotations

import pytest

from tests.memory.contract import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()
