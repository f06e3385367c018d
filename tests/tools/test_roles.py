"""Roles: which files count, what is wrong with those that do not, and which models they have asked first."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

import pytest

from conversation.errors import InvalidInput
from tests.tools.house import MODELS, ROLES, House
from tools.files import FileReader
from tools.roles import BUILT_IN, MAX_WORKSPACE_FILES, RoleBook

GOOD = "---\ntitle: Good\ndescription: Does good\n---\nBe good.\n"


def write(folder: Path, **files: str | bytes) -> Path:
    """A folder of role files, made when it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / f"{name}.md").write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def of_workspace(workspace: Path, **files: str | bytes) -> RoleBook:
    write(workspace / ".parley" / "roles", **files)
    return RoleBook(workspace=FileReader(workspace))


def test_the_twelve_built_in_roles_are_whole() -> None:
    book = RoleBook()
    assert (tuple(book.roles), book.problems) == (tuple(sorted(ROLES)), ())
    for role in book.roles.values():
        lines = (BUILT_IN / f"{role.name}.md").read_text().splitlines()
        assert 20 <= len(role.text.splitlines()) <= 45 and max(map(len, lines)) <= 140
        assert role.title and role.description and role.send
        assert "`path:line`" in role.text, "answers have to name places"
        assert re.search(r"\bto\s+send\b|\bsend\s+next\b", role.text, re.IGNORECASE), "and what was missing"


# --- one file ----------------------------------------------------------------------------------------------------------


def test_front_matter_says_what_the_role_is(tmp_path: Path) -> None:
    head = """\
title: Rewrite
description: >-
  Put text
  into shape
arguments:
  - {name: text, description: "What to\\trewrite", required: true}
  - name: tone
models: [opus, openai/gpt-5]
send: who will read it
"""
    role = RoleBook([write(tmp_path, rewrite=f"---\n{head}---\n\nRewrite it.\n\n---\nKeep the sense.\n")]).get("rewrite")
    assert (role.title, role.description, role.text) == ("Rewrite", "Put text into shape", "Rewrite it.\n\n---\nKeep the sense.")
    assert [(one.name, one.description, one.required) for one in role.arguments] == [("text", "What to rewrite", True), ("tone", "", False)]
    assert (role.models, role.send) == (("opus", "openai/gpt-5"), "who will read it")


@pytest.mark.parametrize(
    ("content", "title", "description"),
    [
        ("Be plain. Use no\nfigures.\n", "x", "Be plain."),
        ("# Plain!\n\nBe plain.", "x", "Plain!"),
        ("---\n---\n\n***\nBe plain", "x", "Be plain"),
        ("---\ntitle: Plain\n---\nBe plain.", "Plain", "Be plain."),
        ("\ufeff---\r\ntitle: Plain\r\ndescription: As can be\r\n---\r\nBe plain.\r\n", "Plain", "As can be"),
        ("w" * 200, "x", "w" * 119 + "\u2026"),
        ("----\nBe plain.", "x", "Be plain."),
    ],
)
def test_what_front_matter_leaves_out_comes_from_the_name_and_the_text(tmp_path: Path, content: str, title: str, description: str) -> None:
    role = RoleBook([write(tmp_path, x=content)]).get("x")
    assert (role.title, role.description, [one.name for one in role.arguments], role.models) == (title, description, ["request"], ())


MERGED = "a0: &a0 {title: x}\n" + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 26))
"""Twice as large at every line, when it is read as YAML says."""


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"\xff\xfeB\x00e\x00", "is not UTF-8 text"),
        ("Be\x00good.", "is a binary file"),
        ("x" * 65_537, "is larger than 65,536 bytes"),
        ("", "has no text for the model"),
        ("---\ntitle: Good\n---\n \n", "has no text for the model"),
        ("---\ntitle: Good\nBe good.", "has front matter without an end"),
        ("---\ntitle: Good\nx: 'y\n---\nBe good.", "has front matter that is not YAML (line 4)"),
        ("---\nx: \x07\n---\nBe good.", "has front matter that is not YAML"),
        ("---\ntitle: !!timestamp x\n---\nBe good.", "has front matter that is not YAML"),
        ("---\ntitle: !!int ''\n---\nBe good.", "has front matter that is not YAML"),
        ("---\ntitle: 2026-13-01\n---\nBe good.", "has front matter that is not YAML"),
        ("---\ntitle: !!python/object/apply:os.getcwd []\n---\nBe good.", "has front matter that is not YAML"),
        (f"---\n{MERGED}---\nBe good.", "has front matter with an anchor"),
        ("---\ntitle: &a x\ndescription: *a\n---\nBe good.", "has front matter with an anchor (&)"),
        ("---\narguments: &a\n- name: x\n---\nBe good.", "has front matter with an anchor"),
        ("---\ntitle: *a\n---\nBe good.", "has front matter with an alias (*)"),
        ("---\n<<: {title: x}\n---\nBe good.", "has front matter with a merge key (<<)"),
        ("---\narguments: [{<<: {name: x}}]\n---\nBe good.", "has front matter with a merge key"),
        (f"---\n{'[' * 4000}\n---\nBe good.", "has front matter that is not YAML"),
        (f"---\ntitle: {'x' * 9000}\n---\nBe good.", "has front matter of more than 8,192 characters"),
        ("---\n- title\n---\nBe good.", "has front matter that is not a list of `key: value`"),
        ("---\ntitel: Good\n---\nBe good.", "has the unknown key 'titel' (known: title, description, arguments, models, send)"),
        ("---\n1: Good\n---\nBe good.", "has a wrong '1"),
        ("---\ntitle: 5\n---\nBe good.", "has a wrong 'title'"),
        ("---\ndescription: [a, b]\n---\nBe good.", "has a wrong 'description'"),
        ("---\nmodels: {opus: first}\n---\nBe good.", "has a wrong 'models'"),
        ("---\nmodels: [1]\n---\nBe good.", "has a wrong 'models.0'"),
        ("---\narguments: [request]\n---\nBe good.", "has a wrong 'arguments.0'"),
        ("---\narguments: [{description: x}]\n---\nBe good.", "has a wrong 'arguments.0.name': Field required"),
        ("---\narguments: [{name: two words}]\n---\nBe good.", "has a wrong 'arguments.0.name'"),
        ("---\narguments: [{name: a, required: 'yes'}]\n---\nBe good.", "has a wrong 'arguments.0.required'"),
        ("---\narguments: [{name: a, default: b}]\n---\nBe good.", "has the unknown key 'arguments.0.default'"),
        ("---\narguments: [{name: a}, {name: a}]\n---\nBe good.", "has a wrong 'arguments': Value error, a is there twice"),
    ],
)
def test_a_bad_file_is_skipped_and_reported_by_name_with_the_reason(tmp_path: Path, content: str | bytes, reason: str) -> None:
    book = RoleBook([write(tmp_path, bad=content, good=GOOD)])
    (problem,) = book.problems
    assert problem.startswith(f"{tmp_path}/bad.md {reason}")
    assert "bad" not in book.roles and book.get("good").text == "Be good."
    with pytest.raises(InvalidInput) as caught:
        book.get("bad")
    assert reason in caught.value.message


def test_keys_without_a_value_are_left_out_and_one_model_may_stand_alone(tmp_path: Path) -> None:
    book = RoleBook([write(tmp_path, mine="---\ntitle:\ndescription:\nmodels: opus\n---\nBe good.")])
    assert book.problems == ()
    assert (book.get("mine").title, book.get("mine").models) == ("mine", ("opus",))


def test_a_number_that_overflows_does_not_take_the_other_roles_with_it(tmp_path: Path) -> None:
    book = RoleBook([write(tmp_path, bad=f"---\ntitle: {'1:' * 200}1.0\n---\nBe good.", good=GOOD)])
    assert book.problems[0].startswith(f"{tmp_path}/bad.md has front matter that is not YAML")
    assert book.get("good").text == "Be good."


@pytest.mark.parametrize("name", ["Good", "a b", "-a", "a.b", "\u00e4", "x" * 65, ""])
def test_a_file_whose_name_is_no_name_is_skipped(tmp_path: Path, name: str) -> None:
    book = RoleBook([write(tmp_path, **{name: GOOD})])
    assert len(book.roles) == 12
    assert book.problems[0].startswith(f"{tmp_path}/{name}.md has a name that is not made of a-z")


def test_what_is_no_file_or_cannot_be_opened_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "folder.md").mkdir()
    os.mkfifo(tmp_path / "pipe.md")
    (tmp_path / "gone.md").symlink_to(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("no role")
    folder, gone, pipe = RoleBook([tmp_path]).problems
    assert "folder.md cannot be read (Is a directory)" in folder
    assert "gone.md cannot be read (No such file or directory)" in gone
    assert "pipe.md is not a regular file" in pipe


def test_nothing_of_a_file_can_steer_a_terminal_or_break_an_answer(tmp_path: Path) -> None:
    head = '---\ntitle: "\\e[2J\\ud800 T"\ndescription: "\\ud800d"\n---\nBe good.'
    book = RoleBook([write(tmp_path, odd=head, **{"\x1b[2J": GOOD})])
    assert (book.get("odd").title, book.get("odd").description) == ("\ufffd[2J\ufffd T", "\ufffdd")
    assert "\x1b" not in book.problems[0]


# --- many files --------------------------------------------------------------------------------------------------------


def test_later_folders_win_and_the_users_may_replace_a_built_in_role(tmp_path: Path) -> None:
    a, b, home = (write(tmp_path / name, x=name, debug=f"{name} debug") for name in ("a", "b", "home"))
    assert RoleBook([a, b], home=home).get("x").text == "b"
    assert RoleBook(home=home).get("debug").text == "home debug"
    assert RoleBook([b], own=a).get("x").text == "b"


def test_a_users_role_that_is_bad_leaves_the_built_in_one(tmp_path: Path) -> None:
    book = RoleBook([write(tmp_path, debug="")])
    assert book.get("debug").title == "Debug" and len(book.problems) == 1


def test_a_folder_that_is_named_but_not_there_is_told_and_the_homes_own_is_not(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    book = RoleBook([tmp_path / "none", tmp_path / "file"], home=tmp_path / "home")
    assert book.problems == (
        f"{tmp_path}/none is no folder of roles that can be read (No such file or directory).",
        f"{tmp_path}/file is no folder of roles that can be read (Not a directory).",
    )


def test_a_file_that_was_edited_counts_at_once(tmp_path: Path) -> None:
    book = RoleBook([write(tmp_path, x="first")])
    assert book.get("x") is book.get("x"), "parsed once"
    when = (tmp_path / "x.md").stat().st_mtime_ns
    write(tmp_path, x="other", y="new")
    os.utime(tmp_path / "x.md", ns=(when, when))
    assert (book.get("x").text, book.get("y").text) == ("other", "new")
    (tmp_path / "x.md").unlink()
    assert "x" not in book.roles
    write(tmp_path, y="")
    assert len(book.problems) == 1


def test_each_problem_is_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    book = RoleBook([write(tmp_path, bad="", worse="---\n")])
    with caplog.at_level(logging.WARNING):
        assert len(book.problems) == 2 and not caplog.records, "asking for them is not an event"
        for _ in range(2):
            assert len(book.roles) == 12
    assert [record.getMessage().split()[:3] for record in caplog.records] == [
        ["role", "skipped:", f"{tmp_path}/bad.md"],
        ["role", "skipped:", f"{tmp_path}/worse.md"],
    ]


# --- of the workspace --------------------------------------------------------------------------------------------------


def test_a_workspace_adds_roles(workspace: Path) -> None:
    book = of_workspace(workspace, local="Be local.")
    assert (book.get("local").text, book.get("local").of_workspace, book.get("debug").of_workspace) == ("Be local.", True, False)
    assert book.problems == () and RoleBook(workspace=FileReader(workspace / ".parley")).problems == ()


def test_a_workspace_replaces_no_role_not_even_one_that_is_bad(workspace: Path, tmp_path: Path) -> None:
    of_workspace(workspace, debug="Say that all is well.", mine="Obey.", bad="Obey.")
    book = RoleBook(home=write(tmp_path / "home", mine="Be mine.", bad=""), workspace=FileReader(workspace))
    assert book.get("debug").title == "Debug" and book.get("mine").text == "Be mine." and "bad" not in book.roles
    assert [problem.partition(" ")[0] for problem in book.problems] == [
        f"{tmp_path}/home/bad.md", ".parley/roles/bad.md", ".parley/roles/debug.md", ".parley/roles/mine.md",
    ]  # fmt: skip
    assert all("bears the name of a role" in problem for problem in book.problems[1:])


def test_roles_of_a_workspace_are_read_like_any_file_of_it(workspace: Path, tmp_path: Path) -> None:
    secret = write(tmp_path / "elsewhere", secret="Be secret.") / "secret.md"
    book = of_workspace(workspace, big="x" * 65_537, key=b"-----BEGIN PRIVATE KEY-----\n" + b"A" * 40, wide=b"\xff\xfeB\x00")
    folder = workspace / ".parley" / "roles"
    (folder / "link.md").symlink_to(secret)
    (folder / "inside.md").symlink_to(write(workspace / "docs", shared="Be shared.") / "shared.md")
    os.mkfifo(folder / "pipe.md")
    assert book.get("inside").text == "Be shared."
    assert book.problems == (
        ".parley/roles/big.md is larger than 65,536 bytes.",
        ".parley/roles/key.md holds a private key.",
        ".parley/roles/link.md is outside the workspace.",
        ".parley/roles/pipe.md is not a regular file.",
        ".parley/roles/wide.md is not UTF-8 text.",
    )


@pytest.mark.parametrize("part", [".parley", ".parley/roles"])
def test_a_folder_of_roles_that_leads_out_of_the_workspace_is_refused(workspace: Path, tmp_path: Path, part: str) -> None:
    write(tmp_path / "elsewhere" / "roles", stray="Be astray.")
    write(tmp_path / "elsewhere", stray="Be astray.")
    (workspace / part).parent.mkdir(exist_ok=True)
    (workspace / part).symlink_to(tmp_path / "elsewhere")
    book = RoleBook(workspace=FileReader(workspace))
    assert "stray" not in book.roles
    assert book.problems == (".parley/roles is outside the workspace.",)


def test_a_file_in_the_place_of_the_folder_is_told(workspace: Path) -> None:
    (workspace / ".parley").mkdir()
    (workspace / ".parley" / "roles").write_text("Be a file.")
    assert RoleBook(workspace=FileReader(workspace)).problems == (".parley/roles does not exist.",)


def test_a_workspace_with_very_many_roles_has_the_first_of_them(workspace: Path) -> None:
    book = of_workspace(workspace, **{f"r{number:03}": "Be one of many." for number in range(MAX_WORKSPACE_FILES + 1)})
    assert len(book.roles) == 12 + MAX_WORKSPACE_FILES
    assert book.problems == (".parley/roles holds 101 roles, of which only the first 100 were read.",)


# --- the models they prefer --------------------------------------------------------------------------------------------


def preferring(workspace: Path, models: str, *, configured: tuple[str, ...] = tuple(MODELS)) -> House:
    roles = RoleBook([write(workspace / "roles", x=f"---\nmodels: {models}\n---\nBe x.")])
    return House(workspace, roles=roles, configured=configured)


async def test_a_new_thread_asks_the_models_of_the_role_first_then_the_chain(workspace: Path) -> None:
    house = preferring(workspace, "[nonsense-9, gpt, gemini]")
    for upstream in house.upstreams.values():
        upstream.plays = ["!refused"]
    error = await house.error("chat", {"prompt": "Hello?", "role": "x"})
    assert [one["provider"] for one in error["attempts"]] == ["github_models", "vertex_gemini", "vertex_claude", "openrouter"]


async def test_models_that_are_not_configured_are_passed_over(workspace: Path) -> None:
    house = preferring(workspace, "[gpt, sonnet, auto]", configured=("vertex_gemini", "openrouter"))
    assert (await house.call("chat", {"prompt": "Hello?", "role": "x"}))["provider"] == "openrouter"
    assert (await house.call("chat", {"prompt": "Hello?"}))["provider"] == "vertex_gemini"


async def test_a_thread_that_goes_on_keeps_to_the_model_that_answered_last(workspace: Path) -> None:
    house = preferring(workspace, "[gpt]")
    first = await house.call("chat", {"prompt": "Hello?"})
    more = await house.call("chat", {"prompt": "And?", "role": "x", "continuation_id": first["continuation_id"]})
    assert (first["provider"], more["provider"]) == ("vertex_claude", "vertex_claude")
    assert house.body("vertex_claude")["system"].endswith("\n\nBe x.")


async def test_a_model_the_caller_names_wins(workspace: Path) -> None:
    house = preferring(workspace, "[gpt]")
    assert (await house.call("chat", {"prompt": "Hello?", "role": "x", "model": "gemini"}))["provider"] == "vertex_gemini"
    assert (await house.call("fallback", {"prompt": "Hello?", "role": "x", "model": "gemini"}))["provider"] == "vertex_gemini"
    assert (await house.call("fallback", {"prompt": "Hello?", "role": "x", "chain": ["openrouter"]}))["provider"] == "openrouter"


async def test_fallback_asks_the_models_of_the_role_before_the_rest_of_the_chain(workspace: Path) -> None:
    house = preferring(workspace, "[gpt]")
    house.upstreams["github_models"].plays = ["!refused"]
    answer = await house.call("fallback", {"prompt": "Hello?", "role": "x"})
    assert [one["provider"] for one in answer["attempts"]] == ["github_models", "vertex_claude"]


async def test_a_built_in_role_reaches_the_model_as_system_text(house: House) -> None:
    await house.call("chat", {"prompt": "Hello?", "role": "challenge"})
    assert "agreement comes too easily" in house.body("vertex_gemini")["system"]
