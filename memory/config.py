"""Where state is kept and for how long."""

from __future__ import annotations

import math
import os
import pwd
import sys
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr

from conversation.errors import InvalidInput
from conversation.messages import Frozen
from memory._redis_client import address_of


class MemoryConfig(Frozen):
    """The state folder, and how many days a thread is kept after its last exchange (None: for ever)."""

    home: Path
    ttl_days: float | None = None
    redis_url: SecretStr | None = None
    """Where threads are kept for many machines; None keeps them in the state folder."""

    @property
    def database(self) -> Path:
        """The file that holds threads and spending."""
        return self.home / "threads.db"

    @property
    def owners(self) -> Path:
        """The folder in which processes show that they are alive."""
        return self.home / "owners"

    @property
    def spool(self) -> Path:
        """The folder that keeps what Redis could not take."""
        return self.home / "spool"

    @property
    def health(self) -> Path:
        """The file that holds what is known of the providers' health."""
        return self.home / "health.json"

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> MemoryConfig:
        """Read PARLEY_HOME, PARLEY_THREAD_TTL_DAYS and REDIS_URL. Nothing is created. Raises InvalidInput for one that makes no sense."""
        url = env.get("REDIS_URL", "").strip()
        if url:
            address_of(url)
        ttl_days = _days(env.get("PARLEY_THREAD_TTL_DAYS", "").strip())
        return cls(home=_home(env), ttl_days=ttl_days, redis_url=SecretStr(url) if url else None)


def _home(env: Mapping[str, str]) -> Path:
    """Return PARLEY_HOME, or the folder platformdirs would name: worked out from `env`, which platformdirs cannot be handed."""
    given = env.get("PARLEY_HOME", "").strip()
    data = env.get("XDG_DATA_HOME", "").strip()
    if given.startswith("/"):
        return Path(given)
    if given == "~" or given.startswith("~/"):
        return Path(_user(env) + given[1:])
    if given:
        raise InvalidInput(
            f"PARLEY_HOME is {given[:80]!r}, which is not a whole path.",
            hint="Write it from the root, such as /srv/parley, or from your own home, such as ~/parley; $NAMES are not resolved.",
        )
    if data.startswith("/"):
        return Path(data) / "parley"
    return Path(_user(env)) / ("Library/Application Support" if sys.platform == "darwin" else ".local/share") / "parley"


def _user(env: Mapping[str, str]) -> str:
    """Return the user's own home folder."""
    try:
        home = env.get("HOME", "")
        return home if home.startswith("/") else pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:  # a container may run as a user there is not
        raise InvalidInput("Neither PARLEY_HOME nor HOME is set.", hint="Set PARLEY_HOME to a whole path such as /srv/parley.") from None


def _days(text: str) -> float | None:
    if not text:
        return None
    try:
        days = float(text)
    except ValueError:
        days = math.nan
    if not (math.isfinite(days) and days > 0):
        raise InvalidInput(
            "PARLEY_THREAD_TTL_DAYS is not a positive number of days.", hint="Set it to a number such as 30, or leave it out."
        )
    return days
