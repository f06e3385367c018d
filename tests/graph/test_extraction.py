"""Graphiti's questions over our own providers: real translation and failover, simulated models."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.wire import build_app, close_app
from conversation.errors import (
    AllProvidersFailed,
    AuthFailed,
    BudgetExceeded,
    NotConfigured,
    ParleyError,
    RateLimited,
    UnknownModel,
)
from graph.extraction import Extraction, body, can_wait
from simulator import ThreadedSimulator, running
from tests.main_job.wires import PROVIDERS
from tests.simulator.extracting import rendered
from tools.app import App


@pytest.fixture
def sim() -> Iterator[ThreadedSimulator]:
    with running() as simulator:
        yield simulator


@pytest.fixture
async def app(sim: ThreadedSimulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[App]:
    for name, value in dict(os.environ).items():
        monkeypatch.setenv(name, value)  # so that what build_app writes is taken back
    one = build_app({**sim.environment(tmp_path), "PARLEY_HOME": str(tmp_path / "home")}, workspace=tmp_path)
    yield one
    await close_app(one)


ASKED = rendered("extract_text", "Alice maintains the parser.")[0]


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_each_provider_can_be_the_one_that_reads(app: App, sim: ThreadedSimulator, provider: str) -> None:
    text = await Extraction(app.chain, app.catalogue, provider)(ASKED, False, 4_000)
    assert {one["name"] for one in json.loads(text)["extracted_entities"]} == {"Alice", "parser"}
    (entry,) = [entry for entry in sim.log if entry.get("prompt")]
    assert entry["provider"] == provider


async def test_without_a_name_the_cheap_models_of_the_chain_are_asked_and_fail_over(app: App, sim: ThreadedSimulator) -> None:
    sim.fault("vertex_claude", "status", status=503)
    await Extraction(app.chain, app.catalogue)(ASKED, True, 4_000)
    models = [entry["model"] for entry in sim.log if entry["route"] != "token" and entry.get("model")]
    assert [model for model in models if "haiku" in str(model)] and "flash" in str(models[-1])


async def test_a_small_model_is_asked_what_asks_less(app: App, sim: ThreadedSimulator) -> None:
    extraction = Extraction(app.chain, app.catalogue, "openrouter/openai/gpt-4o", "github_models/openai/gpt-4o-mini")
    await extraction(ASKED, False, 4_000)
    await extraction(ASKED, True, 4_000)
    assert [entry["provider"] for entry in sim.log if entry.get("prompt")] == ["openrouter", "github_models"]


async def test_what_it_cost_is_counted_under_a_name_of_its_own(app: App) -> None:
    await Extraction(app.chain, app.catalogue, "vertex_claude")(ASKED, False, 4_000)
    assert app.budget is not None
    (day,) = await app.budget.told([app.budget.today()])
    assert day["sessions"]["memory"]["requests"] == 1


async def test_a_model_there_is_not_is_an_error(app: App) -> None:
    with pytest.raises(UnknownModel):
        await Extraction(app.chain, app.catalogue, "nobody/nothing")(ASKED, False, 4_000)


def test_a_body_without_a_system_message_has_none() -> None:
    made: dict[str, Any] = body([("user", "x"), ("assistant", "y"), ("user", "z")], 10)
    assert "system" not in made and [one["role"] for one in made["messages"]] == ["user", "assistant", "user"]


FORBIDDEN = AuthFailed("no", provider="p", model="m", cause="auth")
LIMITED = RateLimited("no", provider="p", model="m", cause="rate_limited")


def all_of(*errors: Any) -> AllProvidersFailed:
    failed = AllProvidersFailed("all")
    failed.errors = errors
    return failed


@pytest.mark.parametrize(
    ("error", "waits"),
    [
        (NotConfigured("x"), True),
        (BudgetExceeded("x"), True),
        (FORBIDDEN, True),
        (LIMITED, False),
        (all_of(FORBIDDEN, FORBIDDEN), True),
        (all_of(FORBIDDEN, LIMITED), False),
        (all_of(), False),
    ],
)
def test_what_somebody_has_to_do_something_about_can_wait(error: ParleyError, waits: bool) -> None:
    assert can_wait(error) is waits
