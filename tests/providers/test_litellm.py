"""The LiteLLM adapter keeps the contract on all four providers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from providers import SPECS
from providers._google import GoogleTokens
from providers._http import HttpClient
from providers._litellm import LiteLLMProvider
from providers.config import ProviderSettings
from simulator import Simulator
from tests.providers.contract import ProviderContract, Rig, rigged

pytestmark = pytest.mark.usefixtures("litellm_environment")


@pytest.fixture(params=SPECS, ids=lambda spec: spec.name)
async def rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rig]:
    async with rigged(request.param, tmp_path, LiteLLMProvider) as made:
        yield made


class TestLiteLLM(ProviderContract):
    async def test_a_refused_google_token_is_renewed_once(self, rig: Rig) -> None:
        await rig.events()
        rig.sim.revoke_tokens()
        if rig.model.provider.startswith("vertex"):
            assert (await rig.events())[-1]["type"] == "message_stop"
            assert [entry["status"] for entry in rig.sim.requests(rig.model.provider)] == [200, 401, 200]

    async def test_a_credential_that_stays_refused_is_an_auth_failure(self, rig: Rig) -> None:
        rig.sim.fault(rig.model.provider, "status", status=401, times=None)
        assert (await rig.failure()).cause == "auth_failed"
        assert len(rig.sim.requests(rig.model.provider)) <= 2


async def test_the_project_that_pays_is_named_to_vertex(tmp_path: Path) -> None:
    spec = SPECS[0]
    async with Simulator() as sim:
        settings = ProviderSettings.from_env(sim.environment(tmp_path))
        assert settings.google is not None
        google = settings.google.model_copy(update={"quota_project_id": "payer"})
        http, tokens = HttpClient(), GoogleTokens(settings.google)
        provider = LiteLLMProvider(spec, settings.model_copy(update={"google": google}), http, tokens)
        await Rig(provider, spec.models[0], sim, ()).events()
        assert sim.requests(spec.name)[0]["headers"]["x-goog-user-project"] == "payer"
        await http.aclose()
        await tokens.aclose()


async def test_closing_twice_or_before_use_is_fine() -> None:
    http = HttpClient()
    await http.aclose()
    await http.open()
    await asyncio.gather(http.aclose(), http.aclose())
