"""python server.py is parley serve."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from mcp import Client, StdioServerParameters

ROOT = Path(__file__).parent.parent


async def test_it_serves_mcp_on_stdio_with_the_same_arguments(tmp_path: Path) -> None:
    words = [str(ROOT / "server.py"), "--tools", "version"]
    async with Client(StdioServerParameters(command=sys.executable, args=words, env=dict(os.environ), cwd=tmp_path)) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["version"]


def test_wrong_use_is_one_line_and_status_two(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, ROOT / "server.py", "--bogus"], cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.startswith("parley serve: ") and done.stderr.count("\n") == 1


def test_it_refuses_to_start_on_another_folder_called_providers(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    shutil.copy(ROOT / "server.py", tmp_path / "app" / "server.py")
    stranger = tmp_path / "elsewhere" / "providers"
    stranger.mkdir(parents=True)
    (stranger / "__init__.py").write_text("print('a stranger ran')\n")
    done = subprocess.run(
        [sys.executable, "-S", tmp_path / "app" / "server.py"], env={**os.environ, "PYTHONPATH": str(stranger.parent)}, capture_output=True,
        text=True, timeout=30,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert str(tmp_path / "app" / "providers") in done.stderr and str(stranger) in done.stderr and done.stderr.count("\n") == 1


def test_a_package_that_is_not_installed_is_named_in_one_line_with_the_way_to_install_it(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-S", ROOT / "server.py"], cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("parley: the Python package ") and "make install" in done.stderr and "unexpected" not in done.stderr


def test_it_says_so_when_there_is_no_such_folder_at_all(tmp_path: Path) -> None:
    shutil.copy(ROOT / "server.py", tmp_path / "server.py")
    done = subprocess.run([sys.executable, "-S", tmp_path / "server.py"], env={}, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2 and "would load nothing" in done.stderr
