"""The vectors of the groups that are searched, in the memory of a process: brought up to date by what has changed in the file.

numpy is imported when vectors are first compared. 10,000 vectors of 1,536 numbers take 61 MB.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from memory._sql import Sql

_MOST_BLOCKS = 16
"""Two a group: a process searches that of its workspace, and others by name."""
_NEAR = 0.5
"""From so near on, between the middle of all and the nearest, a meaning counts. Chosen as what graph.ranking has."""
_UNLIKE = 8
"""Unlike ones that are counted with the others, so that in a memory of a few facts these are not measured by each other alone."""
_NUMBERS = "SELECT n FROM vectors WHERE generation = ? AND group_id = ? AND kind = ? ORDER BY n"
_ROWS = "SELECT n, uuid, numbers FROM vectors WHERE n IN (SELECT value FROM json_each(?)) AND length(numbers) = ? ORDER BY n"
_STATE = "SELECT data_version, total_changes() FROM pragma_data_version"

_Key = tuple[int, str, str]
"""The generation, the group and the kind."""


class Near(NamedTuple):
    """How near to a question some are by their meaning, by uuid: from 0, as most are, to 1 for the nearest; and of how many in all."""

    by_uuid: Mapping[str, float]
    total: int


class Likeness(NamedTuple):
    """Which facts and which episodes are near to a question."""

    facts: Near
    episodes: Near


@dataclass
class _Block:
    """The vectors of one kind in one group, row by row, with their numbers in the file and what they are of. Some rows are spare."""

    matrix: Any
    numbers: list[int] = field(default_factory=list[int])
    uuids: list[str] = field(default_factory=list[str])
    state: object = None

    def update(self, sql: Sql, key: _Key) -> None:
        """Drop the rows that are gone and read those that are new."""
        state = sql.execute(_STATE).fetchone()
        if state == self.state:
            return
        self.state = state
        now = {number for (number,) in sql.execute(_NUMBERS, key)}
        kept = [row for row, number in enumerate(self.numbers) if number in now]
        if len(kept) < len(self.numbers):
            self.matrix[: len(kept)] = self.matrix[kept]
            self.numbers, self.uuids = [self.numbers[row] for row in kept], [self.uuids[row] for row in kept]
        self._add(sql, sorted(now.difference(self.numbers)))

    def _add(self, sql: Sql, numbers: Sequence[int]) -> None:
        import numpy as np

        rows, dimension = self.matrix.shape
        used = len(self.numbers)
        if used + len(numbers) > rows:
            larger = np.empty((used + len(numbers) + used // 8 + 16, dimension), dtype=np.float32)
            larger[:used] = self.matrix[:used]
            self.matrix = larger
        if numbers:
            for number, uuid, vector in sql.execute(_ROWS, (json.dumps(numbers), 4 * dimension)):
                self.matrix[len(self.numbers)] = np.frombuffer(vector, dtype="<f4")
                self.numbers.append(number)
                self.uuids.append(uuid)


class Vectors:
    """Compares vectors with those of a file. To be used by one thread at a time."""

    def __init__(self) -> None:
        self._blocks: dict[_Key, _Block] = {}
        self._sql: Sql | None = None

    def likeness(self, sql: Sql, vector: Sequence[float], generation: int, groups: Iterable[str]) -> Likeness:
        """Return how like a vector those of these groups are. Those of another length than it are left out."""
        import numpy as np

        asked = np.asarray(vector, dtype=np.float32)
        asked /= float(np.linalg.norm(asked)) or 1.0
        if sql is not self._sql:  # another connection may be to another file
            self._blocks, self._sql = {}, sql
        facts, episodes = ([self._block(sql, (generation, group, kind), len(asked)) for group in groups] for kind in ("fact", "episode"))
        while len(self._blocks) > _MOST_BLOCKS:
            del self._blocks[next(iter(self._blocks))]
        return Likeness(_near(facts, asked), _near(episodes, asked))

    def _block(self, sql: Sql, key: _Key, dimension: int) -> _Block:
        """Return the vectors of a group as they are now."""
        import numpy as np

        block = self._blocks.pop(key, None)
        if block is None or block.matrix.shape[1] != dimension:
            block = _Block(np.empty((0, dimension), dtype=np.float32))
        block.update(sql, key)
        self._blocks[key] = block
        return block


def _near(blocks: Sequence[_Block], asked: Any) -> Near:
    """Return which vectors are near: models differ in how like each other texts of different meanings are to them."""
    import numpy as np

    # Row by row: the product of a whole matrix waits for threads that a busy machine does not let run.
    values = [np.vecdot(block.matrix[: len(block.uuids)], asked) for block in blocks]
    likeness = np.concatenate([*values, np.zeros(_UNLIKE, dtype=np.float32)])
    total = len(likeness) - _UNLIKE
    middle = float(np.median(likeness))
    spread = max(float(likeness[:total].max()) - middle, 1e-6) if total else 1.0
    scaled = [(part - middle) / spread for part in values]
    near = {
        block.uuids[at]: float(part[at])
        for block, part in zip(blocks, scaled, strict=True)
        for at in np.flatnonzero(part >= _NEAR)
    }
    return Near(near, total)
