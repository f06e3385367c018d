"""Paths, folders and globs: what is read for a review, what is left out, and that reading streams."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import time
import tracemalloc
from collections.abc import Sequence
from pathlib import Path

import pytest

from tools.files import FileReader
from tools.limits import Limits
from tools.refusals import Refused
from tools.reviewing.sources import Line, Skipped, Source, from_paths

GIT = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    return folder


def fill(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def touch(folder: Path, *names: str) -> None:
    fill(folder, dict.fromkeys(names, "x = 1\n"))


async def taken(workspace: Path, *paths: str, limits: Limits | None = None, roots: Sequence[Path] = ()) -> list[Source | Skipped]:
    limits = limits or Limits()
    return [item async for item in from_paths(FileReader(workspace, roots, limits=limits), paths, limits)]


async def read(workspace: Path, *paths: str) -> list[str]:
    return [item.path for item in await taken(workspace, *paths) if isinstance(item, Source)]


async def skipped(workspace: Path, *paths: str, limits: Limits | None = None) -> dict[str, str]:
    return {item.file: item.reason for item in await taken(workspace, *paths, limits=limits) if isinstance(item, Skipped)}


async def test_a_file_is_its_numbered_lines_without_what_ends_them(workspace: Path) -> None:
    (workspace / "a.py").write_bytes(b"one\r\n\n\ttwo\x0cthree\r\nlast")
    (source,) = await taken(workspace, "a.py")
    lines = Line(1, "", "one"), Line(2, "", ""), Line(3, "", "\ttwo\x0cthree"), Line(4, "", "last")
    assert source == Source("a.py", lines, is_diff=False)


async def test_a_folder_is_read_in_the_order_of_the_names_in_it(workspace: Path) -> None:
    touch(workspace, "b.py", "a/z.py", "a/b/c.py", "c.py", "a.py", ".github/ci.yml")
    assert await read(workspace, ".") == [".github/ci.yml", "a/b/c.py", "a/z.py", "a.py", "b.py", "c.py"]
    assert await read(workspace, "a", str(workspace / "c.py")) == ["c.py", "a/b/c.py", "a/z.py"]


async def test_each_file_is_read_once_however_often_and_in_whatever_way_it_is_named(workspace: Path) -> None:
    touch(workspace, "a.py", "sub/b.py")
    assert await read(workspace, "./a.py", ".", "a.py", "sub/../a.py", "**/*.py", "sub", "sub") == ["a.py", "sub/b.py"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.py", ["a.py"]),
        ("src/*.py", ["src/b.py"]),
        ("src/**/*.py", ["src/b.py", "src/deep/down/d.py", "src/deep/e.py"]),
        ("**/d.py", ["src/deep/down/d.py"]),
        ("src/**", ["src/b.py", "src/deep/down/d.py", "src/deep/e.py", "src/f.ts"]),
        ("src/*", ["src/b.py", "src/deep/down/d.py", "src/deep/e.py", "src/f.ts"]),
        ("s?c/[a-c].py", ["src/b.py"]),
        ("src/**/down/**/*.py", ["src/deep/down/d.py"]),
        ("./src/d*", ["src/deep/down/d.py", "src/deep/e.py"]),
    ],
)
async def test_a_glob_takes_what_matches_and_all_of_a_folder_that_does(workspace: Path, pattern: str, expected: list[str]) -> None:
    touch(workspace, "a.py", "src/b.py", "src/deep/e.py", "src/deep/down/d.py", "src/f.ts")
    assert await read(workspace, pattern) == expected
    assert await skipped(workspace, pattern) == {}


async def test_a_glob_may_start_at_the_root_of_the_disk_and_stays_in_the_workspace(workspace: Path) -> None:
    touch(workspace, "src/b.py")
    touch(workspace.parent, "outside.py")
    assert await read(workspace, f"{workspace}/src/*.py") == ["src/b.py"]
    assert await skipped(workspace, "../*.py", "src/../../*.py", "no/*.py") == {
        "../*.py": "is outside the workspace",
        "src/../../*.py": "is outside the workspace",
        "no/*.py": "matches no file",
    }


async def test_names_with_brackets_are_names_first(workspace: Path) -> None:
    touch(workspace, "app/[id]/page.tsx", "app/i/page.tsx", "b[1].py")
    assert await read(workspace, "app/[id]/page.tsx", "b[1].py") == ["app/[id]/page.tsx", "b[1].py"]
    assert await read(workspace, "app/[id]/*.tsx") == ["app/[id]/page.tsx", "app/i/page.tsx"]
    assert await read(workspace, "app/[id]") == ["app/[id]/page.tsx"]


async def test_what_is_not_there_says_so(workspace: Path) -> None:
    (workspace / "hollow" / ".git").mkdir(parents=True)
    assert await skipped(workspace, "none.py", "*.rs", "hollow", "", "https://example.test/a.py", "n" * 300, "/home/someone/a.py") == {
        "none.py": "does not exist",
        "*.rs": "matches no file",
        "hollow": "holds no file",
        "": "is not a path",
        "https://example.test/a.py": "is a URL; nothing is fetched from the network",
        "n" * 199 + "\u2026": "has too long a name",
        "~/a.py": "is outside the workspace",
    }


async def test_gitignore_holds_at_every_level(workspace: Path) -> None:
    (workspace / ".git" / "info").mkdir(parents=True)
    fill(
        workspace,
        {
            ".git/info/exclude": "private.py\n",
            ".gitignore": "*.log\n!keep.log\n/only_top.py\nsub/generated/\nlogs/\n",
            "sub/.gitignore": "\ufeff!special.log\r\nlocal.py\r\n!\n",
            "a.log": "a", "keep.log": "k", "only_top.py": "x", "private.py": "p", "logs/keep.log": "x",
            "sub/only_top.py": "x", "sub/special.log": "s", "sub/b.log": "b", "sub/local.py": "l", "sub/generated/g.py": "g",
        },
    )  # fmt: skip
    assert await read(workspace, ".") == [".gitignore", "keep.log", "sub/.gitignore", "sub/only_top.py", "sub/special.log"]
    assert await skipped(workspace, ".") == {
        "a.log": "is ignored (.gitignore)",
        "logs": "is ignored (.gitignore)",
        "only_top.py": "is ignored (.gitignore)",
        "private.py": "is ignored (.git/info/exclude)",
        "sub/b.log": "is ignored (.gitignore)",
        "sub/generated": "is ignored (.gitignore)",
        "sub/local.py": "is ignored (.gitignore)",
    }
    assert await read(workspace, "sub") == ["sub/.gitignore", "sub/only_top.py", "sub/special.log"]


async def test_a_file_named_outright_is_taken_though_ignored_and_not_listed_as_left_out(workspace: Path) -> None:
    fill(workspace, {".gitignore": "*.log\nout.d/\n", "a.log": "a", "yarn.lock": "y", "out.d/b.py": "b", "out.d/c.log": "c"})
    assert await read(workspace, ".", "a.log", "yarn.lock") == ["a.log", "yarn.lock", ".gitignore"]
    assert await skipped(workspace, ".", "a.log", "yarn.lock") == {"out.d": "is ignored (.gitignore)"}
    assert await read(workspace, "out.d") == ["out.d/b.py", "out.d/c.log"]


async def test_a_workspace_inside_a_repository_obeys_the_gitignore_files_above_it(workspace: Path) -> None:
    (workspace.parent / ".git").mkdir()
    fill(workspace.parent, {".gitignore": "*.tmp\n"})
    touch(workspace, "a.tmp", "a.py")
    assert await read(workspace, ".") == ["a.py"]


async def test_a_worktree_finds_the_exclude_file_of_its_repository(workspace: Path) -> None:
    fill(workspace.parent, {"main/.git/worktrees/w/commondir": "../..\n", "main/.git/info/exclude": "b.py\n"})
    fill(workspace, {".git": "gitdir: ../main/.git/worktrees/w\n", "a.py": "a", "b.py": "b"})
    assert await read(workspace, ".") == ["a.py"]


async def test_a_gitignore_that_is_no_small_regular_file_is_not_read(workspace: Path) -> None:
    touch(workspace, "one/a.log", "two/a.log", "three/a.log")
    fill(workspace.parent, {"patterns": "*\n"})
    os.mkfifo(workspace / "one" / ".gitignore")
    (workspace / "two" / ".gitignore").symlink_to("../../patterns")
    (workspace / "three" / ".gitignore").write_text("*\n" + "#" * 1_000_000)
    assert await asyncio.wait_for(read(workspace, "one", "two", "three"), 10) == ["one/a.log", "two/a.log", "three/a.log"]


PATTERNS = [
    "*.py", "!*.py", "a", "a/", "/a", "!a/", "b/c", "**/c", "a/**", "!a/b", "c*", "[ab].py", "*", "!*/", "/*/b", "b/**/c.py",
    "# note", "\\!x", "!a.py", "c.py ", "b/", "?.txt", "!/c", "[!a]",
]  # fmt: skip


@pytest.mark.parametrize("seed", range(25))
async def test_what_is_ignored_is_what_git_ignores(workspace: Path, seed: int) -> None:
    chance = random.Random(seed)
    names = ["a", "b", "c"]
    for _ in range(30):
        touch(workspace, "/".join([*chance.choices(names, k=chance.randrange(4)), chance.choice(["a.py", "b.py", "c.py", "x.txt", "!x"])]))
    for folder in ["", "a", "b", "a/b"][: chance.randrange(1, 5)]:
        fill(workspace, {f"{folder}/.gitignore".lstrip("/"): "\n".join(chance.choices(PATTERNS, k=chance.randrange(1, 6)))})
    subprocess.run(["git", "init", "-q", workspace], env=GIT, check=True)
    listed = ["git", "-C", workspace, "ls-files", "-z", "--others", "--exclude-standard"]
    done = subprocess.run(listed, env=GIT, check=True, capture_output=True, text=True)
    assert sorted(await read(workspace, ".")) == sorted(name for name in done.stdout.split("\x00") if name)


async def test_folders_that_hold_no_source_are_one_row_each_and_entered_when_named(workspace: Path) -> None:
    touch(workspace, "node_modules/x/index.js", "lib/__pycache__/a.py", ".venv/lib/a.py", "build/out.js", "lib/a.py")
    touch(workspace, ".git/config", ".ssh/config")
    assert await read(workspace, ".") == ["lib/a.py"]
    dependencies = "is a folder of dependencies, caches or build results"
    assert await skipped(workspace, ".") == {
        ".ssh": "is in a folder of keys or credentials",
        ".venv": dependencies,
        "build": dependencies,
        "lib/__pycache__": dependencies,
        "node_modules": dependencies,
    }
    assert await read(workspace, "build", "node_modules/x") == ["build/out.js", "node_modules/x/index.js"]
    assert await skipped(workspace, ".git", ".git/config") == dict.fromkeys([".git", ".git/config"], "is part of Git's own data")


async def test_files_that_programs_wrote_are_left_out_with_the_reason(workspace: Path) -> None:
    touch(workspace, "package-lock.json", "poetry.lock", "go.sum", "app.min.js", "app.js.map", "api_pb2.py")
    fill(
        workspace,
        {
            "stringer.go": '// Code generated by "stringer -type=Pill"; DO NOT EDIT.\npackage x\n',
            "schema.ts": "/**\n * @generated by a tool\n */\nexport {}\n",
            "bundle.js": "x=1;" * 3000,
            "a.py": "text = '@generated'\n",
            "none.py": "\n",
        },
    )
    assert await read(workspace, ".") == ["a.py"]
    assert await skipped(workspace, ".") == {
        "api_pb2.py": "is generated or minified",
        "app.js.map": "is generated or minified",
        "app.min.js": "is generated or minified",
        "bundle.js": "is generated or minified",
        "go.sum": "is a lock file",
        "none.py": "is empty",
        "package-lock.json": "is a lock file",
        "poetry.lock": "is a lock file",
        "schema.ts": "says that it is generated",
        "stringer.go": "says that it is generated",
    }
    assert await read(workspace, "schema.ts") == ["schema.ts"]


async def test_what_may_not_be_read_is_left_out_with_the_reason(workspace: Path) -> None:
    touch(workspace, ".env", "keys/id_rsa", "a.py")
    (workspace / "photo.dat").write_bytes(b"\x00\x01")
    (workspace / "latin.txt").write_bytes(b"caf\xe9")
    (workspace / "key.txt").write_text("-----BEGIN RSA PRIVATE KEY-----\n" + "A1b2" * 16)
    os.mkfifo(workspace / "pipe")
    assert await asyncio.wait_for(skipped(workspace, "."), 10) == {
        ".env": "looks like keys or credentials",
        "key.txt": "holds a private key",
        "keys/id_rsa": "looks like keys or credentials",
        "latin.txt": "is not UTF-8 text",
        "photo.dat": "is a binary file",
        "pipe": "is not a regular file",
    }


async def test_a_file_of_fifty_megabytes_is_refused_by_its_size(workspace: Path) -> None:
    with (workspace / "huge.py").open("wb") as file:
        file.truncate(50_000_000)
    tracemalloc.start()
    try:
        rows = await skipped(workspace, ".", "huge.py")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert rows == {"huge.py": "is larger than 1,000,000 bytes"}
    assert peak < 10_000_000


async def test_links_are_not_followed_in_a_folder_and_loops_are_harmless(workspace: Path) -> None:
    touch(workspace, "sub/a.py")
    fill(workspace.parent, {"outside/secret.py": "planted-secret"})
    (workspace / "sub" / "loop").symlink_to("..")
    (workspace / "self").symlink_to("self")
    (workspace / "out").symlink_to("../outside")
    (workspace / "again.py").symlink_to("sub/a.py")
    reason = "is a link, and links are not followed in a folder"
    assert await read(workspace, ".") == ["sub/a.py"]
    assert await skipped(workspace, ".") == dict.fromkeys(["again.py", "out", "self", "sub/loop"], reason)
    assert await skipped(workspace, "out", "out/*.py", "self") == {
        "out": "is outside the workspace",
        "out/*.py": "is outside the workspace",
        "self": "changed while it was being opened, or links to itself",
    }
    assert await read(workspace, "again.py", "sub/loop/sub") == ["sub/a.py"]


async def test_a_folder_that_cannot_be_listed_is_left_out(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may list everything, so the system's answer is given for it.
    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    (workspace / "shut").mkdir()
    monkeypatch.setattr(os, "scandir", denied)
    assert await skipped(workspace, "shut") == {"shut": "cannot be listed"}


async def test_a_tree_of_any_depth_is_walked(workspace: Path) -> None:
    folders = [workspace / "/".join(["d"] * depth) for depth in range(1, 1200)]
    for folder in folders:
        folder.mkdir()
    (folders[-1] / "a.py").write_text("x")
    assert await read(workspace, ".") == [str(folders[-1].relative_to(workspace) / "a.py")]
    (folders[-1] / "a.py").unlink()
    for folder in reversed(folders):  # pytest would recurse too deep
        folder.rmdir()


async def test_files_of_another_root_are_shown_below_its_name(workspace: Path) -> None:
    touch(workspace.parent / "lib", "sub/a.py")
    items = await taken(workspace, str(workspace.parent / "lib"), roots=[workspace, workspace.parent / "lib"])
    assert [item.path for item in items if isinstance(item, Source)] == ["lib/sub/a.py"]


async def test_a_review_takes_so_many_files_and_says_that_there_are_more(workspace: Path) -> None:
    touch(workspace, *(f"f{number:02}.py" for number in range(12)))
    items = await taken(workspace, ".", limits=Limits(max_review_files=10))
    assert [type(item) for item in items] == [Source] * 10 + [Skipped]
    assert items[-1] == Skipped(file=".", reason="holds more files, which were left out: a review takes 10")


async def test_long_files_come_in_small_batches_and_all_come(workspace: Path) -> None:
    fill(workspace, {f"{name}.txt": "x\n" * 60_000 for name in "abc"})
    assert await read(workspace, ".") == ["a.txt", "b.txt", "c.txt"]


async def test_of_very_many_files_left_out_the_first_are_told_and_the_rest_counted(workspace: Path) -> None:
    fill(workspace, {".gitignore": "*.o\n", "z.c": "z"})
    touch(workspace, *(f"{number:04}.o" for number in range(1005)))
    items = await taken(workspace, ".")
    assert [item.path for item in items if isinstance(item, Source)] == [".gitignore", "z.c"]
    assert len(items) == 2 + 1000 + 1
    assert items[-1] == Skipped(file=".", reason="holds 5 more files and folders that were left out for reasons like these")


def test_one_text_is_read_with_the_path_it_is_shown_under_or_refused(workspace: Path) -> None:
    touch(workspace, "a.py", ".env")
    (workspace / "link.py").symlink_to("a.py")
    assert FileReader(workspace).read_text("link.py") == ("a.py", "x = 1\n")
    for named, reason in {".env": "looks like keys", ".": "is a folder", "../a.py": "is outside"}.items():
        with pytest.raises(Refused, match=reason):
            FileReader(workspace).read_text(named)


async def test_the_first_file_comes_long_before_the_last_is_read_and_the_loop_stays_free(workspace: Path) -> None:
    text = "def f(x):\n    return x + 1\n\n" * 50
    fill(workspace, {f"p{number // 100:02}/m{number:04}.py": text for number in range(2000)})
    beats: list[float] = []

    async def beat() -> None:
        while True:
            beats.append(time.perf_counter())
            await asyncio.sleep(0.005)

    beating = asyncio.create_task(beat())
    tracemalloc.start()
    begun = time.perf_counter()
    first, count = 0.0, 0
    async for item in from_paths(FileReader(workspace), ["."], Limits()):
        first = first or time.perf_counter() - begun
        count += isinstance(item, Source)
    total, peak = time.perf_counter() - begun, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    beating.cancel()
    assert count == 2000
    assert first < total / 5, (first, total)
    assert len(beats) > 20, "the loop had its turn all the while"
    assert peak < 15_000_000, "all 2,000 are some 50 MB as lines"
