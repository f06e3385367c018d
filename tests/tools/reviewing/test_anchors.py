"""Where quoted code stands, however the quote was mangled and whatever line was claimed."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tools.reviewing.anchors import Place, find_place
from tools.reviewing.quotes import readings, segments
from tools.reviewing.sources import Line, Source, from_diff

ROOT = Path(__file__).parents[3]
FILE = """\
import os

def first(a, b):
    if a:
        return b

    return None

def second(
    value: int,
    *,
    flag: bool = False,
) -> list[int]:
    total = [value for _ in range(3)]  # <file path="x"> is a tag
    if flag:
        return None
    return total
"""


def lines(text: str) -> list[Line]:
    return [Line(number, "", row) for number, row in enumerate(text.removesuffix("\n").split("\n"), 1)]


def find_line(rows: Sequence[Line], quote: str, near: int | None) -> int | None:
    place = find_place(rows, quote, near)
    return place and place.number


@pytest.mark.parametrize(
    ("quote", "near", "number"),
    [
        ("def first(a, b):", None, 3),
        ("return None", None, 7),
        ("return None", 14, 16),
        ("return None", 11, 7),
        ("        return None\n    return total", 1, 16),
        ("def second(value: int, *, flag: bool = False) -> list[int]:", 2, 9),
        ("if a:\n    return b\nreturn None", 99, 4),
        ("12\t    flag: bool = False,\n13\t) -> list[int]:", None, 12),
        ("  12  flag: bool = False,\n  13  ) -> list[int]:", None, 12),
        ("9\tdef second(\n    value: int,", 1, 9),
        ("L9: def second(", 1, 9),
        ("9 | def second(\n10 |     value: int,", 1, 9),
        ("9\u2192def second(", 1, 9),
        ("+    total = [value for _ in range(3)]", 1, None),
        ("14\t    total = [value for _ in range(3)]", 1, 14),
        ("`def second(`", 1, 9),
        ("```python\ndef second(\n    value: int,\n```", 1, 9),
        ("def second(\n...\n    return total", 1, 9),
        ("def second(\n    # ... the rest is the same\n    return total", 1, 9),
        ("... return total", 1, 17),
        ("return total ...", 1, 17),
        ("def first(a, b):\n...\nreturn total", 1, 3),
        ("def first(a, b):\n...\nreturn tot ...", 1, 3),
        ("def gone():\n...\ndef second(", 1, None),
        ("return total\n...\ndef second(", 1, None),
        ("return None\n...\nreturn total", None, 7),
        ("&lt;file path=\"x\"> is a tag", 1, 14),
        ("total = [value for _ in range(3)] # <file path='x'> is a tag", 1, 14),
        ("total = [value for _ in range(4)] # <file path=\"x\"> is a tag", 1, None),
        ("total = [value for _ in range(3)]\nif flag:", 1, 14),
        ("def second(value: int, *, flag: bool = False) -> list[int]:", 2, 9),
        ("def second(\n    values: int,\n    *,\n    flags: bool = False,", 1, None),
        ("rst(a, b):", 1, None),
        ("if flag", 1, 15),
        ("if fla", 1, None),
        ("return Non", 1, None),
        ("), ", 1, None),
        (")", 1, None),
        ("*,", 1, 11),
        ("b)", 1, None),
        ("first(a", 20, 3),
        ("deffirst(a", 20, None),
        ("while True:\n    launch_missiles()", 5, None),
        ("    \n", 5, None),
        ("", 5, None),
        ("```\n```", 5, None),
        ("...", 5, None),
    ],
)  # fmt: skip
def test_a_quote_is_found_where_it_begins(quote: str, near: int | None, number: int | None) -> None:
    assert find_line(lines(FILE), quote, near) == number


def test_whole_lines_come_before_a_nearer_match_inside_a_line() -> None:
    assert find_line(lines("x = f(a)\n\n\n\n\nlong = x = f(a) + x\n"), "x = f(a)", 6) == 1
    assert find_line(lines("long = x = f(a) + x\n"), "x = f(a)", 6) == 1


def test_of_two_places_equally_near_the_earlier_is_taken() -> None:
    assert find_line(lines("same()\nother()\nsame()\n"), "same()", 2) == 1


def test_dots_that_stand_in_the_file_are_no_ellipsis() -> None:
    assert find_line(lines("class A(Error):\n    ...\n\nclass B(Error):\n    ...\n"), "class B(Error):\n    ...", None) == 4


def test_a_quote_of_any_length_is_looked_for_by_its_beginning() -> None:
    many = [f"row {number}" for number in range(5000)]
    assert find_line(lines("\n".join(["start", *many])), "\n".join(many), None) == 2
    for endless in ("`" * 50_000, "```\n" + " \n" * 50_000, "... " * 50_000, "7\t" * 50_000):
        begun = time.thread_time()
        assert find_line(lines(FILE), endless, None) is None
        assert time.thread_time() - begun < 5


@pytest.mark.parametrize(
    ("code", "quote"),
    [
        ("if x != 1:", "if x == 1:"),
        ("if x == 10:", "if x == 1"),
        ("return not ok", "return ok"),
        ("return ok", "return not ok"),
        ("if a < b:", "if a <= b:"),
        ("if a <= b:", "if a < b:"),
        ("total += count", "total -= count"),
        ("return items[len(items) - 1]", "return items[len(items)]"),
        ("timeout = 30.0", "timeout = 300"),
        ("max = 10", "x = 1"),
        ("if user in allowed:", "if user not in allowed:"),
        ("if a and b:", "if a or b:"),
        ("except ValueError:", "except Exception:"),
        ("x = 1", "x = 1,"),
        ("f(users)", "f(user)"),
        ("if (done)", "if (done);"),
        ("parts = text.split('')", "parts = text.split('\\n')"),
        ("return x  // 2", "return x // 3"),
        ("return a // 2\nb()", "return a\nb()"),
        ("if x != 1:\n    return None", "if x == 1:\n    ...\n    return None"),
    ],
)
def test_code_that_means_something_else_is_not_what_a_quote_says(code: str, quote: str) -> None:
    assert find_place(lines(f"import os\n{code}\nos.exit()\n"), quote, 2) is None


@pytest.mark.parametrize(
    ("code", "quote"),
    [
        ('print("a")', "print('a')"),
        ("say(`a`, 'b')", 'say(`a`, "b")'),
        ("# it's \u2013 fine", "# it\u2019s - fine"),
        ("f(\n    a,\n    b,\n)", "f(a, b)"),
        ("f(\n    'a',\n    b,\n)", 'f("a", b)'),
        ("a = 1  # one\nb = 2", "a = 1\nb = 2"),
        ("a = 1;  // one\nb = 2", "a = 1;\nb = 2"),
        ("a()\n# both\nb()", "a()\nb()"),
        ('re.sub(r"\\d", "")', 're.sub(r"\\\\d", "")'),
        ('print("a\\nb")\nprint("c")', 'print("a\nb")\nprint("c")'),
    ],
)
def test_what_is_not_quite_the_same_but_means_it_comes_with_the_code_that_is_there(code: str, quote: str) -> None:
    assert find_place(lines(f"import os\n{code}\n"), quote, 2) == Place(2, code)


@pytest.mark.parametrize(
    ("code", "quote"),
    [
        ("if not is_admin(user):", "is_admin(user):"),
        ("if (!is_admin(user)) {", "is_admin(user)"),
        ("if not (a and b):", "a and b"),
        ("x = y - discount", "discount"),
        ("pay(-amount * 2)", "amount * 2"),
        ("B = eval(input())", "eval"),
        ("y = a not in names", "in names"),
    ],
)
def test_a_piece_that_says_another_thing_than_its_line_comes_with_the_whole_line(code: str, quote: str) -> None:
    assert find_place(lines(f"import os\n{code}\n"), quote, 2) == Place(2, code)


@pytest.mark.parametrize(("code", "quote"), [("if not is_admin(user):", "not is_admin(user)"), ("x = f(a) or g(b)", "g(b)")])
def test_a_piece_that_says_what_its_line_does_stays_as_it_is(code: str, quote: str) -> None:
    assert find_place(lines(f"import os\n{code}\n"), quote, 2) == Place(2)


@pytest.mark.parametrize(("code", "quote"), [("total = price\\\n    -discount", "+discount"), ("x = -1", "+x = -1"), ("a = b", "- a = b")])
def test_a_sign_before_a_row_is_no_mark_where_there_is_no_diff(code: str, quote: str) -> None:
    assert find_place(lines(f"import os\n{code}\n"), quote, 2) is None


def test_a_quote_that_stands_in_a_diff_but_for_its_marks_comes_with_the_lines_of_its_side() -> None:
    (source,) = from_diff('--- a/x.py\n+++ b/x.py\n@@ -1,3 +1,3 @@\n def f():\n-    old("a")\n+    new("b")\n     end("c")\n')
    assert isinstance(source, Source)
    assert find_place(source.lines, "new('b')\nend('c')", None) == Place(2, '    new("b")\n    end("c")')
    assert find_place(source.lines, "def f():\nold('a')\nend('c')", None) == Place(1, 'def f():\n    old("a")\n    end("c")')


def work(rows: list[Line], quote: str) -> int:
    """How many calls, of functions in Python and in C, a search makes: the same on any machine."""
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        find_place(rows, quote, 1)
    finally:
        sys.setprofile(before)
    return calls


@pytest.mark.parametrize(
    ("code", "quote"),
    [
        (["x = f(a)"], "x = f(a)\n...\n" * 3_000),
        (["x = f(a)"], "x = f(a) ... y = g(b)"),
        (["x = f(a)"], "\n".join(["x = f(a)"] * 2_000)),
        (["a" * 200], "aaaa"),
        (["a;" * 100], "a; ... a; ... b"),
        (["def f():", "    return 1"], "def f():\n...\nreturn 1\n...\ndef f():\n...\nreturn 2"),
        (["-x", "+y"], "x\n...\nx\n...\ny"),
    ],
)
def test_twice_the_code_is_twice_the_work_whatever_is_quoted(code: list[str], quote: str) -> None:
    def made(number: int) -> list[Line]:
        rows = [row for _ in range(number) for row in code]
        return [Line(at if row[0] != "-" else None, row[0] if row[0] in "+-" else "", row) for at, row in enumerate(rows, 1)]

    once, twice = work(made(1_000), quote), work(made(2_000), quote)
    assert twice < 2.3 * once
    assert twice < 1_500_000


def test_of_a_quote_with_very_many_ellipses_the_first_stretches_are_looked_for() -> None:
    assert len(segments("x = f(a) ... " * 3_000)) == 20


def test_nothing_stands_in_no_lines() -> None:
    assert find_line([], "def f():", 1) is None
    assert find_line(lines("\n\n"), "def f():", 1) is None


DIFF = """\
--- a/x.py
+++ b/x.py
@@ -10,5 +20,5 @@
 def f():
-    old = compute(1)
-    stay = old + 1
+    new = compute(2)
     return new
 # end
-# the last
+# at last
"""


@pytest.mark.parametrize(
    ("quote", "number"),
    [
        ("new = compute(2)", 21),
        ("old = compute(1)", 21),
        ("+    new = compute(2)", 21),
        ("-    old = compute(1)\n-    stay = old + 1", 21),
        ("\t-    old = compute(1)\n\t-    stay = old + 1\n21\t+    new = compute(2)", 21),
        ("def f():\n    new = compute(2)", 20),
        ("def f():\n    old = compute(1)\n    stay = old + 1\n    return new", 20),
        ("# the last", 24),
        ("stay == old + 1", None),
    ],
)
def test_in_a_diff_removed_lines_stand_where_the_next_line_does(quote: str, number: int | None) -> None:
    (source,) = from_diff(DIFF)
    assert isinstance(source, Source)
    assert find_line(source.lines, quote, None) == number


def test_a_removed_line_behind_which_nothing_comes_stands_at_the_last_one() -> None:
    assert find_line([Line(7, " ", "kept()"), Line(None, "-", "gone()")], "gone()", None) == 7
    assert find_line([Line(None, "-", "gone()")], "gone()", None) is None


def test_what_was_moved_is_found_where_it_is_now() -> None:
    moved = [Line(None, "-", "moved()"), Line(1, " ", "a()"), Line(2, " ", "b()"), Line(3, "+", "moved()")]
    assert find_line(moved, "moved()", None) == 3


@pytest.mark.parametrize(
    ("quote", "meant"),
    [
        ("x = 1", "x = 1"),
        ("`x = 1`", "x = 1"),
        ("``a`b``", "a`b"),
        ("```python\nx = 1\n```", "x = 1"),
        ("```\nx = 1", "x = 1"),
        ("7\tx = 1\n8\t\n9\ty = 2", "x = 1\n\ny = 2"),
        ("line 7: x = 1", "x = 1"),
        ("7->x = 1", "x = 1"),
        ("-x = 1\n+x = 2\n y", "x = 1\nx = 2\n y"),
        ("7\t+x = 2\n\t-x = 1", "x = 2\n\tx = 1"),
        ("7\t &lt;file path='x'>", " <file path='x'>"),
    ],
)
def test_a_quote_is_read_literally_first_and_then_without_what_was_added(quote: str, meant: str) -> None:
    assert readings(quote, True)[0] == quote
    assert meant in readings(quote, True)
    assert len(readings(quote, True)) == len(set(readings(quote, True)))


@pytest.mark.parametrize(
    ("quote", "stretches"),
    [
        ("a = b", ["a=b"]),
        ("def f():\n    ...\n    return x", ["def f():", "return x"]),
        ("def f():\n    # ... (unchanged)\n    return x", ["def f():", "return x"]),
        ("def f(): ... return x", ["def f():", "return x"]),
        ("\u2026 return x \u2026", ["return x"]),
        ("[...]\nab\n...", []),
        ("first()\n[... 12 lines cut ...]\nlast()", ["first()", "last()"]),
    ],
)
def test_what_stands_between_ellipses_is_looked_for_apart(quote: str, stretches: list[str]) -> None:
    assert segments(quote) == stretches
