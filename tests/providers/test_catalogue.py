"""Names and the models they stand for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from pydantic import ValidationError

from conversation.errors import NotConfigured, UnknownModel
from providers import SPECS as BUILT_IN
from providers.base import ModelInfo, ProviderSpec
from providers.catalogue import Catalogue
from providers.names import family, folded, near, tail

PROVIDERS = ("vertex_claude", "vertex_gemini", "github_models", "openrouter")


def spec(name: str, port: int, *models: tuple[str, tuple[str, ...], int]) -> ProviderSpec:
    listed = tuple(ModelInfo(provider=name, id=id_, aliases=aliases, context_window=window) for id_, aliases, window in models)
    variable = f"{name.upper()}_KEY"
    return ProviderSpec(name=name, title=name, port=port, variables=(variable,), hint=f"Set {variable}.", models=listed)


SPECS = (
    spec(
        "vertex_claude",
        8090,
        ("claude-sonnet-4-5", ("sonnet",), 200_000),
        ("claude-opus-4-5", ("opus",), 200_000),
        ("claude-sonnet-5", ("sonnet",), 1_000_000),
    ),
    spec("vertex_gemini", 8091, ("gemini-2.5-pro", ("gemini",), 1_048_576), ("gemini-2.5-flash", ("gemini", "flash"), 1_048_576)),
    spec("github_models", 8092, ("openai/gpt-4.1", ("gpt",), 1_047_576), ("openai/gpt-4o", (), 128_000)),
    spec(
        "openrouter",
        8093,
        ("anthropic/claude-sonnet-4.5", ("sonnet",), 200_000),
        ("openai/gpt-4o", ("gpt",), 128_000),
        ("google/gemini-2.5-pro", (), 1_048_576),
        ("Qwen/Qwen3-Max", (), 262_144),
    ),
)


class Listed:
    """Live lists as they stand, without a network."""

    def __init__(self, models: Mapping[str, Sequence[ModelInfo]], *, awaited: bool = False) -> None:
        self.version = 0
        self.lists = dict(models)
        self.used = 0
        self.refreshed = 0
        self.late = awaited

    def use(self) -> None:
        self.used += 1

    def models(self, provider: str) -> Sequence[ModelInfo]:
        return self.lists.get(provider, ())

    def awaited(self) -> bool:
        return self.late

    async def refresh(self) -> None:
        self.refreshed += 1


def catalogue(configured: Sequence[str] = PROVIDERS, **settings: Any) -> Catalogue:
    problems = {name: None if name in configured else f"{name.upper()}_KEY is not set." for name in PROVIDERS}
    return Catalogue(SPECS, problems=problems, order=settings.pop("order", PROVIDERS), **settings)


def routed(name: str, configured: Sequence[str] = PROVIDERS, *, last: str | None = None, **settings: Any) -> list[str]:
    return [model.name for model in catalogue(configured, **settings).routes(name, last=last)]


DEFAULTS = [
    "vertex_claude/claude-sonnet-4-5",
    "vertex_gemini/gemini-2.5-pro",
    "github_models/openai/gpt-4.1",
    "openrouter/anthropic/claude-sonnet-4.5",
]


@pytest.mark.parametrize("name", ["auto", "", "  ", "AUTO"])
def test_auto_is_every_configured_providers_default_in_chain_order(name: str) -> None:
    assert routed(name) == DEFAULTS
    assert routed(name, ("openrouter", "vertex_gemini")) == [DEFAULTS[1], DEFAULTS[3]]
    assert routed(name, order=("openrouter", "vertex_claude", "nonsense")) == [DEFAULTS[3], DEFAULTS[0]]


def test_auto_asks_the_model_first_that_answered_last() -> None:
    assert routed("auto", last="vertex_gemini/gemini-2.5-pro") == [DEFAULTS[1], DEFAULTS[0], DEFAULTS[2], DEFAULTS[3]]
    assert routed("auto", last="github_models/openai/gpt-4o") == ["github_models/openai/gpt-4o", *DEFAULTS]
    assert routed("auto", last="vertex_claude/claude-opus-4-5@20251101")[0] == "vertex_claude/claude-opus-4-5@20251101"


@pytest.mark.parametrize("last", ["openrouter/anthropic/claude-sonnet-4.5", "gone/model", "vertex_gemini/gemini-1", "nonsense"])
def test_auto_passes_over_a_last_model_that_cannot_be_asked_any_more(last: str) -> None:
    assert routed("auto", PROVIDERS[:3], last=last) == DEFAULTS[:3]


def test_last_changes_nothing_but_auto() -> None:
    assert routed("sonnet", last="vertex_gemini/gemini-2.5-pro")[0] == DEFAULTS[0]


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("openrouter/openai/gpt-4o", "openrouter/openai/gpt-4o"),
        ("OpenRouter/OpenAI/GPT-4o", "openrouter/openai/gpt-4o"),
        ("openrouter/qwen/qwen3-max", "openrouter/Qwen/Qwen3-Max"),
        ("openrouter/anthropic/claude-sonnet-4-5", "openrouter/anthropic/claude-sonnet-4.5"),
        ("vertex_claude/claude-sonnet-4.5", "vertex_claude/claude-sonnet-4-5"),
        ("openrouter/sonnet", "openrouter/anthropic/claude-sonnet-4.5"),
        ("openrouter/gemini", "openrouter/google/gemini-2.5-pro"),
        ("vertex_gemini", "vertex_gemini/gemini-2.5-pro"),
        ("OPENROUTER", "openrouter/anthropic/claude-sonnet-4.5"),
        ("openai/gpt-4o", "github_models/openai/gpt-4o"),
        ("gemini-2.5-pro", "vertex_gemini/gemini-2.5-pro"),
        ("google/gemini-2.5-pro", "openrouter/google/gemini-2.5-pro"),
        ("Claude-Sonnet-4.5", "vertex_claude/claude-sonnet-4-5"),
        ("gpt-4o", "github_models/openai/gpt-4o"),
        ("gpt-4.1", "github_models/openai/gpt-4.1"),
        ("qwen3-max", "openrouter/Qwen/Qwen3-Max"),
        ("claude-opus-4-5@20251101", "vertex_claude/claude-opus-4-5@20251101"),
        ("vertex_claude/claude-opus-4-5@latest", "vertex_claude/claude-opus-4-5@latest"),
        (" claude-opus-4-5\n", "vertex_claude/claude-opus-4-5"),
    ],
)
def test_an_exact_name_is_one_model_and_nothing_else(name: str, model: str) -> None:
    assert routed(name) == [model]


def test_a_bare_id_resolves_along_the_chain_past_providers_that_are_not_configured() -> None:
    assert routed("openai/gpt-4o", ("openrouter",)) == ["openrouter/openai/gpt-4o"]
    assert routed("openai/gpt-4o", order=("openrouter", "github_models")) == ["openrouter/openai/gpt-4o"]
    assert routed("openai/gpt-4o", order=("vertex_claude",)) == ["github_models/openai/gpt-4o"]


def test_a_name_that_means_two_models_of_a_provider_is_not_guessed() -> None:
    doubled = (spec("vertex_claude", 1, ("a/model.1", (), 1000), ("b/model-1", (), 1000)),)
    names = Catalogue(doubled, problems={"vertex_claude": None}, order=("vertex_claude",))
    with pytest.raises(UnknownModel, match=r"Near names: .*a/model\.1.*b/model-1|Near names: .*b/model-1.*a/model\.1"):
        names.routes("model-1")
    assert names.routes("b/model-1")[0].id == "b/model-1"


def test_a_family_is_one_model_of_every_provider_that_has_it() -> None:
    assert routed("sonnet") == ["vertex_claude/claude-sonnet-4-5", "openrouter/anthropic/claude-sonnet-4.5"]
    assert routed("Opus") == ["vertex_claude/claude-opus-4-5"]
    assert routed("gpt") == ["github_models/openai/gpt-4.1", "openrouter/openai/gpt-4o"]
    assert routed("gemini") == ["vertex_gemini/gemini-2.5-pro", "openrouter/google/gemini-2.5-pro"]
    assert routed("flash") == ["vertex_gemini/gemini-2.5-flash"]
    assert routed("sonnet", ("openrouter",)) == ["openrouter/anthropic/claude-sonnet-4.5"]


def test_a_family_outside_the_chain_is_asked_when_none_is_inside() -> None:
    assert routed("gpt", order=("vertex_claude",)) == ["github_models/openai/gpt-4.1", "openrouter/openai/gpt-4o"]
    assert routed("sonnet", order=("vertex_claude",)) == ["vertex_claude/claude-sonnet-4-5"]


def test_the_users_aliases_come_before_families_and_may_name_families() -> None:
    aliases = {
        "Fast": ("vertex_gemini/gemini-2.5-flash", "gpt"),
        "sonnet": ("openrouter/sonnet",),
        "loop": ("loop", "opus"),
        "gone": ("no/such",),
    }
    assert routed("fast", aliases=aliases) == ["vertex_gemini/gemini-2.5-flash", "github_models/openai/gpt-4.1", "openrouter/openai/gpt-4o"]
    assert routed("SONNET", aliases=aliases) == ["openrouter/anthropic/claude-sonnet-4.5"]
    assert routed("loop", aliases=aliases) == ["vertex_claude/claude-opus-4-5"]
    with pytest.raises(UnknownModel, match=r"alias 'gone' of parley\.toml stands for no/such"):
        routed("gone", aliases=aliases)
    assert catalogue(aliases=aliases).aliases["fast"] == ("vertex_gemini/gemini-2.5-flash", "gpt")


def test_an_alias_of_auto_is_the_chain_and_asks_who_answered_last_first() -> None:
    last, aliases = "openrouter/openai/gpt-4o", {"any": ("Auto",), "other": ("any",), "mixed": ("openrouter/openai/gpt-4o", "auto")}
    found = catalogue(aliases=aliases)
    for name in ("any", "other"):
        assert found.routes(name) == found.routes("auto")
        assert found.routes(name, last=last) == found.routes("auto", last=last)
    assert [model.name for model in found.routes("mixed")] == [last, *(model.name for model in found.routes("auto"))]
    with pytest.raises(NotConfigured):
        catalogue((), aliases=aliases).routes("any")
    with pytest.raises(NotConfigured):
        catalogue((), aliases=aliases).routes("mixed")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a", "goes round in a circle: a -> b -> a"),
        ("self", "goes round in a circle: self -> self"),
        ("to-a", "goes round in a circle: a -> b -> a"),
        ("none", "stands for nothing"),
        ("blank", "stands for nothing"),
        ("far", "stands for no/such, no/other, which no provider has"),
    ],
)
def test_an_alias_that_leads_nowhere_says_why(name: str, words: str) -> None:
    circles = {"a": ("b",), "b": ("A",), "self": ("self",), "to-a": ("a",)}
    aliases = {**circles, "none": (), "blank": (" ",), "far": ("near", "no/other"), "near": ("no/such",)}
    with pytest.raises(UnknownModel, match=f"alias '{name}' of parley.toml {words}\\.$") as caught:
        routed(name, aliases=aliases)
    assert "[aliases]" in caught.value.hint


def test_an_alias_may_bear_a_familys_name_and_mean_it_too() -> None:
    aliases = {"opus": ("opus", "auto")}
    assert routed("opus", aliases=aliases)[0] == "vertex_claude/claude-opus-4-5"


def test_overrides_change_models_add_models_and_give_them_aliases() -> None:
    overrides = {
        "vertex_claude/claude-opus-4-5": {"context_window": 1_000_000, "aliases": ("Deep",), "first_byte_timeout": 300.0},
        "openrouter/z-ai/glm-5": {"context_window": 99_000},
        "vertex_gemini/gemini-2.5-flash": {"aliases": ("gemini",)},
    }
    names = catalogue(overrides=overrides)
    (opus,) = names.routes("deep")
    assert (opus.id, opus.context_window, opus.first_byte_timeout, opus.aliases) == ("claude-opus-4-5", 1_000_000, 300.0, ("opus", "deep"))
    (added,) = names.routes("z-ai/glm-5")
    assert (added.name, added.context_window, added.source) == ("openrouter/z-ai/glm-5", 99_000, "parley.toml")
    assert names.routes("gemini")[0].id == "gemini-2.5-flash"
    assert names.routes("vertex_gemini")[0].id == "gemini-2.5-pro"


def test_live_lists_add_models_after_the_built_in_ones_and_fill_in_prices() -> None:
    live = Listed(
        {
            "openrouter": (
                ModelInfo(provider="openrouter", id="openai/gpt-4o", context_window=5, input_usd_per_mtok=2.5, source="live"),
                ModelInfo(provider="openrouter", id="google/gemini-2.5-pro", source="live"),
                ModelInfo(provider="openrouter", id="new/opus-9", context_window=9_000_000, source="live"),
            )
        }
    )
    names = catalogue(live=live, overrides={"openrouter/new/opus-9": {"max_output": 7}})
    models = names.models("openrouter")
    assert [model.id for model in models[:2]] == ["anthropic/claude-sonnet-4.5", "openai/gpt-4o"]
    assert (models[1].context_window, models[1].input_usd_per_mtok) == (128_000, 2.5)
    assert names.routes("new/opus-9")[0].max_output == 7
    assert [model.id for model in models].count("new/opus-9") == 1
    assert [model.name for model in names.routes("opus")] == ["vertex_claude/claude-opus-4-5", "openrouter/new/opus-9"]
    assert live.used


async def test_a_list_that_has_come_shows_at_once() -> None:
    live = Listed({}, awaited=True)
    names = catalogue(live=live)
    with pytest.raises(UnknownModel) as missing:
        names.routes("brand-new")
    assert "works in a moment" in missing.value.hint
    live.lists["openrouter"] = (ModelInfo(provider="openrouter", id="x/brand-new", source="live"),)
    live.version, live.late = 1, False
    assert names.routes("brand-new")[0].name == "openrouter/x/brand-new"
    await names.refresh()
    await catalogue().refresh()
    assert live.refreshed == 1


def test_a_model_found_before_is_looked_for_again_when_lists_have_come_and_any_number_of_names_is_found() -> None:
    live = Listed({})
    names = catalogue(live=live)
    assert names.at("openrouter", "brand-new") is None
    live.lists["openrouter"] = (ModelInfo(provider="openrouter", id="x/brand-new", source="live"),)
    live.version = 1
    for _ in range(2):
        found = names.at("openrouter", "brand-new")
        assert found is not None and found.id == "x/brand-new"
        assert all(names.at("openrouter", f"name-{number}") is None for number in range(1_500))


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [
        ("claude-sonet-4-5", "vertex_claude/claude-sonnet-4-5"),
        ("openrouter/openai/gpt4o", "openrouter/openai/gpt-4o"),
        ("gemini-2.5", "vertex_gemini/gemini-2.5-pro"),
        ("sonet", "sonnet"),
        ("openruter", "openrouter"),
        ("anthropic/claude-opus-4.6", "vertex_claude/claude-opus-4-5"),
    ],
)
def test_an_unknown_name_is_an_error_that_lists_near_names(name: str, suggestion: str) -> None:
    with pytest.raises(UnknownModel) as unknown:
        routed(name)
    assert suggestion in unknown.value.message
    assert unknown.value.message.startswith("There is no model '")


@pytest.mark.parametrize("name", ["claude-opus-4-5@yesterday", "opus@20251101", "@20251101", "nothing@latest"])
def test_a_version_belongs_to_a_listed_model(name: str) -> None:
    with pytest.raises(UnknownModel):
        routed(name)


@pytest.mark.parametrize("name", ["zzzzzzzz", "?", "/", "openrouter/", "\u00e9" * 500, "-"])
def test_a_name_like_no_other_is_answered_with_the_defaults(name: str) -> None:
    with pytest.raises(UnknownModel) as unknown:
        routed(name)
    assert "vertex_gemini/gemini-2.5-pro" in unknown.value.message or "openrouter" in unknown.value.message
    assert len(unknown.value.message) < 500


def test_suggestions_name_only_what_is_configured() -> None:
    with pytest.raises(UnknownModel) as unknown:
        routed("claude-sonet-4-5", ("openrouter",))
    assert "openrouter/anthropic/claude-sonnet-4.5" in unknown.value.message
    assert "vertex_claude" not in unknown.value.message


@pytest.mark.parametrize("name", ["vertex_claude/claude-opus-4-5", "claude-opus-4-5", "opus", "vertex_claude"])
def test_a_known_model_of_an_unconfigured_provider_says_what_to_set_and_what_works(name: str) -> None:
    with pytest.raises(NotConfigured) as missing:
        routed(name, ("openrouter", "vertex_gemini"))
    assert "VERTEX_CLAUDE_KEY is not set." in missing.value.message
    assert "Set VERTEX_CLAUDE_KEY." in missing.value.hint
    assert "openrouter/anthropic/claude-sonnet-4.5" in missing.value.hint


def test_a_family_of_several_unconfigured_providers_names_each() -> None:
    with pytest.raises(NotConfigured) as missing:
        routed("sonnet", ("vertex_gemini",))
    assert "vertex_claude and openrouter, which are not configured" in missing.value.message


@pytest.mark.parametrize("name", ["auto", "sonnet", "openai/gpt-4o", "vertex_gemini"])
def test_with_no_provider_at_all_the_error_says_how_to_configure_each(name: str) -> None:
    with pytest.raises(NotConfigured) as missing:
        routed(name, ())
    assert missing.value.message == "No provider is configured."
    keys = {provider: f"{provider.upper()}_KEY" for provider in PROVIDERS}
    assert all(f"{provider}: {key} is not set. Set {key}." in missing.value.hint for provider, key in keys.items())


def test_a_chain_of_unconfigured_providers_is_told_from_no_provider_at_all() -> None:
    with pytest.raises(NotConfigured, match="No provider of the chain is configured: openrouter") as missing:
        catalogue(("vertex_gemini",), order=("openrouter",)).routes()
    assert missing.value.hint == "Name a model of vertex_gemini, or add vertex_gemini to PARLEY_CHAIN."


def test_with_no_provider_at_all_an_unknown_name_says_both() -> None:
    with pytest.raises(UnknownModel, match="No provider is configured either") as unknown:
        routed("nonsense", ())
    assert "Set OPENROUTER_KEY." in unknown.value.hint


def test_larger_models_climb_within_a_provider_and_follow_the_chain() -> None:
    live = Listed({"openrouter": (ModelInfo(provider="openrouter", id="x/huge", context_window=10_000_000, source="live"),)})
    names = catalogue(live=live)
    (small,) = names.routes("github_models/openai/gpt-4o")
    assert [model.name for model in names.larger(small)] == [
        "vertex_claude/claude-sonnet-4-5",
        "vertex_claude/claude-sonnet-5",
        "vertex_gemini/gemini-2.5-pro",
        "github_models/openai/gpt-4.1",
        "openrouter/anthropic/claude-sonnet-4.5",
        "openrouter/google/gemini-2.5-pro",
    ]
    (largest,) = names.routes("vertex_gemini")
    assert names.larger(largest) == ()


def test_chores_go_to_the_cheap_model_of_each_configured_provider_or_its_default() -> None:
    marked = {"github_models/openai/gpt-4o": {"cheap": True}}
    names = [model.name for model in catalogue(("github_models", "openrouter"), overrides=marked).cheap()]
    assert names == ["github_models/openai/gpt-4o", "openrouter/anthropic/claude-sonnet-4.5"]
    assert catalogue(()).cheap() == ()


def test_every_provider_marks_a_model_for_chores() -> None:
    assert [sum(model.cheap for model in one.models) for one in BUILT_IN] == [1, 1, 1, 1]


def test_providers_come_in_chain_order_and_say_what_is_wrong_with_them() -> None:
    names = catalogue(("openrouter",), order=("openrouter", "vertex_gemini"))
    assert [provider.name for provider in names.providers] == ["openrouter", "vertex_gemini", "vertex_claude", "github_models"]
    assert names.chain == ("openrouter",)
    assert names.configured("openrouter") and not names.configured("vertex_claude") and not names.configured("nobody")
    assert names.problem("openrouter") is None
    assert names.problem("vertex_claude") == "VERTEX_CLAUDE_KEY is not set."
    assert names.hint("vertex_claude") == "Set VERTEX_CLAUDE_KEY."
    assert names.models("nobody") == ()


def test_every_name_that_is_offered_works() -> None:
    names = catalogue(("openrouter", "vertex_gemini"), aliases={"best": ("opus", "gemini")})
    offered = names.names()
    assert offered[:2] == ["auto", "best"]
    assert {"sonnet", "gemini", "openrouter", "openrouter/Qwen/Qwen3-Max"} <= set(offered)
    for name in offered:
        assert names.routes(name)


def test_names_are_compared_without_case_and_dots() -> None:
    assert folded(" Claude_Sonnet 4.5 ") == "claude-sonnet-4-5"
    assert tail("a/b/c") == "c"
    assert family("anthropic/claude-haiku-4.5") == "haiku"
    assert family("openai/o4-mini") is None
    assert near("", ["auto"]) == []
    assert near("gpt-4o", ["openrouter/openai/gpt-4o", "github_models/openai/gpt-4o", "auto"]) == [
        "openrouter/openai/gpt-4o",
        "github_models/openai/gpt-4o",
    ]


def test_models_are_values() -> None:
    (model,) = catalogue().routes("opus")
    with pytest.raises(ValidationError):
        model.context_window = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("provider", "name", "model"),
    [
        ("openrouter", "claude-sonnet-4-5", "anthropic/claude-sonnet-4.5"),
        ("openrouter", "anthropic/claude-sonnet-4.5", "anthropic/claude-sonnet-4.5"),
        ("github_models", "gpt-4o", "openai/gpt-4o"),
        ("vertex_claude", "anthropic/claude-opus-4.5", "claude-opus-4-5"),
        ("vertex_claude", "opus", "claude-opus-4-5"),
        ("vertex_claude", "gpt-4o", None),
        ("vertex_claude", "x" * 300, None),
    ],
)
def test_a_name_stands_for_a_model_at_one_provider_with_or_without_its_vendor(provider: str, name: str, model: str | None) -> None:
    found = catalogue().at(provider, name)
    assert (found.id if found else None) == model
