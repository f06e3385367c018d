"""The tool version."""

from __future__ import annotations

import platform
from importlib.metadata import version

from tests.tools.house import House


async def test_version_says_what_a_bug_report_needs(house: House) -> None:
    answer = await house.call("version")
    assert answer["version"] == "1.2.3"
    assert answer["python"] == platform.python_version()
    assert answer["packages"]["mcp"] == version("mcp")
    assert answer["home"].endswith("/home")
    assert answer["uptime_s"] >= 0
