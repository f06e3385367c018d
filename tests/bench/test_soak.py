"""Three minutes of mixed load and faults leave the gateway as large as it was."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(300)
def test_the_gateway_holds_no_more_memory_files_and_tasks_after_three_minutes() -> None:
    run = [sys.executable, "-m", "bench.soak", "--minutes", "3"]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("ok ") == 4
