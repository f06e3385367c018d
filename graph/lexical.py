"""Vectors of words and their parts, for where no embedding model is set: like texts are near each other, like meanings are not."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from hashlib import blake2b

DIMENSION = 256
_WORD = re.compile(r"\w+")


async def embed(texts: Sequence[str]) -> list[list[float]]:
    """Return a vector for each text. It implements graph._graphiti.Embed."""
    return [vector(text) for text in texts]


def vector(text: str) -> list[float]:
    """Return a vector of length 1 and DIMENSION numbers: each word and each three letters of one add to one of them."""
    found = [0.0] * DIMENSION
    for word in _WORD.findall(text.casefold()):
        padded = f"^{word}$"
        for part in (word, *(padded[at : at + 3] for at in range(len(padded) - 2))):
            digest = int.from_bytes(blake2b(part.encode("utf-8", "replace"), digest_size=4).digest())
            found[digest % DIMENSION] += 1.0 if digest & 0x8000_0000 else -1.0
    length = math.sqrt(sum(number * number for number in found))
    return [number / length for number in found] if length else [1.0, *found[1:]]
