"""Code review by the real server: files, git and diffs as they are, reviewers at real sockets."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from simulator import LogEntry, ThreadedSimulator
from tests.main_job.process import Parley
from tests.main_job.wires import PROVIDERS, asked, text_of, upstream_calls

CODE = "def last(items):\n    return items[len(items)]\n"
FINDING = {
    "severity": "high",
    "file": "src/last.py",
    "line": 7,
    "quote": "return items[len(items)]",
    "title": "Index is out of range",
    "detail": "It always raises.",
    "suggestion": "items[-1]",
}


def review(*issues: object, **more: str) -> str:
    return json.dumps({"issues": issues, **more})


def shown(entry: LogEntry) -> dict[str, str]:
    """Path to what a reviewer received of it."""
    return dict(re.findall(r'<file path="([^"]+)">\n(.*?)\n</file>', text_of(entry), re.DOTALL))


@pytest.fixture
def project(workspace: Path) -> Path:
    """A folder of files, good and bad, in the shared server's workspace."""
    folder = workspace / "project"
    if not folder.exists():
        (folder / "src").mkdir(parents=True)
        (folder / "src" / "last.py").write_text(CODE)
        (folder / "src" / "fine.py").write_text("FINE = 1\n")
        (folder / ".gitignore").write_text("made/\n*.log\n")
        (folder / "made").mkdir()
        (folder / "made" / "out.py").write_text("planted-ignored = 1\n")
        (folder / "run.log").write_text("planted-log\n")
        (folder / ".env").write_text("KEY=planted-key\n")
        (folder / "image.bin").write_bytes(b"\x00planted-binary")
        with (folder / "huge.py").open("wb") as huge:
            huge.truncate(50_000_000)
        (folder / "loop").symlink_to(folder, target_is_directory=True)
        os.mkfifo(folder / "pipe.py")
    return folder


def test_a_folder_is_reviewed_and_everything_left_out_is_listed(parley: Parley, sim: ThreadedSimulator, project: Path) -> None:
    sim.rule("vertex_claude", review({**FINDING, "file": "project/src/last.py"}))
    answer = parley.call("codereview", paths=["project"]).answer
    assert [(one["file"], one["line"]) for one in answer["issues"]] == [("project/src/last.py", 2)]
    assert {"project/src/last.py", "project/src/fine.py"} <= set(answer["files_reviewed"])
    skipped = {one["file"]: one["reason"] for one in answer["skipped"]}
    left_out = {"made": "ignored", "run.log": "ignored", ".env": "keys", "image.bin": "binary", "huge.py": "larger", "loop": "link"}
    reasons = {**left_out, "pipe.py": "regular file"}
    for name, reason in reasons.items():
        found = [why for file, why in skipped.items() if file.rstrip("/") == f"project/{name}"]
        assert found and reason in found[0], (name, skipped)
    received = "".join(json.dumps(entry["body"]) for provider in PROVIDERS for entry in asked(sim, provider))
    assert "planted-" not in received and "KEY" not in received


@pytest.mark.parametrize(
    "arguments",
    [
        {"paths": ["project/image.bin"]},
        {"paths": ["project/huge.py"]},
        {"paths": ["../elsewhere"]},
        {"paths": ["/etc/passwd"]},
        {"paths": ["project/pipe.py"]},
        {"paths": ["nowhere/**/*.py"]},
    ],
)
def test_what_cannot_be_reviewed_is_an_error_and_costs_nothing(
    parley: Parley, sim: ThreadedSimulator, project: Path, arguments: dict[str, Any]
) -> None:
    error = parley.call("codereview", **arguments).error
    assert error["code"] == "file_refused" and error["message"].startswith("There is nothing to review: ")
    assert upstream_calls(sim) == 0


@pytest.mark.parametrize("git_range", ["--output=x", "-O/etc/passwd", "HEAD", "", " ", "HEAD --output=x", "a\nb", "HEAD;touch x"])
def test_a_bad_range_and_a_folder_without_git_are_errors(parley: Parley, sim: ThreadedSimulator, workspace: Path, git_range: str) -> None:
    before = sorted(path.name for path in workspace.iterdir())
    assert parley.call("codereview", git_range=git_range).error["code"] == "invalid_input"
    assert upstream_calls(sim) == 0 and sorted(path.name for path in workspace.iterdir()) == before


def test_a_git_range_is_reviewed_as_its_diff(start: Any, sim: ThreadedSimulator, tmp_path: Path) -> None:
    parley: Parley = start()
    work = tmp_path / "work"

    def git(*arguments: str) -> None:
        env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}
        named = ("-c", "user.name=t", "-c", "user.email=t@example.invalid", "-c", "commit.gpgsign=false")
        subprocess.run(["git", *named, *arguments], cwd=work, env=env, check=True, capture_output=True)

    git("init", "-q", "-b", "main")
    (work / "src").mkdir()
    (work / "src" / "last.py").write_text("def first(items):\n    return items[0]\n")
    git("add", ".")
    git("commit", "-q", "-m", "one")
    (work / "src" / "last.py").write_text("def first(items):\n    return items[0]\n\n\n" + CODE)
    (work / "new.py").write_text("planted-untracked\n")
    sim.rule("vertex_claude", review({**FINDING, "line": 40}))
    for git_range, left_out in (("HEAD", ["new.py"]), ("staged", []), ("HEAD~1..HEAD", [])):
        if git_range == "staged":
            git("add", "src")
        if git_range.startswith("HEAD~"):
            git("commit", "-q", "-m", "two")
        answer = parley.call("codereview", git_range=git_range).answer
        assert [(one["file"], one["line"]) for one in answer["issues"]] == [("src/last.py", 6)]
        assert [one["file"] for one in answer["skipped"]] == left_out
    assert not any("planted-untracked" in text_of(entry) for entry in asked(sim, "vertex_claude"))
    (entry, *_) = asked(sim, "vertex_claude")
    assert shown(entry)["src/last.py"].splitlines() == [
        "1\t def first(items):", "2\t     return items[0]", "3\t+", "4\t+", "5\t+def last(items):", "6\t+    return items[len(items)]",
    ]  # fmt: skip
    error = parley.call("codereview", git_range="no-such-branch").error
    assert error["code"] == "invalid_input" and str(tmp_path) not in json.dumps(error)


@pytest.mark.parametrize(
    "said", ["Line 2 is wrong.", '{"issues": [{"severity": "high"', "[]", "{}", "null", '{"issues": [{"severity": 1}]}', "\ud83d" + "x"]
)
def test_whatever_a_reviewer_says_is_no_exception_and_no_empty_success(
    parley: Parley, sim: ThreadedSimulator, project: Path, said: str
) -> None:
    sim.rule("vertex_claude", said.encode("utf-16", "replace").decode("utf-16"))
    answer = parley.call("codereview", paths=["project/src/last.py"], models=["vertex_claude"]).answer
    assert answer["issues"] == []
    if said == "[]":
        assert answer["warnings"] == [] and answer["summary"].startswith("No issues found in 1 file")
    else:
        assert [one["code"] for one in answer["warnings"]] == ["prose_review"] and "No issues found" not in answer["summary"]


def test_an_answer_cut_by_the_output_limit_keeps_its_whole_findings(parley: Parley, sim: ThreadedSimulator, project: Path) -> None:
    one = {**FINDING, "file": "project/src/last.py"}
    sim.rule("vertex_claude", review(one, {**one, "title": "Never closed"})[:-60], finish="max_tokens")
    answer = parley.call("codereview", paths=["project/src/last.py"], models=["vertex_claude"]).answer
    assert [one["title"] for one in answer["issues"]] == ["Index is out of range"]
    assert [one["code"] for one in answer["warnings"]] == ["prose_review", "incomplete"]


def test_several_reviewers_on_all_wires_and_a_check_by_another(parley: Parley, sim: ThreadedSimulator, project: Path) -> None:
    one = {**FINDING, "file": "project/src/last.py"}
    sim.rule("*", json.dumps({"verdict": "refuted", "reason": "made up"}), match="Another reviewer reports a fault")
    sim.rule("*", review(one))
    models = ["vertex_claude", "vertex_gemini", "github_models"]
    answer = parley.call("codereview", paths=["project/src/last.py"], models=models, verify=True).answer
    assert answer["issues"] == [] and len(answer["refuted"]) == 1
    assert [name.partition("/")[0] for name in answer["refuted"][0]["found_by"]] == models
    assert answer["refuted"][0]["checked_by"].startswith("openrouter/")
