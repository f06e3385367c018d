"""The state of one request while models are asked: the attempts, their deadlines, and what has come of them."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from conversation.errors import InternalError, ProviderError
from conversation.messages import Answer, Attempt, Event, starts_content
from providers.base import ModelInfo, Timeouts
from providers.causes import failure

_PRECISION = 0.01
"""Of the time an upstream may be silent, how finely it is kept: a deadline is not moved for every event."""

_MOST_WAITING = 1_000
"""Events kept for somebody who takes them more slowly than they come."""


@dataclass(slots=True)
class Passing:
    """Events on their way from an upstream to whoever streams them on. Those that come together are taken together."""

    news: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while there is something to take, and at the end."""
    _waiting: list[Event] = field(default_factory=list[Event])
    _taken: asyncio.Event = field(default_factory=asyncio.Event)
    _ended: bool = False

    def put(self, event: Event) -> None:
        """Add one."""
        if not self._waiting:
            self.news.set()
        self._waiting.append(event)

    @property
    def is_full(self) -> bool:
        """Tell whether so many are waiting that the upstream should wait as well."""
        return len(self._waiting) >= _MOST_WAITING

    async def emptied(self) -> None:
        """Wait until those that are waiting were taken."""
        self._taken.clear()
        await self._taken.wait()

    def end(self) -> None:
        """Say that there are no more."""
        self._ended = True
        self.news.set()

    def take(self) -> list[Event]:
        """Return what there is."""
        taken, self._waiting = self._waiting, []
        self._taken.set()
        if not self._ended:
            self.news.clear()
        return taken

    @property
    def is_over(self) -> bool:
        """Tell whether all has been taken and nothing is to come."""
        return self._ended and not self._waiting


@dataclass(slots=True)
class Try:
    """One attempt while it runs."""

    model: ModelInfo
    began: float
    outcome: str | None = None
    status: int | None = None
    ended: float = 0.0
    waited: float | None = None
    """Seconds until its content began; None while it has not."""
    content: asyncio.Event = field(default_factory=asyncio.Event)
    passing: Passing = field(default_factory=Passing)

    def end(self, now: float, outcome: str, status: int | None = None) -> None:
        """Note how it ended."""
        self.ended, self.outcome, self.status = now, outcome, status

    def recorded(self) -> Attempt:
        """Return it as a user is told of it."""
        milliseconds = round((self.ended - self.began) * 1000)
        return Attempt(
            provider=self.model.provider, model=self.model.id, outcome=self.outcome or "cancelled", status=self.status, ms=milliseconds
        )


@dataclass(slots=True)
class Race:
    """What is left to ask, what is running, what has been tried."""

    queue: deque[ModelInfo]
    larger: Sequence[ModelInfo]
    ends_at: float | None
    streaming: bool = False
    """Somebody is shown the answer as it comes, so that nobody else is asked once it has begun."""
    always: bool = False
    """Ask also what the health record says not to ask."""
    session: str = ""
    """Whose spending it is."""
    tries: list[Try] = field(default_factory=list[Try])
    errors: list[ProviderError] = field(default_factory=list[ProviderError])
    running: dict[asyncio.Task[Answer], Try] = field(default_factory=dict[asyncio.Task[Answer], Try])
    winner: Try | None = None
    """The first attempt with content."""
    on_content: Callable[[], None] = lambda: None

    def has_content(self, attempt: Try) -> None:
        """Note that an attempt's content has begun."""
        attempt.content.set()
        if self.winner is None:
            self.winner = attempt
            self.on_content()

    def left(self, now: float) -> float | None:
        """Return the seconds the request has left; None without a deadline."""
        return None if self.ends_at is None else self.ends_at - now

    def attempts(self) -> tuple[Attempt, ...]:
        """Return every attempt so far, in the order they began."""
        return tuple(one.recorded() for one in self.tries)

    def only_larger_than(self, model: ModelInfo, limit: int | None) -> None:
        """Leave only models with a larger window, or than the `limit` the provider named: those still queued, then the others there are."""
        least = model.context_window if limit is None else min(limit, model.context_window)
        tried = {one.model.name for one in self.tries}
        left = dict.fromkeys([*self.queue, *self.larger])
        self.queue = deque(m for m in left if m.context_window > least and m.name not in tried)


class Streaming:
    """An answer that is passed on as it comes. Until `begins` says so nobody has been heard, and each attempt may still fail over."""

    def __init__(self, race: Race, running: asyncio.Task[Any]) -> None:
        self._race, self._running = race, running
        self._begun = asyncio.get_running_loop().create_future()
        race.on_content = self._begin
        running.add_done_callback(lambda _: self._begin())

    @property
    def model(self) -> ModelInfo:
        """The model that answers, once it has begun to."""
        return self._winner().model

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        """Those before the one that answers."""
        return tuple(one.recorded() for one in self._race.tries if one.outcome is not None and one is not self._race.winner)

    async def begins(self, within: float | None = None) -> bool:
        """Wait until content begins, or for so many seconds, and tell whether it has. Raises what ended all attempts."""
        if not self._begun.done():
            await asyncio.wait((self._begun,), timeout=within)
        if self._begun.done() and self._race.winner is None:
            await self._running
        return self._begun.done()

    async def batches(self, every: float | None = None) -> AsyncGenerator[list[Event], None]:
        """Yield all events, from message_start on, those together that came together, and an empty list after `every` seconds of silence.

        Raises ProviderError when the upstream fails in mid-answer.
        """
        passing = self._winner().passing
        while not passing.is_over:
            if not passing.news.is_set():
                try:
                    async with asyncio.timeout(every):
                        await passing.news.wait()
                except TimeoutError:
                    yield []
                    continue
            if batch := passing.take():
                yield batch
        await self._running

    def _winner(self) -> Try:
        if self._race.winner is None:
            raise InternalError("an answer was used before it had begun.")
        return self._race.winner

    def _begin(self) -> None:
        if not self._begun.done():
            self._begun.set_result(None)


class Watch:
    """One attempt's deadlines, of which `left` seconds are the request's; in force inside its block.

    `on_content` is called once, when content begins.
    """

    def __init__(self, race: Race, attempt: Try, limits: Timeouts, left: float | None, on_content: Callable[[], None]) -> None:
        self._race, self._attempt, self._idle, self._on_content = race, attempt, limits.idle, on_content
        self._total = limits.total if left is None else min(limits.total, left)
        first = min(limits.first_byte, self._total if left is None else left / (len(race.queue) + 1))
        self._waiting_for = f"no content within {first:g} s"
        self._clock = asyncio.get_running_loop().time
        self._begun = self._last = self._clock()
        self._ends = self._begun + self._total
        self._timeout = asyncio.timeout(first)

    @asynccontextmanager
    async def kept(self) -> AsyncGenerator[None]:
        """Raise UpstreamTimeout in the block when a deadline passes."""
        try:
            async with self._timeout:
                yield
        except TimeoutError:
            model = self._attempt.model
            raise failure("timeout", self._waiting_for, provider=model.provider, model=model.id) from None

    def heard(self, event: Mapping[str, Any]) -> None:
        """Take note of an event."""
        if not self._attempt.content.is_set():
            if not starts_content(event):
                return
            self._attempt.waited = self._clock() - self._begun
            self._on_content()
            self._race.has_content(self._attempt)
            self._waiting_for = f"silent for {self._idle:g} s, or not done within {self._total:g} s"
            self._last = -math.inf
        now = self._clock()
        if now - self._last >= self._idle * _PRECISION:
            self._last = now
            self._timeout.reschedule(min(now + self._idle, self._ends))

    async def rest(self, until: Awaitable[None]) -> None:
        """Wait for what is not the upstream's: no deadline counts that time."""
        began = self._clock()
        self._timeout.reschedule(None)
        await until
        self._last = self._clock()
        self._ends += self._last - began
        self._timeout.reschedule(min(self._last + self._idle, self._ends))
