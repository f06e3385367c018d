"""The tool fallback."""

from __future__ import annotations

from pathlib import Path

import pytest

from providers.base import ModelInfo
from tests.tools.house import House, silence


def asked(answer: dict) -> list[tuple[str, str]]:
    return [(one["provider"], one["outcome"]) for one in answer["attempts"]]


async def test_the_first_to_answer_ends_it_and_its_attempt_is_shown(house: House) -> None:
    answer = await house.call("fallback", {"prompt": "x"})
    assert asked(answer) == [("vertex_claude", "ok")]
    assert answer["turn"] == 2


async def test_the_configured_chain_is_asked_in_order(house: House) -> None:
    house.upstreams["vertex_claude"].plays = ["!overloaded"]
    house.upstreams["vertex_gemini"].plays = ["!rate_limited"]
    answer = await house.call("fallback", {"prompt": "x"})
    assert asked(answer) == [("vertex_claude", "overloaded"), ("vertex_gemini", "rate_limited"), ("github_models", "ok")]
    assert answer["model"] == "openai/gpt-4o"
    assert [list(one) for one in answer["attempts"]] == [["provider", "model", "outcome", "status", "ms"]] * 3
    assert all(type(one["ms"]) is int and 0 <= one["ms"] < 5000 for one in answer["attempts"])


async def test_a_chain_names_providers_and_models_in_order_each_asked_once(house: House) -> None:
    for upstream in house.upstreams.values():
        upstream.plays = ["!refused"]
    chain = ["gpt", "vertex_gemini", "openai/gpt-4o", "gemini-2.5-pro"]
    error = await house.error("fallback", {"prompt": "x", "chain": chain})
    assert error["code"] == "all_providers_failed"
    assert asked(error) == [("github_models", "refused"), ("vertex_gemini", "refused")]


async def test_the_model_goes_first_before_the_chain(house: House) -> None:
    house.upstreams["openrouter"].plays = ["!refused"]
    answer = await house.call("fallback", {"prompt": "x", "model": "openrouter", "chain": ["vertex_gemini"]})
    assert asked(answer) == [("openrouter", "refused"), ("vertex_gemini", "ok")]


async def test_the_model_goes_first_before_the_configured_chain(house: House) -> None:
    house.upstreams["openrouter"].plays = ["!refused"]
    answer = await house.call("fallback", {"prompt": "x", "model": "openrouter"})
    assert asked(answer) == [("openrouter", "refused"), ("vertex_claude", "ok")]


async def test_a_chain_of_one_that_fails_still_shows_its_attempt(house: House) -> None:
    house.upstreams["vertex_gemini"].plays = ["!timeout"]
    error = await house.error("fallback", {"prompt": "x", "chain": ["vertex_gemini"]})
    assert (error["code"], asked(error)) == ("timeout", [("vertex_gemini", "timeout")])


async def test_the_deadline_holds_for_all_together(house: House) -> None:
    for upstream in house.upstreams.values():
        upstream.plays = [silence]
    error = await house.error("fallback", {"prompt": "x", "deadline_s": 0.2})
    assert error["code"] == "all_providers_failed"
    assert sum(one["ms"] for one in error["attempts"]) < 5000


@pytest.mark.parametrize("arguments", [{"deadline_s": 0}, {"chain": "gpt"}, {"chain": ["x", 1]}])
async def test_a_wrong_argument_is_named(house: House, arguments: dict) -> None:
    error = await house.error("fallback", {"prompt": "x", **arguments})
    assert error["code"] == "invalid_input"
    assert next(iter(arguments)) in error["message"]
    assert house.calls == 0


async def test_a_wrong_name_in_the_chain_is_an_error_before_anything_is_asked(house: House) -> None:
    assert (await house.error("fallback", {"prompt": "x", "chain": ["gpt", "nonsense-9"]}))["code"] == "unknown_model"
    assert house.calls == 0


async def test_a_long_context_goes_to_a_larger_model_unless_the_chain_is_named(workspace: Path) -> None:
    small = ModelInfo(provider="github_models", id="small", context_window=1_000)
    large = ModelInfo(provider="github_models", id="large", context_window=100_000)
    house = House(workspace, configured=["github_models"], models={"github_models": [small, large]})
    prompt = "word " * 2_000
    assert (await house.call("fallback", {"prompt": prompt}))["model"] == "large"
    assert (await house.error("fallback", {"prompt": prompt, "chain": ["small"]}))["code"] == "context_too_long"
