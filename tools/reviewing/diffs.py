"""Unified diffs read line by line: git's, those of plain `diff -u`, and those a model wrote with the counts wrong.

A hunk header says how many lines follow; that is believed as long as what follows can be lines of a hunk. Lines that only
headers begin with (`diff --git`, `@@`) end it whatever the counts say, and so do `---` and `+++` followed by `@@`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from conversation.errors import InvalidInput
from tools.files import shown_name
from tools.refusals import Refused, check_content, check_name
from tools.reviewing.names import header_names, name_of, plain_names
from tools.reviewing.shapes import Line, Skipped, Source
from tools.reviewing.unwanted import unwanted_file

_HUNK = re.compile(r"@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))? @@")
_BINARY = re.compile(r"Binary files (.*) and (.*) differ")
_HEADERS = ("diff --git ", "diff --cc ", "diff --combined ", "@@ -", "Index: ")
_UNNAMED = "unnamed"
_UNMERGED = "* Unmerged path "
IN_CONFLICT = "has conflicts that are not resolved"
_SUBMODULE = "is a submodule; review it in its own folder"


@dataclass(slots=True)
class _File:
    """What has been read of one file. Names are as they stand, still with their a/ and b/."""

    old: str | None = None
    new: str | None = None
    moved: list[str] = field(default_factory=list[str])
    header: bool = False
    says: str | None = None
    lines: list[Line] = field(default_factory=list[Line])


@dataclass(slots=True)
class _Hunk:
    """Where in a hunk one is: the next new line's number, and how many old and new lines are still announced."""

    number: int
    old: int
    new: int

    @property
    def left(self) -> bool:
        return self.old > 0 or self.new > 0


def from_diff(text: str) -> list[Source | Skipped]:
    """Return what a diff says of each file, in its order, with line numbers of the new side.

    Files that hold secrets by name or content are left out whole, and so are those without lines of their own: deleted, binary,
    only renamed. Raises InvalidInput when there is no file and no hunk in it.
    """
    rows = [row.removesuffix("\r") for row in text.split("\n")]
    reader = _Reader(rows)
    reader.run()
    if not reader.files:
        raise InvalidInput("The diff holds no file and no hunk.", hint="Give the output of `git diff` or `diff -u` as it is.")
    return [_outcome(file) for file in reader.files]


class _Reader:
    """Goes over the rows once; `files` is what it found."""

    def __init__(self, rows: Sequence[str]) -> None:
        self._rows = rows
        self._hunk: _Hunk | None = None
        self.files: list[_File] = []

    def run(self) -> None:
        at = 0
        while at < len(self._rows):
            at += self._step(at)

    def _step(self, at: int) -> int:
        """Take the row, and tell how many were taken."""
        row = self._rows[at]
        if self._hunk is not None and self._line(at, self._hunk):
            return 1
        if row.startswith("@@ -") and (found := _HUNK.match(row)):
            self._open(found)
            return 1
        self._hunk = None
        if row.startswith("--- ") and self._row(at + 1).startswith("+++ "):
            self._names(row[4:], self._row(at + 1)[4:])
            return 2
        self._header(row)
        return 1

    def _row(self, at: int) -> str:
        return self._rows[at] if at < len(self._rows) else ""

    def _names_follow(self, at: int, hunk: _Hunk) -> bool:
        """Tell whether another file's names begin here, and not a removed line `-- x` with an added `++ y` after it."""
        if not (self._rows[at].startswith("--- ") and self._row(at + 1).startswith("+++ ")):
            return False
        return self._row(at + 2).startswith("@@ -") and (hunk.old, hunk.new) != (1, 1)

    def _line(self, at: int, hunk: _Hunk) -> bool:
        """Take one row of a hunk; False when it is none."""
        row = self._rows[at]
        if row.startswith(_HEADERS) or self._names_follow(at, hunk):
            return False
        mark, text = (row[0], row[1:]) if row else (" ", "")
        if mark == "\\":
            return True
        if not hunk.left and (row in {"", "-- "} or mark not in " +-"):  # "-- " ends a patch that came by mail
            return False
        if mark not in " +-":
            mark, text = " ", row  # a blank lost at the start of the row
        self.files[-1].lines.append(Line(None if mark == "-" else hunk.number, mark, text))
        hunk.number += mark != "-"
        hunk.old -= mark != "+"
        hunk.new -= mark != "-"
        return True

    def _open(self, found: re.Match[str]) -> None:
        old, number, new = (int(count) if count is not None else 1 for count in found.group(2, 3, 4))
        self._hunk = _Hunk(max(number, 1) if new else number + 1, old, new)
        if not self.files:
            self.files.append(_File())
        self.files[-1].header = False

    def _names(self, old: str, new: str) -> None:
        """Give the names to the file whose header came before, or begin a file without one."""
        if not self.files or not self.files[-1].header:
            self.files.append(_File())
        file = self.files[-1]
        file.old, file.new = plain_names(name_of(old), name_of(new), file.old, file.new)
        if name_of(new) == "/dev/null":
            file.says = "was deleted"

    def _header(self, row: str) -> None:
        if row.startswith("diff --git "):
            old, new = header_names(row.removeprefix("diff --git "))
            self.files.append(_File(old=old, new=new, header=True))
        elif row.startswith(("diff --cc ", "diff --combined ")):
            self.files.append(_File(new=name_of(row.split(" ", 2)[2]), header=True, says="is in a merge, which no plain diff shows"))
        elif row.startswith(_UNMERGED):
            self.files.append(_File(new=row.removeprefix(_UNMERGED), header=True, says=IN_CONFLICT))
        elif self.files and self.files[-1].header:
            self._detail(self.files[-1], row)
        elif found := _BINARY.fullmatch(row):
            old, new = plain_names(found[1], found[2], None, None)
            self.files.append(_File(old=old, new=new, says="is a binary file"))

    def _detail(self, file: _File, row: str) -> None:
        """One of git's lines between `diff --git` and the first hunk."""
        if row.startswith(("rename from ", "rename to ", "copy from ", "copy to ")):
            file.moved.append(name_of(row.split(" ", 2)[2]))
            file.says = file.says or "was only renamed or copied"
        elif row.startswith("deleted file mode "):
            file.says = "was deleted"
        elif row.startswith(("Binary files ", "GIT binary patch")):
            file.says = "is a binary file"
        elif row.startswith(("index ", "new file mode ")) and row.endswith(" 160000"):  # git's mode for a commit of another repository
            file.says = _SUBMODULE
        elif row.startswith("new mode "):
            file.says = file.says or "has only a new mode"


def _outcome(file: _File) -> Source | Skipped:
    names = [*file.moved, file.new, file.old]
    path = (file.moved[-1] if file.moved else file.new or file.old or _UNNAMED).encode("utf-8", "replace").decode()
    try:
        for name in filter(None, names):
            check_name(PurePath(name))
        check_content(PurePath(path).name, "\n".join(line.text for line in file.lines).encode("utf-8", "replace"))
    except Refused as refusal:
        return Skipped(file=shown_name(path), reason=str(refusal))
    reason = _left_out(file, path)
    return Skipped(file=shown_name(path), reason=reason) if reason else Source(path=path, lines=tuple(file.lines), is_diff=True)


def _left_out(file: _File, path: str) -> str | None:
    if not file.lines or file.says in {"was deleted", _SUBMODULE}:
        return file.says or "is empty"
    return unwanted_file(PurePath(path).name)
