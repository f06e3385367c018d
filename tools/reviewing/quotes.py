"""What a model may have meant by a quote: with the line numbers, diff marks, fences and ellipses it added taken away again."""

from __future__ import annotations

import re

_FENCE = re.compile(r"\s*```[^\n`]*\n(.*?)\n?\s*(?:```\s*)?", re.DOTALL)
_TICKS = re.compile(r"\s*(`+)(?!`)(.+?)(?<!`)\1\s*", re.DOTALL)
# As we show them (a tab), and as models are wont to write them: 12: | L12: | 12 | | 12-> | line 12: | 12 and blanks.
_NUMBER = re.compile(r"^[ ]*(?:line |L)?\d+(?:\t|:[ ]?|[ ]*\|[ ]?|[ ]*(?:\u2192|->)|\)[ ]|[ ]{2,}|$)", re.IGNORECASE)
_MARK = re.compile(r"^(\s*)[+-]")
_ELLIPSIS_ROW = re.compile(
    r"""^[ \t]*(?:
      (?:\#|//|/\*|--|<!--)[^\n\w]{0,5}(?:\.{3,}|\u2026)[^\n]{0,60}   # ... in a comment, with words behind it
    | [\[(]?[ \t]*(?:\.{3,}|\u2026)[ \t]*[\])]?
    | [\[(][ \t]*(?:\.{3,}|\u2026)[^\n]{0,60}[\])]
    )[ \t]*$""",
    re.MULTILINE | re.VERBOSE,
)
_ELLIPSIS = re.compile(r"\.{3,}|\u2026")


def bare(text: str) -> str:
    """Return the text without any whitespace."""
    return "".join(text.split())


def readings(quote: str) -> list[str]:
    """Return what the quote may stand for, literally first, each reading once."""
    plain = _unfenced(quote)
    found = [quote, plain]
    for text in (plain, plain.replace("&lt;", "<")):  # our fences write some tags so
        unnumbered = _without_numbers(text)
        found += [text, unnumbered, _without_marks(text), _without_marks(unnumbered)]
    return [text for text in dict.fromkeys(found) if bare(text)]


def segments(text: str) -> list[str]:
    """Return the stretches of a quote between its ellipses, without whitespace; those of fewer than three characters are nothing."""
    rows = [piece for part in _ELLIPSIS_ROW.split(text) for piece in _ELLIPSIS.split(part)]
    return [stretch for row in rows if len(stretch := bare(row)) >= 3]


def _unfenced(quote: str) -> str:
    for pattern, group in ((_FENCE, 1), (_TICKS, 2)):
        if found := pattern.fullmatch(quote):
            return found[group]
    return quote


def _without_numbers(text: str) -> str:
    return "\n".join(_NUMBER.sub("", row, count=1) for row in text.split("\n"))


def _without_marks(text: str) -> str:
    return "\n".join(_MARK.sub(r"\1", row) for row in text.split("\n"))
