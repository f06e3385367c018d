"""The tool version."""

from __future__ import annotations

import dataclasses
import platform
import sys
from importlib.metadata import version

import pytest

from tests.tools.house import House
from tools.mcp import build_server


async def test_version_says_what_a_bug_report_needs(house: House) -> None:
    house.server = build_server(dataclasses.replace(house.app, clock=lambda: house.app.started + 61.5004))
    answer = await house.call("version")
    assert answer["version"] == "1.2.3"
    assert answer["python"] == platform.python_version()
    assert answer["packages"]["mcp"] == version("mcp")
    assert answer["home"] == house.app.home
    assert answer["uptime_s"] == 61.5


async def test_a_package_that_is_not_installed_is_left_out(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["tools.version"], "PACKAGES", ("mcp", "no-such-package"))
    assert (await house.call("version"))["packages"] == {"mcp": version("mcp")}
