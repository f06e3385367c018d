"""Where state is kept and for how long."""

from __future__ import annotations

import math
import os
import pwd
import sys
from collections.abc import Mapping
from pathlib import Path

from conversation.errors import InvalidInput
from conversation.messages import Frozen


class MemoryConfig(Frozen):
    """The state folder, and how many days a thread is kept after its last exchange (None: for ever)."""

    home: Path
    ttl_days: float | None = None

    @property
    def database(self) -> Path:
        """The file that holds threads and spending."""
        return self.home / "threads.db"

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> MemoryConfig:
        """Read PARLEY_HOME and PARLEY_THREAD_TTL_DAYS. Nothing is created. Raises InvalidInput for a value that makes no sense."""
        return cls(home=_home(env), ttl_days=_days(env.get("PARLEY_THREAD_TTL_DAYS", "").strip()))


def _home(env: Mapping[str, str]) -> Path:
    """Return PARLEY_HOME, or the folder platformdirs would name: worked out from `env`, which platformdirs cannot be handed."""
    user = env.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir
    given = env.get("PARLEY_HOME", "").strip()
    if given:
        return Path(user + given[1:] if given == "~" or given.startswith("~/") else given).absolute()
    data = env.get("XDG_DATA_HOME", "").strip()
    if data.startswith("/"):
        return Path(data) / "parley"
    return Path(user) / ("Library/Application Support" if sys.platform == "darwin" else ".local/share") / "parley"


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
