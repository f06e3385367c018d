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
    assert (config.home, config.database, config.ttl_days, config.max_mb) == (tmp_path, tmp_path / "threads.db", None, None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("given", "home"), [("~", "/home/ann"), ("~/state", "/home/ann/state"), (" /a/b ", "/a/b")])
def test_a_tilde_is_the_home_of_the_environment_at_hand(given: str, home: str) -> None:
    assert MemoryConfig.from_env({"PARLEY_HOME": given, "HOME": "/home/ann"}).home == Path(home)


@pytest.mark.parametrize("given", ["state", "./state", "~nobody-here/state", "$HOME/state", "${HOME}/state"])
def test_a_home_that_is_no_whole_path_is_refused(given: str) -> None:
    with pytest.raises(InvalidInput, match=r"PARLEY_HOME is .*, which is not a whole path") as refused:
        MemoryConfig.from_env({"PARLEY_HOME": given, "HOME": "/home/ann"})
    assert "/srv/parley" in refused.value.hint


def test_a_user_without_any_home_is_told_to_set_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 3_999_999_999)
    with pytest.raises(InvalidInput, match="Neither PARLEY_HOME nor HOME"):
        MemoryConfig.from_env({"HOME": "not/whole"})
    assert MemoryConfig.from_env({"PARLEY_HOME": "/srv/parley"}).home == Path("/srv/parley")


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


@pytest.mark.parametrize(("text", "size"), [("", None), ("500", 500.0), (" 1.5 ", 1.5)])
def test_megabytes_are_one_or_more(text: str, size: float | None) -> None:
    assert MemoryConfig.from_env({"PARLEY_THREADS_MAX_MB": text, "HOME": "/h"}).max_mb == size


@pytest.mark.parametrize("text", ["0", "0.9", "-1", "nan", "inf", "1GB"])
def test_megabytes_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="PARLEY_THREADS_MAX_MB") as refused:
        MemoryConfig.from_env({"PARLEY_THREADS_MAX_MB": text, "HOME": "/h"})
    assert "500" in refused.value.hint
