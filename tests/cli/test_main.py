"""The command as a user meets it: exit statuses, one-line errors, data on stdout, words on stderr."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from cli import main as cli_main
from cli.main import COMMANDS, main
from cli.output import Failed, WrongUse, one_line, table
from conversation.errors import StoreUnavailable
from tests.cli.run import PARLEY, Here, is_one_line, parley


def test_help_goes_to_stdout_and_names_every_command() -> None:
    status, out, err = parley("--help")
    assert (status, err) == (0, "")
    assert all(f"\n  {command} " in out for command in COMMANDS)
    assert parley("help") == (status, out, err)


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in {"demo", "simulate"}])
def test_every_command_tells_its_options(here: Here, command: str) -> None:
    status, out, err = here(command, "--help")
    assert (status, err) == (0, "")
    assert out.startswith(f"usage: parley {command}") and "--env-file" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name a command"),
        (("versoin",), "there is no command 'versoin'; did you mean 'version'?"),
        (("xyzzy",), "there is no command 'xyzzy' (see parley --help)"),
        (("--bogus",), "unknown option --bogus"),
        (("--env-file",), "--env-file needs a file"),
        (("--env-file=", "models"), "--env-file needs a file"),
        (("version", "--jsno"), "parley version: unrecognized arguments: --jsno"),
        (("version", "extra\nline"), "unrecognized arguments"),
        (("serve", "--transport", "carrier-pigeon"), "invalid choice: 'carrier-pigeon'"),
        (("serve", "--port", "99999"), "'99999' is not a port"),
        (("serve", "--port", "http"), "'http' is not a port"),
        (("serve", "--tools", "chat,listmodel"), "--tools: there is no tool 'listmodel'; did you mean 'listmodels'?"),
        (("serve", "--tools", ","), "--tools names no tool"),
        (("serve", "--transport", "http", "--host", "0.0.0.0"), "--host=0.0.0.0 can be reached from other machines: set PARLEY_TOKEN"),
        (("serve", "--env-file", "nowhere.env"), "cannot read the env file nowhere.env"),
        (("--env-file", "nowhere.env", "models"), "cannot read the env file nowhere.env"),
        (("--env-file=nowhere.env", "models"), "cannot read the env file nowhere.env"),
        (("threads",), "the following arguments are required"),
        (("threads", "show", "not-an-id"), "'not-an-id' is not a continuation_id"),
        (("threads", "ls", "--limit", "0"), "'0' is not a number from 1"),
        (("config",), "the following arguments are required"),
        (("config", "emacs"), "invalid choice: 'emacs'"),
        (("demo", "x"), "parley demo: unrecognized arguments: x"),
        (("models", "--provider", "openruter"), "there is no provider 'openruter'; did you mean 'openrouter'?"),
    ],
)
def test_wrong_use_is_one_line_and_status_two(here: Here, arguments: tuple[str, ...], said: str) -> None:
    assert said in here.refused(*arguments)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"PARLEY_TOOLS": "chat,fallbak"}, "PARLEY_TOOLS: there is no tool 'fallbak'; did you mean 'fallback'?"),
        ({"PARLEY_DISABLED_TOOLS": "chatt"}, "PARLEY_DISABLED_TOOLS: there is no tool 'chatt'; did you mean 'chat'?"),
        ({"PARLEY_TOOLS": "chat", "PARLEY_DISABLED_TOOLS": "chat"}, "no tool is left to serve"),
        ({"PARLEY_LOG_LEVEL": "loud"}, "PARLEY_LOG_LEVEL must be one of"),
        ({"PARLEY_CHAIN": "openruter"}, "PARLEY_CHAIN"),
        ({"PARLEY_HOME": "$HOME/state"}, "PARLEY_HOME is '$HOME/state', which is not a whole path. Write it from the root"),
        ({"PARLEY_THREAD_TTL_DAYS": "soon"}, "PARLEY_THREAD_TTL_DAYS is not a positive number of days."),
        ({"PARLEY_THREADS_MAX_MB": "1 GB"}, "PARLEY_THREADS_MAX_MB is not a number of MB, 1 at least."),
        ({"PARLEY_FIRST_BYTE_TIMEOUT": "soon"}, "PARLEY_FIRST_BYTE_TIMEOUT"),
        ({"PARLEY_DAILY_BUDGET_USD": "-1"}, "PARLEY_DAILY_BUDGET_USD"),
        ({"PARLEY_CONFIG": "nowhere.toml"}, "cannot read the configuration nowhere.toml"),
        ({"PARLEY_WORKSPACE_ROOTS": "/nowhere/at/all"}, "PARLEY_WORKSPACE_ROOTS: /nowhere/at/all is not a folder"),
        ({"OPENROUTER_ENDPOINT": "ftp://x"}, "OPENROUTER_ENDPOINT"),
    ],
)
def test_wrong_configuration_is_one_line_and_status_two(here: Here, variables: dict[str, str], said: str) -> None:
    assert said in here.refused("serve", env=variables)


def test_a_host_of_the_environment_is_refused_by_the_name_of_its_variable(here: Here) -> None:
    said = here.refused("serve", "--transport", "sse", env={"PARLEY_HOST": "0.0.0.0"})
    assert said.startswith("parley: PARLEY_HOST=0.0.0.0 can be reached")


def test_a_state_folder_that_is_a_file_is_told_with_its_variable(here: Here) -> None:
    status, out, err = here("threads", "ls", env={"PARLEY_HOME": "/etc/passwd"})
    assert (status, out) == (1, "") and is_one_line(err)
    assert "PARLEY_HOME, cannot be used: it is, or lies in, something that is not a folder." in err


@pytest.mark.parametrize(
    ("command", "verbs"), [("threads", ("ls", "show", "search", "export", "import", "rm")), ("config", ("claude", "env"))]
)
def test_help_has_a_word_on_each_verb(here: Here, command: str, verbs: tuple[str, ...]) -> None:
    _, out, _ = here(command, "--help")
    assert all(re.search(rf"^    {verb} +[A-Z]", out, re.MULTILINE) for verb in verbs)


def test_the_process_itself_refuses_with_one_line_and_status_two(tmp_path: Path) -> None:
    status, out, err = parley("serve", env={"PARLEY_TOOLS": "chatt"}, cwd=tmp_path)
    assert (status, out) == (2, "")
    assert err.startswith("parley: PARLEY_TOOLS: there is no tool 'chatt'") and err.count("\n") == 1


def test_a_wrong_parley_toml_names_file_key_and_line(here: Here, tmp_path: Path) -> None:
    (tmp_path / "parley.toml").write_text("[threads]\nttl_day = 3\n")
    said = here.refused("serve", env={"PARLEY_HOME": str(tmp_path)})
    assert "parley.toml:2: [threads] has no key 'ttl_day'; did you mean 'ttl_days'?" in said


def test_a_state_folder_called_home_does_not_hide_which_file_is_wrong(here: Here, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "parley.toml").write_text("x = 1\n")
    assert "/home/parley.toml:1: there is no section [x]" in here.refused("models", env={"PARLEY_HOME": str(tmp_path / "home")})


def test_the_version_is_data() -> None:
    status, out, err = parley("version")
    assert (status, err) == (0, "") and out.strip()
    assert parley("--version") == (status, out, err)
    document = json.loads(parley("version", "--json")[1])
    assert document["version"] == out.strip()
    assert document["python"].startswith("3.") and document["packages"]["mcp"].startswith("2.")


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    # The pipe's other end is closed before anything is written.
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([PARLEY, "config", "env"], stdout=writing, stderr=subprocess.PIPE, timeout=50)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_command_in_a_folder_with_packages_of_our_names_uses_ours(tmp_path: Path) -> None:
    for name in ("providers", "tools", "cli"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('shadowed')\n")
    assert parley("models", cwd=tmp_path)[0] == 0


def command(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Make `parley version` raise."""

    def run(context: object, arguments: list[str]) -> int:
        raise error

    module = ModuleType("raises")
    module.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "raises", module)
    monkeypatch.setattr(cli_main, "COMMANDS", {"version": ("raises", "")})


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (WrongUse("wrong\nuse"), 2, "parley: wrong use\n"),
        (Failed("failed"), 1, "parley: failed\n"),
        (StoreUnavailable("The disk is full.", hint="Make room."), 1, "parley: The disk is full. Make room.\n"),
        (KeyboardInterrupt(), 130, ""),
        (SystemExit(), 0, ""),
        (SystemExit(3), 3, ""),
    ],
)
def test_errors_become_statuses(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: BaseException, status: int, said: str
) -> None:
    command(monkeypatch, error)
    assert main(["version"]) == status
    assert capsys.readouterr() == ("", said)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mcp.types", f"parley: the Python package mcp is not installed for {sys.executable}: install Parley with"),
        ("tools.gone", "parley: unexpected ModuleNotFoundError at test_main.py:"),
    ],
)
def test_a_library_that_is_missing_is_told_from_a_module_of_ours(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, said: str
) -> None:
    command(monkeypatch, ModuleNotFoundError("x", name=name))
    assert main(["version"]) == 1
    err = capsys.readouterr().err
    assert err.startswith(said) and err.count("\n") == 1


def test_a_defect_is_one_line_with_its_place_and_without_its_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command(monkeypatch, LookupError("tell nobody"))
    assert main(["version"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("parley: unexpected LookupError at test_main.py:") and "tell nobody" not in said and said.count("\n") == 1


def test_keys_and_homes_do_not_get_out_in_errors(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    command(monkeypatch, Failed("no /home/someone/x with ghp_0123456789abcdefghij"))
    assert main(["version"]) == 1
    assert capsys.readouterr().err == "parley: no ~/x with [secret]\n"


def test_an_interrupted_command_ends_with_130(tmp_path: Path) -> None:
    fifo = tmp_path / "export.json"
    os.mkfifo(fifo)
    env = {**os.environ, "HOME": str(tmp_path), "PARLEY_HOME": str(tmp_path / "home")}
    as_usual = signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in the background ignores it
    try:
        process = subprocess.Popen([PARLEY, "threads", "import", fifo], env=env, stderr=subprocess.PIPE)
    finally:
        signal.signal(signal.SIGINT, as_usual)
    try:
        # Opening the other end returns once the command has opened its own: from then on it waits for an export that never comes.
        with fifo.open("wb"):
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=20)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130
    assert b"Traceback" not in err


def test_words_and_tables_keep_their_shape() -> None:
    assert one_line("a\n  b\tc") == "a b c"
    assert one_line("x" * 500, 10) == "x" * 9 + "\u2026"
    assert table([("a", "bb"), ("ccc", "d")]) == "a    bb\nccc  d"
    assert table([]) == ""
