"""Where state is kept."""

from __future__ import annotations

import os
import pwd
import sys
from pathlib import Path

import pytest
from platformdirs.macos import MacOS
from platformdirs.unix import Unix

from conversation.errors import InvalidInput
from memory.config import MemoryConfig


def test_parley_home_wins(tmp_path: Path) -> None:
    config = MemoryConfig.from_env({"PARLEY_HOME": str(tmp_path), "HOME": "/elsewhere"})
    assert (config.home, config.database, config.ttl_days) == (tmp_path, tmp_path / "threads.db", None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("given", "home"), [("~", "/home/ann"), ("~/state", "/home/ann/state"), (" /a/b ", "/a/b")])
def test_a_tilde_is_the_home_of_the_environment_at_hand(given: str, home: str) -> None:
    assert MemoryConfig.from_env({"PARLEY_HOME": given, "HOME": "/home/ann"}).home == Path(home)


def test_a_relative_home_is_made_absolute() -> None:
    assert MemoryConfig.from_env({"PARLEY_HOME": "state"}).home == Path.cwd() / "state"


@pytest.mark.parametrize("platform", ["linux", "darwin"])
@pytest.mark.parametrize("data", ["", "/data", "relative"])
def test_the_default_is_what_platformdirs_names(monkeypatch: pytest.MonkeyPatch, platform: str, data: str) -> None:
    env = {"HOME": "/home/ann", "XDG_DATA_HOME": data}
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    folders = {"linux": Unix, "darwin": MacOS}[platform]
    assert str(MemoryConfig.from_env(env).home) == folders("parley", appauthor=False).user_data_dir


def test_without_a_home_the_password_database_knows_it() -> None:
    assert MemoryConfig.from_env({}).home.is_relative_to(pwd.getpwuid(os.getuid()).pw_dir)


@pytest.mark.parametrize(("text", "days"), [("", None), ("30", 30.0), (" 0.5 ", 0.5)])
def test_days_are_a_positive_number(text: str, days: float | None) -> None:
    assert MemoryConfig.from_env({"PARLEY_THREAD_TTL_DAYS": text, "HOME": "/h"}).ttl_days == days


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "soon"])
def test_days_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="PARLEY_THREAD_TTL_DAYS"):
        MemoryConfig.from_env({"PARLEY_THREAD_TTL_DAYS": text, "HOME": "/h"})
