"""Request bodies for whichever model is asked: one question, fitted to each model's window."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from conversation.messages import Warned
from conversation.threads import Attachment, Turn
from conversation.tokens import estimate_tokens
from conversation.window import Priced, Window, build_window, price
from providers.base import ModelInfo
from providers.chain import Reply
from tools.app import Call
from tools.condensing import Condenser
from tools.past import Past

Prompt = str | Callable[[int], str]
"""What is asked: a text, or a function that makes one of at most so many tokens."""

_MARGIN = 256
"""Tokens kept free for what an upstream adds around messages."""
_HEAVY_CHARACTERS = 200_000
_PROMPT_SHARE = 0.75
"""Of the room there is, what a prompt that is made to measure may take; the rest is for the thread."""


@dataclass(slots=True)
class Bodies:
    """Makes the Messages API body for each model asked, and keeps what was left out for each.

    `history` is sent before the prompt. With a `condenser`, turns that do not fit are condensed first.
    """

    call: Call
    prompt: Prompt
    system: str
    history: Sequence[Turn] = ()
    attachments: Sequence[Attachment] = ()
    temperature: float | None = None
    max_output_tokens: int | None = None
    condenser: Condenser | None = None
    past: Past | None = None
    """What of the thread `history` lacks."""
    quiet: bool = False
    """Say nothing of who is thinking: several are, and the caller says so."""
    windows: dict[str, Window] = field(default_factory=dict[str, Window])
    _one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def heavy(self) -> bool:
        """Tell whether a body is so much work that it would hold up the event loop for longer than a ping should take."""
        attached = [*self.attachments, *(item for turn in self.history for item in turn.attachments)]
        texts = [self.prompt if isinstance(self.prompt, str) else "", *(turn.content for turn in self.history)]
        size = sum(map(len, texts)) + sum(len(item.content) for item in attached)
        return size > _HEAVY_CHARACTERS or not isinstance(self.prompt, str)

    def output_tokens(self, model: ModelInfo) -> int:
        """Return how long an answer to ask for: what was wanted, but no more than the model gives or half its window holds."""
        default = self.call.app.limits.default_output_tokens * (2 if model.reasoning else 1)
        wanted = default if self.max_output_tokens is None else self.max_output_tokens
        return min(wanted, model.max_output, max(1, model.context_window // 2))

    def room(self, model: ModelInfo) -> int:
        """Return the tokens there are for thread, files and prompt."""
        room = model.context_window - self.output_tokens(model) - estimate_tokens(self.system) - _MARGIN
        most = self.call.app.limits.max_window_tokens
        return room if most is None else min(room, most)

    async def prepare(self, model: ModelInfo) -> Mapping[str, Any]:
        """Return the body for one model. Raises ContextTooLong when even the prompt alone does not fit."""
        if not self.quiet:
            self.call.say(f"{model.name} is thinking")
        window = await self._fitted(model)
        self.windows[model.name] = window
        system = self.system if window.system is None else f"{self.system}\n\n{window.system}"
        body: dict[str, Any] = {"messages": list(window.messages), "max_tokens": self.output_tokens(model), "system": system}
        if self.temperature is not None:
            body["temperature"] = self.temperature
        return body

    async def _fitted(self, model: ModelInfo) -> Window:
        async with self._one_at_a_time:  # several are prepared at once when the chain hedges
            return await self._fitted_alone(model)

    async def _fitted_alone(self, model: ModelInfo) -> Window:
        window = await self._window(model)
        if self.past is not None and self.past.would_change(window):
            self.history = await self.past.joined(self.history)
            if self.past.problem is not None:
                self.condenser = None  # what it has not seen would be missing in its summary for good
            self.past = None
            window = await self._window(model)
        if window.left_out and self.condenser is not None:
            shorter = await self.condenser.shortened(self.history, self.room(model), partial(self._price, model), model.provider)
            if shorter is not None:
                self.history = shorter
                window = await self._window(model)
        return window

    async def _window(self, model: ModelInfo) -> Window:
        return await asyncio.to_thread(self._build, model) if self.heavy else self._build(model)

    def _build(self, model: ModelInfo) -> Window:
        return build_window(history=self.history, **self._request(model))

    def _price(self, model: ModelInfo, turns: Sequence[Turn]) -> Priced:
        return price(history=turns, **self._request(model))

    def _request(self, model: ModelInfo) -> dict[str, Any]:
        room = self.room(model)
        return {
            "prompt": self.prompt if isinstance(self.prompt, str) else self.prompt(int(room * _PROMPT_SHARE)),
            "attachments": self.attachments,
            "model": model.name,
            "budget_tokens": room,
            "images": model.images,
        }

    def warnings(self, reply: Reply) -> list[Warned]:
        """What was left out of the request that was answered, and whether the answer broke off at its limit."""
        found = list(self.windows[reply.model.name].warnings)
        if reply.answer.stop_reason == "max_tokens":
            message = f"The model stopped at the limit of {self.output_tokens(reply.model):,} output tokens (max_output_tokens)."
            found.append(Warned(code="truncated", message=message))
        return found
