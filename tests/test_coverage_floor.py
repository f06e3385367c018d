"""The floor under the coverage of each package."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.coverage_floor import PACKAGES, main, report


def figures(lines: int = 10, branches: int = 20) -> dict[str, Any]:
    """A file of ten lines and twenty branches, so many of them covered."""
    return {"summary": {"covered_lines": lines, "num_statements": 10, "covered_branches": branches, "num_branches": 20}}


def files(**changed: dict[str, Any]) -> dict[str, Any]:
    return {f"{package}/a.py": changed.get(package, figures()) for package in PACKAGES}


def test_every_line_and_nineteen_branches_of_twenty_are_enough() -> None:
    assert report(files(memory=figures(branches=19)))[1]


@pytest.mark.parametrize("short", [figures(lines=9), figures(branches=18)])
def test_one_package_below_the_floor_is_named(short: dict[str, Any]) -> None:
    rows, good = report(files(tools=short))
    assert not good
    assert [row.split()[0] for row in rows if "BELOW" in row] == ["tools"]


def test_a_package_nobody_measured_is_below_the_floor() -> None:
    measured = {name: found for name, found in files().items() if not name.startswith("memory/")}
    assert not report(measured)[1]


def test_a_missing_report_says_how_to_make_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(str(tmp_path / "none.json")) == 1
    assert "--cov-report=json" in capsys.readouterr().err
