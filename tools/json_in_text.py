"""The JSON objects and lists that stand in a text, found in time that does not grow with how often their brackets nest."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tools.bounds import cleaned

MOST_CHARACTERS = 1_000_000
"""Of a text that is looked through."""
_MOST_VALUES = 2_000
"""And as many places where one begins that does not parse."""
_MOST_READ_IN_VAIN = 4 * MOST_CHARACTERS
"""Characters: a quarter of a second. What is cut off is read in vain once for each level it has, which are three or four."""
_OPENING = re.compile(r"[{\[]")
_LIKELY = re.compile(r'\{(?=\s*["}])|\[(?=\s*[\[{"\]\d\-tfn])|^[ \t]*<(think|thinking|thought)>', re.IGNORECASE | re.MULTILINE)
"""Where a value may begin, or a thought outside of one."""
_RUN = re.compile(r"(?:[{\[][^{\[]*){1,300}")  # what nests too deep for the parser has more levels left than these
_THOUGHT = re.compile(r"\s*<(think|thinking|thought)>.*?</\1>", re.DOTALL | re.IGNORECASE)
_FENCED = re.compile(r"\s*```\w*\s*(.*?)\s*```\s*", re.DOTALL)
_NUMBERS = re.compile(r"^ *\d+\t", re.MULTILINE)
_UNTOLD = re.compile(r"&(?:lt|gt|amp|quot);|\\[nrt]|[^\w{}\[\]:,]")


@dataclass(frozen=True, slots=True)
class Placed:
    """A value and where it stands."""

    start: int
    end: int
    value: Any


@dataclass(slots=True)
class Scan:
    """What was found in a text, what a model thought before it answered left out of it."""

    text: str
    placed: list[Placed] = field(default_factory=list[Placed])
    broken: list[int] = field(default_factory=list[int])
    """Where something begins that does not parse."""
    gave_up: bool = False
    """Whether it was too much work to look through all of it."""

    @property
    def has_openings(self) -> bool:
        return _OPENING.search(self.text) is not None

    def is_whole(self, one: Placed) -> bool:
        """Tell whether a value is all there is, but for a fence around it."""
        fence = _FENCED.fullmatch(self.text)
        return self.text[one.start : one.end].strip() == (fence[1] if fence else self.text.strip())


def values(text: str) -> Iterator[Any]:
    """Yield the objects and lists that stand in a text, in order; what is inside one that was read is not looked at again."""
    return (one.value for one in scan(text).placed)


def scan(text: str) -> Scan:
    """Return what stands in the first MOST_CHARACTERS of a text."""
    text = text[:MOST_CHARACTERS]
    opened = 0
    while thought := _THOUGHT.match(text, opened):
        opened = thought.end()
    found = Scan(text[opened:])
    found.gave_up = not _filled(found)
    return found


def _filled(found: Scan) -> bool:
    """Put into `found` what its text holds; return whether all of it was looked at."""
    text, at, read_in_vain = found.text, 0, 0
    decoder = json.JSONDecoder(strict=False)  # models write line breaks into strings
    while opening := _LIKELY.search(text, at):
        if opening[1]:
            thought = _THOUGHT.match(text, opening.start())
            at = thought.end() if thought else opening.end()
            read_in_vain += 0 if thought else len(text) - at
        else:
            start = opening.start()
            try:
                value, at = decoder.raw_decode(text, start)
            except (RecursionError, ValueError) as error:
                at = _after(text, start, error)
                read_in_vain += _read(text, start, error)
                found.broken.append(start)
            else:
                found.placed.append(Placed(start, at, cleaned(value)))
        if read_in_vain > _MOST_READ_IN_VAIN or max(len(found.broken), len(found.placed)) > _MOST_VALUES:
            return False
    return True


def _after(text: str, start: int, error: Exception) -> int:
    run = _RUN.match(text, start) if isinstance(error, RecursionError) else None
    return run.end() if run else start + 1


def _read(text: str, start: int, error: Exception) -> int:
    """Return about how many characters were read before the error; that of an open string or a long number tells its beginning or none."""
    if isinstance(error, json.JSONDecodeError) and not error.msg.startswith("Unterminated"):
        return error.pos - start
    return 1 if isinstance(error, RecursionError) else len(text) - start


def not_in(other: str, text: str, placed: Sequence[Placed]) -> list[Placed]:
    """Return the values of a text that stand nowhere in another one, however that is laid out, commented, numbered or escaped."""
    if not other or not placed:
        return list(placed)
    plain = _plain(other)
    return [one for one in placed if not any(_plain(form) in plain for form in (text[one.start : one.end], _dumped(one.value)))]


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _plain(text: str) -> str:
    """Return what makes a JSON value: its words and brackets, without line numbers, layout, comment marks, quotes and escapes."""
    return _UNTOLD.sub("", _NUMBERS.sub("", text))
