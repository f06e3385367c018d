"""`parley demo`, as `make demo` runs it: every check it makes of itself holds, on a machine with no key."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.main_job.process import PARLEY, bare_environment


def test_the_demo_shows_what_it_promises(tmp_path: Path) -> None:
    env = bare_environment(tmp_path)
    done = subprocess.run([PARLEY, "demo"], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    checks = [line.strip() for line in done.stdout.splitlines() if line.startswith(("  ok  ", "  FAIL"))]
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(checks) >= 8 and all(line.startswith("ok") for line in checks), checks
    assert "SIMULATED" in done.stdout and "the panel" in done.stdout.lower()
