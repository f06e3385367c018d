"""`parley version`: the version, and with --json what it runs on."""

from __future__ import annotations

import importlib.metadata
import platform

from cli.context import Context, parley_version
from cli.output import put, put_json

PACKAGES = ("mcp", "litellm", "pydantic", "aiohttp", "apsw", "google-auth", "redis", "starlette", "uvicorn")
"""The dependencies whose versions matter when something is wrong."""


def run(context: Context, arguments: list[str]) -> int:
    """Print the version."""
    parser = context.parser("version", "Print the version of Parley.")
    parser.add_argument("--json", action="store_true", help="with Python and packages, as JSON")
    options = parser.parse_args(arguments)
    if not options.json:
        put(parley_version())
        return 0
    put_json({"version": parley_version(), "python": platform.python_version(), "packages": packages()})
    return 0


def packages() -> dict[str, str]:
    """Return the versions of the installed dependencies."""
    found: dict[str, str] = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
