"""What is read of a PDF file, in a process of its own and line by line."""

from __future__ import annotations

import base64
import io
import json
import resource
import sys
from pathlib import Path

import pytest

from providers import _pdf_pages
from providers._pdf import Reading, read_pdf
from tests.providers.pdfs import FONT, drawn, encrypted, pdf, shown, stream, with_slow_page


def read(content: bytes, *, seconds: float = 30, most_bytes: int = 1_000_000) -> Reading:
    return read_pdf(base64.b64encode(content).decode(), seconds=seconds, most_bytes=most_bytes)


def lines(content: bytes) -> list[dict[str, object]]:
    """What the program of the other process prints, run in this one."""
    printed = io.StringIO()
    _pdf_pages.main(io.BytesIO(content), printed)
    return [json.loads(line) for line in printed.getvalue().splitlines()]


def test_each_page_is_a_line() -> None:
    assert lines(pdf("one", "", "two")) == [{"pages": 3}, {"text": "one"}, {"text": ""}, {"text": "two"}, {"whole": True}]


@pytest.mark.parametrize(
    ("content", "trouble"),
    [
        (b"", "broken"),
        (b"hello", "broken"),
        (b"%PDF-1.7\n" + b"[" * 100_000, "broken"),
        (pdf("one")[:-60], "broken"),
        (encrypted("secret", "one"), "encrypted"),
        (encrypted("secret", "one", algorithm="RC4-128"), "encrypted"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_in_one_word(content: bytes, trouble: str) -> None:
    assert lines(content)[-1] == {"trouble": trouble}
    assert read(content).trouble == trouble and not read(content).text


def test_a_page_that_cannot_be_read_leaves_the_others() -> None:
    torn = drawn(shown("one"), b"BT /F 12 Tf (never closed Tj ET", shown("two"))
    assert lines(torn) == [{"pages": 3}, {"text": "one"}, {"text": None}, {"text": "two"}, {"whole": True}]
    assert "--- Page 2 of 3 ---\n(this page cannot be read)\n" in read(torn).text
    assert read(drawn(b"BT (never closed Tj", b"BT (nor this Tj")).trouble == "broken"


def test_no_more_than_a_hundred_pages_are_read() -> None:
    found = read(pdf(*["x"] * 100))
    assert (found.pages, found.last, found.whole) == (100, 100, True)
    found = read(pdf(*["x"] * 101))
    assert (found.pages, found.last, found.whole) == (101, 100, False)


def test_no_more_than_so_many_characters_are_read() -> None:
    found = lines(pdf("x" * 90_000, "y" * 90_000, "z" * 90_000, "never"))
    assert [len(str(one["text"])) for one in found if "text" in one] == [90_000, 90_000, 20_000]
    assert found[-1] == {"whole": False}
    assert lines(pdf("x" * 200_000))[-1] == {"whole": True}


def test_a_larger_file_than_may_be_is_not_opened() -> None:
    content = pdf("one")
    assert read(content, most_bytes=len(content)).text
    assert read(content, most_bytes=len(content) - 1).trouble == "large"


def test_what_is_no_base64_is_no_pdf() -> None:
    assert read_pdf("A").trouble == read_pdf("\u4e16\ud800").trouble == "broken"


def test_letters_that_json_cannot_carry_are_replaced_and_control_characters_left_out() -> None:
    codes = b"1 begincodespacerange <00> <FF> endcodespacerange 2 beginbfchar <41> <D800> <42> <0000> endbfchar"
    letters = stream(b"/CIDInit /ProcSet findresource begin begincmap " + codes + b" endcmap end")
    found = lines(drawn(shown("sAfBe\x01ty"), more=(letters,), font=FONT.replace(b">>", b"/ToUnicode 4 0 R >>")))
    assert found[1] == {"text": "s?fety"}


def test_a_page_that_takes_for_ever_is_ended_and_what_came_before_it_is_kept() -> None:
    found = read(with_slow_page("a quick OTTER"), seconds=4)
    assert (found.pages, found.last, found.whole) == (2, 1, False) and "a quick OTTER" in found.text


def test_a_page_that_takes_more_memory_than_there_may_be_leaves_the_others() -> None:
    """Each of its letters stands for a row of 128 others, two gigabytes in all."""
    codes = b"1 begincodespacerange <00> <FF> endcodespacerange 1 beginbfchar <41> <" + b"D83DDE00" * 128 + b"> endbfchar"
    letters = stream(b"/CIDInit /ProcSet findresource begin begincmap " + codes + b" endcmap end")
    page = b"BT /F 9 Tf " + (b"(" + b"A" * 90_000 + b") Tj ") * 40 + b"ET"
    found = read(drawn(page, shown("OTTER"), more=(letters,), font=FONT.replace(b">>", b"/ToUnicode 4 0 R >>")))
    assert "--- Page 1 of 2 ---\n(this page cannot be read)\n" in found.text and "OTTER" in found.text


def test_a_file_that_goes_deeper_than_the_library_follows_is_told_to_be_heavy() -> None:
    nested = tuple(b"<< /Type /Pages /Kids [%d 0 R] /Count 1 >>" % number for number in range(5, 206))
    content = drawn(more=nested).replace(b"/Kids []", b"/Kids [4 0 R]")
    assert lines(content) == [{"trouble": "heavy"}] and read(content).trouble == "heavy"


def test_the_process_has_no_environment_and_bounded_memory_and_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-or-secret")
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\nenv >{tmp_path}/seen\necho \"$@\" >>{tmp_path}/seen\nexec {sys.executable} \"$@\"\n")
    program.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(program))
    assert "OTTER" in read(pdf("OTTER")).text
    seen = (tmp_path / "seen").read_text()
    assert "secret" not in seen and "HOME" not in seen and "-I" in seen


def test_a_limit_that_a_system_does_not_have_is_gone_without() -> None:
    before = resource.getrlimit(resource.RLIMIT_CORE)
    _pdf_pages.bound(resource.RLIMIT_CORE, before[1])
    assert resource.getrlimit(resource.RLIMIT_CORE) == (before[1], before[1])
    resource.setrlimit(resource.RLIMIT_CORE, before)
    _pdf_pages.bound(10_000, 1)


def test_a_process_that_cannot_be_started_is_an_error_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(FileNotFoundError):
        read(pdf("OTTER"))
