"""The text of a PDF's pages, in a program of its own: the file on stdin becomes lines of JSON on stdout.

First {"pages": 3}, then {"text": "..."} for each page, null where the page cannot be read, then {"whole": true}, or false when something
was left out; where the file cannot be read, {"trouble": "broken"}, "encrypted" or "heavy". Each line is there as soon as it is known.

A process, since a thread cannot be stopped. pypdf 7.1 bounds what a stream unpacks to and how much of it is parsed, but not the sum: a file
of 1.5 kB that draws one form of 600 kB 5,000 times, as often as it allows, would take ten minutes and three gigabytes for its one page (20
times took 2.6 s and gave 12 MB of text).
"""

from __future__ import annotations

import contextlib
import io
import json
import resource
import sys
from collections.abc import Iterator
from itertools import islice
from typing import BinaryIO, TextIO

from pypdf import PageObject, PdfReader
from pypdf.errors import FileNotDecryptedError, LimitReachedError

MOST_PAGES = 100
MOST_CHARACTERS = 200_000
_MOST_MEMORY = 1024**3
_MOST_SECONDS = 30
"""Of the processor; whoever started this ends it sooner, if still there."""
_CONTROLS = dict.fromkeys([*range(9), *range(11, 32), 127])
"""All but tab and line feed."""


def main(given: BinaryIO, printed: TextIO) -> None:
    """Print the lines of the file that is given."""
    for line in _lines(given.read()):
        print(json.dumps(line), file=printed, flush=True)


def bound(kind: int, most: int) -> None:
    """Limit what this process may use; macOS has no limit of memory, and goes without."""
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(kind, (most, most))


def _lines(content: bytes) -> Iterator[dict[str, object]]:
    try:
        yield from _read(content)
    except FileNotDecryptedError:
        yield {"trouble": "encrypted"}
    except (LimitReachedError, MemoryError):
        yield {"trouble": "heavy"}
    except Exception:  # the edge of pypdf, whose errors.py says: "broken PDF files might cause other Exceptions"
        yield {"trouble": "broken"}


def _read(content: bytes) -> Iterator[dict[str, object]]:
    pages = PdfReader(io.BytesIO(content)).pages
    yield {"pages": len(pages)}
    left = MOST_CHARACTERS
    for page in islice(pages, MOST_PAGES):
        text = _text(page)
        yield {"text": text and text[:left]}
        left -= len(text or "")
        if left < 0:
            break
    yield {"whole": left >= 0 and len(pages) <= MOST_PAGES}


def _text(page: PageObject) -> str | None:
    try:
        text = page.extract_text()
    except Exception:  # as above, and a page that cannot be read leaves the others
        return None
    # Fonts may map to halves of surrogate pairs, which are no UTF-8.
    return text.encode("utf-8", "replace").decode().translate(_CONTROLS).strip()


if __name__ == "__main__":
    bound(resource.RLIMIT_AS, _MOST_MEMORY)
    bound(resource.RLIMIT_CPU, _MOST_SECONDS)
    main(sys.stdin.buffer, sys.stdout)
