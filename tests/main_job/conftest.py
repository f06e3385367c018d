"""One simulator and one server that all tests here share, and servers of one's own where settings or state matter."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from simulator import ThreadedSimulator, running
from tests.main_job.process import Parley, bare_environment, serving
from tests.main_job.wires import HASTY, PROVIDERS

Start = Callable[..., Parley]

SETTINGS = "\n".join(
    f'[models."{provider}/{model}"]\nfirst_byte_timeout = 0.25\nidle_timeout = 0.25\n' for provider, model in HASTY.items()
)


@pytest.fixture(scope="package")
def simulated() -> Iterator[ThreadedSimulator]:
    """The upstreams."""
    with running() as simulator:
        yield simulator


@pytest.fixture(autouse=True)
def sim(simulated: ThreadedSimulator) -> ThreadedSimulator:
    """The upstreams, with no rule, fault or log left of an earlier test."""
    simulated.reset()
    return simulated


@pytest.fixture(scope="package")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shared server's own folder: its home, its credentials, its stderr."""
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="package")
def workspace(shared_folder: Path) -> Path:
    """The shared server's working directory."""
    folder = shared_folder / "workspace"
    folder.mkdir()
    return folder


@pytest.fixture(scope="package")
def parley(simulated: ThreadedSimulator, shared_folder: Path, workspace: Path) -> Iterator[Parley]:
    """A warm server whose breakers never open, and whose HASTY models have a quarter of a second for anything."""
    env = {**bare_environment(shared_folder), **simulated.environment(shared_folder), "PARLEY_BREAKER_FAILURES": "1000000"}
    home = Path(env["PARLEY_HOME"])
    home.mkdir(mode=0o700)
    (home / "parley.toml").write_text(SETTINGS)
    with Parley(env, workspace, shared_folder / "stderr") as server:
        for provider in PROVIDERS:
            server.chat("get warm", model=provider)
        yield server


@pytest.fixture
def start(sim: ThreadedSimulator, tmp_path: Path) -> Iterator[Start]:
    """Starts servers that share one home, with changes to their environment: start(PARLEY_CHAIN="openrouter", GITHUB_TOKEN=None)."""
    started: list[Parley] = []

    def begin(*arguments: str, **changes: str | None) -> Parley:
        started.append(serving(sim, tmp_path, *arguments, **changes))
        return started[-1]

    yield begin
    for server in started:
        server.close()
