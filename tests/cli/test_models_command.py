"""parley models: providers and their models from the command line."""

from __future__ import annotations

import json
from pathlib import Path

from simulator import running
from tests.cli.run import Here


def test_without_keys_every_provider_says_how_to_configure_it(here: Here) -> None:
    status, out, err = here("models")
    assert (status, err) == (0, "")
    assert "vertex_claude (port 8090): not configured\n  " in out and "OPENROUTER_API_KEY" in out
    rows = json.loads(here("models", "--json")[1])["providers"]
    assert [(row["name"], row["port"], row["configured"]) for row in rows] == [
        ("vertex_claude", 8090, False), ("vertex_gemini", 8091, False), ("github_models", 8092, False), ("openrouter", 8093, False),
    ]  # fmt: skip
    assert all(row["hint"] and row["models"] for row in rows)


def test_models_can_be_narrowed_to_a_provider_and_to_a_word(here: Here) -> None:
    rows = json.loads(here("models", "--json", "--provider", "OpenRouter", "gpt")[1])["providers"]
    assert [row["name"] for row in rows] == ["openrouter"]
    assert rows[0]["models"] and all("gpt" in model["name"] for model in rows[0]["models"])


def test_a_word_that_is_in_no_name_fails_and_says_so(here: Here) -> None:
    said = "parley: no model has 'nosuchname' in its name or in an alias\n"
    assert here("models", "nosuchname") == (1, "", said)
    status, out, err = here("models", "--json", "nosuchname")
    assert (status, err) == (1, said) and not any(row["models"] for row in json.loads(out)["providers"])
    assert "no model of openrouter has 'haikoo'" in here("models", "--provider", "openrouter", "haikoo")[2]


def test_providers_without_a_model_of_that_name_are_left_out(here: Here) -> None:
    out = here("models", "gemini-3.1")[1]
    assert "vertex_gemini (port 8091)" in out and "github_models (port" not in out


def test_settings_of_parley_toml_show(here: Here, tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(
        '[chain]\norder = ["openrouter"]\n[models."openrouter/x/mine"]\naliases = ["Mine"]\ncontext_window = 7\n'
    )
    rows = json.loads(here("models", "--json", env={"PARLEY_CONFIG": str(tmp_path / "p.toml")})[1])["providers"]
    assert rows[0]["name"] == "openrouter"
    (mine,) = [model for model in rows[0]["models"] if model["name"] == "openrouter/x/mine"]
    assert (mine["aliases"], mine["context_window"]) == (["mine"], 7)


def test_live_lists_come_in_and_stay_for_the_next_run(here: Here, tmp_path: Path) -> None:
    with running() as sim:
        env = sim.environment(tmp_path)
        assert "openrouter/simulated/live-list-only" in here("models", env=env)[1]
        assert here("models", "--json", env=env)[0] == 0
        assert [entry["path"] for entry in sim.log] == ["/catalog/models", "/api/v1/models"] or len(sim.log) == 2
        assert all(entry["auth"] == "ok" for entry in sim.log)
    rows = json.loads(here("models", "--json", "--provider", "github_models", env=env)[1])["providers"]
    assert any(model["name"].startswith("github_models/simulated/") for model in rows[0]["models"])


def test_an_env_file_configures_a_provider(here: Here, tmp_path: Path) -> None:
    (tmp_path / "keys.env").write_text(
        "export OPENROUTER_API_KEY='sk-test-only' # not real\nOPENROUTER_ENDPOINT=http://127.0.0.1:9/api/v1\n"
    )
    assert "openrouter (port 8093): configured" in here("models", "--env-file", "keys.env")[1]
    assert "openrouter (port 8093): configured" in here("--env-file", "keys.env", "models", "--provider", "openrouter")[1]
