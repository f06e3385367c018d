"""PDF files made by hand: as small as can be, and as bad as they come."""

from __future__ import annotations

import base64
import io
import zlib
from typing import Any

import pypdf

FONT = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
_PAGE = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents %d 0 R /Resources << /Font << /F 3 0 R >> %s >> >>"


def pdf(*pages: str) -> bytes:
    """A PDF with these texts on its pages; a page without one is blank."""
    return drawn(*(shown(page) for page in pages))


def drawn(*contents: bytes, more: tuple[bytes, ...] = (), resources: bytes = b"", font: bytes = FONT) -> bytes:
    """A PDF whose pages are drawn by these operators. Object 3 is its font /F; the objects `more` are numbered from 4."""
    first = 4 + len(more)
    objects = [b"<< /Type /Catalog /Pages 2 0 R >>", b"", font, *more]
    for number, content in enumerate(contents):
        objects += [_PAGE % (first + 2 * number + 1, resources), stream(content)]
    kids = b" ".join(b"%d 0 R" % (first + 2 * number) for number in range(len(contents)))
    objects[1] = b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(contents))
    return _file(objects)


def stream(content: bytes, about: bytes = b"") -> bytes:
    """A compressed stream object."""
    packed = zlib.compress(content, 9)
    return b"<< /Length %d /Filter /FlateDecode %s >>\nstream\n%s\nendstream" % (len(packed), about, packed)


def with_slow_page(*before: str) -> bytes:
    """A PDF whose last page draws a form full of text 5,000 times: kilobytes of file, ten minutes of work, gigabytes of text."""
    text = (b"BT /F 9 Tf (" + b"x" * 30_000 + b") Tj ET\n") * 20
    form = stream(text, b"/Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /Font << /F 3 0 R >> >>")
    return drawn(*map(shown, before), b"/X Do\n" * 5_000, more=(form,), resources=b"/XObject << /X 4 0 R >>")


def shown(text: str) -> bytes:
    """The operators that show a text; without one, a rectangle."""
    escaped = text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
    return b"BT /F 12 Tf 72 720 Td (" + escaped.encode("latin-1") + b") Tj ET" if text else b"0 0 9 9 re f"


def encrypted(password: str, *pages: str, algorithm: str = "AES-256") -> bytes:
    """A PDF that opens with this password."""
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf(*pages)))
    writer.encrypt(password, owner_password="owner", algorithm=algorithm)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def document(content: bytes, **more: Any) -> dict[str, Any]:
    """A document block of the Messages API."""
    data = base64.b64encode(content).decode()
    return {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": data}, **more}


def _file(objects: list[bytes]) -> bytes:
    out, places = b"%PDF-1.7\n", list[int]()
    for number, content in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    tail = b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (size, len(out))
    return out + b"xref\n0 %d\n0000000000 65535 f \n%s" % (size, table) + tail
