"""Failover: one loop that asks models in order until one answers. Every tool and every shim goes through it.

What fails over is a row of providers.causes. A model whose first content is late by `hedge_after` seconds is joined by the
next one, and the first with content wins. Nothing here sleeps because an upstream asked it to: a Retry-After parks the
provider for later requests.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager

from conversation.errors import AllProvidersFailed, ContextTooLong, NotConfigured, ParleyError, ProviderError
from conversation.messages import Answer, Attempt, Frozen, Usage
from conversation.scrub import where
from providers._admission import refusal_of
from providers._attempt import Asking, Prepare, call_of
from providers._race import Race, Streaming, Try
from providers.base import ModelInfo, Provider, Timeouts
from providers.budget import Budget
from providers.causes import CAUSES, failure
from providers.health import Health
from providers.pricing import usage_of
from providers.strategies import Experience

log = logging.getLogger(__name__)

Progress = Callable[[str], None]

COUNT_SECONDS = 5.0
"""How long a client waits for a count of tokens, which it can have as an estimate at once."""


class Reply(Frozen):
    """An answer, the model that gave it, and every attempt made on the way, in the order they began."""

    answer: Answer
    model: ModelInfo
    usage: Usage
    attempts: tuple[Attempt, ...]


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
        self._asking = Asking(provider, health, timeouts or Timeouts(), budget, clock)
        self._hedge_after = hedge_after
        self._budget = budget
        self._clock = clock

    @property
    def lately(self) -> Experience:
        """How the models it asked did."""
        return self._asking.lately

    async def ask(
        self,
        routes: Sequence[ModelInfo],
        prepare: Prepare,
        *,
        larger: Sequence[ModelInfo] = (),
        deadline_s: float | None = None,
        progress: Progress | None = None,
        session: str = "",
    ) -> Reply:
        """Return the first whole answer from `routes`, asked in order. `session` is whose spending it is.

        A context that is too long goes on only to larger models, of `routes` and then of `larger`. Within `deadline_s`,
        which begins once we are loaded, each model gets an equal share of the time left to begin its answer.
        Raises the provider's own error when there was one route or the request itself is at fault, AllProvidersFailed when
        several failed, BudgetExceeded before anything is asked; each carries the attempts.
        """
        race = await self._race(routes, larger, deadline_s)
        race.session = session
        answer, model = await self._answer(race, prepare, progress or _silent)
        return Reply(answer=answer, model=model, usage=usage_of(answer, model), attempts=race.attempts())

    @asynccontextmanager
    async def stream(
        self, routes: Sequence[ModelInfo], prepare: Prepare, *, always: bool = False, session: str = ""
    ) -> AsyncGenerator[Streaming]:
        """Give the first answer of `routes` whose content begins, to be passed on as it comes; leaving closes the upstream.

        Until content begins everything is as in `ask`, and `begins` raises the same. From then on nobody else is asked. `always`
        asks also what the health record says not to ask; `session` is whose spending it is.
        """
        race = await self._race(routes, (), None)
        race.streaming, race.always, race.session = True, always, session
        running = asyncio.create_task(self._answer(race, prepare, _silent))
        try:
            yield Streaming(race, running)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def count(self, model: ModelInfo, prepare: Prepare) -> int | None:
        """Return how many input tokens the model's provider says a request is; None when it cannot say, or not within some seconds."""
        provider = self._provider(model.provider)
        if model.provider in self._health.snapshot():
            return None
        try:
            async with asyncio.timeout(COUNT_SECONDS):
                await provider.ready()
                return await provider.count(await provider.fitted(call_of(model, await prepare(model))))
        except (TimeoutError, ProviderError):
            return None
        except ParleyError:
            raise
        except Exception as error:  # as in an attempt: an estimate is at hand
            log.error("counting at %s failed: %s at %s", model.name, type(error).__name__, where(error))
            return None

    async def _race(self, routes: Sequence[ModelInfo], larger: Sequence[ModelInfo], deadline_s: float | None) -> Race:
        """Return the state of a request that may begin."""
        if not routes:
            raise NotConfigured("No provider is configured.")
        if self._budget is not None:
            await self._budget.check()
        await self._provider(routes[0].provider).ready()
        return Race(deque(routes), larger, None if deadline_s is None else self._clock() + deadline_s)

    async def _answer(self, race: Race, prepare: Prepare, progress: Progress) -> tuple[Answer, ModelInfo]:
        """Return the first whole answer and who gave it, once no other attempt runs any more and its cost is counted."""
        if self._hedge_after is None:
            found = await self._in_turn(race, prepare, progress)
        else:
            try:
                found = await self._hedged(race, prepare, progress)
            finally:
                await _stop(*race.running)
        if self._budget is not None:
            await self._budget.settle()
        return found

    async def _in_turn(self, race: Race, prepare: Prepare, progress: Progress) -> tuple[Answer, ModelInfo]:
        """Ask one after the other."""
        while attempt := self._next(race, progress):
            try:
                return await self._asking.answer(race, attempt, prepare), attempt.model
            except ProviderError as error:
                self._failed(race, attempt, error, progress)
        raise self._give_up(race)

    async def _hedged(self, race: Race, prepare: Prepare, progress: Progress) -> tuple[Answer, ModelInfo]:
        """Ask one after the other, and the next one beside the last as long as none has content."""
        while race.queue or race.running:
            if (not race.running or self._hedge_due(race)) and (attempt := self._next(race, progress)):
                race.running[asyncio.create_task(self._asking.answer(race, attempt, prepare))] = attempt
            if not race.running:
                continue
            finished = await self._wait(race)
            for task in finished:
                running = race.running.pop(task)
                error = task.exception()
                if error is None:
                    return task.result(), running.model
                if not isinstance(error, ProviderError):
                    raise error
                self._failed(race, running, error, progress)
        raise self._give_up(race)

    async def _wait(self, race: Race) -> set[asyncio.Task[Answer]]:
        """Wait until an attempt ends, the next hedge is due, or one has content and the others can go."""
        if race.winner in race.running.values():
            for task in [task for task, one in race.running.items() if one is not race.winner]:
                race.queue.appendleft(race.running.pop(task).model)  # asked again only if the one ahead fails
                await _stop(task)
        rivals = race.running.values() if len(race.running) > 1 else ()
        started = [asyncio.ensure_future(one.content.wait()) for one in rivals if not one.content.is_set()]
        try:
            await asyncio.wait([*race.running, *started], timeout=self._until_hedge(race), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waiter in started:
                waiter.cancel()
        return {task for task in race.running if task.done()}

    def _hedge_due(self, race: Race) -> bool:
        left = self._until_hedge(race)
        return left is not None and left <= 0

    def _until_hedge(self, race: Race) -> float | None:
        """Return the seconds until the next model should join; None when it need not."""
        if self._hedge_after is None or not race.queue or any(one.content.is_set() for one in race.running.values()):
            return None
        latest = max(one.began for one in race.running.values())
        return max(0.0, latest + self._hedge_after - self._clock())

    def _next(self, race: Race, progress: Progress) -> Try | None:
        """Return an attempt with the next model that may be asked, recording those that may not; None when there is none."""
        while race.queue:
            model = race.queue.popleft()
            attempt = Try(model, self._clock())
            race.tries.append(attempt)
            error = self._refusal(race, attempt)
            if error is not None:
                race.errors.append(error)
                continue
            progress(f"asking {model.name}")
            return attempt
        return None

    def _refusal(self, race: Race, attempt: Try) -> ProviderError | None:
        """Return why the attempt may not begin: no time left, or the health record says no."""
        model, now = attempt.model, self._clock()
        if race.ends_at is not None and now >= race.ends_at:
            attempt.end(now, "timeout")
            return failure("timeout", "no time was left to ask", provider=model.provider, model=model.id)
        refusal = refusal_of(self._health, model)
        if refusal is None or race.always:
            return None
        attempt.end(now, refusal.cause)
        return refusal

    def _failed(self, race: Race, attempt: Try, error: ProviderError, progress: Progress) -> None:
        """Note a failure; raise it when another provider would not help."""
        race.errors.append(error)
        if not CAUSES[error.cause].fails_over or (race.streaming and attempt is race.winner):
            raise _with_attempts(error, race)
        race.winner = None if attempt is race.winner else race.winner
        if isinstance(error, ContextTooLong):
            race.only_larger_than(attempt.model, error.limit)
        progress(f"{attempt.model.name} failed ({error.cause})")

    def _give_up(self, race: Race) -> ParleyError:
        """Return the error that stands for all that failed."""
        last = race.errors[-1]
        if len(race.errors) == 1 or isinstance(last, ContextTooLong):
            return _with_attempts(last, race)
        waits = [error.retry_after for error in race.errors if error.retry_after is not None]
        summary = "; ".join(error.message for error in race.errors)
        failed = AllProvidersFailed(
            f"None of {len(race.errors)} models answered: {summary}",
            retryable=any(error.retryable for error in race.errors),
            attempts=race.attempts(),
            retry_after=min(waits, default=None),
        )
        failed.errors = tuple(race.errors)
        return failed


def _silent(_: str) -> None:
    """Progress nobody asked for."""


def _with_attempts(error: ProviderError, race: Race) -> ProviderError:
    error.attempts = race.attempts()
    return error


async def _stop(*tasks: asyncio.Task[Answer]) -> None:
    """Cancel attempts and wait until their upstream connections are closed."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
