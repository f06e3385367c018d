"""A running simulator and a client that is let in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import requests
from google.auth.transport import requests as transport
from google.oauth2 import service_account

from simulator import Simulator
from tests.simulator.support import Client

SCOPE = "https://www.googleapis.com/auth/cloud-platform"


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator() as simulator:
        yield simulator


@pytest.fixture
async def client(sim: Simulator, tmp_path: Path) -> AsyncIterator[Client]:
    """Credentials as a real client gets them: google-auth, from the service-account file."""
    env = sim.environment(tmp_path)
    credentials = service_account.Credentials.from_service_account_file(env["GOOGLE_APPLICATION_CREDENTIALS"], scopes=[SCOPE])
    with requests.Session() as session:
        await asyncio.to_thread(credentials.refresh, transport.Request(session))
    sim.reset("log")
    async with aiohttp.ClientSession() as session:
        yield Client(sim, session, credentials.token, env)
