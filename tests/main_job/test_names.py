"""Model names as a caller writes them, and who answers."""

from __future__ import annotations

import pytest

from simulator import ThreadedSimulator
from tests.main_job.process import Parley
from tests.main_job.wires import DEFAULTS, PROVIDERS, asked, upstream_calls


@pytest.mark.parametrize(
    ("name", "provider", "model"),
    [
        ("openrouter/openai/gpt-4o", "openrouter", "openai/gpt-4o"),
        ("vertex_claude/claude-sonnet-4-5", "vertex_claude", "claude-sonnet-4-5"),
        ("claude-sonnet-4-5", "vertex_claude", "claude-sonnet-4-5"),
        ("claude-sonnet-4-5@20250929", "vertex_claude", "claude-sonnet-4-5@20250929"),
        ("gemini-2.5-flash", "vertex_gemini", "gemini-2.5-flash"),
        ("openai/gpt-4o", "github_models", "openai/gpt-4o"),
        ("GitHub_Models/OpenAI/GPT-4o", "github_models", "openai/gpt-4o"),
        *((provider, provider, model) for provider, model in DEFAULTS.items()),
    ],
)
def test_an_exact_name_is_that_model_and_never_another(
    parley: Parley, sim: ThreadedSimulator, name: str, provider: str, model: str
) -> None:
    answer = parley.chat("x", model=name)
    assert (answer["provider"], answer["model"]) == (provider, model) and "attempts" not in answer
    assert asked(sim, provider)[0]["model"] == model
    sim.fault(provider, "status", status=503)
    error = parley.call("chat", prompt="x", model=name).error
    assert (error["code"], len(error["attempts"])) == ("overloaded", 1) and upstream_calls(sim) == 2


@pytest.mark.parametrize(
    ("family", "first", "then"),
    [
        ("sonnet", "vertex_claude", "openrouter"),
        ("opus", "vertex_claude", "openrouter"),
        ("haiku", "vertex_claude", "openrouter"),
        ("gemini", "vertex_gemini", "openrouter"),
        ("GPT", "github_models", "openrouter"),
    ],
)
def test_a_family_fails_over_to_itself_at_another_provider(
    parley: Parley, sim: ThreadedSimulator, family: str, first: str, then: str
) -> None:
    assert parley.chat("x", model=family)["provider"] == first
    sim.fault(first, "status", status=529)
    answer = parley.chat("x", model=family)
    assert [(one["provider"], one["outcome"]) for one in answer["attempts"]] == [(first, "overloaded"), (then, "ok")]
    assert family.lower() in answer["model"]
    sim.fault(first, "status", status=503)
    sim.fault(then, "status", status=503)
    error = parley.call("chat", prompt="x", model=family).error
    assert (error["code"], [one["provider"] for one in error["attempts"]]) == ("all_providers_failed", [first, then])


def test_auto_is_the_chain_and_prefers_who_answered_last(parley: Parley, sim: ThreadedSimulator) -> None:
    begun = parley.chat("x", model="openrouter/openai/gpt-4o")
    went_on = parley.chat("y", model="auto", continuation_id=begun["continuation_id"])
    assert (went_on["provider"], went_on["model"]) == ("openrouter", "openai/gpt-4o")
    sim.fault("openrouter", "status", status=503)
    passed = parley.chat("z", continuation_id=begun["continuation_id"])
    assert [one["provider"] for one in passed["attempts"]] == ["openrouter", "vertex_claude"]
    assert parley.chat("and", continuation_id=begun["continuation_id"])["provider"] == "vertex_claude"
    for provider in PROVIDERS[:3]:
        sim.fault(provider, "refuse")
    fresh = parley.chat("x")
    assert [one["provider"] for one in fresh["attempts"]] == list(PROVIDERS)
    assert [one["outcome"] for one in fresh["attempts"]] == ["refused"] * 3 + ["ok"]


def test_fallback_asks_in_the_order_given_and_within_its_deadline(parley: Parley, sim: ThreadedSimulator) -> None:
    answer = parley.call("fallback", prompt="x", model="gpt-4o", chain=["vertex_gemini", "openrouter"]).answer
    assert [one["provider"] for one in answer["attempts"]] == ["github_models"], "attempts are shown even when there was one"
    for provider in PROVIDERS:
        sim.fault(provider, "hang_before_headers")
    error = parley.call("fallback", prompt="x", deadline_s=0.6).error
    assert error["code"] == "all_providers_failed"
    assert [(one["provider"], one["outcome"]) for one in error["attempts"]] == [(provider, "timeout") for provider in PROVIDERS]
    assert sum(one["ms"] for one in error["attempts"]) < 2000


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("vertex_claude/claude-sonnet-45", "claude-sonnet-4-5"),
        ("gemini-2.5-prp", "gemini-2.5-pro"),
        ("openrouter/openai/gtp-4o", "openrouter/openai/gpt-4o"),
        ("gpt-9000-ultra", "gpt"),
    ],
)
def test_a_wrong_name_is_an_error_with_near_ones(parley: Parley, sim: ThreadedSimulator, wrong: str, near: str) -> None:
    error = parley.call("chat", prompt="x", model=wrong).error
    assert error["code"] == "unknown_model" and near in error["message"] and "listmodels" in error["hint"]
    assert not upstream_calls(sim)
