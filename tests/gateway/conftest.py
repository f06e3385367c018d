"""One simulator and one gateway that all tests here share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from simulator import ThreadedSimulator, running
from tests.gateway.client import Client
from tests.gateway.running import Gateway, running_gateway
from tests.main_job.process import PARLEY, bare_environment

SETTINGS = "\n".join(
    f'[models."{name}"]\nfirst_byte_timeout = 0.4\nidle_timeout = 0.4\n'
    for name in ("vertex_claude/claude-haiku-4-5", "vertex_gemini/gemini-3.1-flash-lite", "github_models/openai/gpt-4.1-mini",
                 "openrouter/anthropic/claude-haiku-4.5")
)  # fmt: skip
"""The models that Claude Code's name of a small one stands for have little time, for the tests of silence."""


@pytest.fixture(scope="package")
def simulated() -> Iterator[ThreadedSimulator]:
    """The upstreams."""
    with running() as simulator:
        yield simulator


@pytest.fixture
def sim(simulated: ThreadedSimulator) -> ThreadedSimulator:
    """The upstreams, with no rule, fault or log left of an earlier test."""
    simulated.reset()
    return simulated


@contextmanager
def starting(sim: ThreadedSimulator, folder: Path, *arguments: str, **more: str) -> Iterator[Gateway]:
    """A gateway of one's own, warm; breakers never open unless `more`, which are environment variables, says otherwise."""
    env = {**bare_environment(folder), **sim.environment(folder), "PARLEY_BREAKER_FAILURES": "1000000", **more}
    home = Path(env["PARLEY_HOME"])
    home.mkdir(mode=0o700, exist_ok=True)
    (home / "parley.toml").write_text(SETTINGS)
    with running_gateway(str(PARLEY), env, folder, *arguments) as up:
        yield up


@pytest.fixture(scope="package")
def gateway(simulated: ThreadedSimulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """All shims in one process."""
    with starting(simulated, tmp_path_factory.mktemp("gateway")) as up:
        yield up


@pytest.fixture
async def client(gateway: Gateway, sim: ThreadedSimulator) -> AsyncIterator[Client]:
    """Someone who asks the shims."""
    async with aiohttp.ClientSession() as session:
        yield Client(session, gateway, sim, tuple(gateway.env[name] for name in ("GITHUB_TOKEN", "OPENROUTER_API_KEY")))


@pytest.fixture(scope="module")
def router(simulated: ThreadedSimulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A router of the module's own, since its tests fail providers."""
    with starting(simulated, tmp_path_factory.mktemp("router"), "--only", "router") as gateway:
        yield gateway


@pytest.fixture
async def shared(router: Gateway, sim: ThreadedSimulator) -> AsyncIterator[Client]:
    """Someone who asks the router that a module's tests share."""
    async with aiohttp.ClientSession() as session:
        yield Client(session, router, sim)
