"""Where quoted code stands: models copy code well and count lines badly.

Whitespace counts for nothing: the quote without any is looked for in the lines without any, and an offset leads back to its line.
What is not found so is looked for approximately, by the method of BLAST: each three characters of the quote that stand in the
text vote for where the quote would then begin, and only the places with most votes are compared in full.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

from tools.reviewing.quotes import bare, readings, segments
from tools.reviewing.shapes import Line

_SIMILAR = 0.85
_AS_GOOD = 0.02
_CANDIDATES = 12
_MOST_READ = 10_000  # characters of a quote; where these begin, the rest does
_MOST_COMPARED = 600  # characters of a quote that are compared approximately
_MOST_PLACES = 400  # three characters that stand in more places tell nothing
_FEW = 3


@dataclass(frozen=True, slots=True)
class _Match:
    """A place in `lines`, whether the match covers whole lines, and how many further segments follow it."""

    place: int
    whole: bool
    follow: int = 0


class _Text:
    """Lines without whitespace, one after the other. `places` are those of lines that have anything in them."""

    def __init__(self, lines: Sequence[Line], marks: str) -> None:
        self.places: list[int] = []
        self.starts: list[int] = []
        pieces: list[str] = []
        length = 0
        for place, line in enumerate(lines):
            if (not line.mark or line.mark in marks) and (piece := bare(line.text)):
                self.places.append(place)
                self.starts.append(length)
                pieces.append(piece)
                length += len(piece)
        self.text = "".join(pieces)

    def row(self, offset: int) -> int:
        """Which of the lines with anything in them the offset is in."""
        return bisect_right(self.starts, offset) - 1

    def end(self, row: int) -> int:
        return self.starts[row] if row < len(self.starts) else len(self.text)

    def edge(self, offset: int) -> bool:
        """Tell whether a line begins or the last one ends at the offset."""
        at = bisect_left(self.starts, offset)
        return offset == self.end(at)

    def offsets(self, needle: str) -> Iterator[int]:
        at = self.text.find(needle)
        while at >= 0:
            yield at
            at = self.text.find(needle, at + 1)

    def matches(self, needle: str) -> Iterator[tuple[int, _Match]]:
        """Yield the offset behind each match, and the match. A very short needle matches only whole lines."""
        for at in self.offsets(needle):
            whole = self.edge(at) and self.edge(at + len(needle))
            if whole or len(needle) >= _FEW:
                yield at + len(needle), _Match(self.places[self.row(at)], whole)


def find_line(lines: Sequence[Line], quote: str, near: int | None) -> int | None:
    """Return the number, in the new file, of the line where the quoted code begins, None when it is not there.

    Of several places, those that are whole lines come first, then those nearest to `near`, then the earliest. A removed line's
    number is that of the next line that there is. What stands nowhere exactly may stand somewhere with small differences.
    """
    texts = _texts(lines)
    meant = readings(quote[:_MOST_READ])
    for matches in (_exact(texts, meant), _in_segments(texts, meant), _approximate(texts, meant)):
        for found in matches:
            if found:
                return _nearest(lines, found, near)
    return None


def _texts(lines: Sequence[Line]) -> list[_Text]:
    """What a quote may be from: the new side, the old side, and both as a diff shows them."""
    if any(line.mark == "-" for line in lines):
        return [_Text(lines, " +"), _Text(lines, " -"), _Text(lines, " +-")]
    return [_Text(lines, " +")]


def _exact(texts: list[_Text], meant: list[str]) -> Iterator[list[_Match]]:
    for reading in meant:
        yield [match for text in texts for _, match in text.matches(bare(reading))]


def _in_segments(texts: list[_Text], meant: list[str]) -> Iterator[list[_Match]]:
    """Matches of the first segment that is found, each with how many of the others follow it."""
    for reading in meant:
        parts = segments(reading)
        for number, part in enumerate(parts):
            yield [
                _Match(match.place, match.whole, _following(text, end, parts[number + 1 :]))
                for text in texts
                for end, match in text.matches(part)
            ]


def _following(text: _Text, offset: int, parts: Sequence[str]) -> int:
    found = 0
    for part in parts:
        at = text.text.find(part, offset)
        if at >= 0:
            found += 1
            offset = at + len(part)
    return found


def _approximate(texts: list[_Text], meant: list[str]) -> Iterator[list[_Match]]:
    """The places whose likeness is within a hair of the greatest, over all texts and readings."""
    scored = [
        scored_match
        for needle in dict.fromkeys(bare(reading)[:_MOST_COMPARED] for reading in meant)
        if len(needle) >= 2 * _FEW
        for text in texts
        for scored_match in _similar(text, needle)
    ]
    best = max((ratio for ratio, _ in scored), default=0.0)
    yield [match for ratio, match in scored if ratio >= max(_SIMILAR, best - _AS_GOOD)]


def _similar(text: _Text, needle: str) -> Iterator[tuple[float, _Match]]:
    matcher = SequenceMatcher(autojunk=False)
    matcher.set_seq2(needle)
    for row in _voted(text, needle):
        start = text.starts[row]
        after = bisect_left(text.starts, start + len(needle))
        ends = {min(start + len(needle), len(text.text)), text.end(after), text.end(max(after - 1, row + 1))}
        ratios: list[float] = []
        for end in ends:
            matcher.set_seq1(text.text[start:end])
            if matcher.quick_ratio() >= _SIMILAR:
                ratios.append(matcher.ratio())
        if ratios:
            yield max(ratios), _Match(text.places[row], whole=True)


def _voted(text: _Text, needle: str) -> list[int]:
    """The rows where the quote may begin, those with most votes first, and their neighbours."""
    votes: Counter[int] = Counter()
    for at in range(len(needle) - _FEW + 1):
        piece = needle[at : at + _FEW]
        if text.text.count(piece) <= _MOST_PLACES:
            votes.update(text.row(max(offset - at, 0)) for offset in text.offsets(piece))
    best = [row for row, _ in votes.most_common(_CANDIDATES)]
    return [row for row in dict.fromkeys(near for one in best for near in (one, one + 1, one - 1)) if 0 <= row < len(text.starts)]


def _nearest(lines: Sequence[Line], found: list[_Match], near: int | None) -> int | None:
    numbered = [(match, number) for match in found if (number := _number(lines, match.place)) is not None]
    if not numbered:
        return None

    def order(one: tuple[_Match, int]) -> tuple[int, bool, int, bool, int]:
        match, number = one
        distance = abs(number - near) if near is not None else 0
        return -match.follow, not match.whole, distance, lines[match.place].number is None, number

    return min(numbered, key=order)[1]


def _number(lines: Sequence[Line], place: int) -> int | None:
    """The line's number, or the next one's that has one, or the last one's."""
    after = next((lines[at].number for at in range(place, len(lines)) if lines[at].number is not None), None)
    if after is not None:
        return after
    return next((line.number for line in reversed(lines[:place]) if line.number is not None), None)
