"""Everything that is in Redis where REDIS_URL is set: threads over one client, news over another, which is closed after them."""

from __future__ import annotations

from functools import cache, partial

from memory._redis_client import RedisLink
from memory._spool_folder import Spool
from memory.config import MemoryConfig
from memory.health import Keeper
from memory.ledger import SpendLedger
from memory.redis import RedisThreadStore
from memory.shared import Shared, SharedHealth, SharedLedger, folder_name
from memory.spool import SpoolingThreadStore


def stores(url: str, memory: MemoryConfig, ledger: SpendLedger, keeper: Keeper) -> tuple[SpoolingThreadStore, SharedLedger, SharedHealth]:
    """Return the threads of a Redis, and this machine's spending and health shared through it. Nothing is opened before the first call."""
    link = RedisLink(url)
    shared = Shared(RedisLink(url), cache(partial(folder_name, memory.home)))
    threads = RedisThreadStore(link, memory.owners, ttl_days=memory.ttl_days)
    return (
        SpoolingThreadStore(threads, link, Spool(memory.spool), on_begin=shared.look),
        SharedLedger(ledger, shared),
        SharedHealth(keeper, shared),
    )
