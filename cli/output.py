"""How commands speak: data on stdout, words on stderr, one line for an error, and parsers that keep to it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any, NoReturn


class WrongUse(Exception):
    """Wrong use or wrong configuration: one line for stderr and exit status 2."""


class Failed(Exception):
    """The command could not do it: one line for stderr and exit status 1."""


class Parser(argparse.ArgumentParser):
    """An argument parser whose complaints are one line and a WrongUse."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter, **settings)

    def error(self, message: str) -> NoReturn:
        """Raise WrongUse with the message and where the help is."""
        raise WrongUse(f"{self.prog}: {message} (see {self.prog} --help)")


def put(text: str) -> None:
    """Write one piece of data to stdout."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")


def put_json(value: Any) -> None:
    """Write one JSON document to stdout."""
    put(json.dumps(value, indent=2, ensure_ascii=False))


def say(text: str) -> None:
    """Write words to stderr."""
    sys.stderr.write(text if text.endswith("\n") else text + "\n")
    sys.stderr.flush()


def one_line(text: str, limit: int = 400) -> str:
    """Return the text as one line of bounded length."""
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "\u2026"


def table(rows: Iterable[Sequence[str]]) -> str:
    """Return rows as aligned columns, two spaces apart."""
    listed = [list(row) for row in rows]
    if not listed:
        return ""
    widths = [max(len(row[column]) for row in listed) for column in range(len(listed[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in listed)


def did_you_mean(wrong: str, names: Iterable[str]) -> str:
    """Return '; did you mean X?' for the nearest name, or nothing."""
    known = {name.lower(): name for name in names}
    close = get_close_matches(wrong.lower(), list(known), n=1, cutoff=0.6)
    return f"; did you mean {known[close[0]]!r}?" if close else ""
