"""The contract over the embedded engine: as it is used, and with its facts compared and searched through Graphiti as with a server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

pytest.importorskip("graphiti_core")

from graph import lexical
from graph._graphiti import Graph
from graph.inbox import Inbox
from graph.known import Known
from tests.graph.contract import GraphContract, House, indexed, searched_through_graphiti
from tests.graph.test_graphiti import Model


@pytest.fixture
async def inbox(tmp_path: Path) -> AsyncIterator[Inbox]:
    one = Inbox(tmp_path / "memory.db")
    yield one
    await one.aclose()


class TestAsItIsUsed(GraphContract):
    @pytest.fixture
    async def house(self, tmp_path: Path, inbox: Inbox) -> AsyncIterator[House]:
        model = Model()
        graph = await Graph.open(tmp_path / "graph", model, lexical.embed, Known(inbox.database, 1))
        one = House(tmp_path, graph, model)
        yield one
        await one.aclose()
        await graph.aclose()


class TestThroughGraphiti(GraphContract):
    @pytest.fixture
    async def house(self, tmp_path: Path, inbox: Inbox) -> AsyncIterator[House]:
        async with searched_through_graphiti(await indexed(tmp_path / "graph", inbox), tmp_path) as one:
            yield one
