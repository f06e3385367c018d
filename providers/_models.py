"""Lists of models: the only one, each once, prices filled in. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from providers.base import ModelInfo


def only(models: Iterable[ModelInfo]) -> list[ModelInfo]:
    """Return the one model, or none when several are meant."""
    found = unique(models)
    return found if len(found) == 1 else []


def unique(models: Iterable[ModelInfo]) -> list[ModelInfo]:
    """Return each model once, in the order they first come."""
    return list({model.name: model for model in models}.values())


def with_prices(model: ModelInfo, live: ModelInfo | None) -> ModelInfo:
    """Return the built-in facts, with prices of the live list where the built-in ones are unknown."""
    if live is None:
        return model
    fields = ("input_usd_per_mtok", "output_usd_per_mtok", "cached_usd_per_mtok")
    missing = {field: getattr(live, field) for field in fields if getattr(model, field) is None}
    return model.model_copy(update=missing) if any(value is not None for value in missing.values()) else model


def lower_aliases(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return a model's fields with its aliases in lower case."""
    return {**fields, **({"aliases": tuple(alias.lower() for alias in fields["aliases"])} if "aliases" in fields else {})}
