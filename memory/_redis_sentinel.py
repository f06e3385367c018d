"""A primary that Redis Sentinels name. Imported on first use only, since it imports the redis library."""

from __future__ import annotations

import copy
from typing import Any, cast

from redis.asyncio.sentinel import Sentinel


class Sentinels(Sentinel):
    """The library's, which forgets one of them when two tasks ask for the primary at once: each swaps the list's first entry."""

    async def discover_master(self, service_name: str) -> Any:
        asking = copy.copy(self)
        asking.sentinels = list(self.sentinels)
        found = cast("Any", await Sentinel.discover_master(asking, service_name))
        self.sentinels = asking.sentinels  # the same ones, whoever answered first
        return found
