"""What the tests of providers share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from providers.config import LITELLM_ENVIRONMENT
from tests.providers.recorded import Recorded, recorded


@pytest.fixture
def litellm_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process of ours sets before LiteLLM is imported."""
    for name, value in LITELLM_ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
async def upstream(litellm_environment: None) -> AsyncIterator[Recorded]:
    """An upstream that answers with what it is given, and a process in which LiteLLM may be asked."""
    async with recorded() as server:
        yield server


@pytest.fixture
async def server() -> AsyncIterator[Recorded]:
    """An upstream that answers with what it is given."""
    async with recorded() as upstream:
        yield upstream
