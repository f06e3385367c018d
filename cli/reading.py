"""Files a user names, read up to a size, and complaints that name them."""

from __future__ import annotations

import sys
from pathlib import Path

from cli.output import Failed, WrongUse


def read_bytes(path: Path, what: str, most: int, *, unreadable: type[Exception] = WrongUse) -> bytes:
    """Return what a file holds; `what` is what complaints call it. Raises `unreadable`, and WrongUse for more than `most` bytes."""
    try:
        with path.open("rb") as file:
            raw = file.read(most + 1)
    except OSError as error:
        raise unreadable(f"cannot read {what}: {error.strerror or type(error).__name__}") from None
    return within(raw, what, most)


def within(raw: bytes, what: str, most: int) -> bytes:
    """Return the bytes. Raises WrongUse when they are more than `most`."""
    if len(raw) > most:
        raise WrongUse(f"{what} is larger than {most} bytes")
    return raw


def read_text(path: Path, what: str, most: int) -> str:
    """Return the text of a UTF-8 file, with a byte order mark or without. Raises WrongUse, for bytes that are none by their line."""
    raw = read_bytes(path, what, most)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise WrongUse(f"{path}:{line}: not UTF-8") from None


def read_source(source: str, most: int) -> bytes:
    """Return what a file holds, or stdin for `-`. Raises Failed when it cannot be read, and WrongUse for more than `most` bytes."""
    if source != "-":
        return read_bytes(Path(source), source, most, unreadable=Failed)
    if sys.__stdin__ is None:
        raise Failed("stdin is closed: there is nothing to read")
    try:
        return within(sys.stdin.buffer.read(most + 1), "stdin", most)
    except OSError as error:
        raise Failed(f"cannot read stdin: {error.strerror or type(error).__name__}") from None
