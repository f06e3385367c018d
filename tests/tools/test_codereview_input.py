"""Code review: what may be reviewed, what is left out and said to be, and what the thread holds of it."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.tools.house import House
from tests.tools.reviews import CLAUDE, CODE, GEMINI, INJECTION, OFF_BY_ONE, prompt_of, review, verdict
from tools.limits import Limits


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({}, "Nothing to review was named."),
        ({"paths": []}, "Nothing to review was named."),
        ({"paths": ["users.py"], "diff": "x"}, "Paths and diff were given."),
        ({"diff": "x", "git_range": "HEAD"}, "Diff and git_range were given."),
        ({"diff": "no diff at all"}, "The diff holds no file and no hunk."),
        ({"diff": ""}, "The diff holds no file and no hunk."),
        ({"git_range": "--output=x"}, "git_range begins with '-'."),
        ({"git_range": "HEAD"}, "not in a git repository"),
        ({"paths": ["users.py"], "review_type": "deep"}, "review_type: expected"),
        ({"paths": ["users.py"], "severity_filter": "huge"}, "severity_filter: expected"),
    ],
)
async def test_wrong_input_is_an_error_and_asks_nobody(house: House, users: Path, arguments: dict[str, Any], complaint: str) -> None:
    error = await house.error("codereview", arguments)
    assert error["code"] == "invalid_input"
    assert complaint.lower() in error["message"].lower()
    assert house.calls == 0 and await house.store.list(workspace=None) == []
    assert sorted(path.name for path in users.parent.iterdir()) == ["users.py"]


async def test_nothing_that_can_be_reviewed_is_an_error_that_says_why(house: House, workspace: Path) -> None:
    (workspace / "a.bin").write_bytes(b"\x00\x01")
    (workspace / ".env").write_text("KEY=1\n")
    error = await house.error("codereview", {"paths": ["a.bin", ".env", "gone.py", "../x", *(f"no{n}" for n in range(5))]})
    assert error["code"] == "file_refused"
    for words in ("a.bin", "binary", ".env", "keys or credentials", "gone.py", "does not exist", "and 4 more"):
        assert words in error["message"]
    assert await house.store.list(workspace=None) == []


async def test_of_a_diff_in_which_nothing_can_be_reviewed_the_hint_speaks_of_diffs(house: House) -> None:
    for rows, why in (("@@ nonsense @@\n", "no line in the diff"), ("+a = 1\n", "line 3 of the")):
        error = await house.error("codereview", {"diff": f"--- a/x.py\n+++ b/x.py\n{rows}"})
        assert error["code"] == "file_refused" and why in error["message"] and "empty" not in error["message"]
        assert "unified diff" in error["hint"]


async def test_what_is_left_out_is_listed_beside_what_is_reviewed(house: House, users: Path) -> None:
    (users.parent / "a.bin").write_bytes(b"\x00\x01")
    house.upstreams["vertex_claude"].plays = [review()]
    got = await house.call("codereview", {"paths": ["."]})
    assert got["files_reviewed"] == ["users.py"]
    assert [(one["file"], one["reason"]) for one in got["skipped"]] == [("a.bin", "is a binary file")]


async def test_a_diff_is_reviewed_with_the_numbers_of_the_new_side(house: House) -> None:
    diff = "--- a/users.py\n+++ b/users.py\n@@ -7,2 +7,3 @@ def find\n \n def last(items):\n+    return items[len(items)]\n"
    house.upstreams["vertex_claude"].plays = [review({**OFF_BY_ONE, "line": 1})]
    got = await house.call("codereview", {"diff": diff})
    assert [(one["file"], one["line"]) for one in got["issues"]] == [("users.py", 9)]
    assert "9\t+    return items[len(items)]" in prompt_of(house.upstreams["vertex_claude"].calls[0])


async def test_what_could_not_be_understood_of_a_diff_is_told_and_its_file_is_not_said_to_be_reviewed(house: House) -> None:
    diff = "--- a/x.py\n+++ b/x.py\n@@ -1 +1,2 @@\n one = 1\n+two = 2\nOnly in b: z.py\n+bad = eval(x)\n"
    house.upstreams["vertex_claude"].plays = [review()]
    got = await house.call("codereview", {"diff": diff})
    assert got["files_reviewed"] == [] and [one["file"] for one in got["skipped"]] == ["x.py"]
    assert got["skipped"][0]["reason"] == "was not read whole: line 7 of the diff could not be understood"
    assert "+two = 2" in prompt_of(house.upstreams["vertex_claude"].calls[0])


async def test_a_git_range_is_reviewed_and_names_what_git_does_not_track(house: House, users: Path) -> None:
    for words in (["init", "-q"], ["add", "users.py"]):
        subprocess.run(["git", *words], cwd=users.parent, check=True, timeout=30)
    (users.parent / "new.py").write_text("planted = 1\n")
    house.upstreams["vertex_claude"].plays = [review(INJECTION)]
    got = await house.call("codereview", {"git_range": "staged"})
    assert [(one["file"], one["line"]) for one in got["issues"]] == [("users.py", 5)] and got["skipped"] == []
    commit = ["-c", "user.name=A", "-c", "user.email=a@example.test", "-c", "commit.gpgsign=false", "commit", "-q", "-m", "one"]
    subprocess.run(["git", *commit], cwd=users.parent, check=True, timeout=30)
    users.write_text(CODE.replace("items)]", "items) - 0]"))
    got = await house.call("codereview", {"git_range": "HEAD"})
    assert [one["file"] for one in got["skipped"]] == ["new.py"] and "1 left out, see skipped." in got["summary"]
    assert "planted" not in house.received("vertex_claude")
    assert (await house.store.load(got["continuation_id"])).turns[0].content == "Code review (full) of the git range HEAD."


async def test_a_huge_diff_is_refused(workspace: Path) -> None:
    house = House(workspace, limits=Limits(max_diff_bytes=100))
    assert (await house.error("codereview", {"diff": "x" * 101}))["code"] == "too_large"


async def test_a_focus_is_of_bounded_length_and_home_paths_stay_out_of_the_thread(house: House, users: Path) -> None:
    error = await house.error("codereview", {"paths": ["users.py"], "focus": "x" * 2_001})
    assert error["message"] == "focus: expected at most 2,000 characters." and house.calls == 0
    house.upstreams["vertex_claude"].plays = [review()]
    got = await house.call("codereview", {"paths": ["users.py", "/home/ann/secret/a.py"]})
    assert "/home/ann" not in (await house.store.load(got["continuation_id"])).turns[0].content


# --- the thread ------------------------------------------------------------------------------------------------------


async def test_the_thread_holds_what_was_asked_and_found_and_a_later_chat_knows_it(house: House, users: Path) -> None:
    house.upstreams["vertex_claude"].plays = [review(INJECTION)]
    house.upstreams["vertex_gemini"].plays = [verdict("refuted", "never reached"), "fine"]
    got = await house.call("codereview", {"paths": ["users.py"], "focus": "injection", "verify": True})
    turns = (await house.store.load(got["continuation_id"])).turns
    assert [(turn.role, turn.tool, turn.provider, turn.state) for turn in turns] == [
        ("user", "codereview", None, "done"),
        ("assistant", "codereview", "vertex_claude", "done"),
    ]
    assert turns[0].content == "Code review (full) of users.py. Focus: injection"
    await house.call("chat", {"prompt": "go on", "model": GEMINI, "continuation_id": got["continuation_id"]})
    assert "Refuted: [critical, refuted] users.py:5 SQL injection through name" in house.received("vertex_gemini")
    assert f"Checked by {GEMINI}: refuted. never reached" in house.received("vertex_gemini")


async def test_a_review_by_several_is_parleys_own_turn(house: House, users: Path) -> None:
    for name in ("vertex_claude", "vertex_gemini"):
        house.upstreams[name].plays = [review(INJECTION)]
    got = await house.call("codereview", {"paths": [f"p{n}" for n in range(30)] + ["users.py"], "models": [CLAUDE, GEMINI]})
    turns = (await house.store.load(got["continuation_id"])).turns
    assert (turns[1].provider, turns[1].model) == (None, None)
    assert turns[0].content.endswith("and 11 more.")


async def test_a_review_of_a_range_or_a_diff_says_so_in_the_thread(house: House) -> None:
    house.upstreams["vertex_claude"].plays = [review()]
    got = await house.call("codereview", {"diff": "--- a/x.py\n+++ b/x.py\n@@ -0,0 +1 @@\n+x = 1\n"})
    assert (await house.store.load(got["continuation_id"])).turns[0].content == "Code review (full) of a diff."
