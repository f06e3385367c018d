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
from memory._redis_address import address_of


class MemoryConfig(Frozen):
    """The state folder, how many days a thread is kept after its last exchange (None: for ever), and how many MB of all (None: any)."""

    home: Path
    ttl_days: float | None = None
    max_mb: float | None = None
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
        """Read PARLEY_HOME, PARLEY_THREAD_TTL_DAYS, PARLEY_THREADS_MAX_MB and REDIS_URL. Nothing is created.

        Raises InvalidInput for a value that makes no sense.
        """
        days, size = _number(env, "PARLEY_THREAD_TTL_DAYS"), _number(env, "PARLEY_THREADS_MAX_MB")
        if days is not None and not days > 0:
            hint = "Set it to a number such as 30, or leave it out."
            raise InvalidInput("PARLEY_THREAD_TTL_DAYS is not a positive number of days.", hint=hint)
        if size is not None and not size >= 1:
            hint = "Set it to a number such as 500, or leave it out."
            raise InvalidInput("PARLEY_THREADS_MAX_MB is not a number of MB, 1 at least.", hint=hint)
        url = env.get("REDIS_URL", "").strip()
        if url:
            address_of(url)
        return cls(home=_home(env), ttl_days=days, max_mb=size, redis_url=SecretStr(url) if url else None)


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


def _number(env: Mapping[str, str], name: str) -> float | None:
    """Return a number that is finite, NaN for what is none, None for nothing."""
    text = env.get(name, "").strip()
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        return math.nan
    return number if math.isfinite(number) else math.nan
