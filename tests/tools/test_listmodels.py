"""The tool listmodels."""

from __future__ import annotations

from pathlib import Path

import pytest

from providers.base import ModelInfo
from tests.tools.house import MODELS, House
from tools.bounds import json_tokens

MANY = [ModelInfo(provider="openrouter", id=f"vendor/model-{number:04}", aliases=("many",)) for number in range(900)]


async def test_every_provider_is_listed_with_its_models_in_order(house: House) -> None:
    providers = (await house.call("listmodels"))["providers"]
    assert [row["name"] for row in providers] == list(MODELS)
    assert providers[0] == {
        "name": "vertex_claude",
        "port": 8090,
        "configured": True,
        "healthy": True,
        "hint": "",
        "models": [
            {
                "name": "vertex_claude/claude-sonnet-4-5",
                "aliases": ["sonnet"],
                "context_window": 200_000,
                "max_output": 64_000,
                "prices": {"input": 3.0, "output": 15.0},
            }
        ],
    }
    assert providers[1]["models"][0]["prices"] is None


async def test_a_provider_without_a_key_says_how_to_configure_it(workspace: Path) -> None:
    providers = (await House(workspace, configured=["vertex_gemini"]).call("listmodels"))["providers"]
    found = {row["name"]: (row["configured"], row["healthy"], row["hint"]) for row in providers}
    assert found["vertex_gemini"] == (True, True, "")
    assert found["openrouter"] == (False, False, "No key is set. Set OPENROUTER_KEY.")


async def test_a_provider_in_trouble_says_why(house: House) -> None:
    house.health.set_aside("openrouter", 60, "the key is rejected, says /home/someone/x")
    (row,) = (await house.call("listmodels", {"provider": "OpenRouter"}))["providers"]
    assert (row["configured"], row["healthy"]) == (True, False)
    assert "the key is rejected" in row["hint"] and "/home/someone" not in row["hint"]


async def test_an_unknown_provider_is_an_error_with_near_names(house: House) -> None:
    error = await house.error("listmodels", {"provider": "open_router"})
    assert error["code"] == "invalid_input"
    assert error["hint"] == "Leave provider out, or use openrouter."


async def test_long_lists_are_shortened_and_say_how_to_see_the_rest(workspace: Path) -> None:
    house = House(workspace, models={"openrouter": MANY})
    answer = await house.call("listmodels")
    row = answer["providers"][3]
    assert (len(row["models"]), row["more"]) == (25, 875)
    assert [warning["code"] for warning in answer["warnings"]] == ["truncated"]
    assert "openrouter" in answer["warnings"][0]["message"]


@pytest.mark.parametrize("arguments", [{"provider": "openrouter"}, {"query": "model"}])
async def test_a_list_stays_under_the_bound_of_an_answer(workspace: Path, arguments: dict[str, str]) -> None:
    answer = await House(workspace, models={"openrouter": MANY}).call("listmodels", arguments)
    assert 15_000 < json_tokens(answer) <= 20_000
    row = answer["providers"][-1]
    assert len(row["models"]) + row["more"] == 900


@pytest.mark.parametrize(
    ("query", "first", "count"),
    [("MODEL-0001", ["openrouter/vendor/model-0001"], 1), ("many", ["openrouter/vendor/model-0000"], 900), ("nothing like it", [], 0)],
)
async def test_a_query_finds_models_by_name_or_alias(workspace: Path, query: str, first: list[str], count: int) -> None:
    answer = await House(workspace, models={"openrouter": MANY}).call("listmodels", {"query": query, "provider": "openrouter"})
    (row,) = answer["providers"]
    assert [one["name"] for one in row["models"][:1]] == first
    assert len(row["models"]) + row.get("more", 0) == count
