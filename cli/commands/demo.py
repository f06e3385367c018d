"""`parley demo`: the main job from end to end, against simulated providers."""

from __future__ import annotations

import importlib

from cli.context import Context


def run(context: Context, arguments: list[str]) -> int:
    """Run the demonstration; its own parser reads the arguments."""
    return importlib.import_module("cli.demo").main(arguments)
