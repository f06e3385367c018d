"""PDF documents as text, for models that read none: what the model is told, and what is asked only once."""

from __future__ import annotations

import asyncio
import copy
import threading
from typing import Any

import pytest

from providers._documents import PdfTexts
from providers._pdf import Reading, read_pdf
from tests.providers.pdfs import document, encrypted, pdf, with_slow_page

URL = {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}}
TEXT = {"type": "text", "text": "What is this?"}


def user(*content: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(content)}]}


async def told(block: dict[str, Any], texts: PdfTexts | None = None) -> str:
    """What a model gets for a document, having checked that the caller's own object is as it was."""
    body = user(block, TEXT)
    before = copy.deepcopy(body)
    found = await (texts or PdfTexts()).with_text(body)
    assert body == before
    (given, rest) = found["messages"][0]["content"]
    assert rest is TEXT and set(given) == {"type", "text"} and given["type"] == "text"
    return given["text"]


class Counted:
    """Reads PDFs, and knows how often."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, data: str) -> Reading:
        self.times += 1
        return read_pdf(data)


async def test_a_document_is_told_page_by_page_under_a_line_that_says_what_it_is() -> None:
    block = document(pdf("The first OTTER", "", "The third (HERON)"), title="a\n b.pdf", context="From the archive.", cache_control={})
    assert await told(block) == (
        '[The text of a PDF document, "a b.pdf", 3 pages. It stands here in the place of the document, since you read no PDF files: '
        "pictures and layout are missing.]\nFrom the archive.\n\n"
        "--- Page 1 of 3 ---\nThe first OTTER\n\n--- Page 2 of 3 ---\n(no text on this page)\n\n--- Page 3 of 3 ---\nThe third (HERON)\n\n"
        "[End of the PDF document]"
    )
    assert (await told(document(pdf("OTTER")))).startswith("[The text of a PDF document, 1 page. It stands")


async def test_a_document_of_many_pages_ends_with_what_is_left_out() -> None:
    text = await told(document(pdf(*(f"Leaf {number}" for number in range(1, 104)))))
    assert "103 pages" in text and "Leaf 100" in text and "Leaf 101" not in text
    assert text.endswith("[The text is cut here, at page 100 of 103: the rest of the PDF document is left out.]")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (pdf("", ""), "without text, as a scan or a drawing"),
        (pdf(), "without text, as a scan or a drawing"),
        (encrypted("secret", "hidden OTTER"), "encrypted with a password"),
        (b"%PDF-1.4 a document", "damaged, or not a PDF"),
        (pdf("a")[:60], "damaged, or not a PDF"),
        (b"", "damaged, or not a PDF"),
    ],
)
async def test_a_document_that_gives_no_text_becomes_a_line_that_says_why(content: bytes, reason: str) -> None:
    text = await told(document(content, title="b.pdf"))
    assert text.startswith('[A PDF document, "b.pdf"') and f"and it is {reason}" in text and "Say so to the user" in text
    assert "OTTER" not in text and "\n" not in text


async def test_a_document_that_only_its_owner_may_change_is_read() -> None:
    assert "an open OTTER" in await told(document(encrypted("", "an open OTTER")))


async def test_documents_are_found_wherever_they_stand() -> None:
    one, two, three = (document(pdf(word)) for word in ("OTTER", "HERON", "MARMOT"))
    result = {"type": "tool_result", "tool_use_id": "a", "content": [TEXT, one]}
    body = {
        "max_tokens": 5,
        "messages": [
            {"role": "user", "content": "hello"},
            {"role": "user", "content": [result, two]},
            {"role": "user", "content": [three]},
        ],
    }
    found = (await PdfTexts().with_text(body))["messages"]
    assert found[0] is body["messages"][0]
    answered, after = found[1]["content"]
    assert answered["tool_use_id"] == "a" and answered["content"][0] is TEXT
    texts = [answered["content"][1]["text"], after["text"], found[2]["content"][0]["text"]]
    assert all(word in text for word, text in zip(("OTTER", "HERON", "MARMOT"), texts, strict=True))


@pytest.mark.parametrize(
    "body",
    [
        user(TEXT, {"type": "tool_result", "tool_use_id": "a", "content": "plain"}),
        user(URL, {"type": "tool_result", "tool_use_id": "a", "content": [URL]}),
        user({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "plain"}}),
        user({"type": "document", "source": {"type": "base64", "media_type": "application/msword", "data": "AAAA"}}),
        {"messages": [{"role": "user", "content": "hello"}, "odd", {"role": "user"}]},
        {"messages": "odd"},
        {},
    ],
)
async def test_a_request_without_a_pdf_in_it_is_the_same_request(body: dict[str, Any]) -> None:
    assert await PdfTexts(read=never).with_text(body) is body


def never(data: str) -> Reading:
    raise AssertionError("nothing is to be read")


async def test_a_document_is_read_once_in_a_conversation_whatever_became_of_it() -> None:
    read = Counted()
    texts = PdfTexts(read=read)
    good, bad = document(pdf("OTTER"), title="one.pdf"), document(b"%PDF-1.4 a document")
    first = [await told(good, texts), await told(bad, texts)]
    assert [await told(good, texts), await told(bad, texts)] == first and read.times == 2
    assert '"other.pdf"' in await told({**good, "title": "other.pdf"}, texts) and read.times == 2


async def test_a_document_that_comes_twice_at_once_is_read_once() -> None:
    read = Counted()
    texts, block = PdfTexts(read=read), document(pdf("OTTER"))
    body = user(block, {"type": "tool_result", "tool_use_id": "a", "content": [dict(block)]})
    await asyncio.gather(texts.with_text(body), texts.with_text(body))
    assert read.times == 1


async def test_the_documents_used_last_are_kept_in_a_bounded_number() -> None:
    read = Counted()
    texts = PdfTexts(read=read, most=2)
    one, two, three = (document(pdf(word)) for word in ("one", "two", "three"))
    for block in (one, two, one, three, one):
        await told(block, texts)
    assert read.times == 3
    await told(two, texts)
    assert read.times == 4


async def test_the_documents_used_last_are_kept_in_bounded_memory() -> None:
    read = Counted()
    texts = PdfTexts(read=read, most_bytes=2_500)
    one, two, three = (document(pdf(word * 1_000)) for word in "abc")
    for block in (one, two, three, two, three):
        await told(block, texts)
    assert read.times == 3
    await told(one, texts)
    assert read.times == 4


async def test_the_event_loop_goes_on_while_a_document_is_read() -> None:
    begun, may_end = threading.Event(), threading.Event()

    def read(data: str) -> Reading:
        begun.set()
        assert may_end.wait(5)
        return read_pdf(data)

    async with asyncio.TaskGroup() as tasks:
        telling = tasks.create_task(told(document(pdf("OTTER")), PdfTexts(read=read)))
        assert await asyncio.to_thread(begun.wait, 5)
        may_end.set()
    assert "OTTER" in telling.result()


async def test_a_machine_that_starts_no_process_is_no_fault_of_the_document() -> None:
    ill = True

    def read(data: str) -> Reading:
        if ill:
            raise OSError("no more processes")
        return read_pdf(data)

    texts, block = PdfTexts(read=read), document(pdf("OTTER"))
    assert "cannot be read at the moment" in await told(block, texts)
    ill = False
    assert "OTTER" in await told(block, texts)


async def test_a_document_that_would_be_read_for_ever_is_given_as_far_as_it_came() -> None:
    texts = PdfTexts(read=lambda data: Reading(3, 2, "a quick OTTER"))
    text = await told(document(b""), texts)
    assert text.endswith("a quick OTTER\n\n[The text is cut here, at page 2 of 3: the rest of the PDF document is left out.]")
    texts = PdfTexts(read=lambda data: read_pdf(data, seconds=0.001))
    assert "to read it takes more time or memory than there is" in await told(document(with_slow_page()), texts)
