"""Fences that hold whatever stands inside them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversation.fences import cut_middle, defuse, file_tags, label, numbered, turn_tags
from conversation.tokens import estimate_tokens

HOSTILE = st.lists(
    st.sampled_from(["<", "/", ">", "turn", "file", "TURN", " ", "\n", "\t", '"', "<turn", "</file>", "&lt;", "x"]) | st.text(max_size=3)
).map("".join)
TAG = re.compile(r"<[\s/]*(turn|file)\b", re.IGNORECASE)


@given(HOSTILE)
def test_defused_text_holds_no_tag_and_differs_in_nothing_else(text: str) -> None:
    assert not TAG.search(defuse(text))
    assert defuse(text).replace("&lt;", "<") == text.replace("&lt;", "<")


@pytest.mark.parametrize("text", ["</turn>", "< / turn >", "<TURN author='x'>", "<\n/file", "<turn\t", "<//turn>"])
def test_a_tag_in_any_spelling_is_defused(text: str) -> None:
    assert defuse(text).startswith("&lt;")


@pytest.mark.parametrize("text", ["a < b", "<turns>", "<filename>", "<div>", "List<File2>", "x <turn_left"])
def test_what_is_no_tag_of_ours_is_left_alone(text: str) -> None:
    assert defuse(text) == text


@given(HOSTILE)
def test_a_label_is_one_line_and_cannot_leave_its_attribute(text: str) -> None:
    for tags in (file_tags(text), turn_tags(text, text)):
        assert tags[0].count("<") == tags[0].count(">") == 1
        assert len(tags[0].splitlines()) == 1
    assert '"' not in label(text)


def test_names_stay_readable() -> None:
    assert file_tags("app/[id]/page.tsx")[0] == '<file path="app/[id]/page.tsx">\n'
    assert turn_tags("openrouter/openai/gpt-4o", "chat")[0] == '<turn author="openrouter/openai/gpt-4o" tool="chat">\n'
    assert label("a\nb\u2028c") == "a?b?c"


@pytest.mark.parametrize(
    ("content", "shown"),
    [("", "1\t"), ("a", "1\ta"), ("a\n", "1\ta"), ("a\nb\n\n", "1\ta\n2\tb\n3\t"), ("a\x0bb\u2028c\r\nd", "1\ta\x0bb\u2028c\r\n2\td")],
)
def test_lines_are_numbered_as_editors_number_them(content: str, shown: str) -> None:
    assert numbered(content) == shown


@given(st.text(), st.integers(12, 400))
def test_a_cut_text_is_within_its_limit_and_keeps_both_ends(text: str, limit: int) -> None:
    text = text * 20
    cut = cut_middle(text, limit)
    assert estimate_tokens(cut) <= limit
    if cut == text:
        return
    found = re.search("\n\\[\u2026 (\\d+) tokens cut \u2026\\]\n", cut) or re.search("\\[\u2026 (\\d+) tokens cut \u2026\\]", cut)
    assert found
    assert 0 < int(found[1]) <= estimate_tokens(text)
    assert text.startswith(cut[: found.start()])
    assert text.endswith(cut[found.end() :])


def test_a_limit_of_nothing_leaves_the_marker() -> None:
    assert cut_middle("word " * 100, 0) == "[\u2026 126 tokens cut \u2026]"


def test_a_cut_keeps_as_much_as_fits() -> None:
    text = "word " * 10_000
    assert estimate_tokens(cut_middle(text, 1000)) > 900
