"""Lists that come again and again, with what was made of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any, TypeVar

_T = TypeVar("_T")


class Repeated(list[Any]):
    """A list that nobody changes, so that what follows from it has to be worked out once only."""

    __slots__ = ("_made",)

    def __init__(self, items: Iterable[Any]) -> None:
        super().__init__(items)
        self._made: dict[Hashable, Any] = {}

    def once(self, name: Hashable, make: Callable[[], _T]) -> _T:
        """Return what `make` returned the first time it was asked for by this name. Names have to be few."""
        if name not in self._made:
            self._made[name] = make()
        return self._made[name]
