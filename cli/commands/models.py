"""`parley models`: the providers, whether they work, and their models."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from cli.context import Context
from cli.log import configure_logging
from cli.output import Failed, WrongUse, did_you_mean, one_line, put, put_json, table

if TYPE_CHECKING:
    from tools.app import App
    from tools.listmodels import ListedModel, ListedProvider

LIVE_SECONDS = 3.0
"""How long a list that is due is waited for; after that what is known is shown."""
_EVERYTHING = {"max_listed_models": 1_000_000, "max_answer_tokens": 1_000_000_000}


def run(context: Context, arguments: list[str]) -> int:
    """Print the models; 1 when the word is in none of their names."""
    parser = context.parser("models", "List providers and their models. The first model of a provider is its default.")
    parser.add_argument("query", nargs="?", help="only models whose name or alias has this in it")
    parser.add_argument("--provider", help="only this provider")
    parser.add_argument("--json", action="store_true", help="as listmodels answers it")
    options = parser.parse_args(arguments)
    env = context.environment(options)
    configure_logging(env)
    from cli.wire import run_with_app

    async def show(app: App) -> int:
        known = [spec.name for spec in app.catalogue.providers]
        if options.provider is not None and options.provider.lower() not in known:
            raise WrongUse(f"--provider: there is no provider {options.provider[:60]!r}{did_you_mean(options.provider, known)}")
        with suppress(TimeoutError):
            await asyncio.wait_for(app.catalogue.refresh(), LIVE_SECONDS)
        if not await _show(app, options.provider, options.query, as_json=options.json):
            where = f" of {options.provider}" if options.provider else ""
            raise Failed(f"no model{where} has {one_line(options.query or '', 60)!r} in its name or in an alias")
        return 0

    return run_with_app(env, show)


async def _show(app: App, provider: str | None, query: str | None, *, as_json: bool) -> bool:
    """Print the providers with the models asked for, and tell whether there are any."""
    from tools.app import Call
    from tools.listmodels import listmodels

    whole = replace(app, limits=app.limits.model_copy(update=_EVERYTHING))
    answer = await listmodels(Call(whole), provider=provider, query=query)
    found = any(row.models for row in answer.providers)
    if as_json:
        put_json(answer.model_dump(mode="json"))
    elif found or not query:
        put("\n\n".join(_section(row) for row in answer.providers if row.models or not query))
    return found or not query


def _section(provider: ListedProvider) -> str:
    state = ("configured" if provider.healthy else f"not healthy: {provider.hint}") if provider.configured else "not configured"
    head = f"{provider.name} (port {provider.port}): {state}"
    if not provider.configured and provider.hint:
        head += f"\n  {provider.hint}"
    return "\n".join([head, *(f"  {line}" for line in table(map(_row, provider.models)).splitlines())])


def _row(model: ListedModel) -> list[str]:
    price = f"${model.prices.input:g} in, ${model.prices.output:g} out per Mtok" if model.prices else ""
    return [model.name, ",".join(model.aliases), f"{model.context_window:,}", price]
