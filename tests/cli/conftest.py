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
