"""The tool listmodels: which names work, at which providers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from conversation.errors import InvalidInput
from conversation.messages import Frozen, Warned
from providers.base import ModelInfo, ProviderSpec
from providers.names import near
from tools.app import App, Call
from tools.bounds import json_tokens
from tools.registry import tool
from tools.results import OmitEmpty, Result


class Prices(Frozen):
    """USD per million tokens."""

    input: float
    output: float
    cached: Annotated[float | None, OmitEmpty] = None


class ListedModel(Frozen):
    """One model; `name` is exact, for the argument `model`. Prices are null when they are not known."""

    name: str
    aliases: tuple[str, ...] = ()
    context_window: int
    max_output: int
    prices: Prices | None = None


class ListedProvider(Frozen):
    """One provider. The first model is its default; `hint` says what is wrong, `more` counts models that are not shown."""

    name: str
    port: int
    configured: bool
    healthy: bool
    hint: str = ""
    models: tuple[ListedModel, ...] = ()
    more: Annotated[int | None, OmitEmpty] = None


class ModelsAnswer(Result):
    providers: tuple[ListedProvider, ...]
    warnings: Annotated[tuple[Warned, ...], OmitEmpty] = ()


@tool(title="List models", read_only=True, idempotent=True)
async def listmodels(
    call: Call,
    provider: Annotated[str | None, Field(description="Only this one, with all its models")] = None,
    query: Annotated[str | None, Field(description="Only models whose name or alias has this in it")] = None,
) -> ModelsAnswer:
    """The models there are: names and aliases for `model`, windows, prices, and which providers are configured and healthy."""
    app = call.app
    specs = _chosen(app, provider)
    most = app.limits.max_listed_models if provider is None and query is None else None
    rows = [_listed(app, spec, query, most) for spec in specs]
    return _bounded(rows, app.limits.max_answer_tokens)


def _chosen(app: App, provider: str | None) -> Sequence[ProviderSpec]:
    specs = app.catalogue.providers
    if provider is None:
        return specs
    found = [spec for spec in specs if spec.name == provider.strip().lower()]
    if not found:
        names = [spec.name for spec in specs]
        near_names = ", ".join(near(provider, names) or names)
        raise InvalidInput(f"provider: there is no provider '{provider[:60]}'.", hint=f"Leave provider out, or use {near_names}.")
    return found


def _listed(app: App, spec: ProviderSpec, query: str | None, most: int | None) -> ListedProvider:
    configured = app.catalogue.configured(spec.name)
    trouble = app.health.snapshot().get(spec.name)
    wanted = (query or "").lower()
    models = [model for model in app.catalogue.models(spec.name) if wanted in model.name.lower() or wanted in " ".join(model.aliases)]
    shown = models[:most]
    return ListedProvider(
        name=spec.name,
        port=spec.port,
        configured=configured,
        healthy=configured and trouble is None,
        hint=app.scrub((trouble or "") if configured else f"{app.catalogue.problem(spec.name)} {app.catalogue.hint(spec.name)}"),
        models=tuple(map(_model, shown)),
        more=len(models) - len(shown) or None,
    )


def _model(model: ModelInfo) -> ListedModel:
    prices = None
    if model.input_usd_per_mtok is not None and model.output_usd_per_mtok is not None:
        prices = Prices(input=model.input_usd_per_mtok, output=model.output_usd_per_mtok, cached=model.cached_usd_per_mtok)
    return ListedModel(
        name=model.name, aliases=model.aliases, context_window=model.context_window, max_output=model.max_output, prices=prices
    )


def _bounded(rows: list[ListedProvider], tokens: int) -> ModelsAnswer:
    """Return the answer, with models taken from the end of the longest lists while it is over `tokens`."""
    while json_tokens(answer := _answer(rows)) > tokens:
        number = max(range(len(rows)), key=lambda n: len(rows[n].models))
        row = rows[number]
        dropped = max(1, len(row.models) // 10)
        rows[number] = row.model_copy(update={"models": row.models[:-dropped], "more": (row.more or 0) + dropped})
    return ModelsAnswer.model_validate(answer)


def _answer(rows: Sequence[ListedProvider]) -> dict[str, object]:
    left_out = [row.name for row in rows if row.more]
    message = f"Not all models of {', '.join(left_out)} are shown; name the provider or a query to see the others."
    warnings = (Warned(code="truncated", message=message),) if left_out else ()
    return ModelsAnswer(providers=tuple(rows), warnings=warnings).model_dump(mode="json")
