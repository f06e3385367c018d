"""Vectors held in memory, and which of them are nearest to one. Only the drainer needs it, which has numpy for Graphiti anyway."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_Matrix = np.ndarray[tuple[int, int], np.dtype[np.float32]]


class Vectors:
    """Vectors by group and uuid; all of one group have the same dimension."""

    def __init__(self) -> None:
        self._groups: dict[str, _Group] = {}

    def put(self, group: str, uuid: str, vector: Sequence[float]) -> None:
        """Keep a vector, in the place of the one this uuid had."""
        self._groups.setdefault(group, _Group(len(vector))).put(uuid, vector)

    def get(self, group: str, uuid: str) -> list[float] | None:
        """Return the vector of a uuid, of length 1."""
        return self._groups[group].get(uuid) if group in self._groups else None

    def nearest(self, groups: Sequence[str], vector: Sequence[float], limit: int, floor: float) -> list[str]:
        """Return the uuids of the nearest vectors of these groups, the nearest first, down to a cosine of `floor`."""
        found = [pair for group in groups if group in self._groups for pair in self._groups[group].nearest(vector, limit, floor)]
        return [uuid for _, uuid in sorted(found, reverse=True)[:limit]]


class _Group:
    def __init__(self, dimension: int) -> None:
        self._rows: _Matrix = np.zeros((64, dimension), np.float32)
        self._uuids: list[str] = []
        self._places: dict[str, int] = {}

    def put(self, uuid: str, vector: Sequence[float]) -> None:
        place = self._places.setdefault(uuid, len(self._uuids))
        if place == len(self._uuids):
            self._uuids.append(uuid)
        if place == len(self._rows):
            self._rows = np.concatenate([self._rows, np.zeros_like(self._rows)])
        self._rows[place] = _normal(vector)

    def get(self, uuid: str) -> list[float] | None:
        return [float(number) for number in self._rows[self._places[uuid]]] if uuid in self._places else None

    def nearest(self, vector: Sequence[float], limit: int, floor: float) -> list[tuple[float, str]]:
        if len(vector) != self._rows.shape[1]:
            return []
        cosines = self._rows[: len(self._uuids)] @ _normal(vector)
        best = np.argsort(-cosines)[:limit]
        return [(float(cosines[place]), self._uuids[place]) for place in best if cosines[place] >= floor]


def _normal(vector: Sequence[float]) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    row = np.asarray(vector, np.float32)
    length = float(np.linalg.norm(row))
    return row / length if length else row
