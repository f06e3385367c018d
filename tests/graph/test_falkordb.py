"""The contract over a FalkorDB server: `PARLEY_TEST_FALKOR_URL=falkor://127.0.0.1:6379`, in which graphs are made and left empty."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

pytest.importorskip("graphiti_core")

from tests.graph.contract import GraphContract, House, searched_through_graphiti, served

URL = os.environ.get("PARLEY_TEST_FALKOR_URL", "")
if not URL:
    pytest.skip("PARLEY_TEST_FALKOR_URL names no FalkorDB server to run this against", allow_module_level=True)


class TestFalkorDB(GraphContract):
    @pytest.fixture
    async def house(self, tmp_path: Path) -> AsyncIterator[House]:
        async with searched_through_graphiti(await served(URL), tmp_path) as one:
            yield one
