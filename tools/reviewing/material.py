"""What is to be reviewed, as it is read: in parts for the reviewers, and no more of it than one review takes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from tools.reviewing.parts import Excerpt, Packer, Part, cost, split
from tools.reviewing.reviewers import Reviewed
from tools.reviewing.shapes import Skipped, Source


@dataclass(slots=True)
class Material:
    """Sources made into parts, at most `tokens` of them in all; what is left out is noted in `reviewed`."""

    reviewed: Reviewed
    tokens: int
    part_tokens: int

    async def parts(self, sources: AsyncGenerator[Source | Skipped]) -> AsyncGenerator[Part]:
        """Yield the parts as soon as they are full; sources are only read as parts are taken."""
        packer = Packer(self.part_tokens)
        async with aclosing(sources):
            async for source in sources:
                for excerpt in await self._excerpts(source):
                    if (part := packer.add(excerpt)) is not None:
                        yield part
        if (rest := packer.rest()) is not None:
            yield rest

    async def _excerpts(self, source: Source | Skipped) -> Sequence[Excerpt]:
        """Return what is to be reviewed of a source, as far as the review has room for it."""
        if isinstance(source, Skipped):
            self._left_out(source.file, source.reason)
            return ()
        excerpts = await asyncio.to_thread(split, source, self.part_tokens)
        taken: list[Excerpt] = []
        for excerpt in excerpts:
            if self.tokens <= 0:
                break
            self.tokens -= cost(excerpt)
            taken.append(excerpt)
        if len(taken) < len(excerpts):
            beyond = "is beyond what one review takes; review it by itself"
            self._left_out(source.path, "was reviewed in part: the rest is beyond one review" if taken else beyond)
        elif any(excerpt.cut for excerpt in taken):
            self._left_out(source.path, "was reviewed in part: a line of it is too long to be sent whole")
        return taken

    def _left_out(self, path: str, reason: str) -> None:
        self.reviewed.partial.add(path)
        self.reviewed.skipped.append(Skipped(file=path, reason=reason))


async def again(first: Part, rest: AsyncIterator[Part]) -> AsyncIterator[Part]:
    """Yield the first part, which has been taken already, and then the rest."""
    yield first
    async for part in rest:
        yield part
