"""Findings as reviewers write them, held against the code they are about."""

from __future__ import annotations

from typing import Any

import pytest

from conversation.fences import label
from tools.reviewing.findings import Finding, anchored
from tools.reviewing.parts import Excerpt, Part
from tools.reviewing.sources import Line
from tools.reviewing.written import WrittenFinding

CODE = tuple(Line(number, "", "same()" if number in (3, 8, 15) else f"other_{number}()") for number in range(1, 21))


def found(*paths: str, lines: tuple[Line, ...] = CODE, **fields: Any) -> Finding | None:
    written = {"severity": "low", "title": "t", "quote": "same()", **fields}
    return anchored(WrittenFinding.model_validate(written), Part(tuple(Excerpt(path, lines, False) for path in paths), 0), "p/m")


@pytest.mark.parametrize(
    ("line", "number"),
    [
        (8, 8), (8.0, 8), ("8", 8), ([8, 9], 8), ("8-9", 8), ("L8-L9", 8), ("lines 8 and 9", 8), ({"start": 8, "end": 9}, 8), ("8:3", 8),
        (" 14 ", 15), ("#L14", 15), ([], 3), ("", 3), (None, 3), (True, 3), ("the last", 3), (10**40, 15), (-8, 8), (1e3, 15),
        (float("nan"), 3),
    ],
)  # fmt: skip
def test_the_line_is_a_number_however_it_is_written_and_only_tells_equal_places_apart(line: Any, number: int) -> None:
    one = found("a.py", file="a.py", line=line)
    assert one is not None and one.line == number


ODD = ['a"b.py', "R&D.py", "a<b>.py", "tab\there.py", "back\\slash.py", "b lank.py", "it's.py", "`tick`.py", "[id].py", "line\nbreak.py"]


@pytest.mark.parametrize("path", [*ODD, *(f"folder/{path}" for path in ODD)])
def test_a_path_of_odd_characters_is_known_as_it_is_and_as_its_tag_writes_it(path: str) -> None:
    for written in (path, label(path), f"./{path}", f"b/{path}", f" {path} ", f"{path}:8", path.rpartition("/")[2]):
        one = found("first.py", path, file=written)
        assert one is not None and one.file == path, written


@pytest.mark.parametrize("path", [" lead.py", "trail.py ", " both .py ", "folder/ x.py", " folder/x.py", "tab.py\t"])
def test_a_path_that_begins_or_ends_with_a_blank_is_known_with_it_and_without(path: str) -> None:
    for written in (path, path.strip(), f"`{path}`", f"./{path}", label(path)):
        one = found("first.py", path, file=written)
        assert one is not None and one.file == path, written
    one = found("lead.py", " lead.py", file=" lead.py")
    assert one is not None and one.file == " lead.py"
    one = found(" lead.py", "lead.py", file="lead.py")
    assert one is not None and one.file == "lead.py"


@pytest.mark.parametrize(
    ("named", "meant"),
    [
        ("app.py", "one/sub/app.py"),
        ("sub/app.py", "one/sub/app.py"),
        ("/home/somebody/work/one/sub/app.py", "one/sub/app.py"),
        ("one\\sub\\app.py", "one/sub/app.py"),
        ("b.py", None),
        ("two/b.py", None),
        ("x/two/b.py", "x/two/b.py"),
        ("pp.py", None),
        ("app", None),
        ("other/sub/app.py", None),
        ("other/one/sub/app.py", None),
        ("../one/sub/app.py", None),
        ("/one/../sub/app.py", None),
        ("sub/", None),
        ("/", None),
        ("``", None),
        (".", None),
    ],
)
def test_a_path_may_be_shorter_as_long_as_it_is_one_files_and_longer_only_from_the_root(named: str, meant: str | None) -> None:
    one = found("one/sub/app.py", "x/two/b.py", "y/two/b.py", file=named)
    assert (one and one.file) == meant


def test_a_finding_comes_with_the_code_that_is_there_when_its_quote_is_not_quite_it() -> None:
    lines = (Line(1, "", "def f():"), Line(2, "", '    say("hello")  # loudly'), Line(3, "", "    end()"))
    one = found("a.py", lines=lines, file="a.py", line=1, quote="say('hello')\nend()")
    assert one is not None and (one.line, one.quote) == (2, '    say("hello")  # loudly\n    end()')
    exact = found("a.py", lines=lines, file="a.py", line=1, quote='say( "hello" )')
    assert exact is not None and (exact.line, exact.quote) == (2, 'say( "hello" )')
