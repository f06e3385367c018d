"""What git ignores: the .gitignore files from the top of the repository down, and .git/info/exclude.

Within one file the last pattern that matches decides, and a deeper file before those above it (gitignore(5)). A walk asks
of each entry on its way down, so nothing in an ignored folder can be taken back, as in git.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

_MOST_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class _Pattern:
    """One pattern. It takes entries back when it does not `ignore`, and is for folders when it ends in a slash."""

    regex: re.Pattern[str]
    ignore: bool
    only_folders: bool

    def matches(self, path: str, is_folder: bool) -> bool:
        """Tell whether the entry itself matches, not only a folder above it, which git would not ask again about."""
        if self.only_folders and not is_folder:
            return False
        found = self.regex.search(path)
        return found is not None and not any(found.groupdict().values())  # pathspec names the slash behind a folder above


@dataclass(frozen=True, slots=True)
class Rules:
    """The patterns of one file, the last first, which hold below `base`, before those of `above`."""

    base: str
    patterns: tuple[_Pattern, ...]
    origin: str
    above: Rules | None

    def reason(self, path: str, is_folder: bool) -> str | None:
        """Return why the entry at `path` is ignored, None when it is not."""
        rules: Rules | None = self
        while rules is not None:
            below = path[len(rules.base) :].lstrip("/")
            for pattern in rules.patterns:
                if pattern.matches(below, is_folder):
                    return f"is ignored ({rules.origin})" if pattern.ignore else None
            rules = rules.above
        return None


def rules_above(start: Path, root: Path) -> Rules | None:
    """Return what the repository that `start` is in, or without one the folders from `root` down, say about what lies below `start`.

    Nothing of it when `start` is itself ignored: whoever names such a folder wants what is in it.
    """
    top = next((folder for folder in (start, *start.parents) if os.path.lexists(folder / ".git")), None)
    first = top or root
    rules = _added(None, first, _exclude_file(first), ".git/info/exclude") if top else None
    here = first
    for part in start.relative_to(first).parts:
        rules = with_gitignore(rules, here)
        here = here / part
        if rules is not None and rules.reason(str(here), True):
            rules = None
    return rules


def with_gitignore(rules: Rules | None, folder: Path) -> Rules | None:
    """Return the rules with those of the folder's own .gitignore before them."""
    return _added(rules, folder, folder / ".gitignore", ".gitignore")


def _added(rules: Rules | None, base: Path, file: Path, origin: str) -> Rules | None:
    patterns = tuple(_patterns(_text(file).removeprefix("\ufeff").split("\n")))
    return Rules(str(base), patterns[::-1], origin, rules) if patterns else rules


def _patterns(rows: Sequence[str]) -> Iterator[_Pattern]:
    """The patterns as git takes them: one that is malformed matches nothing, and the others hold."""
    from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern  # on first use: no other tool needs it

    for row in rows:
        text = row if row.endswith("\\ ") else row.rstrip()
        try:
            pattern = cast(Any, GitIgnoreSpecPattern(text.removesuffix("/")))
        except ValueError:
            continue
        if pattern.include is not None:
            yield _Pattern(pattern.regex, pattern.include, text.endswith("/"))


def _exclude_file(top: Path) -> Path:
    """Where info/exclude is: in a worktree .git is a file that names a folder, which names the common one (gitrepository-layout(5))."""
    git = top / ".git"
    named = _text(git).partition("gitdir:")[2].strip()
    if named:
        git = top / named
        git = git / (_text(git / "commondir").strip() or ".")
    return git / "info" / "exclude"


def _text(file: Path) -> str:
    """What a small regular file holds, empty for anything else; links are not followed, as git does not."""
    try:
        with os.fdopen(os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as opened:
            found = os.fstat(opened.fileno())
            if not stat.S_ISREG(found.st_mode) or found.st_size > _MOST_BYTES:
                return ""
            return os.fsdecode(opened.read(_MOST_BYTES))
    except (OSError, ValueError):
        return ""
