"""Which models a shim asks for the name a client sends: Claude Code sends names of its own, and none is an error here."""

from __future__ import annotations

import re
from collections.abc import Sequence

from providers.base import ModelInfo
from providers.catalogue import Catalogue
from providers.names import family

_CONTEXT = re.compile(r"\[[^\]]*\]$")  # claude-opus-4-8[1m]
_DATED = re.compile(r"-(?:20\d{6}|latest)$")  # claude-haiku-4-5-20251001
_SMALL = "haiku"
"""The family of Claude Code's small chores; elsewhere the provider's cheap model does them."""


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


def routed(catalogue: Catalogue, asked: str) -> Sequence[ModelInfo]:
    """Return the chain's models for a name, one of each configured provider; a name that says its provider is asked there first."""
    found = [model for provider in catalogue.chain if (model := pinned(catalogue, provider, asked)) is not None]
    named = asked.partition("/")[0]
    return sorted(found, key=lambda model: model.provider != named)
