"""Diffs read from real repositories: what a range shows, what is refused, and that a hostile repository runs nothing."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

import psutil
import pytest

from conversation.errors import InvalidInput, TooLarge
from tools.limits import Limits
from tools.reviewing.git import git_diff
from tools.reviewing.sources import Skipped, Source, from_diff

ENV = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
WHO = ("-c", "user.name=A", "-c", "user.email=a@example.test", "-c", "commit.gpgsign=false")


class Repository:
    """A repository with a text in it, and the tests' own git."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.git("init", "-q", "-b", "main")
        self.commit(**{"a.py": "one\ntwo\nthree\n", "b.py": "b\n"})

    def git(self, *words: str) -> str:
        command = ["git", *WHO, *words]
        return subprocess.run(command, cwd=self.folder, env=ENV, capture_output=True, text=True, check=True, timeout=30).stdout

    def write(self, **files: str) -> None:
        for name, text in files.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text)

    def commit(self, **files: str) -> None:
        self.write(**files)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "a commit")

    async def diff(self, git_range: str, limits: Limits | None = None, env: dict[str, str] | None = None, below: str = "") -> str:
        return (await git_diff(str(self.folder / below), git_range, limits or Limits(), ENV if env is None else env)).text

    async def sources(self, git_range: str, limits: Limits | None = None, below: str = "") -> list[Source | Skipped]:
        return (await git_diff(str(self.folder / below), git_range, limits or Limits(), ENV)).sources()

    async def changed(self, git_range: str, below: str = "") -> list[str]:
        return [item.path for item in await self.sources(git_range, below=below) if isinstance(item, Source)]

    async def left_out(self, git_range: str, limits: Limits | None = None, below: str = "") -> dict[str, str]:
        """File to reason."""
        return {item.file: item.reason for item in await self.sources(git_range, limits, below) if isinstance(item, Skipped)}


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "work")


def script(folder: Path, name: str, body: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


async def test_a_commit_is_compared_with_the_files_as_they_are(repository: Repository) -> None:
    repository.write(**{"a.py": "one\n2\nthree\n"})
    (source,) = from_diff(await repository.diff("HEAD"))
    assert isinstance(source, Source)
    assert [(line.number, line.mark, line.text) for line in source.lines] == [
        (1, " ", "one"), (None, "-", "two"), (2, "+", "2"), (3, " ", "three"),
    ]  # fmt: skip


async def test_ranges_are_what_git_means_by_them(repository: Repository) -> None:
    repository.git("checkout", "-q", "-b", "side/branch")
    repository.commit(**{"side.py": "s\n"})
    repository.git("checkout", "-q", "main")
    repository.commit(**{"main.py": "m\n"})
    repository.commit(**{"later.py": "l\n"})
    assert await repository.changed("main...side/branch") == ["side.py"]
    assert await repository.changed("HEAD~2..HEAD") == ["later.py", "main.py"]
    assert await repository.changed("HEAD~1") == ["later.py"]
    assert await repository.changed("HEAD^!") == ["later.py"]
    assert await repository.changed("side/branch") == ["later.py", "main.py"]


async def test_staged_is_what_is_about_to_be_committed(repository: Repository) -> None:
    repository.write(**{"a.py": "staged\n", "new.py": "n\n"})
    repository.git("add", "-A")
    repository.write(**{"b.py": "not staged\n"})
    assert await repository.changed("staged") == ["a.py", "new.py"]
    assert await repository.changed("HEAD") == ["a.py", "b.py", "new.py"]


async def test_before_the_first_commit_there_is_what_is_staged(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path / "new"], env=ENV, check=True)
    (tmp_path / "new" / "a.py").write_text("a\n")
    subprocess.run(["git", "add", "a.py"], cwd=tmp_path / "new", env=ENV, check=True)
    (tmp_path / "new" / "b.py").write_text("b\n")
    assert "+a" in (await git_diff(str(tmp_path / "new"), "staged", Limits(), ENV)).text


async def test_below_a_repositorys_top_only_the_workspace_is_compared(repository: Repository) -> None:
    repository.write(**{"sub/c.py": "c\n", "a.py": "changed\n"})
    repository.git("add", "-A")
    assert await repository.changed("HEAD", below="sub") == ["c.py"]


async def test_odd_names_and_settings_come_through(repository: Repository) -> None:
    for setting in ("diff.noprefix=true", "diff.mnemonicPrefix=true", "color.ui=always", "diff.suppressBlankEmpty=true", "diff.context=0"):
        repository.git("config", *setting.split("="))
    repository.write(**{"a.py": "one\n\nthree\n", 'd "\u00e4\t.py': "d\n", "with blank/\u4e2d.py": "x\n"})
    repository.git("add", "-A")
    assert sorted(await repository.changed("staged")) == ["a.py", 'd "\u00e4\t.py', "with blank/\u4e2d.py"]


async def test_nothing_that_differs_is_said_to_be_nothing(repository: Repository) -> None:
    with pytest.raises(InvalidInput, match="Nothing differs in 'HEAD'") as raised:
        await repository.diff("HEAD")
    assert "staged" in raised.value.hint


@pytest.mark.parametrize(
    ("git_range", "message"),
    [
        ("", "git_range is empty."),
        ("--output=x", "git_range begins with '-'."),
        ("-O/etc/passwd", "git_range begins with '-'."),
        ("--no-index", "git_range begins with '-'."),
        ("HEAD --output=x", "git_range holds blanks or control characters."),
        ("HEAD\x00", "git_range holds blanks or control characters."),
        ("HEAD\n", "git_range holds blanks or control characters."),
        ("H" * 501, "git_range is over 500 characters."),
        ("HEAD;touch${IFS}x", "git cannot compare 'HEAD;touch${IFS}x': bad revision 'HEAD;touch${IFS}x'."),
        ("$(touch${IFS}x)", "git cannot compare '$(touch${IFS}x)': bad revision '$(touch${IFS}x)'."),
        ("nope", "git cannot compare 'nope': bad revision 'nope'."),
        ("HEAD~9..HEAD", "git cannot compare 'HEAD~9..HEAD': bad revision 'HEAD~9..HEAD'."),
        ("a.py", "git cannot compare 'a.py': bad revision 'a.py'."),
        ("ext::sh", "git cannot compare 'ext::sh': bad revision 'ext::sh'."),
    ],
)
async def test_what_is_no_range_is_refused_and_neither_written_nor_run(repository: Repository, git_range: str, message: str) -> None:
    before = sorted(path.name for path in repository.folder.iterdir())
    with pytest.raises(InvalidInput) as raised:
        await repository.diff(git_range)
    assert raised.value.message == message
    assert "main...HEAD" in raised.value.hint
    assert sorted(path.name for path in repository.folder.iterdir()) == before


async def test_outside_a_repository_the_answer_says_what_to_give_instead(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="not in a git repository") as raised:
        await git_diff(str(tmp_path), "HEAD", Limits(), ENV)
    assert "paths" in raised.value.hint


async def test_a_repository_git_cannot_read_is_told_in_its_words_without_places(repository: Repository) -> None:
    (repository.folder / ".git" / "config").write_text("[core\n")
    with pytest.raises(InvalidInput, match=r"^git cannot read the repository: bad config line 1 in file \.git/config\.$"):
        await repository.diff("HEAD")


async def test_a_bare_repository_has_nothing_to_compare_with(repository: Repository) -> None:
    subprocess.run(["git", "clone", "-q", "--bare", "work", "bare"], cwd=repository.folder.parent, env=ENV, check=True)
    with pytest.raises(InvalidInput, match="must be run in a work tree"):
        await git_diff(str(repository.folder.parent / "bare"), "HEAD", Limits(), ENV)


@pytest.mark.parametrize("env", [{"PATH": "/nonexistent"}, {"PATH": "bin:."}, {"PATH": ""}])
async def test_without_git_on_the_path_there_is_one_sentence(repository: Repository, env: dict[str, str]) -> None:
    (repository.folder / "bin").mkdir()
    script(repository.folder / "bin", "git", "touch ran")
    script(repository.folder, "git", "touch ran")
    with pytest.raises(InvalidInput, match=r"git is not installed\."):
        await repository.diff("HEAD", env=env)
    assert not list(repository.folder.rglob("ran"))


async def test_a_workspace_that_is_gone_is_told_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be run in the workspace"):
        await git_diff(str(tmp_path / "gone"), "HEAD", Limits(), ENV)


async def test_without_an_environment_the_systems_git_is_taken(repository: Repository, tmp_path: Path) -> None:
    fake = tmp_path / "default"
    fake.mkdir()
    with pytest.raises(InvalidInput) as raised:
        await git_diff(str(fake), "HEAD", Limits())
    assert raised.value.message in {"The workspace is not in a git repository.", "git is not installed."}


# --- a repository that means harm ---------------------------------------------------------------------------------------


async def test_no_program_that_a_repository_names_is_run(repository: Repository, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    evil = script(tmp_path, "evil", f'echo "$0 $*" >> {ran}\nexec cat')
    hooks = repository.folder / ".git" / "hooks"
    for hook in ("post-index-change", "pre-commit", "reference-transaction", "fsmonitor-watchman"):
        script(hooks, hook, f"echo {hook} >> {ran}")
    repository.commit(**{".gitattributes": "*.py diff=evil filter=evil\n*.txt filter=process\n", "c.txt": "c\n"})
    for name in (
        "diff.external", "diff.evil.command", "diff.evil.textconv", "filter.evil.clean", "filter.evil.smudge", "filter.process.process",
        "core.fsmonitor", "core.pager", "pager.diff", "core.sshCommand", "core.askPass", "core.gitProxy", "credential.helper",
        "core.editor", "interactive.diffFilter", "gpg.program", "alias.diff", "remote.origin.uploadpack",
    ):  # fmt: skip
        repository.git("config", name, f"!{evil}" if name.startswith("alias") else str(evil))
    for name in ("filter.evil.required", "filter.process.required"):
        repository.git("config", name, "true")
    (repository.folder / "a.py").write_text("changed\n")
    (repository.folder / "c.txt").write_text("changed\n")
    ran.unlink(missing_ok=True)
    assert await repository.changed("HEAD") == ["a.py", "c.txt"]
    assert await repository.changed("HEAD~1..HEAD") == [".gitattributes", "c.txt"]
    assert not ran.exists(), ran.read_text()
    subprocess.run(["git", "diff"], cwd=repository.folder, env=ENV, capture_output=True, timeout=30)
    assert ran.exists(), "plain git runs them"


async def test_a_missing_object_is_not_fetched(repository: Repository, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    evil = script(tmp_path, "evil", f"touch {ran}")
    repository.commit(**{"a.py": "changed\n"})
    blob = repository.git("rev-parse", "HEAD:a.py").strip()
    (repository.folder / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    for setting in (
        "core.repositoryFormatVersion=1", "extensions.partialClone=origin", "remote.origin.promisor=true",
        f"remote.origin.url=ext::{evil}", "protocol.ext.allow=always", "protocol.allow=always",
    ):  # fmt: skip
        repository.git("config", *setting.split("=", 1))
    with pytest.raises(InvalidInput, match="git cannot compare"):
        await repository.diff("HEAD~1..HEAD")
    assert not ran.exists()
    subprocess.run(["git", "diff", "HEAD~1..HEAD"], cwd=repository.folder, env=ENV, capture_output=True, timeout=30)
    assert ran.exists(), "plain git fetches it"


async def test_submodules_are_not_looked_into(repository: Repository, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    Repository(tmp_path / "inner")
    repository.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(tmp_path / "inner"), "sub")
    repository.git("commit", "-q", "-m", "with a submodule")
    repository.git("-C", "sub", "config", "core.fsmonitor", str(script(tmp_path, "evil", f"touch {ran}")))
    (repository.folder / "sub" / "a.py").write_text("changed\n")
    repository.write(**{"a.py": "changed\n"})
    assert await repository.changed("HEAD") == ["a.py"]
    assert not ran.exists()
    repository.git("-C", "sub", "-c", "core.fsmonitor=false", "commit", "-q", "-a", "-m", "planted-message")
    assert await repository.changed("HEAD") == ["a.py"]
    assert await repository.left_out("HEAD") == {"sub": "is a submodule; review it in its own folder"}
    assert await repository.left_out("HEAD~1..HEAD") == {"sub": "is a submodule; review it in its own folder"}
    assert not ran.exists()


async def test_a_file_git_does_not_track_is_named_where_the_range_ends_at_the_files_as_they_are(repository: Repository) -> None:
    repository.commit(**{"new/old.py": "x\n"})
    repository.write(**{".gitignore": "made/\n", "made/x.py": "x\n", 'new/"\u00e4.py': "x\n", "new/deep/y.py": "y\n", "a.py": "changed\n"})
    repository.write(**{"new/old.py": "changed\n"})
    repository.git("add", "a.py", "new/old.py", ".gitignore")
    Repository(repository.folder / "other")
    untracked = "is not tracked by git, so it is in no range; add it, or name it in paths"
    own = "is a repository of its own; review it in its own folder"
    expected = {'new/"\u00e4.py': untracked, "new/deep/y.py": untracked, "other/": own}
    for git_range in ("HEAD", "main", repository.git("rev-parse", "HEAD").strip()):
        assert await repository.left_out(git_range) == expected
        assert await repository.changed(git_range) == [".gitignore", "a.py", "new/old.py"]
    assert await repository.left_out("HEAD", below="new") == {'"\u00e4.py': untracked, "deep/y.py": untracked}
    assert await repository.left_out("staged") == {}
    repository.git("commit", "-q", "-m", "two")
    assert await repository.left_out("HEAD~1..HEAD") == await repository.left_out("HEAD^!") == {}
    repository.git("add", "--intent-to-add", "new")
    assert await repository.changed("HEAD") == ['new/"\u00e4.py', "new/deep/y.py"]


async def test_of_very_many_files_git_does_not_track_the_rest_is_counted(repository: Repository) -> None:
    repository.write(**{"a.py": "changed\n"}, **{f"new/{number:04}.py": "x\n" for number in range(1_003)})
    left_out = await repository.left_out("HEAD")
    assert len(left_out) == 1_001 and left_out["."] == "holds 3 more files that git does not track"
    left_out = await repository.left_out("HEAD", Limits(max_diff_bytes=2_000))
    assert left_out == {".": "holds very many files that git does not track; ignore what is made, and add what is written"}
    assert await repository.changed("HEAD") == ["a.py"]


async def test_what_is_in_conflict_is_left_out_and_said_to_be(repository: Repository) -> None:
    repository.commit(**{"sub/c.py": "c\n"})
    repository.git("checkout", "-q", "-b", "side")
    repository.commit(**{"a.py": "side\n", "sub/c.py": "side\n", "t\tab.py": "side\n", "fine.py": "f\n"})
    repository.git("checkout", "-q", "main")
    repository.commit(**{"a.py": "main\n", "sub/c.py": "main\n", "t\tab.py": "main\n"})
    with pytest.raises(subprocess.CalledProcessError):
        repository.git("merge", "side")
    conflict = "has conflicts that are not resolved"
    for git_range in ("HEAD", "staged"):
        assert await repository.changed(git_range) == ["fine.py"]
        assert await repository.left_out(git_range) == {"a.py": conflict, "sub/c.py": conflict, "t\ufffdab.py": conflict}
        assert await repository.left_out(git_range, below="sub") == {"c.py": conflict}
    assert await repository.changed("main...side") == ["a.py", "fine.py", "sub/c.py", "t\tab.py"]
    assert await repository.left_out("main...side") == {}


async def test_when_nothing_differs_but_something_was_left_out_it_is_named(repository: Repository) -> None:
    repository.write(**{f"new{number}.py": "x\n" for number in range(7)})
    with pytest.raises(InvalidInput, match=r"Nothing differs in 'HEAD'\. Left out: new0\.py is not tracked .*; and 2 more\.$"):
        await repository.diff("HEAD")


async def test_a_filter_that_cannot_be_switched_off_refuses_the_repository(repository: Repository) -> None:
    repository.git("config", "filter.a=b.clean", "touch ran")
    with pytest.raises(InvalidInput, match="a filter that cannot be switched off"):
        await repository.diff("HEAD")


async def test_files_that_the_repository_keeps_elsewhere_are_not_shown(repository: Repository, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.py").write_text("planted-secret\n")
    repository.git("config", "core.worktree", str(tmp_path / "elsewhere"))
    with pytest.raises(InvalidInput, match="outside the workspace") as raised:
        await repository.diff("HEAD")
    assert str(tmp_path) not in raised.value.message


async def test_a_link_in_place_of_a_file_shows_where_it_leads_and_nothing_from_there(repository: Repository, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("planted-secret\n")
    (repository.folder / "a.py").unlink()
    (repository.folder / "a.py").symlink_to("../secret.txt")
    text = await repository.diff("HEAD")
    assert "+../secret.txt" in text
    assert "planted-secret" not in text


async def test_reading_a_diff_writes_nothing_and_what_was_only_touched_is_no_change(repository: Repository) -> None:
    repository.commit(**{"c.py": "c\n", "z.py": "z\n"})
    repository.write(**{"c.py": "changed\n"})
    for name in ("a.py", "b.py", "z.py"):
        os.utime(repository.folder / name, (1_000_000_000, 1_000_000_000))
    before = {path: path.stat().st_mtime_ns for path in (repository.folder / ".git").rglob("*")}
    text = await repository.diff("HEAD")
    assert {path: path.stat().st_mtime_ns for path in (repository.folder / ".git").rglob("*")} == before
    assert text.count("diff --git") == 1
    repository.write(**{"c.py": "c\n"})
    with pytest.raises(InvalidInput, match="Nothing differs"):
        await repository.diff("HEAD")


# --- bounds -------------------------------------------------------------------------------------------------------------


async def test_a_diff_over_the_limit_is_too_large(repository: Repository) -> None:
    repository.write(**{"a.py": "x\n" * 100_000})
    with pytest.raises(TooLarge, match="larger than 10,000 bytes"):
        await repository.diff("HEAD", Limits(max_diff_bytes=10_000))
    assert "+x" in await repository.diff("HEAD")


def fake_git(folder: Path, body: str) -> dict[str, str]:
    """An environment whose git says which process it is and then does as the body says."""
    (folder / "bin").mkdir()
    script(folder / "bin", "git", f"echo $$ >> {folder}/pids\n{body}")
    return {"PATH": f"{folder}/bin:{os.environ['PATH']}"}


def running(pids: Path) -> list[int]:
    """The processes of the file that have not ended; a zombie has, and only its new parent is to take it away."""
    found = [psutil.Process(int(pid)) for pid in pids.read_text().split() if psutil.pid_exists(int(pid))]
    return [process.pid for process in found if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


async def test_a_git_that_takes_too_long_is_killed_with_what_it_started(repository: Repository, tmp_path: Path) -> None:
    env = fake_git(tmp_path, f"sleep 300 &\necho $! >> {tmp_path}/children\nwait")
    with pytest.raises(InvalidInput, match=r"git took over 1 s"):
        await repository.diff("HEAD", Limits(git_seconds=1), env)
    assert not psutil.pid_exists(int((tmp_path / "pids").read_text())), "it was waited for"
    async with asyncio.timeout(10):
        while running(tmp_path / "children"):
            await asyncio.sleep(0.01)


async def test_a_cancelled_call_leaves_no_process(repository: Repository, tmp_path: Path) -> None:
    env = fake_git(tmp_path, "exec sleep 300")
    call = asyncio.create_task(repository.diff("HEAD", env=env))
    async with asyncio.timeout(10):
        while not (tmp_path / "pids").exists() or not (tmp_path / "pids").read_text():
            await asyncio.sleep(0.01)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert not psutil.pid_exists(int((tmp_path / "pids").read_text())), "it was waited for"


async def test_a_git_that_complains_without_end_neither_hangs_nor_fills_the_memory(repository: Repository, tmp_path: Path) -> None:
    env = fake_git(tmp_path, "yes complaint | head -c 3000000 >&2\nexit 3")
    with pytest.raises(InvalidInput, match="git cannot read the repository: complaint"):
        await repository.diff("HEAD", env=env)


async def test_a_git_that_fails_silently_is_told_of(repository: Repository, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="git cannot read the repository: no reason"):
        await repository.diff("HEAD", env=fake_git(tmp_path, "exit 3"))
