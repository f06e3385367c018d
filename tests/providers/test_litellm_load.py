"""How LiteLLM gets into the process: on first use, once, quietly, and off the event loop."""

from __future__ import annotations

import asyncio
import gc
import importlib
import logging
import os
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from conversation.errors import BadRequest, InternalError
from providers import _litellm, github_models
from providers._http import HttpClient
from providers._litellm import LiteLLMProvider
from providers.base import Call
from providers.config import LITELLM_ENVIRONMENT, ProviderSettings

pytestmark = pytest.mark.usefixtures("litellm_environment")

ROOT = Path(__file__).parent.parent.parent
SETTINGS = ProviderSettings(keys={"github_models": SecretStr("k")}, endpoints={"github_models": "http://127.0.0.1:1"})
MAKE = """
    import asyncio, sys
    from pydantic import SecretStr
    from providers import github_models
    from providers._http import HttpClient
    from providers._litellm import LiteLLMProvider
    from providers.config import ProviderSettings
    settings = ProviderSettings(keys={"github_models": SecretStr("k")}, endpoints={"github_models": "http://127.0.0.1:1"})
    http = HttpClient()
    provider = LiteLLMProvider(github_models.SPEC, settings, http)
"""


def run(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    code = textwrap.dedent(MAKE) + textwrap.dedent(script)
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=50, check=False)


@pytest.fixture
async def one() -> AsyncIterator[LiteLLMProvider]:
    http = HttpClient()
    yield LiteLLMProvider(github_models.SPEC, SETTINGS, http)
    await http.aclose()


def test_making_a_provider_imports_neither_litellm_nor_aiohttp_nor_google_auth() -> None:
    done = run("""
        print([name for name in ("litellm", "aiohttp", "google.auth", "openai", "requests") if name in sys.modules])
    """)
    assert done.stdout.strip() == "[]", done.stderr


def test_the_loop_runs_on_while_litellm_is_imported_and_nothing_is_printed() -> None:
    done = run(
        """
        async def main():
            ticks = 0
            warming = asyncio.create_task(provider.warm())
            while not warming.done():
                await asyncio.sleep(0.01)
                ticks += 1
            await http.aclose()
            return ticks
        import gc, threading
        ticks = asyncio.run(main())
        print(ticks > 20, "litellm" in sys.modules, gc.isenabled(), threading.active_count())
        """,
        **LITELLM_ENVIRONMENT,
    )
    assert (done.stdout.split()[:3], done.stderr) == (["True", "True", "True"], "")


def test_leaving_while_litellm_is_imported_does_not_wait_for_it() -> None:
    done = run(
        """
        import time
        async def main():
            task = asyncio.create_task(provider.warm())
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            task.cancel()
        began = time.monotonic()
        asyncio.run(main())
        print("litellm.main" in sys.modules)
        """,
        **LITELLM_ENVIRONMENT,
    )
    assert done.stdout.strip() == "False"


async def test_an_import_without_its_environment_is_an_error_of_ours_and_is_tried_again(
    one: LiteLLMProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    await one.ready()
    module: Any = importlib.import_module("litellm.litellm_core_utils.get_model_cost_map")
    fresh = LiteLLMProvider(github_models.SPEC, SETTINGS, HttpClient())
    call = Call(model=github_models.SPEC.models[0], body={"messages": []})
    with monkeypatch.context() as patch:
        patch.setattr(_litellm, "_loaded", None)
        patch.setattr(module._cost_map_source_info, "is_env_forced", False)
        with pytest.raises(InternalError, match="LITELLM_LOCAL_MODEL_COST_MAP"):
            await anext(fresh.stream(call))
        await fresh.warm()  # says so in the log, and does not raise
    assert gc.isenabled()
    with pytest.raises(BadRequest, match="no message"):
        await anext(fresh.stream(call))


async def test_first_callers_share_one_load(one: LiteLLMProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    loads = list[int]()
    load = one._load  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(one, "_load", lambda: loads.append(1) or load())
    await asyncio.gather(*(one.warm() for _ in range(20)))
    assert loads == [1]


async def test_litellm_stays_silent_at_debug_level(
    one: LiteLLMProvider, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    await one.warm()
    caplog.set_level("DEBUG")
    for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
        caplog.set_level("DEBUG", logger=name)
        logging.getLogger(name).error("a prompt")
    assert "a prompt" not in caplog.text
    assert capfd.readouterr() == ("", "")


async def test_collections_stay_off_where_they_were_off(one: LiteLLMProvider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_litellm, "_loaded", None)
    gc.disable()
    try:
        await one.ready()
        assert not gc.isenabled()
    finally:
        gc.enable()
        gc.unfreeze()
