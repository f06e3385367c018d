"""What the command's tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.run import Here


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Here:
    """Runs commands in this process, in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    return Here(capsys, monkeypatch)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PARLEY_HOME", str(tmp_path / "home"))
    return tmp_path / "home"
