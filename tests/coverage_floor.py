"""Prints the coverage of each package and exits 1 when one is below the floor: every line, and 95 % of the branches.

Reads what `pytest --cov --cov-report=json` wrote; `make test` runs both.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

PACKAGES = ("conversation", "graph", "memory", "providers", "tools")
LINES, BRANCHES = 100.0, 95.0
KEYS = ("covered_lines", "num_statements", "covered_branches", "num_branches")


def percent(part: int, whole: int) -> float:
    return 100.0 * part / whole if whole else 100.0


def totals(files: dict[str, Any], package: str) -> Counter[str]:
    """The sums of a package's figures over its files."""
    found: Counter[str] = Counter()
    for name, figures in files.items():
        if Path(name).parts[0] == package:
            found.update({key: figures["summary"][key] for key in KEYS})
    return found


def report(files: dict[str, Any]) -> tuple[list[str], bool]:
    """A table, and whether every package reaches both floors."""
    rows, good = [f"{'package':<14}{'lines':>18}{'branches':>18}"], True
    for package in PACKAGES:
        sums = totals(files, package)
        lines, branches = percent(sums[KEYS[0]], sums[KEYS[1]]), percent(sums[KEYS[2]], sums[KEYS[3]])
        enough = sums["num_statements"] > 0 and lines >= LINES and branches >= BRANCHES
        good = good and enough
        shown = (f"{sums[KEYS[0]]}/{sums[KEYS[1]]} {lines:5.1f}%", f"{sums[KEYS[2]]}/{sums[KEYS[3]]} {branches:5.1f}%")
        rows.append(f"{package:<14}{shown[0]:>18}{shown[1]:>18}{'' if enough else '   BELOW THE FLOOR'}")
    return rows, good


def main(path: str = ".coverage.json") -> int:
    try:
        files = json.loads(Path(path).read_text())["files"]
    except FileNotFoundError:
        sys.stderr.write(f"{path} is missing: run pytest --cov --cov-report=json first\n")
        return 1
    rows, good = report(files)
    sys.stdout.write("\n".join([*rows, f"floor: lines {LINES:.0f} %, branches {BRANCHES:.0f} %", ""]))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
