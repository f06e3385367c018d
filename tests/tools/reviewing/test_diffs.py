"""Diffs of every make: git's, plain ones, those a model wrote, and what of them is left out."""

from __future__ import annotations

import os
import random
import re
import subprocess
from pathlib import Path

import pytest

from conversation.errors import InvalidInput
from tools.reviewing.sources import Line, Skipped, Source, from_diff

GIT = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
HEAD = "diff --git a/x.py b/x.py\nindex 1..2 100644\n--- a/x.py\n+++ b/x.py\n"


def one(text: str) -> Source:
    (source,) = from_diff(text)
    assert isinstance(source, Source)
    return source


def rows(source: Source) -> list[str]:
    return [f"{line.number or ''}{line.mark}{line.text}" for line in source.lines]


def left_out(text: str) -> tuple[str, str]:
    (skipped,) = from_diff(text)
    assert isinstance(skipped, Skipped)
    return skipped.file, skipped.reason


def test_lines_have_the_numbers_of_the_new_file() -> None:
    source = one(HEAD + "@@ -1,3 +1,3 @@ class X:\n a\n-b\n+c\n d\n@@ -40,2 +40,3 @@\n e\n+f\n g\n")
    assert (source.path, source.is_diff) == ("x.py", True)
    assert rows(source) == ["1 a", "-b", "2+c", "3 d", "40 e", "41+f", "42 g"]
    assert source.lines[1] == Line(None, "-", "b")


def test_endings_of_lines_and_of_files_are_no_text() -> None:
    source = one((HEAD + "@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+c\n\\ No newline at end of file\n").replace("\n", "\r\n"))
    assert rows(source) == ["1 a", "-b", "2+c"]


def test_a_context_line_that_lost_its_blank_is_one() -> None:
    assert rows(one(HEAD + "@@ -1,4 +1,5 @@\n a\n\n+b\ndef c():\n d\n")) == ["1 a", "2 ", "3+b", "4 def c():", "5 d"]


@pytest.mark.parametrize("counts", ["-1,3 +1,3", "-1 +1", "-1,1 +1,1", "-1,99 +1,99", "-1,0 +1,0"])
def test_wrong_counts_in_a_hunk_do_not_matter(counts: str) -> None:
    second = "diff --git a/y.py b/y.py\n--- a/y.py\n+++ b/y.py\n@@ -7 +7 @@\n-p\n+q\n"
    plain = "--- y.py\n+++ y.py\n@@ -7 +7 @@\n-p\n+q\n"
    for following in (second, plain):
        first, other = from_diff(HEAD + f"@@ {counts} @@\n a\n-b\n+c\n d\n" + following)
        assert isinstance(first, Source) and isinstance(other, Source)
        assert [row.lstrip("12345") for row in rows(first)] == [" a", "-b", "+c", " d"]
        assert (other.path, rows(other)) == ("y.py", ["-p", "7+q"])


def test_lines_that_look_like_headers_are_lines_where_the_counts_say_so() -> None:
    text = HEAD + "@@ -1,3 +1,3 @@\n a\n--- old comment\n+++ new comment\n b\n@@ -9 +9 @@\n--- x\n+++ y\n@@ -20 +20 @@\n-p\n+q\n"
    assert rows(one(text)) == ["1 a", "--- old comment", "2+++ new comment", "3 b", "--- x", "9+++ y", "-p", "20+q"]


def test_the_signature_of_a_mailed_patch_is_no_removed_line() -> None:
    mail = "From 1 Mon Sep 17\nSubject: [PATCH] x\n\n---\n x.py | 2 +-\n\n" + HEAD + "@@ -1 +1 @@\n-a\n+b\n-- \n2.39.5\n\n"
    assert rows(one(mail)) == ["-a", "1+b"]


def test_what_is_in_conflict_is_said_to_be_and_not_taken_for_a_line() -> None:
    conflict, changed = from_diff("* Unmerged path y.py\n" + HEAD + "@@ -1 +1 @@\n-a\n+b\n")
    assert conflict == Skipped(file="y.py", reason="has conflicts that are not resolved") and isinstance(changed, Source)
    changed, conflict = from_diff(HEAD + "@@ -1 +1 @@\n-a\n+b\n* Unmerged path y.py\n")
    assert isinstance(changed, Source) and isinstance(conflict, Skipped) and rows(changed) == ["-a", "1+b"]


@pytest.mark.parametrize(
    ("header", "rows", "reason"),
    [
        ("index 1..2 160000\n--- a/sub\n+++ b/sub\n", "@@ -1 +1 @@\n-Subproject commit 1\n+Subproject commit 2\n", "is a submodule"),
        ("new file mode 160000\nindex 0..2\n--- /dev/null\n+++ b/sub\n", "@@ -0,0 +1 @@\n+Subproject commit 2\n", "is a submodule"),
        ("deleted file mode 160000\nindex 1..0\n--- a/sub\n+++ /dev/null\n", "@@ -1 +0,0 @@\n-Subproject commit 1\n", "was deleted"),
    ],
)
def test_a_submodule_has_no_lines_of_its_own(header: str, rows: str, reason: str) -> None:
    file, why = left_out(f"diff --git a/sub b/sub\n{header}{rows}")
    assert file == "sub" and why.startswith(reason)


def test_a_plain_diff_has_dates_behind_its_names_and_lines_between_its_files() -> None:
    text = (
        "diff -ru old/x.py new/x.py\n--- old/x.py\t2026-01-01 10:00:00.0 +0000\n+++ new/x.py\t2026-01-02\n@@ -1 +1 @@\n-a\n+b\n"
        "Only in new: z.py\nBinary files old/p.bin and new/p.bin differ\n"
        "diff -ru old/y z.py new/y z.py\n--- old/y z.py\t2026-01-01\n+++ new/y z.py\t2026-01-02\n@@ -0,0 +1 @@\n+c\n"
    )
    first, binary, second = from_diff(text)
    assert isinstance(first, Source) and isinstance(second, Source)
    assert (first.path, rows(first)) == ("new/x.py", ["-a", "1+b"])
    assert binary == Skipped(file="new/p.bin", reason="is a binary file")
    assert (second.path, rows(second)) == ("new/y z.py", ["1+c"])


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("a/src/x.py", "b/src/x.py", "src/x.py"),
        ("src/x.py", "src/x.py", "src/x.py"),
        ("a/x.py", "a/x.py", "a/x.py"),
        ("i/x.py", "w/x.py", "x.py"),
        ("b/x.py", "a/x.py", "x.py"),
        ("/dev/null", "b/x.py", "x.py"),
        ('"a/\\303\\244 \\"q\\"\\t.py"', '"b/\\303\\244 \\"q\\"\\t.py"', '\u00e4 "q"\t.py'),
        ('"a/\\377.py"', '"b/\\377.py"', "\ufffd.py"),
        ("a/with blank.py\t", "b/with blank.py\t", "with blank.py"),
        ("x.py.orig", "x.py", "x.py"),
    ],
)
def test_names_lose_their_quotes_dates_and_prefixes(old: str, new: str, path: str) -> None:
    assert one(f"--- {old}\n+++ {new}\n@@ -0,0 +1 @@\n+c\n").path == path


@pytest.mark.parametrize(
    ("header", "path"),
    [
        ("a/x y.py b/x y.py", "x y.py"),
        ("x.py x.py", "x.py"),
        ("a/x.py b/y.py", "y.py"),
        ('"a/\\303\\244.py" "b/\\303\\244.py"', "\u00e4.py"),
        ('a/a.py "b/\\303\\244.py"', "\u00e4.py"),
        ("a/x y.py b/z.py", "unnamed"),
        ("odd", "unnamed"),
    ],
)
def test_without_lines_the_header_has_the_name(header: str, path: str) -> None:
    assert left_out(f"diff --git {header}\nnew file mode 100644\nindex 000..e69\n") == (path, "is empty")


@pytest.mark.parametrize(
    ("body", "file", "reason"),
    [
        ("deleted file mode 100644\n--- a/x.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n", "x.py", "was deleted"),
        ("deleted file mode 100644\nindex e69..000\n", "x.py", "was deleted"),
        ("similarity index 100%\nrename from x.py\nrename to sub/y.py\n", "sub/y.py", "was only renamed or copied"),
        ('similarity index 100%\ncopy from x.py\ncopy to "\\303\\244.py"\n', "\u00e4.py", "was only renamed or copied"),
        ("old mode 100644\nnew mode 100755\n", "x.py", "has only a new mode"),
        ("index 1..2 100644\nBinary files a/x.py and b/x.py differ\n", "x.py", "is a binary file"),
        ("index 1..2 100644\nGIT binary patch\nliteral 3\nKcmZQzU|?i`00aO50ssI2\n\nliteral 0\nHcmV?d00001\n", "x.py", "is a binary file"),
        ("index 1..2\n", "x.py", "is empty"),
    ],
)
def test_files_without_lines_of_their_own_are_left_out(body: str, file: str, reason: str) -> None:
    assert left_out(f"diff --git a/x.py b/x.py\n{body}") == (file, reason)


def test_a_plain_diff_tells_a_deleted_file_by_its_new_name() -> None:
    assert left_out("--- a/x.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n") == ("x.py", "was deleted")


def test_a_renamed_file_with_changes_goes_by_its_new_name() -> None:
    moved = "diff --git a/x.py b/sub dir/y.py\nsimilarity index 90%\nrename from x.py\nrename to sub dir/y.py\n"
    source = one(moved + "--- a/x.py\n+++ b/sub dir/y.py\n" "@@ -1 +1 @@\n-a\n+b\n")
    assert (source.path, rows(source)) == ("sub dir/y.py", ["-a", "1+b"])


def test_a_merge_is_left_out() -> None:
    text = "diff --cc x.py\nindex 1,2..3\n--- a/x.py\n+++ b/x.py\n@@@ -1,1 -1,1 +1,1 @@@\n- a\n -b\n++c\n"
    assert left_out(text) == ("x.py", "is in a merge, which no plain diff shows")


@pytest.mark.parametrize("name", [".env", "sub/id_rsa", ".ssh/config", "package-lock.json"])
def test_files_of_secrets_and_of_programs_are_left_out_whole(name: str) -> None:
    file, reason = left_out(f"diff --git a/{name} b/{name}\n--- a/{name}\n+++ b/{name}\n@@ -1 +1 @@\n-planted-secret\n+planted-other\n")
    assert file == name
    assert "planted" not in reason


def test_a_file_that_held_secrets_under_its_old_name_is_left_out() -> None:
    head = "diff --git a/.env b/config.txt\nsimilarity index 90%\nrename from .env\nrename to config.txt\n--- a/.env\n+++ b/config.txt\n"
    assert left_out(head + "@@ -1 +1 @@\n-planted-secret\n+b\n") == ("config.txt", "looks like keys or credentials")


def test_a_private_key_in_the_lines_leaves_the_file_out_whether_added_or_removed() -> None:
    for mark in "+-":
        key = "".join(f"{mark}{row}\n" for row in ["-----BEGIN RSA PRIVATE KEY-----", "A1b2" * 16, "A1b2" * 16])
        text = HEAD + f"@@ -1,4 +1,4 @@\n a\n{key}" + HEAD.replace("x.py", "y.py") + "@@ -1 +1 @@\n-a\n+b\n"
        first, second = from_diff(text)
        assert first == Skipped(file="x.py", reason="holds a private key")
        assert isinstance(second, Source)


def test_a_hunk_without_any_name_is_read_all_the_same() -> None:
    source = one("@@ -3,2 +3,2 @@\n a\n-b\n+c\n")
    assert (source.path, rows(source)) == ("unnamed", ["3 a", "-b", "4+c"])


@pytest.mark.parametrize("text", ["", "\n", "no diff\n", "--- a heading\nand text\n", "@@ broken @@\n", f"@@ -{'1' * 5000} +1 @@\n"])
def test_what_is_no_diff_is_invalid_input(text: str) -> None:
    with pytest.raises(InvalidInput, match="no file and no hunk"):
        from_diff(text)


HUNK = "@@ -1,2 +1,3 @@\n a\n+b\n c\n"
READ = ["1 a", "2+b", "3 c"]


@pytest.mark.parametrize("header", ["@@", "@@ ... @@", "@@ def f(x): @@", "@@ def f(x):", "@@ -x +y @@", "@@ -, +, @@"])
def test_a_hunk_whose_header_has_no_numbers_is_counted_on_from_the_one_before(header: str) -> None:
    assert rows(one(HEAD + HUNK + f"{header}\n d\n-e\n+f\n")) == [*READ, "5 d", "-e", "6+f"]
    assert rows(one(HEAD + f"{header}\n d\n\n+f\n")) == ["1 d", "2 ", "3+f"]


def test_a_hunk_header_that_is_not_closed_still_has_its_numbers() -> None:
    assert rows(one(HEAD + HUNK + "@@ -20,2 +21,3\n d\n+e\n f\n")) == [*READ, "21 d", "22+e", "23 f"]


def test_a_hunk_header_without_a_hunk_is_nothing() -> None:
    assert rows(one(HEAD + HUNK + "@@ that was all @@\n\n")) == READ
    assert left_out(HEAD + "@@ that was all @@\n") == ("x.py", "has no line in the diff that could be understood")


@pytest.mark.parametrize(
    ("following", "read"),
    [
        ("\n+d\n", ["4 ", "5+d"]),
        ("d\n\n e\n+f\n", ["4 d", "5 ", "6 e", "7+f"]),
        ("...\n+d\n", ["4 ...", "5+d"]),
        ("-- \n+d\n", ["-- ", "4+d"]),
        ("-- \n2.39.5\n\n", []),
        ("--- \n+++ d\n+e\n", ["--- ", "4+++ d", "5+e"]),
        ("\n\nThat is all.\n", []),
    ],
)
def test_beyond_its_counts_a_hunk_goes_on_while_there_are_changes(following: str, read: list[str]) -> None:
    got = one(HEAD + HUNK + following)
    assert rows(got) == [*READ, *read]


def test_colours_of_a_diff_are_no_text() -> None:
    second = "\x1b[1mdiff --git a/y.py b/y.py\x1b[m\n\x1b[1m--- a/y.py\x1b[m\n\x1b[1m+++ b/y.py\x1b[m\n\x1b[36m@@ -1 +1,2 @@\x1b[m\n one\n"
    first, other = from_diff(HEAD + HUNK + second + "\x1b[32m+\x1b[m\x1b[32mtwo\x1b[m\n")
    assert isinstance(first, Source) and isinstance(other, Source)
    assert (rows(first), other.path, rows(other)) == (READ, "y.py", ["1 one", "2+two"])
    assert rows(one(HEAD + "@@ -0,0 +1 @@\n+say('\x1b[1m')\n")) == ["1+say('\x1b[1m')"]


def test_patches_that_models_write_for_their_own_tools_are_read() -> None:
    patch = "*** Begin Patch\n*** Update File: y.py\n*** Move to: y2.py\n@@ def f():\n-a\n+b\n*** Add File: z.py\n+c\n"
    first, second, gone, last = from_diff(f"{patch}*** Delete File: w.py\n*** End Patch\n{HEAD}{HUNK}")
    assert isinstance(first, Source) and isinstance(second, Source) and isinstance(last, Source)
    assert [(source.path, rows(source)) for source in (first, second, last)] == [
        ("y.py", ["-a", "1+b"]), ("z.py", ["1+c"]), ("x.py", READ)
    ]  # fmt: skip
    assert gone == Skipped(file="w.py", reason="was deleted")


def test_a_context_diff_is_left_out_and_named() -> None:
    context = "*** a/y.py\n--- a/y.py\n***************\n*** 1,2 ****\n--- 1,3 ----\n  a\n+ b\n"
    first, second = from_diff(HEAD + HUNK + context)
    assert isinstance(first, Source) and rows(first) == READ
    assert second == Skipped(file="a/y.py", reason="is in a context diff; give a unified one (diff -u)")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1c1\n< a\n---\n> b\n" + HEAD + HUNK, ("unnamed", "lines 1-4")),
        ("+a\n" + HEAD + HUNK, ("unnamed", "line 1 ")),
        (HEAD + HUNK + "diff --git a/y.py b/y.py\nsome garbage\n+a\nb\n\n+c\n", ("y.py", "lines 11-12 and 14")),
        (HEAD + HUNK + "--- a/y.py\n+++ b/y.py\n" + "+a\n\n" * 23, ("y.py", "45, 47, 49 and 3 more stretches")),
        ("diff --git a/y.py b/y.py\nsome garbage\n+a\n--- a/x.py\n+++ b/x.py\n" + HUNK, ("y.py", "line 3 ")),
        (HEAD + HUNK + "Only in b: z.py\n+a\n", ("x.py", "line 10 ")),
    ],
)
def test_what_is_not_understood_is_named_with_its_file_and_rows(text: str, told: tuple[str, str]) -> None:
    (skipped,) = [item for item in from_diff(text) if isinstance(item, Skipped)]
    assert (skipped.file, told[1] in skipped.reason) == (told[0], True)
    assert re.fullmatch(r"was not read whole: lines? [^:]+ of the diff could not be understood", skipped.reason)


def test_what_was_added_to_a_file_said_to_be_deleted_is_read() -> None:
    assert rows(one("--- a/x.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n+b\n")) == ["-a", "1+b"]


def _mutated(chance: random.Random, text: list[str]) -> list[str]:
    """The rows with a few of them damaged; what is added is never lost by the damage itself."""
    made = list(text)
    junk = ["", "...", "garbage", "@@", "@@ ... @@", "@@ -20,2 +21,3", "-- ", "---", "--- a/q", "*** a/q.py", "2.39.5", "Only in x: y"]
    for _ in range(chance.randrange(1, 9)):
        at = chance.randrange(len(made))
        row = made[at]
        if chance.random() < 0.4:
            made.insert(at, chance.choice([*junk, *text[:9]]))
        elif row.startswith("+added"):
            made.insert(chance.randrange(len(made)), made.pop(at))
        else:
            made[at] = chance.choice([row[1:], row[: len(row) // 2], f"\x1b[1m{row}\x1b[m", row.replace("1", "3"), f" {row}", row.strip()])
    return made


@pytest.mark.parametrize("seed", range(300))
def test_every_added_line_of_a_damaged_diff_is_read_or_said_not_to_be(seed: int) -> None:
    chance = random.Random(seed)
    hunks = ["@@ -{0},3 +{0},4 @@\n a\n+added {1}\n\n-gone\n b\n+added {2}", "@@ -{0} +{0},2 @@\n a\n+added {1}\n+added {2}"]
    numbers = iter(range(1, 1000, 2))
    text = "\n".join(
        f"diff --git a/{name} b/{name}\nindex 1..2 100644\n--- a/{name}\n+++ b/{name}\n"
        + "\n".join(chance.choice(hunks).format(place, number := next(numbers), number + 1) for place in (1, 30))
        for name in ("x.py", "y.py", "z.sql")
    )
    damaged = _mutated(chance, text.split("\n"))
    try:
        outcomes = from_diff("\n".join(damaged))
    except InvalidInput:
        return
    read = {line.text for item in outcomes if isinstance(item, Source) for line in item.lines}
    told = " ".join(item.reason for item in outcomes if isinstance(item, Skipped))
    named = {number for first, last in re.findall(r"(\d+)(?:-(\d+))?", told) for number in range(int(first), int(last or first) + 1)}
    for number, row in enumerate(damaged, 1):
        if row.startswith("+added"):
            assert row[1:] in read or number in named or "context diff" in told, (row, outcomes)


@pytest.mark.parametrize("seed", range(4))
def test_the_added_and_kept_lines_are_those_of_the_file_at_their_numbers(tmp_path: Path, seed: int) -> None:
    """What git says of random edits of random texts, some of whose lines look like a diff's, agrees with the files."""
    chance = random.Random(seed)
    words = ["a", "b", "", "-- x", "++ y", "@@ -1 +1 @@", " diff --git a/x b/x", "\\ No newline", "- ", "+", "\t"]
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    for number in range(30):
        old = chance.choices(words, k=chance.randrange(1, 60))
        new = [chance.choice(words) if chance.random() < 0.15 else row for row in old if chance.random() > 0.1]
        for name, text in (("old", old), ("new", new)):
            (tmp_path / name / f"f {number}.txt").write_text("\n".join(text) + chance.choice(["", "\n"]))
    command = ["git", "diff", "--no-index", "--no-color", f"-U{seed}", "old", "new"]
    done = subprocess.run(command, cwd=tmp_path, env=GIT, capture_output=True, text=True)
    sources = [item for item in from_diff(done.stdout) if isinstance(item, Source)]
    assert len(sources) > 20
    for source in sources:
        name = source.path.removeprefix("new/").removeprefix("old/")
        now = (tmp_path / "new" / name).read_text().split("\n")
        assert all(now[line.number - 1] == line.text for line in source.lines if line.number is not None)
