"""What a model may have meant by a quote: with the line numbers, diff marks, fences and ellipses it added taken away again.

Blanks count only where they part words. What else is forgiven changes no name, number, keyword or operator: `==` is not `!=`, and
a finding about code that is not there is worth nothing.
"""

from __future__ import annotations

import re
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


_WORD = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
_BLANKS = re.compile(r"[^\S\n]+")
_NEEDLESS = re.compile(r"(?<![A-Za-z0-9_]) | (?![A-Za-z0-9_])")
_SIGNS = str.maketrans("'\u2018\u2019\u201c\u201d\u2013\u2014", "\"\"\"\"\"--")
_LAST_COMMA = re.compile(r",(?=\n+[)\]}])")
# // divides in Python, and not behind these.
_COMMENT = re.compile(r"(?:^|[^\S\n])#(?:[^\S\n].*)?$|(?:^|(?<=[;{},]))[^\S\n]*//.*$", re.MULTILINE)
_MOST_SEGMENTS = 20


def bare(text: str) -> str:
    """Return the text without whitespace, but for one blank between words that it parts."""
    return _NEEDLESS.sub("", " ".join(text.split()))


def bare_rows(text: str) -> str:
    """Return the text with each of its rows bare."""
    return _NEEDLESS.sub("", _BLANKS.sub(" ", text))


def in_word(before: str, after: str) -> bool:
    """Tell whether two characters, if there are two, are of one word when they stand side by side."""
    return before in _WORD and after in _WORD


def alike(rows: str) -> str:
    """Return bare rows without what models change as they copy: the kind of quotation marks and dashes, a comma before a closing row."""
    return _LAST_COMMA.sub("", rows.translate(_SIGNS))


def without_comments(text: str) -> str:
    """Return the text with its rows cut where a comment begins that goes on to their end."""
    return _COMMENT.sub("", text)


def unescaped(text: str) -> list[str]:
    """Return what the text may be when its escapes in JSON were wrong: with backslashes too many, or a line break for one in a string."""
    joined, inside = "", False
    for row in text.split("\n"):
        joined += ("\\n" if inside else "\n") + row
        inside ^= row.count('"') % 2 == 1
    return [text.replace("\\\\", "\\"), joined[1:]]


def readings(quote: str, is_diff: bool) -> list[str]:
    """Return what the quote may stand for, literally first, each reading once; a sign before a row is a mark in a diff only."""
    plain = _unfenced(quote)
    found = [quote, plain]
    for text in (plain, plain.replace("&lt;", "<")):  # our fences write some tags so
        unnumbered = _without_numbers(text)
        found += [text, unnumbered, *(map(_without_marks, (text, unnumbered)) if is_diff else ())]
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
