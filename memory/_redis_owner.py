"""Who is alive, across machines: a key that a process renews while it has exchanges under way.

On one machine the lock of memory._owner tells at once that a process is gone, however it ended. For the others its key runs out.
"""

from __future__ import annotations

import asyncio
import uuid
from contextlib import suppress
from pathlib import Path

from conversation.errors import StoreError
from memory._owner import Owners
from memory._redis_client import RedisLink
from memory._redis_scripts import PREFIX

ALIVE_SECONDS = 60
"""How long a process counts as alive after its last sign; also how long Redis has to have been up before one that gave none is dead."""
RENEW_SECONDS = 15.0
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Heartbeat:
    """This process as an owner of exchanges, and what it can tell of others. `folder` holds the locks of this machine's processes."""

    def __init__(self, link: RedisLink, folder: Path, *, renew_seconds: float = RENEW_SECONDS) -> None:
        self._link, self._renew_seconds = link, renew_seconds
        self._folder, self._locks = folder, Owners(folder)
        self._owner: str | None = None
        self._renewing: asyncio.Task[None] | None = None

    async def mine(self) -> str:
        """Return this process's id, which is renewed from now on."""
        if self._owner is None:
            self._owner = self._claimed()
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._keep_renewing(self._owner), name="owner of exchanges")
            await self._renew(self._owner)
        return self._owner

    def _claimed(self) -> str:
        try:
            name = self._locks.mine()
            return f"{self.place()}/{name}"
        except OSError:  # no folder to lock in: the key alone has to tell
            return f"-/{uuid.uuid4().hex}"

    def place(self) -> str:
        """Return what only processes have in common that see one another's locks."""
        found = self._folder.stat()
        return f"{_boot()}.{found.st_dev:x}.{found.st_ino:x}"

    async def _keep_renewing(self, owner: str) -> None:
        while True:
            await asyncio.sleep(self._renew_seconds)
            with suppress(StoreError):
                await self._renew(owner)

    async def _renew(self, owner: str) -> None:
        await self._link.call("SET", _key(owner), "1", "EX", ALIVE_SECONDS)

    async def is_dead(self, owner: str) -> bool:
        """Tell whether the owner is gone."""
        place, _, name = owner.partition("/")
        with suppress(OSError):
            if place == self.place():
                return self._locks.is_dead(name)
        if await self._link.call("EXISTS", _key(owner)):
            return False
        up = (await self._link.info("server")).get("uptime_in_seconds", ALIVE_SECONDS + 1)
        return int(up) > ALIVE_SECONDS  # before that it may only have been Redis that was away

    async def aclose(self) -> None:
        """Let go."""
        if self._renewing is not None and self._owner is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
            with suppress(StoreError):
                await self._link.call("DEL", _key(self._owner))
        self._locks.release()


def _key(owner: str) -> str:
    return f"{PREFIX}:owner:{owner}"


def _boot() -> str:
    """Return what tells this boot of this machine from all others."""
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return f"{uuid.getnode():x}"
