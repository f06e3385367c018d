"""Graphiti's questions put to our own providers: over the chain, with its failover, breakers, costs and budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from conversation.errors import AllProvidersFailed, AuthFailed, BudgetExceeded, NotConfigured, ParleyError
from providers.base import ModelInfo
from providers.catalogue import Catalogue
from providers.chain import Chain

SESSION = "memory"
"""Under which spending counts what it costs."""
DEADLINE_SECONDS = 180.0
_TEMPERATURE = 0.0


class NotAsAsked(Exception):
    """A model's answer is not of the shape that was asked for, nor was it when it was told so."""


class Extraction:
    """Implements graph._graphiti.Ask. `model` and `small` are names as tools take them; empty is the chain's cheap models."""

    def __init__(self, chain: Chain, catalogue: Catalogue, model: str = "", small: str = "") -> None:
        self._chain, self._catalogue = chain, catalogue
        self._model, self._small = model, small or model

    async def __call__(self, messages: Sequence[tuple[str, str]], is_small: bool, max_tokens: int) -> str:
        """Return what a model answers. Raises ParleyError."""
        name = self._small if is_small else self._model
        routes = self._catalogue.routes(name) if name else self._catalogue.cheap()

        async def prepare(model: ModelInfo) -> Mapping[str, Any]:
            return body(messages, min(max_tokens, model.max_output, max(1, model.context_window // 2)))

        reply = await self._chain.ask(routes, prepare, deadline_s=DEADLINE_SECONDS, session=SESSION)
        return reply.answer.text


def body(messages: Sequence[tuple[str, str]], max_tokens: int) -> dict[str, Any]:
    """Return the Messages API body of messages that are roles and texts."""
    system = "\n\n".join(text for role, text in messages if role == "system")
    said = [{"role": role, "content": [{"type": "text", "text": text}]} for role, text in messages if role != "system"]
    asked: dict[str, Any] = {"messages": said, "max_tokens": max_tokens, "temperature": _TEMPERATURE}
    return {**asked, "system": system} if system else asked


def can_wait(error: ParleyError) -> bool:
    """Tell whether an error is no fault of what was asked, and lasts until somebody does something about it or the day ends."""
    if isinstance(error, AllProvidersFailed) and error.errors:
        return all(map(can_wait, error.errors))
    return isinstance(error, (NotConfigured, BudgetExceeded, AuthFailed))
