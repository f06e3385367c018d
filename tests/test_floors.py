"""The house stands: a package imports only from floors below it, and each heavy library has one door."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FLOORS = {
    "conversation": 0,
    "providers": 1, "memory": 1,
    "graph": 2,
    "sessions": 3,
    "tools": 4, "gateway": 4,
    "server": 5, "cli": 5,
}  # fmt: skip
OUTSIDE = {"simulator", "bench", "tests"}
DOORS = {
    "litellm": "providers/_litellm.py",
    "aiohttp": "providers/_http.py",
    "google.auth": "providers/_google.py",
    "google.oauth2": "providers/_google.py",
    "apsw": "memory/_database.py",
    "graphiti_core": "graph/_graphiti*.py",
    "kuzu": "graph/_graphiti_kuzu.py",
    "neo4j": "graph/_graphiti_servers.py",
    "falkordb": "graph/_graphiti_servers.py",
    "yaml": "tools/_role_file.py",
    "pypdf": "providers/_pdf_pages.py",
}


def sources(package: str) -> list[Path]:
    single = ROOT / f"{package}.py"
    return [single] if single.exists() else sorted((ROOT / package).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Every module a file imports, wherever the statement stands: inside functions and under TYPE_CHECKING too."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names=names):
                yield from (name.name for name in names)
            case ast.ImportFrom(module=str(module), level=0, names=names):
                yield from (f"{module}.{name.name}" for name in names)
            case ast.Call(func=ast.Attribute(attr=call) | ast.Name(id=call), args=[ast.Constant(value=str(name)), *_]):
                if call in {"import_module", "__import__"}:
                    yield name


def forbidden(package: str, name: str) -> bool:
    """`python server.py` is `parley serve`: between the two composition roots one import is the point."""
    other = name.split(".")[0]
    return other in FLOORS and other != package and FLOORS[other] >= FLOORS[package] and (package, other) != ("server", "cli")


def within(name: str, module: str) -> bool:
    return name == module or name.startswith(f"{module}.")


@pytest.mark.parametrize("package", FLOORS)
def test_a_package_imports_only_from_the_floors_below(package: str) -> None:
    wrong = [(path.relative_to(ROOT), name) for path in sources(package) for name in imports(path) if forbidden(package, name)]
    assert not wrong


def test_only_the_command_line_imports_the_simulator_and_nothing_imports_tests_or_benchmarks() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for package in FLOORS
        for path in sources(package)
        for name in imports(path)
        if name.split(".")[0] in OUTSIDE and not (package == "cli" and name.split(".")[0] == "simulator")
    ]
    assert not wrong


def test_the_simulator_imports_nothing_of_ours() -> None:
    ours = {*FLOORS, "bench", "tests"}
    assert not [(str(path), name) for path in sources("simulator") for name in imports(path) if name.split(".")[0] in ours]


@pytest.mark.parametrize("library", DOORS)
def test_a_heavy_library_comes_in_through_one_door(library: str) -> None:
    importers = {path for package in FLOORS for path in sources(package) if any(within(name, library) for name in imports(path))}
    assert not [path for path in importers if not fnmatch(str(path.relative_to(ROOT)), DOORS[library])]


def test_the_server_file_stays_short() -> None:
    assert len((ROOT / "server.py").read_text().splitlines()) <= 120
