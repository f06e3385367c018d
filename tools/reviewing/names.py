"""The names of files in the headers of diffs: quoted as C strings, with a/ and b/ before them or not."""

from __future__ import annotations

import re

_ESCAPE = re.compile(rb"\\([0-7]{3}|.)", re.DOTALL)
_LETTERS = {b"a": b"\a", b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t", b"v": b"\v"}
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
# What git writes before the two names: a and b, or with diff.mnemonicPrefix what is compared (git-config(1)).
_PREFIXES = frozenset({("a/", "b/"), ("i/", "w/"), ("c/", "i/"), ("c/", "w/"), ("o/", "w/"), ("1/", "2/")})
NOWHERE = "/dev/null"


def name_of(text: str) -> str:
    """Return the name a header holds: unquoted, or up to the tab that comes before a date."""
    quoted = _QUOTED.match(text)
    if quoted is None:
        return text.split("\t", 1)[0].rstrip("\r")
    return _ESCAPE.sub(_unescaped, quoted[0][1:-1].encode("utf-8", "replace")).decode("utf-8", "replace")


def _unescaped(found: re.Match[bytes]) -> bytes:
    code = found[1]
    return bytes([int(code, 8) & 0xFF]) if len(code) == 3 else _LETTERS.get(code, code)


def header_names(rest: str) -> tuple[str | None, str | None]:
    """Return the two names of a `diff --git` line without their prefixes, None for both when it cannot be told where they part.

    Names with blanks are not quoted there; the two are then the same, so that they part in the middle.
    """
    if quoted := _QUOTED.match(rest):
        return _without_prefixes(name_of(quoted[0]), name_of(rest[quoted.end() :].lstrip(" ")))
    if rest.endswith('"') and ' "' in rest:
        old, _, new = rest.partition(' "')
        return _without_prefixes(old, name_of(f'"{new}'))
    middle = len(rest) // 2
    bare = _without_prefixes(rest[:middle], rest[middle + 1 :])
    if bare[0] == bare[1] and rest[middle : middle + 1] == " ":
        return bare
    old, _, new = rest.partition(" ")
    return (None, None) if not new or " " in new else _without_prefixes(old, new)


def plain_names(old: str, new: str, header_old: str | None, header_new: str | None) -> tuple[str | None, str | None]:
    """Return the names of the `---` and `+++` lines without prefixes; those of the header, where there is one, stand for /dev/null."""
    if old != NOWHERE and new != NOWHERE:
        return _without_prefixes(old, new)
    there = new if old == NOWHERE else old
    if header_new is not None:
        return (None, header_new) if old == NOWHERE else (header_old, None)
    bare = there[2:] if there[:2] in {"a/", "b/"} else there
    return (None, bare) if old == NOWHERE else (bare, None)


def _without_prefixes(old: str, new: str) -> tuple[str, str]:
    heads = old[:2], new[:2]
    return (old[2:], new[2:]) if heads in _PREFIXES or heads[::-1] in _PREFIXES else (old, new)
