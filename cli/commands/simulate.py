"""`parley simulate`: the simulated providers, for trying things out without keys."""

from __future__ import annotations

import importlib

from cli.context import Context


def run(context: Context, arguments: list[str]) -> int:
    """Serve the simulator until interrupted; its own parser reads the arguments."""
    return importlib.import_module("simulator").main(arguments)
