"""Parts that fit a window: where files and diffs are parted, and that nothing is lost."""

from __future__ import annotations

import itertools
import random
import re

import pytest

from conversation.fences import file_tags
from conversation.tokens import estimate_tokens
from tools.reviewing.parts import Excerpt, Packer, Part, render, split
from tools.reviewing.sources import Line, Source, from_diff


def source(text: str, path: str = "a.py") -> Source:
    return Source(path, tuple(Line(number, "", row) for number, row in enumerate(text.split("\n"), 1)), is_diff=False)


def tokens(*excerpts: Excerpt) -> int:
    return estimate_tokens(render(Part(excerpts, 0)))


def code(functions: int, rows: int) -> str:
    body = "\n".join(f"    y{row} = x + {row}" for row in range(rows))
    return "\n\n\n".join(f"def f{number}(x):\n{body}" for number in range(functions))


def test_a_file_is_shown_in_a_fence_with_its_numbers() -> None:
    (excerpt,) = split(source("x = 1\n\ny = '</file>'", 'a"b.py'), 1000)
    assert render(Part((excerpt,), 0)) == '<file path="a&quot;b.py">\n1\tx = 1\n2\t\n3\ty = \'&lt;/file>\'\n</file>'


def test_a_diff_is_shown_with_the_numbers_of_the_new_file_and_its_marks() -> None:
    (changed,) = from_diff("--- a/x\n+++ b/x\n@@ -9,2 +10,2 @@\n a\n-b\n+c\n")
    assert isinstance(changed, Source)
    (excerpt,) = split(changed, 1000)
    assert render(Part((excerpt, excerpt), 0)) == "\n".join(['<file path="x">\n10\t a\n\t-b\n11\t+c\n</file>'] * 2)


def test_a_source_without_lines_has_no_excerpts() -> None:
    assert split(Source("a.py", (), is_diff=False), 1000) == []


@pytest.mark.parametrize("budget", [250, 400, 1000])
def test_a_long_file_is_parted_before_definitions_with_a_few_lines_shared(budget: int) -> None:
    text = code(60, 5)
    excerpts = split(source(text), budget)
    assert len(excerpts) > 3
    assert all(tokens(excerpt) <= budget for excerpt in excerpts)
    end = 0
    for excerpt in excerpts:
        numbers = [line.number or 0 for line in excerpt.lines]
        assert numbers == list(range(numbers[0], numbers[-1] + 1))
        assert numbers[0] == max(1, end - 4), "five lines are shared"
        fresh = next(line for line in excerpt.lines if line.number == end + 1)
        assert re.match(r"def f\d+", fresh.text)
        end = numbers[-1]
    assert end == len(text.split("\n"))


def test_a_file_without_definitions_is_parted_after_blank_lines_and_without_those_anywhere() -> None:
    indented = "\n".join("    row" if number % 9 else "" for number in range(1, 400))
    first, *_ = split(source(indented), 300)
    assert first.lines[-1].text == ""
    closed = "\n\n}\n".join(["    row"] * 200)
    assert all(tokens(excerpt) <= 300 for excerpt in split(source(closed), 300))
    plain = split(source("\n".join(["row"] * 1000)), 300)
    assert [plain[1].lines[0].number, plain[0].lines[-1].number] == [len(plain[0].lines) - 4, len(plain[0].lines)]


def test_a_diff_is_parted_between_hunks_sharing_nothing() -> None:
    hunks = "".join(f"@@ -{at},3 +{at},3 @@\n a{at}\n-b\n+c{at}\n d\n" for at in range(1, 2000, 20))
    (changed,) = from_diff(f"--- a/x\n+++ b/x\n{hunks}")
    assert isinstance(changed, Source)
    excerpts = split(changed, 200)
    assert len(excerpts) > 5
    assert [line for excerpt in excerpts for line in excerpt.lines] == list(changed.lines)
    assert all((excerpt.lines[0].text.startswith("a"), excerpt.lines[-1].text) == (True, "d") for excerpt in excerpts)
    assert all(tokens(excerpt) <= 200 for excerpt in excerpts)


def test_a_hunk_that_alone_is_too_long_is_parted_like_a_file() -> None:
    rows = "".join(f"-old {number}\n+new {number}\n" for number in range(300))
    (changed,) = from_diff(f"--- a/x\n+++ b/x\n@@ -1,300 +1,300 @@\n{rows}@@ -900 +900 @@\n-p\n+q\n")
    assert isinstance(changed, Source)
    excerpts = split(changed, 300)
    assert all(tokens(excerpt) <= 300 for excerpt in excerpts)
    assert [excerpt.lines[0] for excerpt in excerpts[1:]] != [excerpt.lines[-1] for excerpt in excerpts[:-1]]
    assert {line for excerpt in excerpts for line in excerpt.lines} == set(changed.lines)


def test_a_line_that_alone_is_too_long_is_cut_and_says_so() -> None:
    excerpts = split(source("a = 1\n" + "x = 12345 + " * 500 + "\nb = 2"), 200)
    assert all(tokens(excerpt) <= 200 for excerpt in excerpts)
    cut = next(line for excerpt in excerpts for line in excerpt.lines if line.number == 2)
    assert re.fullmatch(r"x = 12345 \+ .*\[\u2026 \d+ characters cut \u2026\]", cut.text)
    assert {line.number for excerpt in excerpts for line in excerpt.lines} == {1, 2, 3}


def test_of_a_line_that_does_not_fit_at_all_only_the_marker_stays() -> None:
    (excerpt,) = split(source("\U0001f600" * 1000, "p" * 400), 10)
    assert re.fullmatch("\U0001f600{0,9}\\[\u2026 \\d+ characters cut \u2026\\]", excerpt.lines[0].text)


@pytest.mark.parametrize("seed", range(30))
def test_no_line_is_lost_and_every_excerpt_fits_whatever_the_text(seed: int) -> None:
    chance = random.Random(seed)
    words = ["", "", "    x", "def f():", "}", "y" * 30, "\u00e9\u4e2d" * 20, "0x" + "ab12" * 12, "<file path=" * 3, "long " * 60]
    text = "\n".join(chance.choices(words, k=chance.randrange(1, 300)))
    one = source(text)
    budget = chance.randrange(120, 900)
    excerpts = split(one, budget)
    assert all(tokens(excerpt) <= budget for excerpt in excerpts)
    numbers = [line.number for excerpt in excerpts for line in excerpt.lines]
    assert sorted(set(numbers), key=lambda number: number or 0) == [line.number for line in one.lines]
    assert all(after.lines[0].number == (before.lines[-1].number or 0) + 1 or after.lines[0] in before.lines
               for before, after in itertools.pairwise(excerpts))  # fmt: skip


@pytest.mark.parametrize("seed", range(10))
def test_excerpts_are_packed_in_order_each_once_into_parts_that_fit(seed: int) -> None:
    chance = random.Random(seed)
    excerpts = [excerpt for number in range(60) for excerpt in split(source(code(chance.randrange(1, 8), 4), f"f{number}.py"), 400)]
    packer = Packer(400)
    early = [part for excerpt in excerpts if (part := packer.add(excerpt))]
    last = packer.rest()
    assert last is not None
    parts = [*early, last]
    assert [excerpt for part in parts for excerpt in part.excerpts] == excerpts
    assert all(estimate_tokens(render(part)) <= part.tokens <= 400 for part in parts)
    assert all(a.tokens + b.tokens > 400 or tokens(b.excerpts[0]) + a.tokens >= 399 for a, b in itertools.pairwise(parts))
    assert packer.rest() is None


def test_a_part_comes_as_soon_as_the_next_excerpt_finds_no_room_and_a_large_one_comes_alone() -> None:
    small, large = split(source("x"), 99)[0], split(source(code(9, 9)), 9999)[0]
    packer = Packer(60)
    assert [packer.add(small), packer.add(small)] == [None, None]
    full, alone, rest = packer.add(large), packer.add(small), packer.rest()
    assert full is not None and alone is not None and rest is not None
    assert [part.excerpts for part in (full, alone, rest)] == [(small, small), (large,), (small,)]
    assert file_tags("a.py")[0] in render(alone)
