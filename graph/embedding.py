"""Vectors of what is remembered and of what is looked for, by an embedding model: what near vectors stand for has near meanings."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from typing import Protocol

from conversation.errors import MemoryUnavailable, ParleyError
from graph._made import Searched

PASSAGE = 4_000
"""Characters of an episode that its vector stands for: of more, no single meaning is left."""
QUERY_SECONDS = 2.0
"""How long a search waits for the vector of its question, before it goes by words alone."""
NO_MODEL = "The search goes by words, not by meaning: other words for the same thing may find more. PARLEY_EMBEDDING_MODEL changes that."


class Embedder(Protocol):
    """An embedding model that can be asked."""

    @property
    def name(self) -> str: ...

    async def embed(self, texts: Sequence[str], *, is_query: bool = False, within_s: float | None = None) -> list[list[float]]:
        """Return a vector for each text, in order. Raises ParleyError."""
        ...


class Meaning:
    """The embedding model that the settings name. It is made when it is first asked."""

    def __init__(self, name: str, make: Callable[[], Embedder]) -> None:
        """`make` raises ParleyError where the model cannot be asked."""
        self.name, self._make = name, make
        self._made: Embedder | None = None

    def embedder(self) -> Embedder:
        """Return the model. Raises MemoryUnavailable."""
        if self._made is None:
            try:
                self._made = self._make()
            except ParleyError as error:
                raise MemoryUnavailable(f"{self.name} cannot make vectors: {error.message}", hint=error.hint) from None
        return self._made

    def problem(self) -> str:
        """Return why the model cannot be asked, nothing when it can."""
        try:
            self.embedder()
        except MemoryUnavailable as error:
            return f"{error.message} {error.hint}".rstrip()
        return ""

    async def of_query(self, query: str) -> list[float]:
        """Return the vector of a question. Raises ParleyError, after some seconds at most."""
        (vector,) = await self.of_queries([query])
        return vector

    async def of_queries(self, queries: Sequence[str]) -> list[list[float]]:
        """Return the vectors of questions. It implements graph._graphiti.Embed. Raises as `of_query`."""
        return await self.embedder().embed([query[:PASSAGE] for query in queries], is_query=True, within_s=QUERY_SECONDS)

    async def dimension(self) -> int:
        """Return how many numbers its vectors have, as it says now. Raises MemoryUnavailable."""
        embedder = self.embedder()
        try:
            ((*numbers,),) = await embedder.embed(["How many numbers?"])
        except ParleyError as error:
            message = f"The embedding model cannot be asked: {error.message}"
            raise MemoryUnavailable(message, hint=error.hint, retryable=error.retryable) from None
        return len(numbers)


def why_by_words(searched: Searched, name: str, dimension: int = 0) -> str:
    """Return why vectors that the model `name` makes cannot be compared with those of the graph that is searched, nothing when they can."""
    made = searched.made
    if made is None:
        return "The search goes by words alone: nothing that was told has been read yet."
    again = "It is being read again now." if searched.is_building else "`parley memory rebuild` has it read again."
    if made.embedding != name:
        return f"The search goes by words alone: what is known was read with embedding {made.embedding}, the settings say {name}. {again}"
    if dimension and made.dimension != dimension:
        numbers = f"{name} makes vectors of {dimension} numbers, those of what is known have {made.dimension}"
        return f"The search goes by words alone: {numbers}. {again}"
    return ""


def by_words_since(error: ParleyError) -> str:
    """Return what to say of a search that went by words alone since the model could not be asked."""
    return f"The search went by words alone: {error.message}"


def packed(vector: Sequence[float]) -> bytes:
    """Return a vector as it is kept: of length 1, as 32-bit numbers."""
    length = math.sqrt(sum(number * number for number in vector)) or 1.0
    return struct.pack(f"<{len(vector)}f", *(number / length for number in vector))
