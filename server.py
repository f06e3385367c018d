"""`python server.py` is `parley serve`: the same arguments, the same server."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path


def main() -> int:
    """Return the exit status of `parley serve` with this process's arguments."""
    problem = _shadowed()
    if problem:
        sys.stderr.write(problem + "\n")
        return 2
    from cli.main import main as command

    return command(["serve", *sys.argv[1:]])


def _shadowed() -> str | None:
    """Say, naming both paths, when something else called `providers` would be used in place of ours; nothing of it is run."""
    ours = Path(__file__).resolve().parent / "providers"
    spec = importlib.util.find_spec("providers")
    places = list(spec.submodule_search_locations or [spec.origin or "nowhere"]) if spec else ["nothing"]
    if Path(places[0]).resolve() == ours:
        return None
    return f"parley: server.py belongs to {ours}, but Python would load {places[0]}; move that away, or start `parley serve` instead"


if __name__ == "__main__":
    sys.exit(main())
