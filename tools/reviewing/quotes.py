"""What a model may have meant by a quote: with the line numbers, diff marks, fences and ellipses it added taken away again.

Blanks count only where they part words. What else is forgiven changes no name, number, keyword or operator: `==` is not `!=`, and
a finding about code that is not there is worth nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice

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


_NEEDLESS = re.compile(r"(?<![A-Za-z0-9_]) | (?![A-Za-z0-9_])")
_SIGNS = str.maketrans("'\u2018\u2019\u201c\u201d\u2013\u2014", "\"\"\"\"\"--")
_COMMENT = re.compile(r"(?:^|\s)#\s.*|(?:^|[;{},])\s*//.*")  # // divides in Python, and not behind these
_MOST_SEGMENTS = 20


def bare(text: str) -> str:
    """Return the text without whitespace, but for one blank between words that it parts."""
    return _NEEDLESS.sub("", " ".join(text.split()))


def in_word(text: str, at: int) -> bool:
    """Tell whether the characters before and at the offset are of one word."""
    pair = text[at - 1 : at + 1] if at > 0 else ""
    return len(pair) == 2 and all(char == "_" or (char.isascii() and char.isalnum()) for char in pair)


def alike(pieces: Sequence[str]) -> list[str]:
    """Return bare rows without what models change as they copy: the kind of quotation marks and dashes, a comma before a closing row."""
    found = [piece.translate(_SIGNS) for piece in pieces]
    after = ""
    for at in range(len(found) - 1, -1, -1):
        if after and after[0] in ")]}":
            found[at] = found[at].removesuffix(",")
        after = found[at] or after
    return found


def without_comment(row: str) -> str:
    """Return the row without the comment it ends in."""
    found = _COMMENT.search(row)
    return row[: found.start() + (found[0][0] in ";{},")] if found else row


def unescaped(text: str) -> list[str]:
    """Return what the text may be when its escapes in JSON were wrong: with backslashes too many, or a line break for one in a string."""
    joined, inside = "", False
    for row in text.split("\n"):
        joined += ("\\n" if inside else "\n") + row
        inside ^= row.count('"') % 2 == 1
    return [text.replace("\\\\", "\\"), joined[1:]]


def readings(quote: str) -> list[str]:
    """Return what the quote may stand for, literally first, each reading once."""
    plain = _unfenced(quote)
    found = [quote, plain]
    for text in (plain, plain.replace("&lt;", "<")):  # our fences write some tags so
        unnumbered = _without_numbers(text)
        found += [text, unnumbered, _without_marks(text), _without_marks(unnumbered)]
    return [text for text in dict.fromkeys(found) if bare(text)]


def segments(text: str) -> list[str]:
    """Return the first stretches of a quote between its ellipses, bare; those of fewer than three characters are nothing."""
    rows = (piece for part in _ELLIPSIS_ROW.split(text) for piece in _ELLIPSIS.split(part))
    return list(islice((stretch for row in rows if len(stretch := bare(row)) >= 3), _MOST_SEGMENTS))


def _unfenced(quote: str) -> str:
    for pattern, group in ((_FENCE, 1), (_TICKS, 2)):
        if found := pattern.fullmatch(quote):
            return found[group]
    return quote


def _without_numbers(text: str) -> str:
    return "\n".join(_NUMBER.sub("", row, count=1) for row in text.split("\n"))


def _without_marks(text: str) -> str:
    return "\n".join(_MARK.sub(r"\1", row) for row in text.split("\n"))
