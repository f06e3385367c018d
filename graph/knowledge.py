"""What is known, for whoever asks: the protocol of everything that can be searched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from graph.episodes import Entity, Findings, FoundFact, Wanted


class Knowledge(Protocol):
    """A graph that can be searched. Every method raises ParleyError: StoreError, or MemoryUnavailable for a server that is away."""

    async def search(self, wanted: Wanted) -> Findings:
        """Return the facts that answer best, and the episodes that say more.

        What is no longer true comes last; it is left out, unless it is wanted or the query asks for the past.
        """
        ...

    async def nodes(self, wanted: Wanted) -> Sequence[Entity]:
        """Return the entities that fit best."""
        ...

    async def fact(self, uuid: str) -> FoundFact | None:
        """Return a fact, None when there is none with this uuid. Raises InvalidInput."""
        ...

    async def aclose(self) -> None:
        """Let go of what it alone holds."""
        ...
