"""parley config: what Claude Code needs, and env files to fill in."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path

import pytest

from cli.commands.config import console_script
from cli.environment import NAMES
from cli.output import Failed
from tests.cli.run import PARLEY, Here, parley

ROOT = Path(__file__).parent.parent.parent


def test_the_line_names_the_command_alone_where_the_path_leads_to_it(here: Here) -> None:
    status, out, err = here("config", "claude", env={"PATH": f"{PARLEY.parent}{os.pathsep}{os.environ['PATH']}"})
    line, _, document = out.partition("\n\n")
    assert (status, line) == (0, "claude mcp add parley -- parley serve")
    assert json.loads(document)["mcpServers"]["parley"]["command"] == str(PARLEY)
    assert "'${OPENROUTER_API_KEY:-}' -- parley serve\n" in err and "-s user" in err


def test_the_line_and_the_json_call_the_console_script_by_its_absolute_path(here: Here, tmp_path: Path) -> None:
    status, out, err = parley("config", "claude", cwd=tmp_path, env={"PATH": "/usr/bin:/bin"})
    assert status == 0
    line, _, document = out.partition("\n\n")
    assert line == f"claude mcp add parley -- {PARLEY} serve"
    shipped = json.loads((ROOT / "claude_mcp_config.json").read_text())
    shipped["mcpServers"]["parley"]["command"] = str(PARLEY)
    assert json.loads(document) == shipped
    assert "-e OPENROUTER_API_KEY='${OPENROUTER_API_KEY:-}'" in err
    assert json.loads(here("config", "claude", "--json")[1]) == shipped


def test_secrets_of_the_environment_stay_out_of_the_configuration(here: Here, tmp_path: Path) -> None:
    secret = "sk-or-v1-planted-secret-0123456789"
    _, out, err = here("config", "claude", "--write", tmp_path / "mcp.json", env={"OPENROUTER_API_KEY": secret})
    assert secret not in out + err + (tmp_path / "mcp.json").read_text()


def test_a_written_file_is_private_and_parents_are_made(here: Here, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "mcp.json"
    status, out, err = here("config", "claude", "--write", path)
    assert status == 0 and f"wrote {path}" in err and out.startswith("claude mcp add")
    assert json.loads(path.read_text())["mcpServers"]["parley"]["args"] == ["serve"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == ["mcp.json"]


def test_other_servers_keys_links_and_modes_of_an_existing_file_are_kept(here: Here, tmp_path: Path) -> None:
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    real.write_text(json.dumps({"theme": "dark", "mcpServers": {"other": {"command": "x"}, "parley": {"command": "old"}}}))
    real.chmod(0o640)
    link.symlink_to(real)
    assert here("config", "claude", "--write", link)[0] == 0
    document = json.loads(real.read_text())
    assert document["theme"] == "dark" and document["mcpServers"]["other"] == {"command": "x"}
    assert document["mcpServers"]["parley"]["command"] == str(PARLEY)
    assert link.is_symlink() and stat.S_IMODE(real.stat().st_mode) == 0o640


@pytest.mark.parametrize("content", ["not json", "[]", "3", '{"mcpServers": []}', "[" * 100_000])
def test_a_file_that_is_something_else_is_left_alone(here: Here, tmp_path: Path, content: str) -> None:
    path = tmp_path / "mcp.json"
    path.write_text(content)
    assert "nothing was written" in here.refused("config", "claude", "--write", path)
    assert path.read_text() == content


def test_an_empty_file_is_filled(here: Here, tmp_path: Path) -> None:
    path = tmp_path / "mcp.json"
    path.touch()
    assert here("config", "claude", "--write", path)[0] == 0
    assert "parley" in json.loads(path.read_text())["mcpServers"]


def test_a_place_that_cannot_be_written_or_read_fails(here: Here, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "binary").write_bytes(b"\xff\xfe{}")
    for path in (tmp_path / "file" / "mcp.json", tmp_path, tmp_path / "binary"):
        status, out, err = here("config", "claude", "--write", path)
        assert (status, out) == (1, "") and err.startswith("parley: cannot ")


def test_env_prints_templates(here: Here) -> None:
    status, out, err = here("config", "env")
    assert (status, err) == (0, "")
    assert "OPENROUTER_API_KEY=your_openrouter_key_here" in out and "# PARLEY_CHAIN=vertex_claude,vertex_gemini" in out


def test_env_as_json_lists_the_variables_with_their_defaults(here: Here) -> None:
    status, out, err = here("config", "env", "--json")
    rows = {row["name"]: row for row in json.loads(out)["variables"]}
    assert (status, err, rows.keys()) == (0, "", NAMES)
    assert rows["GITHUB_TOKEN"]["default"] is None and rows["PARLEY_HEDGE_AFTER"]["default"] is None
    assert {key: rows["PARLEY_PORT_ROUTER"][key] for key in ("group", "meaning", "default")} == {
        "group": "shims", "meaning": "port of the router (parley up)", "default": "8080",
    }  # fmt: skip


def test_the_console_script_is_found_where_it_was_called_or_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path / "nowhere"))
    script = tmp_path / "bin" / "parley"
    script.parent.mkdir()
    script.touch(0o755)
    monkeypatch.setattr(sys, "argv", ["pytest"])
    monkeypatch.setenv("PATH", str(script.parent))
    assert console_script() == str(script)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Failed, match="is not installed"):
        console_script()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["bin/parley"])
    assert console_script() == str(script)
