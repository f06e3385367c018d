"""Threads in the memory of one process."""

from __future__ import annotations

import pytest

from memory.in_process import InProcessThreadStore
from tests.memory.contract import TTL_DAYS, Clock, OpenStore, ThreadStoreContract


class TestInProcess(ThreadStoreContract):
    @pytest.fixture
    def open_store(self, clock: Clock) -> OpenStore:
        return lambda: InProcessThreadStore(ttl_days=TTL_DAYS, clock=clock)
