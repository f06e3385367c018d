"""The wheel holds exactly Parley, and the locks name every package by hash and no place."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent
PACKAGES = ("cli", "conversation", "gateway", "graph", "memory", "providers", "simulator", "tools")
PART_OF = {"mcp-types": "mcp", "pydantic-core": "pydantic", "yarl": "aiohttp"}  # distributions pinned by the one they belong to
LOCKS = ("requirements.lock", "requirements-dev.lock")


def run(*command: str | Path, cwd: Path) -> str:
    """What a command prints; its words on stderr become the failure."""
    words = [str(part) for part in command]
    done = subprocess.run(words, cwd=cwd, env=dict(os.environ), capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder, cwd=ROOT)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_exactly_our_packages_and_their_prompts(wheel: Path) -> None:
    sources = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    prompts = list((ROOT / "tools" / "prompts").rglob("*.md"))
    expected = {str(path.relative_to(ROOT)) for path in [*sources, *prompts, ROOT / "server.py"]}
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == expected
    assert len([name for name in held if name.startswith("tools/prompts/roles/")]) == 12


def test_the_source_archive_holds_what_every_verb_needs(tmp_path: Path) -> None:
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", tmp_path, cwd=ROOT)
    (built,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(built) as archive:
        held = {member.name.partition("/")[2]: member for member in archive.getmembers()}
    makefile = (ROOT / "Makefile").read_text() + (ROOT / ".ci" / "run").read_text()
    assert {"AGENTS.md", "Makefile", ".ci/run", "scripts/install-clients", *re.findall(r"scripts/[a-z-]+", makefile)} <= held.keys()
    assert all(held[name].mode & 0o100 for name in (".ci/run", "scripts/install", "scripts/install-clients"))
    for folder in (*PACKAGES, "bench", "config", "tests"):
        sources = [path for kind in ("py", "md", "template") for path in (ROOT / folder).rglob(f"*.{kind}")]
        assert sources and {str(path.relative_to(ROOT)) for path in sources} <= held.keys()


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a Python that has the wheel installed, and our dependencies but not our source tree on its path."""
    place = tmp_path_factory.mktemp("venv")
    run(sys.executable, "-m", "venv", "--without-pip", place, cwd=place)
    python = place / "bin" / "python"
    run(sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-index", wheel, cwd=place)
    (site,) = (place / "lib").glob("python*/site-packages")
    # A path named by a .pth file has its own .pth files left alone, so the editable install does not come along.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return place / "bin"


def test_the_installed_command_runs_beside_a_folder_of_the_same_name_as_a_package(installed: Path, tmp_path: Path) -> None:
    for package in PACKAGES:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text("raise SystemExit('shadowed')\n")
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert version in run(installed / "parley", "version", cwd=tmp_path)


def test_the_installed_command_has_the_roles(installed: Path, tmp_path: Path) -> None:
    code = "from tools.roles import RoleBook\nprint(len(RoleBook().roles))"
    assert run(installed / "python", "-c", code, cwd=tmp_path) == "12\n"


def test_the_installed_packages_are_those_of_the_wheel(installed: Path, tmp_path: Path) -> None:
    names = ", ".join(PACKAGES)
    places = run(installed / "python", "-c", f"import {names}\nprint(*[package.__file__ for package in ({names})])", cwd=tmp_path)
    assert all(Path(place).is_relative_to(installed.parent) for place in places.split())


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_every_package_by_version_and_hash_and_no_place(lock: str) -> None:
    text = (ROOT / lock).read_text()
    entries = re.split(r"\n(?=[a-z])", text.split("\n", 2)[2])
    assert len(entries) > 50
    assert not [entry.splitlines()[0] for entry in entries if not re.match(r"[a-z0-9.-]+==\S+", entry) or "--hash=sha256:" not in entry]
    assert not re.findall(r".*(?:://|file:|/home/|/root/|--index|--find-links).*", text)


def locked(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9.-]+)==([^\s;]+)", (ROOT / lock).read_text(), re.MULTILINE))


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_satisfies_what_the_project_asks_for(lock: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    asked = [*project["project"]["dependencies"], *groups["build"], *project["build-system"]["requires"]]
    if lock == "requirements-dev.lock":
        asked += [entry for entry in groups["dev"] if isinstance(entry, str)]
    versions = locked(lock)
    needs = [Requirement(text) for text in asked]
    assert not [str(need) for need in needs if not need.specifier.contains(versions.get(canonicalize_name(need.name), "0"))]


def test_both_locks_agree_on_every_version() -> None:
    wide = locked("requirements-dev.lock")
    assert {name: wide.get(name) for name in locked("requirements.lock")} == locked("requirements.lock")


def test_the_client_configuration_calls_the_console_script_and_holds_no_secret() -> None:
    server = json.loads((ROOT / "claude_mcp_config.json").read_text())["mcpServers"]["parley"]
    assert (server["type"], server["command"], server["args"]) == ("stdio", "parley", ["serve"])
    assert all(re.fullmatch(r"\$\{" + name + r":-[a-z0-9-]*\}", value) for name, value in server["env"].items())


def imported_by(path: Path) -> set[str]:
    """The top-level modules a file imports."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    plain = {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    absolute = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    return {name.split(".")[0] for name in plain | absolute}


def test_every_library_that_is_imported_is_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = {canonicalize_name(Requirement(text).name) for text in project["dependencies"]}
    imported = {name for package in PACKAGES for path in (ROOT / package).rglob("*.py") for name in imported_by(path)}
    foreign = imported - sys.stdlib_module_names - {*PACKAGES, "", "server"}
    owners = {name: {canonicalize_name(owner) for owner in packages_distributions().get(name, [])} for name in foreign}
    assert not {name for name, found in owners.items() if not {PART_OF.get(owner, owner) for owner in found} & declared}
