"""Where quoted code stands: models copy code well and count lines badly.

Quote and lines are made bare and laid end to end, so that they may be broken differently, and an offset leads back to its line.
What is not there is looked for once more with small things forgiven, none of which changes what the code means.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from tools.reviewing.quotes import alike, bare, bare_rows, in_word, readings, segments, unescaped, without_comments
from tools.reviewing.shapes import Line

_MOST_READ = 10_000  # characters of a quote; where these begin, the rest does
_MOST_IN_LINE = 8
_FEW = 3
_NEGATION = re.compile(r"(?:\b(?:not|no|never|except|unless|without)[ (]*|[!~-][ (]*)$", re.IGNORECASE)
_WORDS = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Place:
    """The number, in the new file, of the line where a quote begins. `code` are the lines there when the quote is not quite the same,
    a single word of them, or what stands behind a negation."""

    number: int
    code: str | None = None


@dataclass(frozen=True, slots=True)
class _Match:
    """From which place in the lines to which, whether that is whole lines, and whether it may say another thing than they do."""

    place: int
    last: int
    whole: bool
    piece: bool
    text: _Text


class _Text:
    """Bare lines laid end to end. `places` are those of lines that have anything in them, and `starts` and `ends` where they stand."""

    def __init__(self, lines: Sequence[Line], pieces: Sequence[str], marks: str) -> None:
        self.marks = marks
        self.places = [place for place, line in enumerate(lines) if pieces[place] and (not line.mark or line.mark in marks)]
        self.starts: list[int] = []
        self.ends: list[int] = []
        laid: list[str] = []
        length, last = 0, ""
        for place in self.places:
            piece = pieces[place]
            if in_word(last, piece[0]):
                laid.append(" ")
                length += 1
            laid.append(piece)
            self.starts.append(length)
            length, last = length + len(piece), piece[-1]
            self.ends.append(length)
        self.text = "".join(laid)

    def row(self, offset: int) -> int:
        """Which of the lines with anything in them the offset is in."""
        return bisect_right(self.starts, offset) - 1

    def offsets(self, needle: str) -> Iterator[int]:
        """Where it stands, at most so often in each line: what stands everywhere must not cost more than the lines are long."""
        at, row, seen = self.text.find(needle), -1, 0
        while at >= 0:
            yield at
            here = self.row(at)
            row, seen = here, seen + 1 if here == row else 1
            if seen < _MOST_IN_LINE:
                at = self.text.find(needle, at + 1)
            else:
                at = self.text.find(needle, self.starts[row + 1]) if row + 1 < len(self.starts) else -1

    def cuts(self, offset: int) -> bool:
        """Tell whether the offset is inside a word."""
        return in_word(self.text[offset - 1 : offset] if offset else "", self.text[offset : offset + 1])

    def match(self, at: int, end: int) -> _Match:
        first, last = self.row(at), self.row(end - 1)
        whole = at == self.starts[first] and end == self.ends[last]
        before, inside = self.text[max(self.starts[first], at - 12) : at], self.text[at : min(end, at + 200)]
        piece = bool(_NEGATION.search(before)) or (not whole and _WORDS.fullmatch(inside) is not None)
        return _Match(self.places[first], self.places[last], whole, piece, self)

    def matches(self, needle: str) -> Iterator[_Match]:
        """Yield where the needle stands, and not as a part of a word. A very short one matches only whole lines."""
        for at in self.offsets(needle):
            end = at + len(needle)
            found = self.match(at, end)
            if found.whole or (len(needle) >= _FEW and not self.cuts(at) and not self.cuts(end)):
                yield found

    def spread(self, parts: Sequence[str]) -> Iterator[_Match]:
        """Yield where the first of the parts stands with all others behind it, in order. The work is linear in text and parts."""
        others = [list(self.offsets(part)) for part in parts[1:]]
        for at in self.offsets(parts[0]):
            end = at + len(parts[0])
            for part, offsets in zip(parts[1:], others, strict=True):
                after = bisect_left(offsets, end)
                if after == len(offsets):
                    return
                end = offsets[after] + len(part)
            yield self.match(at, end)


def find_place(lines: Sequence[Line], quote: str, near: int | None) -> Place | None:
    """Return where the quoted code begins, None when it is not there.

    Of several places, those that are whole lines come first, then those nearest to `near`, then the earliest. A removed line's
    number is that of the next line that there is.
    """
    meant = readings(quote[:_MOST_READ], any(line.mark for line in lines))
    numbers = _numbers(lines)
    code = "\n".join(line.text for line in lines)
    texts = _texts(lines, bare_rows(code))
    for matches in chain(_exact(texts, meant), _in_segments(texts, meant)):
        if found := _nearest(lines, numbers, matches, near):
            return Place(found[1], _code(lines, found[0]) if found[0].piece else None)
    for matches in _forgiving(lines, code, meant):
        if found := _nearest(lines, numbers, matches, near):
            return Place(found[1], _code(lines, found[0]))
    return None


def _texts(lines: Sequence[Line], rows: str) -> list[_Text]:
    """What a quote may be from: the new side, the old side, and both as a diff shows them."""
    sides = (" +", " -", " +-") if any(line.mark == "-" for line in lines) else (" +",)
    pieces = rows.split("\n")
    return [_Text(lines, pieces, marks) for marks in sides]


def _exact(texts: list[_Text], meant: list[str]) -> Iterator[Iterator[_Match]]:
    for reading in meant:
        yield (match for text in texts for match in text.matches(bare(reading)))


def _in_segments(texts: list[_Text], meant: list[str]) -> Iterator[Iterator[_Match]]:
    """Where all that stands between ellipses does; next to one a word may be cut."""
    for reading in meant:
        parts = segments(reading)
        if parts and parts != [bare(reading)]:
            yield (match for text in texts for match in text.spread(parts))


def _forgiving(lines: Sequence[Line], code: str, meant: list[str]) -> Iterator[Iterator[_Match]]:
    """Where the quote stands but for quotation marks and the like, wrong escapes, and comments it left out."""
    needles = dict.fromkeys(bare(alike(bare_rows(text))) for one in meant for text in (one, *unescaped(one)))
    for said in (code, without_comments(code)):
        texts = _texts(lines, alike(bare_rows(said)))
        for needle in needles:
            yield (match for text in texts for match in text.matches(needle))


def _nearest(
    lines: Sequence[Line], numbers: Sequence[int | None], matches: Iterator[_Match], near: int | None
) -> tuple[_Match, int] | None:
    numbered = ((match, number) for match in matches if (number := numbers[match.place]) is not None)

    def order(one: tuple[_Match, int]) -> tuple[bool, int, bool, int]:
        match, number = one
        distance = abs(number - near) if near is not None else 0
        return not match.whole, distance, lines[match.place].number is None, number

    return min(numbered, key=order, default=None)


def _numbers(lines: Sequence[Line]) -> list[int | None]:
    """For each line its number, or the next one's that has one, or the last one's."""
    following = next((line.number for line in reversed(lines) if line.number is not None), None)
    numbers: list[int | None] = []
    for line in reversed(lines):
        following = following if line.number is None else line.number
        numbers.append(following)
    return numbers[::-1]


def _code(lines: Sequence[Line], match: _Match) -> str:
    found = lines[match.place : match.last + 1]
    return "\n".join(line.text for line in found if not line.mark or line.mark in match.text.marks)
