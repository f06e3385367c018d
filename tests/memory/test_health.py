"""The health record: what it says, wherever it is kept, and how processes share it."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from memory.health import LONGEST_SECONDS, PROBE_SECONDS, STALE_SECONDS, HealthRecord, InMemory, Keeper
from memory.health_file import HealthFile


class Clock:
    """Not at the beginning of time: a file remembers no longer than an hour, in either direction."""

    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


Make = Callable[..., HealthRecord]


@pytest.fixture(params=["memory", "file"])
def make(request: pytest.FixtureRequest, clock: Clock, tmp_path: Path) -> Make:
    """Makes a record in either place; those in a file share it."""

    def made(**settings: Any) -> HealthRecord:
        keeper: Keeper = InMemory() if request.param == "memory" else HealthFile(tmp_path / "home" / "health.json")
        return HealthRecord(**settings, clock=clock, keeper=keeper)

    return made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "home" / "health.json"


def sharing(file: Path, clock: Clock) -> HealthRecord:
    return HealthRecord(failures=2, open_seconds=10, clock=clock, keeper=HealthFile(file))


def opened(make: Make) -> HealthRecord:
    health = make(failures=2, open_seconds=10)
    health.failed("p", "m")
    health.failed("p", "m")
    return health


def test_a_breaker_opens_after_failures_in_a_row_and_says_for_how_long(make: Make) -> None:
    health = opened(make)
    refusal = health.admit("p", "m")
    assert refusal is not None
    assert (refusal.cause, refusal.seconds) == ("breaker_open", 10.0)
    assert health.admit("p", "other") is None
    assert "m: 2 failures" in health.snapshot()["p"]


def test_a_success_in_between_starts_the_count_again(make: Make) -> None:
    health = make(failures=2)
    health.failed("p", "m")
    health.succeeded("p", "m")
    health.failed("p", "m")
    assert health.admit("p", "m") is None
    assert health.snapshot() == {}


def test_half_open_admits_exactly_one_of_ten_until_it_settles(make: Make, clock: Clock) -> None:
    health = opened(make)
    clock.now += 10.0
    assert [health.admit("p", "m") is None for _ in range(10)].count(True) == 1
    health.succeeded("p", "m")
    assert all(health.admit("p", "m") is None for _ in range(10))


def test_a_failed_probe_opens_the_breaker_again(make: Make, clock: Clock) -> None:
    health = opened(make)
    clock.now += 10.0
    assert health.admit("p", "m") is None
    health.failed("p", "m")
    refusal = health.admit("p", "m")
    assert refusal is not None
    assert refusal.seconds == 10.0


def test_a_probe_that_tells_nothing_frees_its_place(make: Make, clock: Clock) -> None:
    health = opened(make)
    clock.now += 10.0
    assert health.admit("p", "m") is None
    health.released("p", "m")
    assert health.admit("p", "m") is None
    health.released("p", "never seen")


def test_a_probe_whose_process_died_keeps_others_out_for_a_while_only(make: Make, clock: Clock) -> None:
    health = opened(make)
    clock.now += 10.0
    assert health.admit("p", "m") is None
    clock.now += PROBE_SECONDS - 1
    assert health.admit("p", "m") is not None
    clock.now += 1
    assert health.admit("p", "m") is None


def test_failures_of_long_ago_tell_nothing(make: Make, clock: Clock) -> None:
    health = make(failures=2)
    health.failed("p", "m")
    clock.now += STALE_SECONDS + 1
    health.failed("p", "m")
    assert health.admit("p", "m") is None
    health.failed("p", "m")
    assert health.admit("p", "m") is not None
    clock.now += STALE_SECONDS + 11
    assert health.snapshot() == {}


def test_parking_ends_when_its_time_is_over(make: Make, clock: Clock) -> None:
    health = make()
    health.park("p", 5)
    refusal = health.admit("p", "m")
    assert refusal is not None
    assert (refusal.cause, refusal.seconds) == ("parked", 5.0)
    assert "rate limited" in health.snapshot()["p"]
    clock.now += 5.0
    assert health.admit("p", "m") is None
    assert health.snapshot() == {}
    health.failed("p", "m")
    assert health.keeper.read().parked == {}


def test_a_provider_set_aside_tells_its_reason(make: Make, clock: Clock) -> None:
    health = make()
    health.set_aside("p", 60, "bad key")
    refusal = health.admit("p", "m")
    assert refusal is not None
    assert (refusal.cause, refusal.reason) == ("set_aside", "bad key")
    clock.now += 60.0
    assert health.admit("p", "m") is None


def test_what_one_learns_all_know(file: Path, clock: Clock) -> None:
    one, other = sharing(file, clock), sharing(file, clock)
    one.failed("p", "m")
    other.failed("p", "m")
    assert one.admit("p", "m") is not None and other.admit("p", "m") is not None
    clock.now += 10
    assert [health.admit("p", "m") is None for health in (one, other)] == [True, False]
    one.succeeded("p", "m")
    assert other.admit("p", "m") is None and other.snapshot() == {}
    other.park("q", 5)
    one.set_aside("r", 5, "bad key")
    assert one.snapshot().keys() == other.snapshot().keys() == {"q", "r"}
    assert file.stat().st_mode & 0o777 == 0o600 and file.parent.stat().st_mode & 0o777 == 0o700


def test_nothing_is_written_while_all_is_well(file: Path, clock: Clock) -> None:
    health = sharing(file, clock)
    assert health.admit("p", "m") is None
    health.succeeded("p", "m")
    health.released("p", "m")
    assert not file.parent.exists()


_FAILING = """
import sys
from pathlib import Path
from typing import Any
from memory.health import HealthRecord
from memory.health_file import HealthFile
health = HealthRecord(failures=1_000, keeper=HealthFile(Path(sys.argv[1]), patience=30))
print(flush=True)
sys.stdin.readline()
for _ in range(100):
    health.failed("p", "m")
"""


def test_processes_that_write_at_once_lose_nothing(file: Path) -> None:
    made = [
        subprocess.Popen([sys.executable, "-c", _FAILING, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for process in made:
        assert process.stdout is not None and process.stdout.readline()
    for process in made:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in made:
        process.communicate(timeout=30)
        assert process.returncode == 0
    assert HealthFile(file).read().breakers["p/m"].failures == 300


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"breakers": {"p/m": 3}}', b'{"parked": {"p": {"until": "soon"}}}', b"\xff"])
def test_a_file_that_is_none_is_as_good_as_empty(file: Path, clock: Clock, content: bytes) -> None:
    file.parent.mkdir()
    file.write_bytes(content)
    health = sharing(file, clock)
    assert health.admit("p", "m") is None
    health.park("p", 5)
    assert sharing(file, clock).admit("p", "m") is not None


def test_a_clock_that_was_wrong_loses_no_provider_for_long(make: Make, clock: Clock) -> None:
    health = opened(make)
    health.park("q", 5)
    health.set_aside("r", 5, "bad key")
    clock.now -= 10 * LONGEST_SECONDS
    assert health.snapshot() == {} and [health.admit(provider, "m") for provider in "pqr"] == [None, None, None]
    health.park("q", 5)
    assert health.admit("q", "m") is not None
    clock.now += 5
    assert health.admit("q", "m") is None


def test_a_shorter_wait_does_not_end_a_longer_one(make: Make, clock: Clock) -> None:
    health = make()
    health.park("p", 60)
    health.park("p", 1)
    clock.now += 59
    assert health.admit("p", "m") is not None


def test_who_asks_with_another_key_learns_nothing(make: Make, clock: Clock) -> None:
    one, other = make(failures=1, realms={"p": "mine"}), make(failures=1, realms={"p": "yours"})
    one.set_aside("p", 60, "bad key")
    one.failed("p", "m")
    assert one.admit("p", "m") is not None and other.admit("p", "m") is None
    assert (one.rejected("p"), other.rejected("p")) == ("bad key, for 60 s more", None)
    assert list(one.snapshot()) == ["p"] and other.snapshot() == {}
    again = make(failures=1, realms={"p": "mine"})
    assert (again.rejected("p") is None) == isinstance(again.keeper, InMemory)


def test_a_half_open_breaker_is_not_told_as_trouble(make: Make, clock: Clock) -> None:
    health = opened(make)
    assert list(health.snapshot()) == ["p"] and health.rejected("p") is None
    clock.now += 10
    assert health.snapshot() == {}


def test_a_folder_that_cannot_be_written_costs_the_sharing_only(
    tmp_path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "in-the-way").write_text("a file")
    health = sharing(tmp_path / "in-the-way" / "health.json", clock)
    with caplog.at_level(logging.WARNING):
        health.failed("p", "m")
        health.failed("p", "m")
    assert health.admit("p", "m") is not None
    assert [record.getMessage() for record in caplog.records] == ["the health of providers is not shared with other processes: File exists"]


def test_a_disk_that_refuses_costs_the_sharing_only(file: Path, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    (file.with_suffix(".new")).mkdir(parents=True)
    health = sharing(file, clock)
    health.park("p", 5)
    assert health.admit("p", "m") is not None and "not shared" in caplog.text


def test_a_file_system_without_locks_costs_the_sharing_only(
    file: Path, clock: Clock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    health = sharing(file, clock)
    health.park("p", 5)
    assert health.admit("p", "m") is not None and "not shared with other processes: No locks available" in caplog.text


def test_changes_are_seen_where_times_of_files_are_coarse_and_numbers_are_used_again(file: Path, clock: Clock) -> None:
    one, other = sharing(file, clock), sharing(file, clock)
    for _ in range(20):
        one.park("q", 5)
        assert other.admit("q", "m") is not None
        clock.now += 5
        marks = file.stat().st_mtime_ns
        other.park("r", 5)
        assert file.stat().st_mtime_ns > marks


def test_a_lock_that_is_held_for_ever_holds_nobody_up(file: Path, clock: Clock) -> None:
    health = sharing(file, clock)
    file.parent.mkdir()
    with os.fdopen(os.open(file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT), "w") as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        health.park("p", 5)
        assert health.admit("p", "m") is not None and not file.exists()
