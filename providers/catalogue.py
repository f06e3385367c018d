"""Model names: what a caller may write, and which models of which providers it stands for.

provider/model        exact: that model at that provider
provider              the provider's default, the first of its models
full model id         exact: that model at the first provider of the chain that has it
family or own alias   one model per provider, in the order of the chain
auto                  every provider's default, in the order of the chain
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from conversation.errors import NotConfigured, UnknownModel
from providers._aliases import fault, follow
from providers._models import lower_aliases, only, unique, with_prices
from providers.base import ModelInfo, ProviderSpec
from providers.names import LONGEST_NAME, family, folded, near, tail

AUTO = "auto"
_MOST_FOUND = 1_000
_VERSION = re.compile(r"(.+)@(\d{8}|latest|default)")


class LiveModels(Protocol):
    """Models a provider lists right now, as far as they have been fetched."""

    @property
    def version(self) -> int:
        """A number that grows with every change."""
        ...

    def use(self) -> None:
        """Note that a list is wanted, so that one that is due is fetched in the background."""
        ...

    def models(self, provider: str) -> Sequence[ModelInfo]:
        """Return the listed models of one provider; empty when nothing is known."""
        ...

    def awaited(self) -> bool:
        """Tell whether a list has not come yet."""
        ...

    async def refresh(self) -> None:
        """Fetch what is due now; failures leave the lists as they are."""
        ...


class Catalogue:
    """The models of all providers under all their names.

    `problems` says per provider why it is not configured, None when it is. `order` is the chain. `overrides` maps
    provider/model to fields of ModelInfo, for models listed and for models added by it. `aliases` maps the user's
    own names to names.
    """

    def __init__(
        self,
        specs: Sequence[ProviderSpec],
        *,
        problems: Mapping[str, str | None],
        order: Sequence[str],
        overrides: Mapping[str, Mapping[str, Any]] | None = None,
        aliases: Mapping[str, Sequence[str]] | None = None,
        live: LiveModels | None = None,
    ) -> None:
        self._specs = {spec.name: spec for spec in specs}
        self._problems = dict(problems)
        self._order = tuple(name for name in order if name in self._specs)
        self._overrides = {name.lower(): lower_aliases(fields) for name, fields in (overrides or {}).items()}
        self._override_names = tuple(overrides or {})
        self._aliases = {name.lower(): tuple(targets) for name, targets in (aliases or {}).items()}
        self._live = live
        self._seen = -1
        self._models: dict[str, tuple[ModelInfo, ...]] = {}
        self._found: dict[tuple[str, str], ModelInfo | None] = {}
        """What `at` found, since every request of the router asks it for each provider."""

    # --- what there is ---------------------------------------------------------------------------------------------

    @property
    def providers(self) -> tuple[ProviderSpec, ...]:
        """Every provider, the chain's first and in its order."""
        rest = [name for name in self._specs if name not in self._order]
        return tuple(self._specs[name] for name in (*self._order, *rest))

    @property
    def chain(self) -> tuple[str, ...]:
        """The configured providers in failover order."""
        return tuple(name for name in self._order if self.configured(name))

    @property
    def aliases(self) -> Mapping[str, tuple[str, ...]]:
        """The user's own names and what they stand for."""
        return self._aliases

    def configured(self, provider: str) -> bool:
        """Tell whether the provider has what it needs to be asked."""
        return provider in self._specs and self._problems.get(provider, "") is None

    def problem(self, provider: str) -> str | None:
        """Say why the provider is not configured; None when it is."""
        return self._problems.get(provider, "It is not configured.")

    def hint(self, provider: str) -> str:
        """Say how to configure the provider."""
        return self._specs[provider].hint

    def models(self, provider: str) -> tuple[ModelInfo, ...]:
        """Return the provider's models, its default first; built-in ones come before those of live lists."""
        self._look_at_lists()
        if provider not in self._models and provider in self._specs:
            self._models[provider] = tuple(self._listed(self._specs[provider]))
        return self._models.get(provider, ())

    def _look_at_lists(self) -> None:
        """Forget what came of live lists that have changed."""
        if self._live is not None:
            self._live.use()
            if self._live.version != self._seen:
                self._seen, self._models, self._found = self._live.version, {}, {}

    def _listed(self, spec: ProviderSpec) -> Iterator[ModelInfo]:
        seen: set[str] = set()
        live = {model.id.lower(): model for model in (self._live.models(spec.name) if self._live else ())}
        for model in spec.models:
            seen.add(model.id.lower())
            yield self._overridden(with_prices(model, live.get(model.id.lower())))
        for name in self._override_names:
            provider, _, model_id = name.partition("/")
            if provider.lower() == spec.name and model_id.lower() not in seen:
                seen.add(model_id.lower())
                yield self._overridden(live.get(model_id.lower()) or ModelInfo(provider=spec.name, id=model_id, source="parley.toml"))
        for key, model in live.items():
            if key not in seen:
                yield model

    def _overridden(self, model: ModelInfo) -> ModelInfo:
        fields = self._overrides.get(model.name.lower())
        if not fields:
            return model
        aliases = tuple(dict.fromkeys((*model.aliases, *fields.get("aliases", ()))))
        return model.model_copy(update={**fields, "aliases": aliases})

    def names(self) -> list[str]:
        """Return every name that works now: auto, aliases, providers, then provider/model."""
        configured = [spec.name for spec in self.providers if self.configured(spec.name)]
        models = [model for name in configured for model in self.models(name)]
        families = dict.fromkeys(alias for model in models for alias in model.aliases)
        return [AUTO, *self._aliases, *families, *configured, *(model.name for model in models)]

    # --- from names to models --------------------------------------------------------------------------------------

    def routes(self, name: str = AUTO, *, last: str | None = None, preferred: Sequence[str] = ()) -> tuple[ModelInfo, ...]:
        """Return the models `name` stands for, in the order they are to be asked; never empty.

        `last` is the provider/model that answered last on the thread; `auto` asks it first. Where there is none, `auto` asks
        the `preferred` first, as far as they can be asked. Letter case does not matter, and neither do dots for dashes as long
        as one model is meant. Raises UnknownModel and NotConfigured, both naming what would work.
        """
        wanted = name.strip()
        if not wanted or self._is_auto(wanted):
            return self._auto(last, preferred)
        found = self._find(wanted, frozenset()) if len(wanted) <= LONGEST_NAME else []
        if not found:
            raise self._unknown(wanted)
        usable = [model for model in found if self.configured(model.provider)]
        if not usable:
            raise self._not_configured(wanted, found)
        return tuple(usable)

    def at(self, provider: str, name: str) -> ModelInfo | None:
        """Return the model a name stands for at one provider, with or without a vendor before it; None when it has none."""
        if len(name) > LONGEST_NAME:
            return None
        self._look_at_lists()
        if (provider, name) not in self._found:
            if len(self._found) >= _MOST_FOUND:
                self._found.clear()
            self._found[provider, name] = self._at(provider, name)
        return self._found[provider, name]

    def _at(self, provider: str, name: str) -> ModelInfo | None:
        wanted = folded(tail(name))
        same = self._exact(f"{provider}/{name}") or only(model for model in self.models(provider) if folded(tail(model.id)) == wanted)
        return same[0] if same else None

    def larger(self, model: ModelInfo) -> tuple[ModelInfo, ...]:
        """Return configured models with a larger window, in chain order; within a provider each is larger than the one before."""
        chosen: list[ModelInfo] = []
        for provider in self.chain:
            window = model.context_window
            for candidate in self.models(provider):
                if candidate.context_window > window and candidate.source != "live":
                    chosen.append(candidate)
                    window = candidate.context_window
        return tuple(chosen)

    def cheap(self) -> tuple[ModelInfo, ...]:
        """Return the model of each configured provider that does chores, in chain order; a provider's default where none is marked."""
        listed = [models for provider in self.chain if (models := self.models(provider))]
        return tuple(next((model for model in models if model.cheap), models[0]) for models in listed)

    def _is_auto(self, wanted: str) -> bool:
        """Tell whether a name is auto, or an alias that stands for it and nothing else."""
        found = follow(self._aliases, wanted, {AUTO, *self._specs})
        return not found.circle and [end.lower() for end in found.ends] == [AUTO]

    def _auto(self, last: str | None, preferred: Sequence[str]) -> tuple[ModelInfo, ...]:
        routes = [models[0] for provider in self.chain if (models := self.models(provider))]
        if not routes:
            raise self._none_configured()
        if last:
            answered = self._exact(last) or self._pinned(last.lower())
            first = [model for model in answered if self.configured(model.provider)]
        else:
            found = (model for name in preferred for model in self._find(name.strip(), frozenset()))
            first = [model for model in found if model.provider in self.chain]
        return tuple(unique([*first, *routes]))

    def _find(self, wanted: str, within: frozenset[str]) -> list[ModelInfo]:
        """Return every model `wanted` stands for, configured or not; the first kind of name that fits decides."""
        lowered = wanted.lower()
        if lowered == AUTO:
            return [models[0] for provider in self._order if (models := self.models(provider))]
        if lowered in self._specs:
            return list(self.models(lowered)[:1])
        if exact := self._exact(wanted):
            return exact
        if lowered in self._aliases and lowered not in within:
            targets = (self._find(target, within | {lowered}) for target in self._aliases[lowered])
            return unique(model for found in targets for model in found)
        return self._bare(lowered) or self._family(lowered) or self._bare_folded(lowered) or self._pinned(lowered)

    def _exact(self, wanted: str) -> list[ModelInfo]:
        """provider/model, or provider/alias for the family's first model there."""
        provider, slash, model_id = wanted.partition("/")
        spec = self._specs.get(provider.lower())
        if spec is None or not slash:
            return []
        models, lowered = self.models(spec.name), model_id.lower()
        same = [model for model in models if model.id == model_id] or [model for model in models if model.id.lower() == lowered]
        same = same or self._bearers(spec.name, lowered)
        return same[:1] or only(model for model in models if folded(model.id) == folded(lowered))

    def _bare(self, lowered: str) -> list[ModelInfo]:
        """A full model id: at the first provider that has it, a configured one before others."""
        found = (model for spec in self.providers for model in self.models(spec.name) if model.id.lower() == lowered)
        return self._first_usable(found)

    def _bare_folded(self, lowered: str) -> list[ModelInfo]:
        """A model id with dots for dashes, or without its vendor: where each provider means one model by it."""
        wanted = folded(lowered)
        found: list[ModelInfo] = []
        for spec in self.providers:
            models = self.models(spec.name)
            found += only(model for model in models if folded(model.id) == wanted) or only(
                model for model in models if folded(tail(model.id)) == wanted
            )
        return self._first_usable(found)

    def _pinned(self, lowered: str) -> list[ModelInfo]:
        """A listed model in a version of its own, as Vertex names them: claude-sonnet-4-5@20250929."""
        match = _VERSION.fullmatch(lowered)
        found = self._exact(match[1]) or self._bare(match[1]) if match else []
        return [model.model_copy(update={"id": f"{model.id}@{match[2]}"}) for model in found if match]

    def _family(self, lowered: str) -> list[ModelInfo]:
        """One model per provider: the first that bears the alias, else the first of that family by its id."""
        found: list[ModelInfo] = []
        for spec in self.providers:
            found += self._bearers(spec.name, lowered)[:1]
        in_chain = [model for model in found if model.provider in self.chain]
        return in_chain or found

    def _bearers(self, provider: str, alias: str) -> list[ModelInfo]:
        """Models of one provider that bear the alias: by parley.toml, else by their data, else by their ids."""
        models = self.models(provider)
        by_user = [model for model in models if alias in self._overrides.get(model.name.lower(), {}).get("aliases", ())]
        return by_user or [model for model in models if alias in model.aliases] or [model for model in models if family(model.id) == alias]

    def _first_usable(self, found: Iterable[ModelInfo]) -> list[ModelInfo]:
        """One exact model: the first at a configured provider, else all, so that the error can name their providers."""
        every = list(found)
        usable = [model for model in every if self.configured(model.provider)]
        return usable[:1] or every

    # --- errors ----------------------------------------------------------------------------------------------------

    def _unknown(self, wanted: str) -> UnknownModel:
        if wanted.lower() in self._aliases:
            found = follow(self._aliases, wanted, {AUTO, *self._specs})
            hint = "Correct it under [aliases] there, or call listmodels for the names that work."
            return UnknownModel(f"The alias {_short(wanted)} of parley.toml {fault(found)}.", hint=hint)
        message = f"There is no model {_short(wanted)}."
        if not self._any_configured():
            return UnknownModel(f"{message} No provider is configured either.", hint=self._how_to_configure())
        suggestions = near(wanted, self.names())
        if suggestions:
            message += f" Near names: {', '.join(suggestions)}."
        else:
            message += f" Names that work: {', '.join(self._short_names())}."
        hint = "Use one of these names, or call listmodels for all of them."
        if self._live is not None and self._live.awaited():
            hint += " The providers' own lists are being fetched; a name only they have works in a moment."
        return UnknownModel(message, hint=hint)

    def _any_configured(self) -> bool:
        return any(self.configured(spec.name) for spec in self.providers)

    def _short_names(self) -> list[str]:
        defaults = [models[0].name for provider in self.chain if (models := self.models(provider))]
        return [AUTO, *self._aliases, *defaults]

    def _not_configured(self, wanted: str, found: Sequence[ModelInfo]) -> NotConfigured:
        if not self._any_configured():
            return self._none_configured()
        providers = list(dict.fromkeys(model.provider for model in found))
        problems = " ".join(f"{name}: {self.problem(name)}" for name in providers)
        where = f"{providers[0]}, which is" if len(providers) == 1 else f"{' and '.join(providers)}, which are"
        suggestions = near(found[0].id, self.names()) or self._short_names()
        hints = " ".join(f"{name}: {self.hint(name)}" for name in providers)
        return NotConfigured(
            f"{_short(wanted)} is served by {where} not configured. {problems}",
            hint=f"{hints} Models that work now: {', '.join(suggestions)}.",
        )

    def _none_configured(self) -> NotConfigured:
        others = [spec.name for spec in self.providers if self.configured(spec.name)]
        if others:
            hint = f"Name a model of {' or '.join(others)}, or add {' or '.join(others)} to PARLEY_CHAIN."
            return NotConfigured(f"No provider of the chain is configured: {', '.join(self._order)}.", hint=hint)
        return NotConfigured("No provider is configured.", hint=self._how_to_configure())

    def _how_to_configure(self) -> str:
        return "Configure at least one. " + " ".join(f"{spec.name}: {self.problem(spec.name)} {spec.hint}" for spec in self.providers)

    async def refresh(self) -> None:
        """Fetch the live lists that are due; returns when they are in or have failed."""
        if self._live is not None:
            await self._live.refresh()


def _short(name: str) -> str:
    """A caller's name as an error may show it: on one line, of bounded length, in quotes."""
    flat = " ".join(name.split())
    return f"'{flat if len(flat) <= 80 else flat[:79] + chr(0x2026)}'"
