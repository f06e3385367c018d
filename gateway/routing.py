"""Which models a shim asks for the name a client sends: Claude Code sends names of its own, and none is an error here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gateway.sticky import Sticky
from providers.base import ModelInfo
from providers.catalogue import Catalogue
from providers.names import family
from providers.strategies import DEFAULT_STRATEGY, Experience, ordered

_CONTEXT = re.compile(r"\[[^\]]*\]$")  # claude-opus-4-8[1m]
_DATED = re.compile(r"-(?:20\d{6}|latest)$")  # claude-haiku-4-5-20251001
_SMALL = "haiku"
"""The family of Claude Code's small chores; elsewhere the provider's cheap model does them."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What of a request decides who is asked, and for whom.

    `session` is the one the client names, empty where it names none; `conversation` a key of what it goes on with, empty for a new one;
    `strategy` the client's own choice.
    """

    model: str
    session: str = ""
    conversation: str = ""
    strategy: str | None = None


class Routes(Protocol):
    """Who is asked."""

    @property
    def remembers(self) -> bool:
        """Whether `answered` changes anything, so that a conversation has to be recognised."""
        ...

    def of(self, asked: Asked) -> Sequence[ModelInfo]:
        """Return the models to ask in order; empty when there is none."""
        ...

    def answered(self, conversation: str, asked: Asked, model: ModelInfo) -> None:
        """Take note of who answered in a conversation."""
        ...


@dataclass(frozen=True, slots=True)
class Pinned:
    """The routes of one provider's shim: its own model for every name."""

    catalogue: Catalogue
    provider: str
    remembers: bool = False

    def of(self, asked: Asked) -> Sequence[ModelInfo]:
        found = pinned(self.catalogue, self.provider, asked.model)
        return () if found is None else (found,)

    def answered(self, conversation: str, asked: Asked, model: ModelInfo) -> None:
        """There is nobody else to remember."""


@dataclass(frozen=True, slots=True)
class Chained:
    """The routes of the router: one model of each provider of the chain, the conversation's own first, the others by strategy."""

    catalogue: Catalogue
    lately: Experience
    strategy: str = DEFAULT_STRATEGY
    sticky: Sticky = field(default_factory=Sticky)
    remembers: bool = True

    def of(self, asked: Asked) -> Sequence[ModelInfo]:
        """Return the models to ask: by the strategy the request names, else the conversation's own first.

        A name that says its provider is asked there first of all.
        """
        found = [model for provider in self.catalogue.chain if (model := pinned(self.catalogue, provider, asked.model)) is not None]
        models: Sequence[ModelInfo] = ordered(found, asked.strategy or self.strategy, self.lately)
        if asked.strategy is None:
            models = self.sticky.first(asked.conversation, asked.model, models)
        named = asked.model.partition("/")[0]
        return sorted(models, key=lambda model: model.provider != named)

    def answered(self, conversation: str, asked: Asked, model: ModelInfo) -> None:
        """Have the conversation stay with the model, unless that was asked out of turn: by a strategy for once, or to be measured."""
        measured = self.strategy != "latency" or self.lately.times(model.name) > 1
        if asked.strategy is None and measured:
            self.sticky.note(conversation, asked.model, model)


def pinned(catalogue: Catalogue, provider: str, asked: str) -> ModelInfo | None:
    """Return the provider's model for a name: that model, its family there, its cheap model for small chores, or its default.

    None when the provider has no model at all.
    """
    models = catalogue.models(provider)
    plain = _CONTEXT.sub("", asked.strip()).removeprefix(f"{provider}/")
    for name in dict.fromkeys((plain, _DATED.sub("", plain), family(plain) or "")):
        if name and (found := catalogue.at(provider, name)) is not None:
            return found
    if family(plain) == _SMALL:
        return next((model for model in models if model.cheap), next(iter(models), None))
    return next(iter(models), None)
