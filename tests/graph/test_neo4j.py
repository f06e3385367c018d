"""The contract over a Neo4j server: `PARLEY_TEST_NEO4J_URL=neo4j://user:password@127.0.0.1:7687`, which is written to and cleaned up."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

pytest.importorskip("graphiti_core")

from tests.graph.contract import GraphContract, House, searched_through_graphiti, served

URL = os.environ.get("PARLEY_TEST_NEO4J_URL", "")
if not URL:
    pytest.skip("PARLEY_TEST_NEO4J_URL names no Neo4j server to run this against", allow_module_level=True)


class TestNeo4j(GraphContract):
    @pytest.fixture
    async def house(self, tmp_path: Path) -> AsyncIterator[House]:
        async with searched_through_graphiti(await served(URL), tmp_path) as one:
            yield one
