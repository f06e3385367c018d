"""How commands speak: data on stdout, words on stderr, one line for an error, and parsers that keep to it.

What a model said may hold anything: nothing that a terminal would obey is written as it is.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from difflib import get_close_matches
from typing import Any, NoReturn

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_ESCAPED_IN_JSON = re.compile(r"[\x7f-\x9f\ud800-\udfff]")


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
    """Write one piece of data to stdout, control characters escaped. Raises Failed when it cannot be written."""
    _reconfigure(errors="backslashreplace")
    _write(visible(text))


def put_json(value: Any) -> None:
    """Write one JSON document to stdout, in UTF-8 whatever the locale (RFC 8259, 8.1). Raises Failed when it cannot be written."""
    _reconfigure(encoding="utf-8")
    text = json.dumps(value, indent=2, ensure_ascii=False)
    _write(_ESCAPED_IN_JSON.sub(lambda char: f"\\u{ord(char[0]):04x}", text))


def flush() -> None:
    """Have what was put written. Raises Failed when it cannot be, and BrokenPipeError when nobody reads any more."""
    if sys.__stdout__ is None:
        return
    try:
        sys.stdout.flush()
    except OSError as error:
        raise _unwritten(error) from None


def say(text: str) -> None:
    """Write words to stderr, if there is one. Raises OSError when they cannot be written."""
    if sys.__stderr__ is None:
        return
    try:
        sys.stderr.write(visible(text if text.endswith("\n") else text + "\n"))
        sys.stderr.flush()
    except OSError:
        # What is left in its buffer would be tried again at the very end, which then is what the status tells: 120.
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - open for as long as the process is there
        raise


def visible(text: str) -> str:
    """Return the text with control characters other than newline and tab as \\x1b and the like."""
    return _CONTROL.sub(lambda char: f"\\x{ord(char[0]):02x}", text.replace("\r\n", "\n"))


def one_line(text: str, limit: int = 400) -> str:
    """Return the text as one line of bounded length."""
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "\u2026"


def table(rows: Iterable[Sequence[str]]) -> str:
    """Return rows as aligned columns, two spaces apart."""
    listed = [[visible(cell) for cell in row] for row in rows]
    if not listed:
        return ""
    widths = [max(len(row[column]) for row in listed) for column in range(len(listed[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in listed)


def did_you_mean(wrong: str, names: Iterable[str]) -> str:
    """Return '; did you mean X?' for the nearest name, or nothing."""
    known = {name.lower(): name for name in names}
    close = get_close_matches(wrong.lower(), list(known), n=1, cutoff=0.6)
    return f"; did you mean {known[close[0]]!r}?" if close else ""


def _write(text: str) -> None:
    try:
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
    except OSError as error:
        raise _unwritten(error) from None


def _unwritten(error: OSError) -> Exception:
    """Return what to raise; what is still to be written goes nowhere, so that the interpreter does not try again at its end."""
    with suppress(OSError):  # not a file of the system
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
    return error if isinstance(error, BrokenPipeError) else Failed(f"cannot write to stdout: {error.strerror or type(error).__name__}")


def _reconfigure(*, encoding: str | None = None, errors: str | None = None) -> None:
    stdout: object = sys.stdout
    if isinstance(stdout, io.TextIOWrapper):
        stdout.reconfigure(encoding=encoding, errors=errors)
