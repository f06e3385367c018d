"""Near names: what a misspelt one was meant to be, also among thousands, and how long that takes."""

from __future__ import annotations

import time

import pytest

from conversation.errors import UnknownModel
from providers import SPECS
from providers.base import ModelInfo, ProviderSpec
from providers.catalogue import Catalogue
from providers.names import near

NAMES = [
    "auto", "opus", "sonnet", "haiku", "gemini", "gpt",
    *(spec.name for spec in SPECS), *(f"{spec.name}/{model.id}" for spec in SPECS for model in spec.models),
]  # fmt: skip
MANY = [f"openrouter/vendor{number % 40}/some-very-long-model-name-number-{number}-instruct-preview" for number in range(3000)]


@pytest.mark.parametrize(
    ("wanted", "meant"),
    [
        ("opsu", "opus"),
        ("gtp", "gpt"),
        ("sonet", "sonnet"),
        ("gemnii", "gemini"),
        ("vertex_cluade", "vertex_claude"),
        ("open-router", "openrouter"),
        ("claude-sonet-4-5", "vertex_claude/claude-sonnet-4-5"),
        ("gemini-2.5-prp", "vertex_gemini/gemini-2.5-pro"),
        ("openrouter/openai/gtp-4o", "openrouter/openai/gpt-4o"),
        ("gpt4o", "github_models/openai/gpt-4o"),
        ("vendor3/some-very-long-model-nme-number-3-instruct", MANY[3]),
    ],
)
def test_a_typo_among_thousands_of_names_finds_what_was_meant(wanted: str, meant: str) -> None:
    assert meant in near(wanted, [*NAMES, *MANY])
    assert meant in MANY or meant in near(wanted, NAMES)


@pytest.mark.parametrize("wanted", ["", "   ", "zzz", "z" * 1_000_000])
def test_a_name_like_no_other_is_near_none(wanted: str) -> None:
    assert near(wanted, [*NAMES, *MANY]) == []


def seconds(wanted: str) -> float:
    """Of this process's own work, whatever else the machine does."""
    began = time.process_time()
    near(wanted, [*NAMES, *MANY])
    return time.process_time() - began


@pytest.mark.parametrize("wanted", ["vendor3/some-very-long-model-nme-number-3-instruct", "vertex_cluade", "opsu", "z" * 1_000_000])
def test_three_thousand_names_hold_up_nobody(wanted: str) -> None:
    assert min(seconds(wanted) for _ in range(7)) < 0.1  # 20 ms without coverage; comparing all of them in full takes one to two seconds


@pytest.mark.parametrize("prefix", ["", "a/"])
def test_a_name_of_a_megabyte_is_unknown_at_once(prefix: str) -> None:
    models = tuple(ModelInfo(provider="a", id=name) for name in MANY)
    spec = ProviderSpec(name="a", title="A", port=1, variables=(), hint="", models=models)
    catalogue = Catalogue([spec], problems={"a": None}, order=["a"])
    began = time.perf_counter()
    with pytest.raises(UnknownModel) as caught:
        catalogue.routes(prefix + "z" * 1_000_000)
    assert time.perf_counter() - began < 0.5
    assert len(caught.value.message) < 1000
