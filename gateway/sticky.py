"""Which model a conversation is with: prompt caches and signatures are the provider's, so that it stays with it while that is well."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from providers.base import ModelInfo
from providers.strategies import STICKY_SECONDS

_MOST = 20_000


class Sticky:
    """Remembers the model behind each conversation, the newest ones, for `seconds` after each answer; 0 remembers nothing."""

    def __init__(self, seconds: float = STICKY_SECONDS, *, clock: Callable[[], float] = time.monotonic, most: int = _MOST) -> None:
        self._seconds, self._clock, self._most = seconds, clock, most
        self._models: OrderedDict[tuple[str, str], tuple[str, float]] = OrderedDict()

    def first(self, conversation: str, asked: str, models: Sequence[ModelInfo]) -> Sequence[ModelInfo]:
        """Return the models with the conversation's own before the others. `asked` is the name the client calls it by."""
        name, at = self._models.get((conversation, asked), ("", 0.0))
        if not name or self._clock() - at >= self._seconds:
            return models
        return sorted(models, key=lambda model: model.name != name)

    def note(self, conversation: str, asked: str, model: ModelInfo) -> None:
        """Take note of who answered."""
        if not conversation or not self._seconds:
            return
        self._models[conversation, asked] = model.name, self._clock()
        self._models.move_to_end((conversation, asked))
        while len(self._models) > self._most:
            self._models.popitem(last=False)
