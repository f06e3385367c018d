"""Unified diffs read line by line: git's, those of plain `diff -u`, and those a model wrote with the counts wrong.

A hunk header says how many lines follow; that is believed as long as what follows can be lines of a hunk. Rows that only
headers begin with (`diff --git`, `@@`) end it whatever the counts say. Beyond the counts a hunk goes on as long as another added or
removed line follows. Changes that are in no hunk are told with their rows: nothing is lost in silence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from conversation.errors import InvalidInput
from tools.files import shown_name
from tools.refusals import Refused, check_content, check_name
from tools.reviewing.names import header_names, name_of, plain_names
from tools.reviewing.rows import (
    PATCHED,
    are_names,
    ends_hunk,
    is_change,
    is_context,
    is_header,
    is_hunk,
    is_names,
    is_signature,
    next_change,
    row_at,
    rows_of,
    stretches,
)
from tools.reviewing.shapes import Line, Skipped, Source
from tools.reviewing.unwanted import unwanted_file

_HUNK = re.compile(r"@@ -(\d{1,9})(?:,(\d{1,9}))? \+(\d{1,9})(?:,(\d{1,9}))?(?: |$)")
_BINARY = re.compile(r"Binary files (.*) and (.*) differ")
_UNNAMED = "unnamed"
_UNMERGED = "* Unmerged path "
IN_CONFLICT = "has conflicts that are not resolved"
_DELETED = "was deleted"
_MERGE = "is in a merge, which no plain diff shows"
_CONTEXT = "is in a context diff; give a unified one (diff -u)"
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
    unread: list[int] = field(default_factory=list[int])
    """The numbers, in the diff, of rows that were not understood."""


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
    only renamed. Rows that are not understood are named, beside what was read of their file. Where a hunk's header has no numbers,
    lines are counted on from the hunk before. Raises InvalidInput when there is no file and no hunk in it.
    """
    reader = _Reader(rows_of(text))
    reader.run()
    if not reader.files:
        raise InvalidInput("The diff holds no file and no hunk.", hint="Give the output of `git diff` or `diff -u` as it is.")
    return [outcome for file in reader.all_files() for outcome in _outcomes(file)]


class _Reader:
    """Goes over the rows once; `files` is what it found."""

    def __init__(self, rows: Sequence[str]) -> None:
        self._rows = rows
        self._hunk: _Hunk | None = None
        self._change = -1
        """Where the next added or removed line is, as far as was looked."""
        self._preamble = _File()
        self.files: list[_File] = []

    def all_files(self) -> list[_File]:
        """Return the files, and before them what came before the first when it holds changes."""
        return [self._preamble, *self.files] if self._preamble.unread else self.files

    def run(self) -> None:
        at = 0
        while at < len(self._rows):
            at += self._step(at)

    def _step(self, at: int) -> int:
        """Take the row, and tell how many were taken."""
        if self._hunk is not None and self._line(at, self._hunk):
            return 1
        row, last, self._hunk = self._rows[at], self._hunk, None
        if is_hunk(row) and self._open(at, last):
            return 1
        if is_names(self._rows, at):
            self._names(row[4:], self._rows[at + 1][4:])
            return 2
        if is_context(self._rows, at):
            self.files.append(_File(old=name_of(row[4:]), new=name_of(self._rows[at + 1][4:]), says=_CONTEXT))
            return 3
        if not self._header(row) and not is_signature(self._rows, at):
            self._unread(at)
        return 1

    def _line(self, at: int, hunk: _Hunk) -> bool:
        """Take one row of a hunk; False when it is none."""
        row = self._rows[at]
        if is_header(self._rows, at) or self._names_follow(at, hunk):
            return False
        mark, text = (row[0], row[1:]) if row else (" ", "")
        if mark == "\\":
            return True
        if not hunk.left and (ends_hunk(self._rows, at) or (row[:1] not in {" ", "+", "-"} and not self._goes_on(at))):
            return False
        if mark not in " +-":
            mark, text = " ", row  # a blank lost at the start of the row
        self.files[-1].lines.append(Line(None if mark == "-" else hunk.number, mark, text))
        hunk.number += mark != "-"
        hunk.old -= mark != "+"
        hunk.new -= mark != "-"
        return True

    def _names_follow(self, at: int, hunk: _Hunk) -> bool:
        """Tell whether another file's names begin here, as far as the counts allow it."""
        if not hunk.left:
            return are_names(self._rows, at)
        return is_names(self._rows, at) and is_hunk(row_at(self._rows, at + 2)) and (hunk.old, hunk.new) != (1, 1)

    def _goes_on(self, at: int) -> bool:
        """Tell whether the hunk still has an added or removed line at this row or behind it."""
        if self._change < at:
            found = next_change(self._rows, at)
            self._change = -1 if found is None else found
        return self._change >= at

    def _open(self, at: int, last: _Hunk | None) -> bool:
        """Begin a hunk; one whose header has no numbers only when there are lines that can be its."""
        if found := _HUNK.match(self._rows[at]):
            old, number, new = (int(count) if count is not None else 1 for count in found.group(2, 3, 4))
            self._begin(_Hunk(max(number, 1) if new else number + 1, old, new))
            return True
        if not self._goes_on(at + 1):
            return False
        self._begin(self._counted_on(last))
        return True

    def _begin(self, hunk: _Hunk) -> None:
        if not self.files:
            self.files.append(_File())
        self.files[-1].header = False
        self._hunk = hunk

    def _counted_on(self, last: _Hunk | None) -> _Hunk:
        """Return a hunk without counts, a line away from the one before."""
        numbers = (line.number for line in reversed(self.files[-1].lines if self.files else ()) if line.number is not None)
        before = last.number - 1 if last is not None else next(numbers, None)
        return _Hunk(1 if before is None else before + 2, 0, 0)

    def _unread(self, at: int) -> None:
        """Note a row that is in no hunk when it, or one before it since the last header, looks like a change."""
        file = self.files[-1] if self.files else self._preamble
        goes_on = bool(file.unread) and file.unread[-1] == at and bool(self._rows[at].strip())
        if file.says not in {_MERGE, _CONTEXT} and (goes_on or is_change(self._rows[at])):
            file.unread.append(at + 1)

    def _names(self, old: str, new: str) -> None:
        """Give the names to the file whose header came before, or begin a file without one."""
        if not self.files or not self.files[-1].header or self.files[-1].unread:
            self.files.append(_File())
        file = self.files[-1]
        file.header = file.says == _MERGE
        file.old, file.new = plain_names(name_of(old), name_of(new), file.old, file.new)
        if name_of(new) == "/dev/null":
            file.says = _DELETED

    def _header(self, row: str) -> bool:
        """Take a row that tells of a file; False when it is none."""
        if row.startswith("diff --git "):
            old, new = header_names(row.removeprefix("diff --git "))
            self.files.append(_File(old=old, new=new, header=True))
        elif row.startswith(("diff --cc ", "diff --combined ")):
            self.files.append(_File(new=name_of(row.split(" ", 2)[2]), header=True, says=_MERGE))
        elif row.startswith(_UNMERGED):
            self.files.append(_File(new=row.removeprefix(_UNMERGED), header=True, says=IN_CONFLICT))
        elif found := PATCHED.fullmatch(row):
            self._patched(found[1], found[2])
        elif self.files and self.files[-1].header:
            return self._detail(self.files[-1], row)
        elif found := _BINARY.fullmatch(row):
            old, new = plain_names(found[1], found[2], None, None)
            self.files.append(_File(old=old, new=new, says="is a binary file"))
        else:
            return False
        return True

    def _patched(self, how: str, name: str) -> None:
        """Begin a file of a patch that has no numbers at all; its lines follow with or without a row `@@`."""
        self.files.append(_File(new=name, says=_DELETED if how == "Delete" else None))
        self._hunk = _Hunk(1, 0, 0) if how != "Delete" else None

    def _detail(self, file: _File, row: str) -> bool:
        """One of git's lines between `diff --git` and the first hunk."""
        if row.startswith(("rename from ", "rename to ", "copy from ", "copy to ")):
            file.moved.append(name_of(row.split(" ", 2)[2]))
            file.says = file.says or "was only renamed or copied"
        elif row.startswith("deleted file mode "):
            file.says = _DELETED
        elif row.startswith(("Binary files ", "GIT binary patch")):
            file.says = "is a binary file"
        elif row.startswith(("index ", "new file mode ")) and row.endswith(" 160000"):  # git's mode for a commit of another repository
            file.says = _SUBMODULE
        elif row.startswith("new mode "):
            file.says = file.says or "has only a new mode"
        else:
            return False
        return True


def _outcomes(file: _File) -> Iterator[Source | Skipped]:
    """What was read of a file or why it was left out, and after that which rows were not understood."""
    names = [*file.moved, file.new, file.old]
    path = (file.moved[-1] if file.moved else file.new or file.old or _UNNAMED).encode("utf-8", "replace").decode()
    unread = f"was not read whole: {stretches(file.unread)} of the diff could not be understood" if file.unread else ""
    try:
        for name in filter(None, names):
            check_name(PurePath(name))
        check_content(PurePath(path).name, "\n".join(line.text for line in file.lines).encode("utf-8", "replace"))
    except Refused as refusal:
        yield Skipped(file=shown_name(path), reason=str(refusal))
        return
    reason = _left_out(file, path)
    if reason is None:
        yield Source(path=path, lines=tuple(file.lines), is_diff=True)
    elif file.says or not unread:
        yield Skipped(file=shown_name(path), reason=reason)
    if unread:
        yield Skipped(file=shown_name(path), reason=unread)


def _left_out(file: _File, path: str) -> str | None:
    added = [line.text for line in file.lines if line.mark == "+"]
    nothing_new = file.says == _DELETED and not added
    if not file.lines or nothing_new or (file.says == _SUBMODULE and all(text.startswith("Subproject commit ") for text in added)):
        return file.says or ("is empty" if file.header else "has no line in the diff that could be understood")
    return unwanted_file(PurePath(path).name)
