"""A diff read from git, with nothing run that a repository asks for, and nothing written.

A repository's own configuration can name programs: for diffs, conversions, filters, hooks, the file system monitor and fetches
of missing objects. Reviewing somebody's repository must start none of them, so each is switched off by name, filters one by one
since git knows no switch for all.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from conversation.errors import InvalidInput, TooLarge
from tools.files import shown_name
from tools.limits import Limits
from tools.reviewing.diffs import IN_CONFLICT, from_diff
from tools.reviewing.shapes import Skipped, Source

_MOST_CHARACTERS = 500
_MOST_COMPLAINT = 4_000
_MOST_UNTRACKED = 1_000
ENVIRONMENT = (
    "PATH", "HOME", "XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_CEILING_DIRECTORIES",
)  # fmt: skip
"""What git needs of the environment: where it is, and where the user's configuration is."""

_FIXED = {
    "LC_ALL": "C",
    "GIT_OPTIONAL_LOCKS": "0",  # nothing is refreshed on disk
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "",  # of all protocols none, whatever protocol.*.allow says
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_PAGER": "cat",
}
_OFF = (
    "core.fsmonitor=false", "core.hooksPath=/dev/null", "core.pager=cat", "core.sshCommand=false", "core.gitProxy=",
    "diff.external=", "diff.orderFile=/dev/null", "protocol.allow=never", "credential.helper=", "core.safecrlf=false",
    "diff.autoRefreshIndex=false",  # which writes the index, whatever GIT_OPTIONAL_LOCKS says, and takes the user's lock for it
)  # fmt: skip
_DIFF = (
    "diff", "--no-color", "--no-ext-diff", "--no-textconv", "--relative", "--find-renames", "--unified=10", "--inter-hunk-context=0",
    "--src-prefix=a/", "--dst-prefix=b/", "--submodule=short", "--ignore-submodules=dirty",  # any more would run git in the submodule
)  # fmt: skip
_BELOW = ("--", ".")  # git 2.39 crashes at a conflict outside the folder without it, --relative or not
_INDEX = ("ls-files", "-z", "-t", "--unmerged")
_UNTRACKED = ("--others", "--exclude-standard")
_FILTERS = ("config", "--null", "--name-only", "--get-regexp", r"^filter\..*\.(clean|process)$")
_HINT = "Name a commit, a branch or a range such as main...HEAD; HEAD stands for all that is not committed, staged for what is about to be."
_NO_REPOSITORY = "Give paths or a diff instead of git_range."
_ABSOLUTE = re.compile(r"(?<![\w.])/(?:[^\s'\":]+/)*")


@dataclass(frozen=True, slots=True)
class _Done:
    status: int
    output: bytes
    complaint: str


@dataclass(frozen=True, slots=True)
class Compared:
    """What a range shows: the text of its diff, and which files are left out of it and why."""

    text: str
    left_out: tuple[Skipped, ...]

    def sources(self) -> list[Source | Skipped]:
        """Return the files of the diff, then those left out, each only once: what is in conflict shows git's marks, and no code."""
        names = {one.file for one in self.left_out}
        files = from_diff(self.text)
        shown = (file for file in files if (shown_name(file.path) if isinstance(file, Source) else file.file) not in names)
        return [*shown, *self.left_out]


async def git_diff(workspace: str, git_range: str, limits: Limits, env: Mapping[str, str] | None = None) -> Compared:
    """Return what git shows of a range below the workspace: A..B, A...B, a commit or branch (against the files as they are), or `staged`.

    Of `env` only where git and the user's configuration are is used. Raises InvalidInput when the range, the repository or git is
    not there, or nothing differs; TooLarge for a diff over max_diff_bytes.
    """
    what = _checked(git_range)
    git = _Git(workspace, limits, env or {})
    await git.find_repository()
    switches = await git.filters_off()
    done = await git.run([*_DIFF, *what, *_BELOW], switches)
    if done.status != 0:
        raise InvalidInput(f"git cannot compare '{git_range}': {_clean(done.complaint)}", hint=_HINT)
    left_out = await _left_out(git, git_range)
    if not done.output.strip():
        told = "; ".join(f"{one.file} {one.reason}" for one in left_out[:5]) + (f"; and {len(left_out) - 5} more" if left_out[5:] else "")
        raise InvalidInput(f"Nothing differs in '{git_range}'.{f' Left out: {told}.' if told else ''}", hint=_HINT)
    return Compared(done.output.decode("utf-8", "replace"), left_out)


async def _left_out(git: _Git, git_range: str) -> tuple[Skipped, ...]:
    """What the index has in conflict, and beside the files as they are what git does not track; neither is in a range of commits."""
    asked = _INDEX
    if git_range != "staged":
        ends = await git.run(["rev-parse", "--revs-only", git_range])
        if len(ends.output.split()) != 1:  # two ends, or one that is left out: ^1234
            return ()
        asked = (*_INDEX, *_UNTRACKED)
    try:
        listed = await git.run([*asked, *_BELOW])
    except TooLarge:
        return (Skipped(file=".", reason="holds very many files that git does not track; ignore what is made, and add what is written"),)
    rows = [row.decode("utf-8", "replace") for row in listed.output.split(b"\x00") if row]
    conflicts = dict.fromkeys(row.partition("\t")[2] for row in rows if row.startswith("M "))
    untracked = [row[2:] for row in rows if row.startswith("? ")]
    skipped = [Skipped(file=shown_name(name), reason=IN_CONFLICT) for name in conflicts]
    skipped += [Skipped(file=shown_name(name), reason=_not_tracked(name)) for name in untracked[:_MOST_UNTRACKED]]
    if more := len(untracked[_MOST_UNTRACKED:]):
        skipped.append(Skipped(file=".", reason=f"holds {more:,} more files that git does not track"))
    return tuple(skipped)


def _not_tracked(name: str) -> str:
    if name.endswith("/"):
        return "is a repository of its own; review it in its own folder"
    return "is not tracked by git, so it is in no range; add it, or name it in paths"


def _checked(git_range: str) -> list[str]:
    """The range as arguments that git can take for nothing else."""
    wrong = (
        "is empty" if not git_range
        else f"is over {_MOST_CHARACTERS} characters" if len(git_range) > _MOST_CHARACTERS
        else "begins with '-'" if git_range.startswith("-")
        else "holds blanks or control characters" if any(char.isspace() or not char.isprintable() for char in git_range)
        else None
    )  # fmt: skip
    if wrong:
        raise InvalidInput(f"git_range {wrong}.", hint=_HINT)
    return ["--cached"] if git_range == "staged" else ["--end-of-options", git_range]


class _Git:
    """git in one folder, with a bare environment."""

    def __init__(self, workspace: str, limits: Limits, env: Mapping[str, str]) -> None:
        self._folder = workspace
        self._limits = limits
        # A relative folder in PATH would let the workspace bring its own git.
        places = [place for place in env.get("PATH", os.defpath).split(os.pathsep) if os.path.isabs(place)]
        passed = {name: env[name] for name in ENVIRONMENT if name in env}
        self._env = {**passed, **_FIXED, "PATH": os.pathsep.join(places)}

    async def find_repository(self) -> None:
        """Raise InvalidInput unless the workspace lies in a repository's own folder: core.worktree may name any other."""
        done = await self.run(["rev-parse", "--show-toplevel"])
        if done.status != 0 and "not a git repository" in done.complaint:
            raise InvalidInput("The workspace is not in a git repository.", hint=_NO_REPOSITORY)
        if done.status != 0:
            raise InvalidInput(f"git cannot read the repository: {_clean(done.complaint)}", hint=_NO_REPOSITORY)
        top = Path(os.path.realpath(os.fsdecode(done.output.removesuffix(b"\n"))))
        if not Path(os.path.realpath(self._folder)).is_relative_to(top):
            raise InvalidInput("The repository keeps its files outside the workspace.", hint=_NO_REPOSITORY)

    async def filters_off(self) -> list[str]:
        """Return settings under which no filter that the configuration defines is run on the files that are compared."""
        done = await self.run(_FILTERS)
        names = [os.fsdecode(name) for name in done.output.split(b"\x00") if name]
        if any("=" in name for name in names):  # `git -c` would part it there
            raise InvalidInput("The repository defines a filter that cannot be switched off.", hint=_NO_REPOSITORY)
        sections = sorted({name.rpartition(".")[0] for name in names})
        return [*(f"{name}=" for name in names), *(f"{section}.required=false" for section in sections)]

    async def run(self, words: Sequence[str], settings: Sequence[str] = ()) -> _Done:
        """Run git to its end. Raises InvalidInput when there is none or it takes too long, TooLarge when it says too much."""
        switches = [word for setting in (*_OFF, *settings) for word in ("-c", setting)]
        program = shutil.which("git", path=self._env["PATH"])
        if program is None:
            raise InvalidInput("git is not installed.", hint=f"Install git, or: {_NO_REPOSITORY}")
        try:
            process = await asyncio.create_subprocess_exec(
                program, "--no-pager", *switches, *words,
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
                cwd=self._folder, env=self._env, start_new_session=True,
            )  # fmt: skip
        except OSError:
            raise InvalidInput("git cannot be run in the workspace.", hint=_NO_REPOSITORY) from None
        return await self._followed(process)

    async def _followed(self, process: asyncio.subprocess.Process) -> _Done:
        output, errors = cast(asyncio.StreamReader, process.stdout), cast(asyncio.StreamReader, process.stderr)
        complaint = asyncio.create_task(_head(errors))
        done = None
        try:
            async with asyncio.timeout(self._limits.git_seconds):
                said = await _all(output, self._limits.max_diff_bytes)
                done = _Done(await process.wait(), said, await complaint)
                return done
        except TimeoutError:
            raise InvalidInput(f"git took over {self._limits.git_seconds:g} s.", hint="Name a smaller range, or give a diff.") from None
        finally:
            if done is None:
                await _killed(process, output, complaint)


async def _killed(process: asyncio.subprocess.Process, output: asyncio.StreamReader, complaint: asyncio.Task[str]) -> None:
    """End the process with all it started, and take what is still in its pipes, without which asyncio does not see it end."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS says the second of a group that has ended
        os.killpg(process.pid, signal.SIGKILL)
    await asyncio.wait([complaint])
    await _head(output)
    await process.wait()


async def _all(stream: asyncio.StreamReader, most: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while chunk := await stream.read(1 << 16):
        size += len(chunk)
        if size > most:
            raise TooLarge(f"The diff is larger than {most:,} bytes.", hint="Name a smaller range, or the paths to review.")
        chunks.append(chunk)
    return b"".join(chunks)


async def _head(stream: asyncio.StreamReader) -> str:
    """The beginning of what the stream says; the rest is read, so that nobody waits to say it, and dropped."""
    kept = b""
    while chunk := await stream.read(1 << 16):
        kept = (kept + chunk)[:_MOST_COMPLAINT]
    return kept.decode("utf-8", "replace")


def _clean(complaint: str) -> str:
    """The first line of what git said, without the places it names."""
    lines = [line for line in complaint.splitlines() if line.startswith(("fatal: ", "error: "))] or complaint.splitlines() or ["no reason"]
    return _ABSOLUTE.sub("", lines[0].removeprefix("fatal: ").removeprefix("error: ")).strip().rstrip(".") + "."
