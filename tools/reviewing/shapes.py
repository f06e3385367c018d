"""What is reviewed: lines of files and of diffs, and what was left out."""

from __future__ import annotations

from dataclasses import dataclass

from conversation.messages import Frozen


@dataclass(frozen=True, slots=True)
class Line:
    """One line. `number` is its line in the (new) file, from 1, None for a removed one.

    `mark` is empty in a whole file, else as in a diff: " ", "+" or "-".
    """

    number: int | None
    mark: str
    text: str


@dataclass(frozen=True, slots=True)
class Source:
    """One file, or what a diff says of one file."""

    path: str
    lines: tuple[Line, ...]
    is_diff: bool


class Skipped(Frozen):
    """A file or folder that is not reviewed; `reason` goes on from its name, as in "is a binary file"."""

    file: str
    reason: str
