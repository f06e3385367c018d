"""What the command prints, and what becomes of it: streams that are closed or full, terminals, encodings."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from cli.output import put, put_json, say, table
from conversation.threads import NewTurn
from memory.sqlite import SqliteThreadStore
from tests.cli.kept import stored
from tests.cli.run import in_shell, is_one_line


@pytest.mark.parametrize("arguments", ["version", "--help", "config env --json", "demo", "simulate", "serve"])
def test_a_closed_stdout_is_one_line(tmp_path: Path, arguments: str) -> None:
    status, _, err = in_shell(f'exec "$PARLEY" {arguments} >&-', tmp_path)
    assert status == 1 and is_one_line(err), err
    assert "stdout" in err


@pytest.mark.parametrize("arguments", ["version", "--help", "config env", "models --json"])
def test_a_full_disk_behind_stdout_is_one_line(tmp_path: Path, arguments: str) -> None:
    status, _, err = in_shell(f'exec "$PARLEY" {arguments} >/dev/full', tmp_path)
    assert (status, err) == (1, "parley: cannot write to stdout: No space left on device\n")


def test_without_stderr_the_status_still_tells(tmp_path: Path) -> None:
    assert in_shell('exec "$PARLEY" vresion 2>&-', tmp_path) == (2, "", "")
    assert in_shell('exec "$PARLEY" vresion 2>/dev/full', tmp_path) == (2, "", "")


def test_an_import_without_stdin_is_one_line(tmp_path: Path) -> None:
    status, _, err = in_shell('exec "$PARLEY" threads import - <&-', tmp_path)
    assert (status, err) == (1, "parley: stdin is closed: there is nothing to read\n")


@pytest.mark.parametrize(
    "locale", [{"PYTHONIOENCODING": "latin-1"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}], ids=["latin-1", "C"]
)
def test_what_an_encoding_lacks_is_escaped_and_json_is_utf_8(tmp_path: Path, locale: dict[str, str]) -> None:
    async def record(store: SqliteThreadStore) -> str:
        return (await store.begin(NewTurn(role="user", content="\u6f22\u5b57 \x9b"), workspace="/w")).thread.id

    env = {"PARLEY_HOME": str(tmp_path / "home"), **locale}
    thread_id = stored(tmp_path / "home", record)
    status, out, err = in_shell('exec "$PARLEY" threads show "$1"', tmp_path, thread_id, env=env)
    assert (status, err) == (0, "") and "\\u6f22\\u5b57 \\x9b" in out
    for action in ("show", "export"):
        status, out, err = in_shell('exec "$PARLEY" threads "$2" "$1" --json', tmp_path, thread_id, action, env=env)
        assert (status, err) == (0, "") and "\u6f22\u5b57 \\u009b" in out
        assert json.loads(out)["turns"][0]["content"] == "\u6f22\u5b57 \x9b"


def test_nothing_a_terminal_would_obey_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    text = "a\tb\r\n\x1b]52;c;aGk=\x07 \0 \x9b31m \r\x7f \u202f\u6f22"
    shown = "a\tb\n\\x1b]52;c;aGk=\\x07 \\x00 \\x9b31m \\x0d\\x7f \u202f\u6f22"
    put(text)
    say(text)
    assert capsys.readouterr() == (shown + "\n", shown + "\n")
    put_json({"a": text + "\ud800"})
    out = capsys.readouterr().out
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f]", out) and json.loads(out) == {"a": text + "\ud800"}
    assert table([("\x1b", "x"), ("abcdef", "y")]) == "\\x1b    x\nabcdef  y"
