"""Rows of a diff by their looks: which begin a file or a hunk, and which may be lines of code whatever the counts say."""

from __future__ import annotations

import re
from collections.abc import Sequence

_COLOUR = re.compile(r"\x1b\[[0-9;]*[mK]")
_COLOURED = re.compile(r"^(?:\x1b\[[0-9;]*[mK])+(?:diff |--- |\+\+\+ |@@|[+-])", re.MULTILINE)
_HEADERS = ("diff --git ", "diff --cc ", "diff --combined ", "Index: ", "*** Begin Patch", "*** End Patch")
PATCHED = re.compile(r"\*\*\* (Update|Add|Delete) File: (.+)")
"""How the patches begin a file that models write for their own tools."""
_BETWEEN = re.compile(
    r"diff -|Only in |Binary files |\* Unmerged path |From [0-9a-f]+ |commit [0-9a-f]{7,}|\*\*\* (?:Move to: |End of File)"
)
_VERSION = re.compile(r"\d+\.\d+\S*(?: \(.*\))?")
_OLD_STYLE = re.compile(r"\d+(?:,\d+)?[acd]\d+(?:,\d+)?")


def rows_of(text: str) -> list[str]:
    """Return the rows of a diff without what ends them, and without colours when its headers or marks are coloured."""
    if _COLOURED.search(text):
        text = _COLOUR.sub("", text)
    return [row.removesuffix("\r") for row in text.split("\n")]


def is_hunk(row: str) -> bool:
    """Tell whether the row is meant to begin a hunk, however it goes on."""
    return row.startswith("@@") and not row.startswith("@@@")


def is_context(rows: Sequence[str], at: int) -> bool:
    """Tell whether a file begins here as `diff -c` writes it."""
    return rows[at].startswith("*** ") and row_at(rows, at + 1).startswith("--- ") and row_at(rows, at + 2).startswith("*" * 15)


def is_header(rows: Sequence[str], at: int) -> bool:
    """Tell whether the row begins a file or a hunk, and can be no line of a hunk."""
    return rows[at].startswith(_HEADERS) or is_hunk(rows[at]) or PATCHED.fullmatch(rows[at]) is not None or is_context(rows, at)


def is_names(rows: Sequence[str], at: int) -> bool:
    """Tell whether the row and the next have the looks of a file's two names."""
    return rows[at].startswith("--- ") and row_at(rows, at + 1).startswith("+++ ")


def are_names(rows: Sequence[str], at: int) -> bool:
    """Tell whether the two are names indeed, and not a removed line `-- x` with an added `++ y` after it."""
    if not is_names(rows, at):
        return False
    old, new = (row[4:].split("\t", 1)[0].strip() for row in rows[at : at + 2])
    same = old == new or old.partition("/")[2] == new.partition("/")[2] != ""
    return is_hunk(row_at(rows, at + 2)) or same or "/dev/null" in (old, new)


def is_signature(rows: Sequence[str], at: int) -> bool:
    """Tell whether the row ends a patch that came by mail, with git's version behind it."""
    return rows[at] in {"-- ", "--"} and _VERSION.fullmatch(row_at(rows, at + 1)) is not None


def ends_hunk(rows: Sequence[str], at: int) -> bool:
    """Tell whether a hunk whose counts are used up ends before this row."""
    return is_header(rows, at) or are_names(rows, at) or is_signature(rows, at) or _BETWEEN.match(rows[at]) is not None


def is_change(row: str) -> bool:
    """Tell whether a row outside of hunks looks like a line that was added or removed."""
    return (row[:1] in {"+", "-"} and row.strip() not in {"-", "--", "---"}) or _OLD_STYLE.fullmatch(row) is not None


def row_at(rows: Sequence[str], at: int) -> str:
    return rows[at] if at < len(rows) else ""


def next_change(rows: Sequence[str], at: int) -> int | None:
    """Return where the next added or removed line is that may belong to the hunk before `at`, None when the hunk is over."""
    for place in range(at, len(rows)):
        if ends_hunk(rows, place):
            return None
        if rows[place][:1] in {"+", "-"}:
            return place
    return None


def stretches(numbers: Sequence[int]) -> str:
    """Return the numbers of rows, rising, in words: "lines 3-5 and 9"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    told = [f"{first}-{last}" if last > first else f"{first}" for first, last in runs[:20]]
    told += [f"{len(runs) - 20} more stretches"] if len(runs) > 20 else []
    word = "line" if len(numbers) == 1 else "lines"
    return f"{word} {', '.join(told[:-1]) + ' and ' if len(told) > 1 else ''}{told[-1]}"
