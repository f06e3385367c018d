"""The tool version."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed

from tools.app import Call
from tools.registry import tool
from tools.results import Result

PACKAGES = ("mcp", "litellm", "pydantic", "google-auth", "redis", "apsw", "aiohttp", "graphiti-core")
"""Those whose versions matter in a bug report."""


class VersionAnswer(Result):
    version: str
    python: str
    packages: dict[str, str]
    home: str
    uptime_s: float


@tool(title="Parley's version", read_only=True, idempotent=True)
async def version(call: Call) -> VersionAnswer:
    """Parley's version, its packages' versions, its state folder and how long it has been running."""
    app = call.app
    found = {name: number for name in PACKAGES if (number := _number(name)) is not None}
    return VersionAnswer(
        version=app.version,
        python=platform.python_version(),
        packages=found,
        home=app.home,
        uptime_s=round(app.clock() - app.started, 3),
    )


def _number(package: str) -> str | None:
    try:
        return installed(package)
    except PackageNotFoundError:
        return None
