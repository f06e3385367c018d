"""The state folder and what is in it: for its owner's eyes only."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def make_private(path: Path) -> None:
    """Close a file to all but its owner; one the owner made read-only stays so. Raises OSError."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        path.chmod(mode & 0o700)


def private_folder(path: Path) -> Path:
    """Make the folder, or what is missing of it, with mode 0700, and return it.

    A folder of ours that others may enter is closed to them, unless it is shared on purpose (the sticky bit, as on /tmp).
    Raises OSError.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.stat()
    if found.st_mode & 0o077 and not found.st_mode & stat.S_ISVTX and found.st_uid == os.geteuid():
        path.chmod(0o700)
    return path
