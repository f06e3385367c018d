"""Findings held against the code they are about."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence

from conversation.fences import label
from conversation.json_text import whole
from conversation.messages import Frozen
from tools.bounds import cut
from tools.reviewing.anchors import find_place
from tools.reviewing.parts import Excerpt, Part
from tools.reviewing.shapes import Line
from tools.reviewing.written import Severity, WrittenFinding

_CONTEXT_LINES = 40


class Fault(Frozen):
    """What is wrong, at a line that has the code it quotes, and who says so."""

    severity: Severity
    file: str
    line: int
    title: str
    detail: str
    suggestion: str
    quote: str
    found_by: tuple[str, ...]


class Finding(Fault):
    """A fault as it was found. `context` are the lines around it, for who checks it; `seat` orders reviewers."""

    context: Excerpt
    seat: str = ""


def anchored(written: WrittenFinding, part: Part, reviewer: str, seat: str = "") -> Finding | None:
    """Return the finding at its true line, None when the part has no such file or the file no such code."""
    path = _path(written.file, part)
    if path is None:
        return None
    lines = [line for excerpt in part.excerpts if excerpt.path == path for line in excerpt.lines]
    place = find_place(lines, written.quote, written.line)
    if place is None:
        return None
    is_diff = any(excerpt.is_diff for excerpt in part.excerpts if excerpt.path == path)
    return Finding(
        severity=written.severity,
        file=path,
        line=place.number,
        title=fit(written.title.strip(), 200),
        detail=fit(written.detail.strip(), 4_000),
        suggestion=fit(written.suggestion.strip(), 4_000),
        quote=fit((place.code or written.quote).strip("\n"), 2_000),
        found_by=(reviewer,),
        context=Excerpt(path, _around(lines, place.number), is_diff),
        seat=seat,
    )


def fit(words: str, most: int) -> str:
    """Return the words, cut at so many characters: one finding must not crowd out the others."""
    return whole(cut(words, most))


def _path(named: str, part: Part) -> str | None:
    """Return the path of the part that is meant: as it is or as its tag writes it, with a prefix of diffs, or by its end when unique."""
    paths = list(dict.fromkeys(excerpt.path for excerpt in part.excerpts))
    known = {spelling: path for path in reversed(paths) for spelling in (_composed(label(path)), _composed(path))}
    whole = _composed(named.strip())
    bare = {spelling.strip(): path for spelling, path in reversed(known.items())}
    for spelling in (_composed(named), whole, whole.strip("`'\"")):
        if (path := _meant(spelling, known)) is not None:
            return path
    return _meant(whole.strip("`'\" "), bare)


def _meant(plain: str, known: Mapping[str, str]) -> str | None:
    without_line, slashed = re.sub(r":\d[\d:-]*$", "", plain), plain.replace("\\", "/")
    for candidate in (plain, plain.removeprefix("./"), re.sub(r"^[ab]/", "", plain), without_line, slashed):
        if candidate in known:
            return known[candidate]
    # An absolute path may be longer than ours, any other only shorter: other/app.py is not app.py.
    longer = plain if plain.startswith("/") and ".." not in plain else ""
    ending = {path for spelling, path in known.items() if spelling.endswith(f"/{plain}") or longer.endswith(f"/{spelling}")}
    return ending.pop() if len(ending) == 1 else None


def _composed(path: str) -> str:
    """Return the path in the one form of its letters: macOS gives names with accents apart."""
    return unicodedata.normalize("NFC", path)


def _around(lines: Sequence[Line], number: int) -> tuple[Line, ...]:
    place = next((at for at, line in enumerate(lines) if line.number == number), 0)
    return tuple(lines[max(0, place - _CONTEXT_LINES) : place + _CONTEXT_LINES])
