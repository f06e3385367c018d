"""One attempt: one model asked once, with its deadlines kept, and what it tells of its provider noted."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from functools import partial
from typing import Any

from conversation.errors import ParleyError, ProviderError
from conversation.messages import Answer, Event, Fold
from conversation.scrub import where
from providers._race import Race, Try, Watch
from providers.base import Call, ModelInfo, Provider, Timeouts
from providers.budget import Budget
from providers.causes import CAUSES, failure
from providers.health import ASIDE_SECONDS, LONGEST_PARK_SECONDS, Health
from providers.pricing import usage_of
from providers.strategies import Experience

log = logging.getLogger(__name__)

Prepare = Callable[[ModelInfo], Awaitable[Mapping[str, Any]]]
"""Makes the Messages API body for one model; may raise ContextTooLong."""


class Asking:
    """Asks one model at a time. `lately` learns how models did, `health` whether they may be asked, `budget` what they cost."""

    def __init__(
        self,
        provider: Callable[[str], Provider],
        health: Health,
        timeouts: Timeouts,
        budget: Budget | None,
        clock: Callable[[], float],
    ) -> None:
        self._provider, self._health, self._timeouts = provider, health, timeouts
        self._budget, self._clock = budget, clock
        self.lately = Experience(clock)

    async def answer(self, race: Race, attempt: Try, prepare: Prepare) -> Answer:
        """Return one model's whole answer, with its deadlines kept, its health recorded and its cost counted."""
        model, folding, settled = attempt.model, Fold(), False
        answer: Answer | None = None
        try:
            provider = self._provider(model.provider)
            await provider.ready()
            call = await provider.fitted(call_of(model, await prepare(model)))
            attempt.began = self._clock()
            # With its content a probe has told enough to let the next one in; that it is well it tells with its end.
            on_content = partial(self._health.released, model.provider, model.id)
            watch = Watch(race, attempt, self._timeouts.of(model), race.left(self._clock()), on_content)
            async with watch.kept():
                await _listen(provider.stream(call), race, attempt, watch, folding)
            self._health.succeeded(model.provider, model.id)
            settled = True
            attempt.end(self._clock(), "ok")
            answer = folding.answer()
            return answer
        except ProviderError as error:
            attempt.end(self._clock(), error.cause, error.status)
            settled = self._record(error, model)
            raise
        except ParleyError:
            raise
        except Exception as error:  # the boundary of an attempt: a defect in asking one provider need not cost the answer
            log.error("asking %s failed: %s at %s", model.name, type(error).__name__, where(error))
            attempt.end(self._clock(), "defect")
            text = f"asking failed unexpectedly ({type(error).__name__})"
            raise failure("defect", text, provider=model.provider, model=model.id) from None
        finally:
            attempt.passing.end()
            if attempt.outcome is None:
                attempt.end(self._clock(), "cancelled")
            if not settled:
                self._health.released(model.provider, model.id)
            self._learn(attempt)
            self._count(attempt, answer or folding.answer(), race.session)

    def _learn(self, attempt: Try) -> None:
        """Take note of how an attempt did; one that was cancelled before it began tells nothing."""
        if attempt.outcome != "cancelled" or attempt.waited is not None:
            self.lately.note(attempt.model.name, attempt.waited, ok=attempt.outcome in ("ok", "cancelled"))

    def _count(self, attempt: Try, answer: Answer, session: str) -> None:
        """Count what an attempt cost: its answer, or what the upstream had told of one that was broken off."""
        broken = attempt.outcome != "ok"
        if self._budget is not None and (answer.input_tokens or attempt.waited is not None):
            self._budget.note(attempt.model, usage_of(answer, attempt.model, partly=broken), session)

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


async def _listen(events: AsyncGenerator[Event, None], race: Race, attempt: Try, watch: Watch, folding: Fold) -> None:
    """Take an answer's events as they come, no faster than they are passed on, and close the upstream."""
    async with aclosing(events):
        async for event in events:
            if event["type"] == "ping":
                continue  # no sign of content: whoever passes the answer on sends what keeps its own client waiting
            watch.heard(event)
            if race.streaming:
                attempt.passing.put(event)
                if attempt.passing.is_full:
                    await watch.rest(attempt.passing.emptied())
            # Nobody asks for the text of an answer that is passed on: only for its usage.
            if not race.streaming or event["type"] != "content_block_delta":
                folding.add(event)


def call_of(model: ModelInfo, body: Mapping[str, Any]) -> Call:
    """Return the call of a model for a prepared body."""
    return Call(model=model, body=body, betas=tuple(body.get("betas", ())))
