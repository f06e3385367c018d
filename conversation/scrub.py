"""Text with secrets and home paths taken out, for all that reaches users, logs and stores."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable
from functools import lru_cache
from pathlib import PurePath

MASK = "[secret]"

_SHAPES = re.compile(
    r"""
    -----BEGIN[ ][A-Z ]*PRIVATE[ ]KEY-----.*?(?:-----END[ ][A-Z ]*PRIVATE[ ]KEY-----|\Z)
    | \b(?:sk|pk|rk)-[A-Za-z0-9_\-]{12,}            # OpenAI, Anthropic, OpenRouter
    | \b(?:gh[pousr]_|github_pat_)[A-Za-z0-9_]{12,} # GitHub
    | \bAIza[A-Za-z0-9_\-]{20,}                     # Google API key
    | \bya29\.[A-Za-z0-9_\-.]{10,}                  # Google access token
    | \beyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]*  # JWT
    | (?<=[Bb]earer[ ])[A-Za-z0-9_\-.~+/=]{8,}
    """,
    re.VERBOSE | re.DOTALL,
)
# At the start of a path only: a folder called home further down, as in /srv/app/home/parley.toml, is nobody's.
_HOMES = re.compile(r"(?<![\w.~-])(?:/var|/usr|/export)?(?:/home/[^/\s\"':]+|/Users/[^/\s\"':]+|/root(?=[/\s\"':]|$))")


@lru_cache(maxsize=8)
def _any_of(secrets: frozenset[str]) -> re.Pattern[str]:
    """Return a pattern of all secrets, longest first. One pass, so that a mask is not searched in turn."""
    return re.compile("|".join(re.escape(secret) for secret in sorted(secrets, key=len, reverse=True)))


def scrub(text: str, secrets: Iterable[str] = (), *, home: str = "") -> str:
    """Return `text` without the given secrets, without strings shaped like keys, and with home folders as ~.

    Secrets shorter than six characters are left: they would blot out ordinary words. `home` is the user's own home folder,
    which may stand where no home is expected.
    """
    known = frozenset(secret for secret in secrets if len(secret) >= 6)
    if known:
        text = _any_of(known).sub(MASK, text)
    if len(own := home.rstrip("/")) > 1:
        text = re.sub(rf"{re.escape(own)}(?![\w.-])", "~", text)
    return _HOMES.sub("~", _SHAPES.sub(MASK, text))


def where(error: BaseException) -> str:
    """Return where an error came from as file names and lines: its message could hold what a caller sent."""
    frames = traceback.extract_tb(error.__traceback__)[-4:]
    return " < ".join(f"{PurePath(frame.filename).name}:{frame.lineno}" for frame in reversed(frames))
