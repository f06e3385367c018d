"""The composition root: settings to parts, the slow things on first use, everything closed in the end."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from cli import wire
from cli.output import WrongUse
from cli.wire import QUIET_ENVIRONMENT, Upstreams, build_app, close_app, config_path, run_with_app, workspace_roots
from conversation.errors import NotConfigured, StoreUnavailable
from providers.base import ModelInfo
from providers.config import ProviderSettings
from simulator import Simulator
from tests.cli.run import untouched
from tools.app import App


@pytest.fixture(autouse=True)
def same_process() -> Iterator[None]:
    with untouched():
        yield


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator() as simulator:
        yield simulator


def app_of(folder: Path, **env: str) -> App:
    return build_app({"PARLEY_HOME": str(folder / "home"), **env}, workspace=folder)


def test_what_the_settings_say_is_what_the_parts_do(tmp_path: Path) -> None:
    (tmp_path / "roles").mkdir()
    (tmp_path / "roles" / "skeptic.md").write_text("You doubt.")
    (tmp_path / "p.toml").write_text(
        '[chain]\norder = ["openrouter", "github_models"]\n[threads]\nmax_tokens = 77\n[roles]\nfolders = ["roles"]\n'
        '[budget]\ndaily_usd = 3\n[aliases]\nmine = ["opus"]\n[models."openrouter/x/y"]\nmax_output = 9\n'
    )
    env = {"PARLEY_CONFIG": str(tmp_path / "p.toml"), "OPENROUTER_API_KEY": "sk-test-only", "PARLEY_DAILY_BUDGET_USD": "4"}
    app = app_of(tmp_path, **env)
    assert app.catalogue.chain == ("openrouter",)
    assert app.catalogue.routes("openrouter/x/y")[0].max_output == 9
    assert app.catalogue.routes("mine")[0].provider == "openrouter"
    assert app.limits.max_window_tokens == 77
    assert app.roles.get("skeptic").text == "You doubt."
    assert app.budget is not None and app.budget.limit_usd == 4
    assert (app.workspace, app.home) == (str(tmp_path), str(tmp_path / "home"))
    assert app.scrub("the key sk-test-only") == "the key [secret]"
    assert not (tmp_path / "home").exists()


def test_roles_come_from_the_home_the_settings_and_the_workspace(tmp_path: Path) -> None:
    for folder, names in {"home/roles": ("debug", "mine"), "team": ("mine",), ".parley/roles": ("local", "mine")}.items():
        (tmp_path / folder).mkdir(parents=True)
        for name in names:
            (tmp_path / folder / f"{name}.md").write_text(f"{name} of {folder}")
    (tmp_path / "home" / "parley.toml").write_text('[roles]\nfolders = ["../team"]\n')
    roles = app_of(tmp_path).roles
    texts = {name: roles.get(name).text for name in ("debug", "mine", "local")}
    assert texts == {"debug": "debug of home/roles", "mine": "mine of team", "local": "local of .parley/roles"}
    assert len(roles.roles) == 14
    assert [sentence.partition(" ")[0] for sentence in roles.problems] == [".parley/roles/mine.md"]


def test_where_the_home_is_the_workspaces_own_folder_its_roles_are_the_users(tmp_path: Path) -> None:
    (tmp_path / ".parley" / "roles").mkdir(parents=True)
    (tmp_path / ".parley" / "roles" / "debug.md").write_text("Mine.")
    app = build_app({"PARLEY_HOME": str(tmp_path / ".parley")}, workspace=tmp_path)
    assert (app.roles.get("debug").text, app.roles.problems) == ("Mine.", ())


def test_libraries_find_an_environment_that_keeps_them_quiet(tmp_path: Path) -> None:
    app_of(tmp_path)
    assert {name: os.environ[name] for name in QUIET_ENVIRONMENT} == dict(QUIET_ENVIRONMENT)
    assert os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] == "True"


def test_the_configuration_file_is_the_named_one_or_the_one_at_home(tmp_path: Path) -> None:
    assert config_path({}, tmp_path) is None
    (tmp_path / "parley.toml").touch()
    assert config_path({}, tmp_path) == tmp_path / "parley.toml"
    assert config_path({"PARLEY_CONFIG": "other.toml"}, tmp_path) == Path("other.toml")


def test_workspace_roots_are_folders(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert workspace_roots({}) == ()
    assert workspace_roots({"PARLEY_WORKSPACE_ROOTS": f"{tmp_path}:{tmp_path / 'a'}:"}) == (tmp_path, tmp_path / "a")
    with pytest.raises(WrongUse, match="is not a folder"):
        workspace_roots({"PARLEY_WORKSPACE_ROOTS": str(tmp_path / "b")})


def test_errors_name_no_home_wherever_it_stands(tmp_path: Path) -> None:
    assert app_of(tmp_path, HOME="/data/ann").scrub("in /data/ann/x and /home/ann/y") == "in ~/x and ~/y"


def test_providers_have_the_ports_that_are_set(tmp_path: Path) -> None:
    app = app_of(tmp_path, PARLEY_PORT_OPENROUTER="9993")
    assert {spec.name: spec.port for spec in app.catalogue.providers} == {
        "vertex_claude": 8090, "vertex_gemini": 8091, "github_models": 8092, "openrouter": 9993,
    }  # fmt: skip


@pytest.mark.parametrize("name", ["PARLEY_CONFIG", "PARLEY_WORKSPACE_ROOTS"])
def test_the_home_of_a_user_there_is_not_is_wrong_use(tmp_path: Path, name: str) -> None:
    with pytest.raises(WrongUse, match="~nobody-here/x: there is no such user"):
        app_of(tmp_path, **{name: "~nobody-here/x"})


@pytest.mark.parametrize("env", [{"PARLEY_THREAD_TTL_DAYS": "never"}, {"PARLEY_CHAIN": "x"}, {"PARLEY_CONFIG": "/nowhere.toml"}])
def test_a_wrong_setting_is_wrong_use(tmp_path: Path, env: dict[str, str]) -> None:
    with pytest.raises(WrongUse):
        app_of(tmp_path, **env)


async def prepare(model: ModelInfo) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 50}


async def test_the_first_question_warms_every_configured_provider(tmp_path: Path, sim: Simulator) -> None:
    env = sim.environment(tmp_path)
    app = app_of(tmp_path, **{name: value for name, value in env.items() if name != "GITHUB_TOKEN"})
    models = app.catalogue.routes("openrouter")
    assert not sim.log, "routing asks nobody anything"
    reply = await app.chain.ask(models, prepare)
    assert reply.model.provider == "openrouter"
    await sim.until(lambda log: [entry for entry in log if entry["provider"] == "google_token"], timeout=30)
    await close_app(app)


async def test_a_provider_that_is_asked_twice_is_made_once(sim: Simulator, tmp_path: Path) -> None:
    upstreams = Upstreams(ProviderSettings.from_env(sim.environment(tmp_path)), [])
    assert upstreams("openrouter") is upstreams("openrouter")
    assert upstreams("vertex_claude") is not upstreams("vertex_gemini")
    await upstreams.aclose()
    await Upstreams(ProviderSettings(), []).aclose()


async def test_vertex_without_credentials_is_an_error_and_no_crash(tmp_path: Path) -> None:
    app = app_of(tmp_path)
    with pytest.raises(NotConfigured):
        app.catalogue.routes("opus")
    await close_app(app)


async def test_closing_does_not_wait_for_what_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "CLOSE_SECONDS", 0.05)
    app = app_of(tmp_path)
    never = asyncio.Event()

    async def hangs() -> None:
        await never.wait()

    monkeypatch.setattr(app.store, "aclose", hangs)
    async with asyncio.timeout(5):
        await close_app(app)


def test_a_command_gets_an_app_that_is_closed_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[Any] = []

    async def close(app: App) -> None:
        closed.append(app)

    async def fails(app: App) -> int:
        raise StoreUnavailable(app.workspace)

    monkeypatch.setattr(wire, "close_app", close)
    with pytest.raises(StoreUnavailable, match=str(tmp_path)):
        run_with_app({"PARLEY_HOME": str(tmp_path)}, fails, workspace=tmp_path)
    assert len(closed) == 1
