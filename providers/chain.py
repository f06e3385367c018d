"""Failover: one loop that asks models in order until one answers. Every tool and every shim goes through it.

What fails over is a row of providers.causes. A model whose first content is late by `hedge_after` seconds is joined by the
next one, and the first with content wins. Nothing here sleeps because an upstream asked it to: a Retry-After parks the
provider for later requests.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from conversation.errors import AllProvidersFailed, ContextTooLong, NotConfigured, ParleyError, ProviderError
from conversation.messages import Answer, Attempt, Fold, Frozen, Usage, starts_content
from providers.base import Call, ModelInfo, Provider, Timeouts
from providers.budget import Budget
from providers.causes import CAUSES, failure
from providers.health import ASIDE_SECONDS, LONGEST_PARK_SECONDS, Health

Prepare = Callable[[ModelInfo], Awaitable[Mapping[str, Any]]]
"""Makes the Messages API body for one model; may raise ContextTooLong."""

Progress = Callable[[str], None]


class Reply(Frozen):
    """An answer, the model that gave it, and every attempt made on the way, in the order they began."""

    answer: Answer
    model: ModelInfo
    usage: Usage
    attempts: tuple[Attempt, ...]


@dataclass(slots=True)
class _Try:
    """One attempt while it runs."""

    model: ModelInfo
    began: float
    outcome: str | None = None
    status: int | None = None
    ended: float = 0.0
    content: asyncio.Event = field(default_factory=asyncio.Event)

    def end(self, now: float, outcome: str, status: int | None = None) -> None:
        self.ended, self.outcome, self.status = now, outcome, status

    def recorded(self) -> Attempt:
        milliseconds = round((self.ended - self.began) * 1000)
        return Attempt(
            provider=self.model.provider, model=self.model.id, outcome=self.outcome or "cancelled", status=self.status, ms=milliseconds
        )


@dataclass(slots=True)
class _Race:
    """The state of one request: what is left to ask, what is running, what has been tried."""

    queue: deque[ModelInfo]
    larger: Sequence[ModelInfo]
    ends_at: float | None
    tries: list[_Try] = field(default_factory=list[_Try])
    errors: list[ProviderError] = field(default_factory=list[ProviderError])
    running: dict[asyncio.Task[Answer], _Try] = field(default_factory=dict[asyncio.Task[Answer], _Try])

    def attempts(self) -> tuple[Attempt, ...]:
        return tuple(one.recorded() for one in self.tries)

    def only_larger_than(self, model: ModelInfo) -> None:
        """Leave only models with a larger window: those still queued, then the others there are."""
        tried = {one.model.name for one in self.tries}
        left = dict.fromkeys([*self.queue, *self.larger])
        self.queue = deque(m for m in left if m.context_window > model.context_window and m.name not in tried)


class Chain:
    """Asks models in order. `provider` gives the adapter for a provider's name."""

    def __init__(
        self,
        provider: Callable[[str], Provider],
        health: Health,
        *,
        timeouts: Timeouts | None = None,
        hedge_after: float | None = None,
        budget: Budget | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._provider = provider
        self._health = health
        self._timeouts = timeouts or Timeouts()
        self._hedge_after = hedge_after
        self._budget = budget
        self._clock = clock

    async def ask(
        self,
        routes: Sequence[ModelInfo],
        prepare: Prepare,
        *,
        larger: Sequence[ModelInfo] = (),
        deadline_s: float | None = None,
        progress: Progress | None = None,
    ) -> Reply:
        """Return the first whole answer from `routes`, asked in order.

        A context that is too long goes on only to larger models, of `routes` and then of `larger`. Within `deadline_s`,
        which begins once we are loaded, each model gets an equal share of the time left to begin its answer.
        Raises the provider's own error when there was one route or the request itself is at fault, AllProvidersFailed when
        several failed, BudgetExceeded before anything is asked; each carries the attempts.
        """
        if not routes:
            raise NotConfigured("No provider is configured.")
        if self._budget is not None:
            await self._budget.check()
        await self._provider(routes[0].provider).ready()
        race = _Race(deque(routes), larger, None if deadline_s is None else self._clock() + deadline_s)
        try:
            answer, winner = await self._run(race, prepare, progress or _silent)
        finally:
            await _stop(*race.running)
        usage = usage_of(answer, winner.model)
        if self._budget is not None:
            await self._budget.add(usage.cost_usd)
        return Reply(answer=answer, model=winner.model, usage=usage, attempts=race.attempts())

    async def _run(self, race: _Race, prepare: Prepare, progress: Progress) -> tuple[Answer, _Try]:
        while race.queue or race.running:
            if not race.running or self._hedge_due(race):
                self._start_next(race, prepare, progress)
            if not race.running:
                continue
            finished = await self._wait(race)
            for task in finished:
                running = race.running.pop(task)
                error = task.exception()
                if error is None:
                    return task.result(), running
                if not isinstance(error, ProviderError):
                    raise error
                self._failed(race, running, error, progress)
        raise self._give_up(race)

    async def _wait(self, race: _Race) -> set[asyncio.Task[Answer]]:
        """Wait until an attempt ends, the next hedge is due, or one has content and the others can go."""
        silent = [task for task, one in race.running.items() if not one.content.is_set()]
        if len(silent) < len(race.running):
            for task in silent:
                race.queue.appendleft(race.running.pop(task).model)  # asked again only if the one ahead fails
                await _stop(task)
        started = [asyncio.ensure_future(one.content.wait()) for one in race.running.values() if not one.content.is_set()]
        try:
            await asyncio.wait([*race.running, *started], timeout=self._until_hedge(race), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiter in started:
                waiter.cancel()
        return {task for task in race.running if task.done()}

    def _hedge_due(self, race: _Race) -> bool:
        left = self._until_hedge(race)
        return left is not None and left <= 0

    def _until_hedge(self, race: _Race) -> float | None:
        """Return the seconds until the next model should join; None when it need not."""
        if self._hedge_after is None or not race.queue or any(one.content.is_set() for one in race.running.values()):
            return None
        latest = max(one.began for one in race.running.values())
        return max(0.0, latest + self._hedge_after - self._clock())

    def _start_next(self, race: _Race, prepare: Prepare, progress: Progress) -> None:
        """Start the next model that may be asked, recording those that may not."""
        while race.queue:
            model = race.queue.popleft()
            attempt = _Try(model, self._clock())
            race.tries.append(attempt)
            error = self._refusal(race, attempt)
            if error is not None:
                race.errors.append(error)
                continue
            progress(f"asking {model.name}")
            race.running[asyncio.create_task(self._attempt(race, attempt, prepare))] = attempt
            return

    def _refusal(self, race: _Race, attempt: _Try) -> ProviderError | None:
        """Return why the attempt may not begin: no time left, or the health record says no."""
        model, now = attempt.model, self._clock()
        if race.ends_at is not None and now >= race.ends_at:
            attempt.end(now, "timeout")
            return failure("timeout", "no time was left to ask", provider=model.provider, model=model.id)
        refusal = self._health.admit(model.provider, model.id)
        if refusal is None:
            return None
        attempt.end(now, refusal.cause)
        message = f"not asked ({refusal.reason}); it will be again in {refusal.seconds:.0f} s"
        return failure(refusal.cause, message, provider=model.provider, model=model.id, retry_after=refusal.seconds)

    async def _attempt(self, race: _Race, attempt: _Try, prepare: Prepare) -> Answer:
        """Return one model's whole answer, with its deadlines kept and its health recorded."""
        model = attempt.model
        settled = False
        try:
            provider = self._provider(model.provider)
            await provider.ready()
            body = await prepare(model)
            attempt.began = self._clock()
            async with self._deadlines(race, attempt) as heard:
                folding = Fold()
                async with aclosing(provider.stream(Call(model=model, body=body))) as events:
                    async for event in events:
                        heard(event)
                        folding.add(event)
            answer = folding.answer()
            self._health.succeeded(model.provider, model.id)
            settled = True
            attempt.end(self._clock(), "ok")
            return answer
        except ContextTooLong as error:
            attempt.end(self._clock(), error.cause, error.status)
            raise
        except ProviderError as error:
            attempt.end(self._clock(), error.cause, error.status)
            settled = self._record(error, model)
            raise
        finally:
            if attempt.outcome is None:
                attempt.end(self._clock(), "cancelled")
            if not settled:
                self._health.released(model.provider, model.id)

    @asynccontextmanager
    async def _deadlines(self, race: _Race, attempt: _Try) -> AsyncGenerator[Callable[[Mapping[str, Any]], None]]:
        """Keep one attempt's deadlines; the yielded function is told of each event."""
        limits, loop = self._timeouts.of(attempt.model), asyncio.get_running_loop()
        begun = loop.time()
        left = None if race.ends_at is None else race.ends_at - self._clock()
        total = limits.total if left is None else min(limits.total, left)
        first = min(limits.first_byte, total if left is None else left / (len(race.queue) + 1))
        waiting_for = f"no content within {first:g} s"

        def heard(event: Mapping[str, Any]) -> None:
            nonlocal waiting_for
            if not attempt.content.is_set() and starts_content(event):
                attempt.content.set()
                waiting_for = f"silent for {limits.idle:g} s, or not done within {total:g} s"
            if attempt.content.is_set():
                watch.reschedule(min(loop.time() + limits.idle, begun + total))

        watch = asyncio.timeout(first)
        try:
            async with watch:
                yield heard
        except TimeoutError:
            raise failure("timeout", waiting_for, provider=attempt.model.provider, model=attempt.model.id) from None

    def _record(self, error: ProviderError, model: ModelInfo) -> bool:
        """Tell the health record of a failure; True when that settles a probe."""
        effect = CAUSES[error.cause].effect
        if effect == "counts":
            self._health.failed(model.provider, model.id)
            return True
        if effect == "parks" and error.retry_after:
            self._health.park(model.provider, min(error.retry_after, LONGEST_PARK_SECONDS))
        elif effect == "aside":
            self._health.set_aside(model.provider, ASIDE_SECONDS, error.message)
        return False

    def _failed(self, race: _Race, attempt: _Try, error: ProviderError, progress: Progress) -> None:
        """Note a failure; raise it when another provider would not help."""
        race.errors.append(error)
        if not CAUSES[error.cause].fails_over:
            raise _with_attempts(error, race)
        if isinstance(error, ContextTooLong):
            race.only_larger_than(attempt.model)
        progress(f"{attempt.model.name} failed ({error.cause})")

    def _give_up(self, race: _Race) -> ParleyError:
        """Return the error that stands for all that failed."""
        last = race.errors[-1]
        if len(race.errors) == 1 or isinstance(last, ContextTooLong):
            return _with_attempts(last, race)
        waits = [error.retry_after for error in race.errors if error.retry_after is not None]
        summary = "; ".join(error.message for error in race.errors)
        return AllProvidersFailed(
            f"None of {len(race.errors)} models answered: {summary}",
            retryable=any(error.retryable for error in race.errors),
            attempts=race.attempts(),
            retry_after=min(waits, default=None),
        )


def usage_of(answer: Answer, model: ModelInfo) -> Usage:
    """Return the answer's usage; the cost is the provider's own figure, or the model's prices times the tokens when both were counted."""
    cost, counted = answer.cost_usd, answer.input_tokens > 0 and answer.output_tokens > 0
    if cost is None and counted and model.input_usd_per_mtok is not None and model.output_usd_per_mtok is not None:
        cached_price = model.input_usd_per_mtok if model.cached_usd_per_mtok is None else model.cached_usd_per_mtok
        fresh = answer.input_tokens - answer.cached_tokens
        cost = (
            fresh * model.input_usd_per_mtok + answer.cached_tokens * cached_price + answer.output_tokens * model.output_usd_per_mtok
        ) / 1e6
    return Usage(input_tokens=answer.input_tokens, output_tokens=answer.output_tokens, cached_tokens=answer.cached_tokens, cost_usd=cost)


def _silent(_: str) -> None:
    """Progress nobody asked for."""


def _with_attempts(error: ProviderError, race: _Race) -> ProviderError:
    error.attempts = race.attempts()
    return error


async def _stop(*tasks: asyncio.Task[Answer]) -> None:
    """Cancel attempts and wait until their upstream connections are closed."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
