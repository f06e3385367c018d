"""What is reviewed, in parts that fit a model's window, each line under its true number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from conversation.fences import defuse, file_tags
from conversation.tokens import estimate_tokens
from tools.reviewing.shapes import Line, Source

_OVERLAP = 5
_CLOSERS = ")]}#/*"
_LEAST = 40  # tokens: a line number, a few characters and the marker


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Consecutive lines of one source. `cut` when a line of them lost its end."""

    path: str
    lines: tuple[Line, ...]
    is_diff: bool
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """What one request shows; `tokens` is an estimate of it as rendered, rather too many."""

    excerpts: tuple[Excerpt, ...]
    tokens: int


def render(part: Part) -> str:
    """Return the part as a model sees it: each excerpt in a fence, each line as NUMBER, a tab, its mark and its text."""
    return "\n".join(_rendered(excerpt) for excerpt in part.excerpts)


def _rendered(excerpt: Excerpt) -> str:
    begin, end = file_tags(excerpt.path)
    return begin + "\n".join(_row(line) for line in excerpt.lines) + end


def _row(line: Line) -> str:
    return f"{'' if line.number is None else line.number}\t{line.mark}{defuse(line.text)}"


def split(source: Source, budget: int) -> list[Excerpt]:
    """Return the source in excerpts of at most `budget` tokens, one when it fits; none for a source without lines.

    Diffs are parted between hunks, then as files are: before a definition or after a blank line in the second half of what
    fits. Neighbours parted elsewhere than between hunks share a few lines. A line that alone is too long is cut.
    """
    whole = Excerpt(source.path, source.lines, source.is_diff)
    if not source.lines:
        return []
    if cost(whole) <= budget:
        return [whole]
    room = max(budget - estimate_tokens("".join(file_tags(source.path))), _LEAST)
    lines = tuple(_shortened(line, room) for line in source.lines)
    return [
        Excerpt(source.path, lines[start:end], source.is_diff, cut=lines[start:end] != source.lines[start:end])
        for start, end in _stretches(lines, room, source.is_diff)
    ]


def cost(excerpt: Excerpt) -> int:
    """Return about how many tokens the excerpt takes, as rendered and with the newline that parts it from the next."""
    return estimate_tokens(_rendered(excerpt) + "\n")


def _stretches(lines: Sequence[Line], room: int, is_diff: bool) -> Iterator[tuple[int, int]]:
    """Where the excerpts begin and end. Costs are rounded up line by line, so their sum is never below that of the whole."""
    costs = [estimate_tokens(_row(line) + "\n") for line in lines]
    start = fresh = 0
    while True:
        end, used = start, 0
        while end < len(lines) and used + costs[end] <= room:
            used += costs[end]
            end += 1
        end = max(end, fresh + 1)
        if end == len(lines):
            yield start, end
            return
        end = _best_end(lines, fresh, end, is_diff)
        yield start, end
        start = end if _between_hunks(lines, end) else _overlapping(costs, fresh, end, room)
        fresh = end


def _overlapping(costs: Sequence[int], start: int, end: int, room: int) -> int:
    """Where the next excerpt begins so that it shares some lines and still has room for a new one."""
    first = end
    left = min(room - costs[end], room // 4)
    while first > start + 1 and end - first < _OVERLAP and costs[first - 1] <= left:
        first -= 1
        left -= costs[first]
    return first


def _best_end(lines: Sequence[Line], start: int, end: int, is_diff: bool) -> int:
    """The best place to part lines, after `start` and not after `end`: the latest of the best kind."""
    if is_diff:
        hunks = (at for at in range(end, start, -1) if _between_hunks(lines, at))
        if (at := next(hunks, None)) is not None:
            return at
    middle = start + (end - start) // 2
    return max(range(max(middle, start + 1), end + 1), key=lambda at: (_fitness(lines, at), at))


def _fitness(lines: Sequence[Line], at: int) -> int:
    """How well lines are parted before `at`: 2 before what looks like a definition at the margin, 1 after a blank line."""
    if lines[at - 1].text.strip():
        return 0
    text = lines[at].text
    return 2 if text and not text[0].isspace() and text[0] not in _CLOSERS else 1


def _between_hunks(lines: Sequence[Line], at: int) -> bool:
    """Tell whether new lines are missing before the line at `at`, as happens only between hunks."""
    number = lines[at].number
    if number is None:
        return False
    before = next((lines[back].number for back in range(at - 1, -1, -1) if lines[back].number is not None), None)
    return before is not None and number > before + 1


def _shortened(line: Line, room: int) -> Line:
    """The line with its end cut off and a marker in place of it when it takes more than `room` tokens."""
    if estimate_tokens(_row(line) + "\n") <= room:
        return line
    keep = len(line.text)
    while True:
        keep = min(keep - 1, keep * 9 // 10)
        short = replace(line, text=f"{line.text[:keep]}[\u2026 {len(line.text) - keep} characters cut \u2026]")
        if keep == 0 or estimate_tokens(_row(short) + "\n") <= room:
            return short


class Packer:
    """Puts excerpts, in order, into parts of at most `budget` tokens. An excerpt over the budget gets a part of its own."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._excerpts: list[Excerpt] = []
        self._tokens = 0

    def add(self, excerpt: Excerpt) -> Part | None:
        """Take an excerpt; return the part before it when it found no room there any more."""
        tokens = cost(excerpt)
        full = self.rest() if self._tokens + tokens > self._budget else None
        self._excerpts.append(excerpt)
        self._tokens += tokens
        return full

    def rest(self) -> Part | None:
        """Return what has been taken since the last part, None when that is nothing."""
        part = Part(tuple(self._excerpts), self._tokens) if self._excerpts else None
        self._excerpts, self._tokens = [], 0
        return part
