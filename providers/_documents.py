"""PDF documents as text, for a provider whose models read none.

Refused, a document would end its conversation there: it comes again with every turn. So one that gives no text becomes a line that
says why, which the model can tell the user.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from conversation.messages import object_of, objects_of
from providers._pdf import Reading, Trouble, read_pdf

_MOST = 64
_MOST_BYTES = 16 * 1024 * 1024
_WHY: Mapping[Trouble, str] = {
    "broken": "it is damaged, or not a PDF",
    "encrypted": "it is encrypted with a password",
    "heavy": "to read it takes more time or memory than there is for it",
    "large": "it is too large to be read",
    "no text": "it is without text, as a scan or a drawing",
    "not now": "it cannot be read at the moment",
}


class PdfTexts:
    """Puts text in the place of PDF documents. Keeps what it read of the documents that came last, whatever became of them."""

    def __init__(self, *, read: Callable[[str], Reading] = read_pdf, most: int = _MOST, most_bytes: int = _MOST_BYTES) -> None:
        self._read = read
        self._most = most
        self._most_bytes = most_bytes
        self._readings: OrderedDict[bytes, Reading] = OrderedDict()
        self._bytes = 0
        self._one_at_a_time = asyncio.Lock()

    async def with_text(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a Messages API body with text in the place of its PDF documents; the very same body when there is none."""
        messages = body.get("messages")
        pdfs = [pdf for message in objects_of(messages) for pdf in _pdfs(message.get("content"))]
        if not pdfs:
            return body
        texts = {id(pdf): {"type": "text", "text": _told(pdf, await self._reading(pdf))} for pdf in pdfs}
        return {**body, "messages": [_replaced(message, texts) for message in cast("list[Any]", messages)]}

    async def _reading(self, pdf: Mapping[str, Any]) -> Reading:
        data: str = pdf["source"]["data"]
        key = await asyncio.to_thread(_digest, data)
        if key not in self._readings:
            async with self._one_at_a_time:  # so that what comes in two requests at once is read once
                if key not in self._readings:
                    try:
                        self._keep(key, await asyncio.to_thread(self._read, data))
                    except OSError:  # no process could be started: the machine's trouble, and not the document's for good
                        return Reading(trouble="not now")
        self._readings.move_to_end(key)
        return self._readings[key]

    def _keep(self, key: bytes, reading: Reading) -> None:
        self._readings[key] = reading
        self._bytes += sys.getsizeof(reading.text)
        while len(self._readings) > 1 and (len(self._readings) > self._most or self._bytes > self._most_bytes):
            _, oldest = self._readings.popitem(last=False)
            self._bytes -= sys.getsizeof(oldest.text)


def _digest(data: str) -> bytes:
    return hashlib.blake2b(data.encode(errors="surrogatepass"), digest_size=16).digest()


def _pdfs(content: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the PDF documents of a message's content and of the results of tools in it."""
    for block in objects_of(content):
        if _is_pdf(block):
            yield block
        elif block.get("type") == "tool_result":
            yield from filter(_is_pdf, objects_of(block.get("content")))


def _is_pdf(block: Mapping[str, Any]) -> bool:
    source = object_of(block.get("source"))
    held = source.get("type") == "base64" and source.get("media_type") == "application/pdf" and isinstance(source.get("data"), str)
    return block.get("type") == "document" and held


def _replaced(holder: Any, texts: Mapping[int, Mapping[str, str]]) -> Any:
    """Return a message or a result with texts in the place of the documents that have these ids; the same one when it holds none."""
    content = object_of(holder).get("content")
    if not isinstance(content, list | tuple):
        return holder
    blocks = cast("list[Any]", content)
    replaced = [texts.get(id(block)) or _replaced(block, texts) for block in blocks]
    return holder if all(new is old for new, old in zip(replaced, blocks, strict=True)) else {**holder, "content": replaced}


def _told(pdf: Mapping[str, Any], reading: Reading) -> str:
    title = " ".join(str(pdf.get("title") or "").split())
    pages = "1 page" if reading.pages == 1 else f"{reading.pages} pages" if reading.pages else ""
    name = ", ".join(part for part in ("PDF document", title and f'"{title}"', pages) if part)
    if reading.trouble:
        return (
            f"[A {name}: it was sent here, but nothing of it reaches you. You are sent only the text of PDF files, "
            f"and {_WHY[reading.trouble]}. Say so to the user when it matters.]"
        )
    head = (
        f"[The text of a {name}. It stands here in the place of the document, since you read no PDF files: "
        "pictures and layout are missing.]"
    )
    end = "[End of the PDF document]"
    if not reading.whole:
        end = f"[The text is cut here, at page {reading.last} of {reading.pages}: the rest of the PDF document is left out.]"
    context = str(pdf.get("context") or "")
    return f"{head}\n{context}\n\n{reading.text}\n\n{end}" if context else f"{head}\n\n{reading.text}\n\n{end}"
