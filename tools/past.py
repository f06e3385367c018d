"""The turns of a thread before those an exchange began with: loaded when a request has room for them, which few have."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from conversation.errors import ParleyError
from conversation.messages import Warned
from conversation.threads import Thread, ThreadStore, Turn
from conversation.window import Window
from providers.base import ModelInfo
from tools.limits import Limits

_BYTES_PER_TOKEN = 4
"""So many bytes of prose, of code and of other scripts are estimated at one token at least: turns of so many overfill a window."""


def recent(models: Iterable[ModelInfo], limits: Limits) -> int:
    """Return how many bytes of a thread's newest turns are more than any of these models has room for, by the usual estimate."""
    room = max((model.context_window for model in models), default=0)
    return _BYTES_PER_TOKEN * (room if limits.max_window_tokens is None else min(room, limits.max_window_tokens))


class Past:
    """The turns that `thread` was begun without, for all the models of one call. `problem` says that they could not be loaded."""

    def __init__(self, store: ThreadStore, thread: Thread) -> None:
        self._store, self._thread = store, thread
        there = {turn.seq for turn in thread.turns if turn.state != "pending"}
        self._last = max(there, default=0)
        self._missing = next((seq for seq in range(self._last, 0, -1) if seq not in there), 0)
        """The number of the last one."""
        self._loading = asyncio.Lock()
        self._turns: Sequence[Turn] | None = None
        self.problem: Warned | None = None

    def would_change(self, window: Window) -> bool:
        """Tell whether a request might say more with these turns. It does not when a summary stands for all of them."""
        return bool(window.left_out) or window.summarized < self._missing

    async def joined(self, history: Sequence[Turn]) -> Sequence[Turn]:
        """Return the history with these turns in their places."""
        async with self._loading:
            if self._turns is None:
                self._turns = await self._loaded()
        there = {turn.seq for turn in history}
        return sorted((*(turn for turn in self._turns if turn.seq not in there), *history), key=lambda turn: turn.seq)

    async def _loaded(self) -> Sequence[Turn]:
        try:
            thread = await self._store.load(self._thread.id)
        except ParleyError as error:
            message = f"{self._thread.earlier} earlier turns were left out, since they could not be loaded: {error.message}"
            self.problem = Warned(code="truncated", message=message)
            return ()
        return [turn for turn in thread.landed if turn.seq <= self._last]
