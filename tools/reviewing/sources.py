"""What a caller wants reviewed, by paths or as a diff, read as lines that know their numbers."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence

from tools.files import FileReader, shown_name
from tools.limits import Limits
from tools.refusals import Refused
from tools.reviewing.diffs import from_diff
from tools.reviewing.shapes import Line, Skipped, Source
from tools.reviewing.unwanted import unwanted_text
from tools.reviewing.walking import Found, Walk, is_glob, parted

__all__ = ["Line", "Skipped", "Source", "from_diff", "from_paths"]

_BATCH_FILES = 64
_BATCH_LINES = 50_000  # some 10 MB of lines
_MOST_ROWS = 1_000


async def from_paths(files: FileReader, paths: Sequence[str], limits: Limits) -> AsyncGenerator[Source | Skipped]:
    """Yield what the named files, folders and globs hold, each file once, and a row for each that is left out.

    Files named outright come first and are taken though git ignores them; then folders and globs, in the order named and of
    the names in them. Reading goes on in a thread, some files ahead of whoever takes them.
    """
    reading = _read_all(files, paths, limits)
    while batch := await asyncio.to_thread(_batch, reading):
        for item in batch:
            yield item


def _batch(reading: Iterator[Source | Skipped]) -> list[Source | Skipped]:
    """The next few files, fewer when they are large; empty at the end."""
    batch: list[Source | Skipped] = []
    lines = 0
    for item in itertools.islice(reading, _BATCH_FILES):
        batch.append(item)
        lines += len(item.lines) if isinstance(item, Source) else 0
        if lines > _BATCH_LINES:
            break
    return batch


def _read_all(files: FileReader, paths: Sequence[str], limits: Limits) -> Iterator[Source | Skipped]:
    read: set[str] = set()
    skipped: set[str] = set()
    more = 0
    for item in _entries(files, dict.fromkeys(paths)):
        if isinstance(item, Found):
            if item.shown in read:
                continue
            if len(read) == limits.max_review_files:
                yield Skipped(file=".", reason=f"holds more files, which were left out: a review takes {limits.max_review_files:,}")
                break
            read.add(item.shown)
            yield _read(files, item)
        elif item.file not in read and item.file not in skipped:
            skipped.add(item.file)
            more += len(skipped) > _MOST_ROWS
            if len(skipped) <= _MOST_ROWS:
                yield item
    if more:
        yield Skipped(file=".", reason=f"holds {more:,} more files and folders that were left out for reasons like these")


def _entries(files: FileReader, paths: Iterable[str]) -> Iterator[Found | Skipped]:
    """Where the named things are: files and what is refused first, then what is found in folders."""
    walks: list[tuple[Walk, Skipped]] = []
    for named in paths:
        try:
            place = files.locate(named)
            there = place.root.joinpath(*place.parts)
            if os.path.isdir(there):
                walks.append((Walk(place), Skipped(file=place.shown, reason="holds no file")))
            elif is_glob(named) and not os.path.lexists(there):
                folder, pattern = parted(named)
                walks.append((Walk(files.locate(folder), pattern), Skipped(file=shown_name(named), reason="matches no file")))
            else:
                yield Found(named, place.shown, outright=True)
        except Refused as refusal:
            yield Skipped(file=shown_name(named), reason=str(refusal))
    for walk, nothing in walks:
        yield from walk
        if not walk.matched:
            yield nothing


def _read(files: FileReader, found: Found) -> Source | Skipped:
    try:
        shown, text = files.read_text(found.path)
    except Refused as refusal:
        return Skipped(file=shown_name(found.shown), reason=str(refusal))
    reason = "is empty" if not text.strip() else None if found.outright else unwanted_text(text)
    if reason is not None:
        return Skipped(file=shown, reason=reason)
    return Source(path=shown, lines=_lines(text), is_diff=False)


def _lines(text: str) -> tuple[Line, ...]:
    """The lines as editors count them, without what ends them."""
    rows = text.removesuffix("\n").split("\n")
    return tuple(Line(number, "", row.removesuffix("\r")) for number, row in enumerate(rows, 1))
