"""A walk through a folder: what in it is to be read and what is left out, in the order of the names, found as it is asked for."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path, PurePath

from tools.files import Place, unicode_path
from tools.refusals import Refused, check_name
from tools.reviewing.ignoring import Rules, rules_above, with_gitignore
from tools.reviewing.shapes import Skipped
from tools.reviewing.unwanted import unwanted_file, unwanted_folder

_MAGIC = frozenset("*?[")


@dataclass(frozen=True, slots=True)
class Found:
    """A file to be read: its path as FileReader takes it, and as models see it. `outright` when the caller named it."""

    path: str
    shown: str
    outright: bool = False


@dataclass(frozen=True, slots=True)
class _Folder:
    path: Path
    shown: str
    states: frozenset[int]
    rules: Rules | None


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    is_folder: bool
    is_link: bool


def is_glob(named: str) -> bool:
    """Tell whether the name has a wildcard in it."""
    return not _MAGIC.isdisjoint(named)


def parted(named: str) -> tuple[str, tuple[str, ...]]:
    """Return the folder a glob starts in, and the rest of it, part by part."""
    parts = PurePath(named).parts
    first = next(number for number, part in enumerate(parts) if is_glob(part))
    return str(PurePath(*parts[:first])), parts[first:]


class Walk:
    """The files below `start` that match `pattern`, all when it is empty. No link is followed, and no ignored folder entered.

    A part of the pattern matches one name, `**` any number of folders, and a folder that matches stands for all that is in
    it. `matched` tells afterwards whether any file did, wanted or not.
    """

    def __init__(self, start: Place, pattern: tuple[str, ...] = ()) -> None:
        self._start = start
        self._pattern = pattern
        self.matched = False

    def __iter__(self) -> Iterator[Found | Skipped]:
        """Yield what there is, depth first. Only the folders on the way down are held, however many files there are."""
        path = self._start.root.joinpath(*self._start.parts)
        first = _Folder(path, self._start.shown, self._closed({0}), rules_above(path, self._start.root))
        trail = [self._inside(first)]
        while trail:
            match next(trail[-1], None):
                case None:
                    trail.pop()
                case _Folder() as folder:
                    trail.append(self._inside(folder))
                case found:
                    yield found

    def _inside(self, folder: _Folder) -> Iterator[_Folder | Found | Skipped]:
        try:
            entries = _listed(folder.path)
        except (FileNotFoundError, NotADirectoryError):  # where a glob starts, or gone since
            return
        except OSError:
            yield Skipped(file=folder.shown, reason="cannot be listed")
            return
        inner = _Folder(folder.path, folder.shown, folder.states, with_gitignore(folder.rules, folder.path))
        for entry in entries:
            states = self._after(inner.states, entry.name)
            if not states or entry.name.lower() == ".git":
                continue
            matches = len(self._pattern) in states
            self.matched |= matches and not entry.is_folder
            if matches or entry.is_folder:
                yield _judged(inner, entry, states)

    def _after(self, states: frozenset[int], name: str) -> frozenset[int]:
        """Where in the pattern one is after this name; nowhere when nothing below it can match."""
        after: set[int] = set()
        for state in states:
            part = self._pattern[state] if state < len(self._pattern) else "**"
            if part == "**":
                after.add(state)
            elif part == name or fnmatchcase(name, part):  # a name may hold brackets itself, as in app/[id]/page.tsx
                after.add(state + 1)
        return self._closed(after)

    def _closed(self, states: set[int]) -> frozenset[int]:
        """The states with those reached by letting `**` stand for no folder."""
        closed = set(states)
        for state in range(len(self._pattern)):
            if state in closed and self._pattern[state] == "**":
                closed.add(state + 1)
        return frozenset(closed)


def _listed(folder: Path) -> list[_Entry]:
    with os.scandir(folder) as entries:
        found = [_Entry(entry.name, entry.is_dir(follow_symlinks=False), entry.is_symlink()) for entry in entries]
    return sorted(found, key=lambda entry: entry.name)


def _judged(folder: _Folder, entry: _Entry, states: frozenset[int]) -> _Folder | Found | Skipped:
    path = folder.path / entry.name
    name = unicode_path(entry.name)
    shown = name if folder.shown == "." else f"{folder.shown}/{name}"
    reason = folder.rules.reason(str(path), entry.is_folder) if folder.rules else None
    if reason is None and entry.is_link:
        reason = "is a link, and links are not followed in a folder"
    if reason is None:
        reason = _unwanted(shown, entry)
    if reason is not None:
        return Skipped(file=shown, reason=reason)
    return _Folder(path, shown, states, folder.rules) if entry.is_folder else Found(str(path), shown)


def _unwanted(shown: str, entry: _Entry) -> str | None:
    if not entry.is_folder:
        return unwanted_file(entry.name)
    try:
        check_name(PurePath(entry.name, "any"))
    except Refused as refusal:
        return str(refusal)
    return unwanted_folder(entry.name)
