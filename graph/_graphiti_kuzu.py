"""The embedded engine: Kuzu, in a file that one process opens at a time. Another one in its place is another file like this.

What is mended here of Graphiti's driver: the indexes of words it needs and does not make (none is needed: what new facts are compared
with is found elsewhere), and the database name it asks for and does not have.
"""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path

from graphiti_core.driver.driver import GraphDriver
from graphiti_core.driver.kuzu_driver import KuzuDriver
from graphiti_core.edges import EntityEdge
from graphiti_core.nodes import EntityNode

from graph._graphiti_candidates import Candidates
from graph.known import Known
from graph.vectors import Vectors


class _Driver(KuzuDriver):
    def __init__(self, path: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # README says what it means for a user
            super().__init__(str(path))
        self._database = ""


class Kuzu:
    """Implements graph._graphiti.Engine."""

    fact = "(e:RelatesToNode_)"
    fact_of = "(n:Entity)-[:RELATES_TO]-(e:RelatesToNode_)"

    def __init__(self, driver: _Driver, candidates: Candidates) -> None:
        self._driver, self._candidates = driver, candidates
        driver.search_interface = candidates

    @classmethod
    async def open(cls, path: Path, known: Known, near: float) -> Kuzu:
        """Open the graph in a file, which is made if it is not there, and read the vectors of all that is in it."""
        engine = cls(_Driver(path), Candidates(known=known, near=near, names=Vectors(), facts=Vectors()))
        await engine._recall()
        return engine

    async def _recall(self) -> None:
        for vectors, label, name in (
            (self._candidates.names, "Entity", "name_embedding"),
            (self._candidates.facts, "RelatesToNode_", "fact_embedding"),
        ):
            rows, _, _ = await self._driver.execute_query(f"MATCH (n:{label}) RETURN n.group_id AS g, n.uuid AS u, n.{name} AS v")
            for row in rows:
                if isinstance(row, dict) and row["v"]:
                    vectors.put(row["g"], row["u"], row["v"])

    async def to_write(self, group_id: str) -> GraphDriver:
        return self._driver

    async def to_read(self, group_id: str) -> GraphDriver | None:
        return self._driver

    async def everywhere(self) -> Sequence[GraphDriver]:
        return [self._driver]

    def learn(self, nodes: Iterable[EntityNode], edges: Iterable[EntityEdge]) -> None:
        self._candidates.learn(nodes, edges)

    @contextmanager
    def speaking(self) -> Generator[None]:
        yield

    async def aclose(self) -> None:
        """Let go of the file."""
        self._driver.client.close()
        self._driver.db.close()
