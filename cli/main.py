"""Entry point of the command `parley`."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """The exit status of one command: 0 done, 1 failed, 2 wrong use."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments == ["version"]:
        from importlib.metadata import version

        sys.stdout.write(version("parley-mcp") + "\n")
        return 0
    sys.stderr.write("usage: parley version\n")
    return 2
