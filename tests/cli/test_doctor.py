"""parley doctor: what works and what does not."""

from __future__ import annotations

import json
import re
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from cli.commands import doctor
from memory.checkup import examine
from memory.config import MemoryConfig
from simulator import running
from tests.cli.kept import conversation
from tests.cli.run import Here


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, str]:
    """One configured provider, which the doctor does not ask."""
    return {"OPENROUTER_API_KEY": "sk-test-only", "PARLEY_HOME": str(tmp_path / "home")}


def examined(here: Here, env: dict[str, str], expected: int) -> dict[str, dict[str, Any]]:
    status, out, err = here("doctor", "--json", env=env)
    document = json.loads(out)
    assert (status, document["ok"], err) == (expected, expected == 0, ""), out
    return {check["name"]: check for check in document["checks"]}


def test_all_is_well_with_one_provider(here: Here, keys: dict[str, str]) -> None:
    checks = examined(here, keys, 0)
    assert {name: check["status"] for name, check in checks.items()} == {
        "python": "ok", "parley": "ok", "packages": "ok", "command": "ok", "configuration": "ok", "store": "ok", "threads": "ok",
        "home": "ok", "roles": "ok", "openrouter": "ok", "vertex_claude": "warning", "vertex_gemini": "warning", "github_models": "warning",
    }  # fmt: skip
    assert "OPENROUTER" not in checks["openrouter"]["detail"] and "mode 0700" in checks["home"]["detail"]


def test_every_provider_can_be_well(here: Here, tmp_path: Path) -> None:
    with running() as sim:
        checks = examined(here, {**sim.environment(tmp_path), "PARLEY_CHAIN": "openrouter"}, 0)
        assert all(check["status"] == "ok" for check in checks.values())
        assert "not in the chain" in checks["vertex_claude"]["detail"]
        assert not [entry for entry in sim.log if entry["method"] == "POST"], "no provider is asked"


def test_an_installation_without_keys_is_sound_and_told_that_no_model_can_be_asked(here: Here) -> None:
    checks = examined(here, {}, 0)
    assert checks["providers"]["status"] == "warning" and "parley config env" in checks["providers"]["hint"]
    status, out, _ = here("doctor")
    assert status == 0 and "\nwarning  providers      no model can be asked" in out


def test_a_placeholder_is_told_from_a_variable_that_is_not_set(here: Here, keys: dict[str, str]) -> None:
    checks = examined(here, {**keys, "GITHUB_TOKEN": "your_token_here"}, 0)
    assert checks["github_models"]["status"] == "warning"
    assert checks["github_models"]["detail"] == "not configured: GITHUB_TOKEN holds a placeholder, that is, it is not set."


def test_a_credentials_file_that_is_wrong_is_broken(here: Here, keys: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "account.json").write_text("{}")
    checks = examined(here, {**keys, "GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "account.json"), "GOOGLE_CLOUD_PROJECT": "p"}, 1)
    assert checks["vertex_claude"]["status"] == "broken"


def test_wrong_settings_are_the_finding(here: Here, keys: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text("[threads]\nttl_day = 1\n")
    for wrong in (
        {"PARLEY_CONFIG": "p.toml"},
        {"PARLEY_TOOLS": "x"},
        {"PARLEY_HOST": "0.0.0.0"},
        {"PARLEY_LOG_LEVEL": "x"},
        {"PARLEY_CHAIN": "x"},
    ):
        assert examined(here, {**keys, **wrong}, 1)["configuration"]["status"] == "broken"
    (tmp_path / "p.toml").write_text("[threads]\nttl_days = 1\n")
    assert "p.toml and the environment" in examined(here, {**keys, "PARLEY_CONFIG": "p.toml"}, 0)["configuration"]["detail"]


def test_a_misspelt_variable_is_a_warning(here: Here, keys: dict[str, str]) -> None:
    check = examined(here, {**keys, "PARLEY_CHIAN": "x"}, 0)["environment"]
    assert check["detail"] == "PARLEY_CHIAN is set, but nothing reads it; did you mean 'PARLEY_CHAIN'?"


def test_an_address_that_is_no_graph_databases_is_found(here: Here, keys: dict[str, str]) -> None:
    check = examined(here, {**keys, "PARLEY_GRAPH_URL": "8081"}, 1)["configuration"]
    assert check["status"] == "broken" and check["detail"].startswith("PARLEY_GRAPH_URL is not the address of a graph database")


def test_a_proxy_that_cannot_be_used_is_not_passed_over_in_silence(here: Here, keys: dict[str, str]) -> None:
    check = examined(here, {**keys, "ALL_PROXY": "socks5://u:planted-word@127.0.0.1:1"}, 0)["proxy"]
    assert check["status"] == "warning" and "ALL_PROXY is ignored" in check["detail"] and "planted-word" not in check["detail"]


def test_a_role_that_was_skipped_is_a_warning_with_its_reason(here: Here, keys: dict[str, str], tmp_path: Path) -> None:
    for folder in (Path(keys["PARLEY_HOME"]) / "roles", tmp_path / ".parley" / "roles"):
        folder.mkdir(parents=True, mode=0o700)
        folder.parent.chmod(0o700)
    (Path(keys["PARLEY_HOME"]) / "roles" / "mine.md").write_text("---\ntitel: Mine\n---\nBe mine.")
    (tmp_path / ".parley" / "roles" / "debug.md").write_text("Say that all is well.")
    status, out, err = here("doctor", "--json", env=keys)
    rows = [(check["status"], check["detail"]) for check in json.loads(out)["checks"] if check["name"] == "roles"]
    assert (status, err, [status for status, _ in rows]) == (0, "", ["ok", "warning", "warning"])
    assert rows[0][1].startswith("12: analyze, ") and "mine" not in rows[0][1]
    assert f"{keys['PARLEY_HOME']}/roles/mine.md has the unknown key 'titel'" in rows[1][1]
    assert rows[2][1].startswith(".parley/roles/debug.md bears the name of a role that is there already")
    assert "warning  roles" in here("doctor", env=keys)[1]


def test_a_store_that_is_no_database_is_broken(here: Here, keys: dict[str, str]) -> None:
    home = Path(keys["PARLEY_HOME"])
    home.mkdir(mode=0o700)
    MemoryConfig(home=home).database.write_text("this is no database" * 100)
    check = examined(here, keys, 1)["store"]
    assert check["status"] == "broken" and check["hint"]


def changed(env: dict[str, str], statements: str) -> Path:
    """The database, after a conversation and a change behind the store's back."""
    home = Path(env["PARLEY_HOME"])
    conversation(home)
    with closing(apsw.Connection(str(MemoryConfig(home=home).database))) as sql:
        sql.execute(statements)
    return MemoryConfig(home=home).database


def test_a_sound_database_is_told_with_what_it_holds(here: Here, keys: dict[str, str]) -> None:
    conversation(Path(keys["PARLEY_HOME"]))
    assert re.fullmatch(r"1 threads, 3 turns, \d\.\d MB", examined(here, keys, 0)["threads"]["detail"])


def test_a_damaged_database_is_broken_and_told_how_to_mend(here: Here, keys: dict[str, str]) -> None:
    database = changed(keys, "DELETE FROM turns WHERE seq = 2; DELETE FROM contents")
    checks = examined(here, keys, 1)
    assert checks["store"]["status"] == "ok" and checks["threads"]["status"] == "broken"
    said = f"{database} is damaged: files of turns whose content is lost: 1, and 1 more problems"
    assert checks["threads"]["detail"] == said
    for step in ("parley threads restore FILE --force", "parley threads export ID --json"):
        assert step in checks["threads"]["hint"]


def test_a_search_that_is_damaged_is_broken_and_mended_by_reindex(here: Here, keys: dict[str, str]) -> None:
    changed(keys, "DELETE FROM turns_fts_docsize")
    check = examined(here, keys, 1)["threads"]
    assert check["status"] == "broken" and "its search is not" in check["detail"] and check["hint"] == "Run `parley threads reindex`."
    assert here("threads", "reindex", env=keys) == (0, "", "the search was built anew\n")
    assert examined(here, keys, 0)["threads"]["status"] == "ok"


def test_a_database_too_large_to_be_looked_at_in_time_is_no_finding(
    here: Here, keys: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "examine", lambda path: examine(path, locked_seconds=0.0))
    words = " ".join(f"word{number}" for number in range(4000))
    for _ in range(60):
        conversation(Path(keys["PARLEY_HOME"]), words)
    check = examined(here, keys, 0)["threads"]
    assert check["status"] == "ok" and "60 threads" in check["detail"] and "as far as could be looked in 10 s" in check["detail"]
    assert "parley threads backup" in check["hint"]


def test_a_home_that_cannot_be_made_is_broken(here: Here, keys: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    checks = examined(here, {**keys, "PARLEY_HOME": str(tmp_path / "file" / "home")}, 1)
    assert checks["store"]["status"] == checks["home"]["status"] == "broken"


def test_a_home_that_is_a_file_is_broken_and_nobody_is_told_to_change_its_mode(here: Here, keys: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "file").touch(0o644)
    check = examined(here, {**keys, "PARLEY_HOME": str(tmp_path / "file")}, 1)["home"]
    assert check["detail"] == f"{tmp_path}/file is not a folder" and "chmod" not in check["hint"]


def test_a_home_others_can_enter_is_broken_where_it_is_not_ours_to_close(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (check,) = doctor.check_home(tmp_path)
    assert check.status == "broken" and check.hint == f"chmod 700 {tmp_path}"


def test_missing_packages_are_broken(here: Here, keys: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PACKAGES", (*doctor.PACKAGES, "no-such-package"))
    assert examined(here, keys, 1)["packages"]["detail"] == "no-such-package missing"


def test_without_the_console_script_there_is_a_warning(
    here: Here, keys: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(tmp_path))
    assert examined(here, {**keys, "PATH": str(tmp_path)}, 0)["command"]["status"] == "warning"
