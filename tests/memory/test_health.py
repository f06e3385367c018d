"""The health record of one process."""

from __future__ import annotations

from memory.health import LocalHealth


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def opened(clock: Clock) -> LocalHealth:
    health = LocalHealth(failures=2, open_seconds=10, clock=clock)
    health.failed("p", "m")
    health.failed("p", "m")
    return health


def test_a_breaker_opens_after_failures_in_a_row_and_says_for_how_long() -> None:
    clock = Clock()
    health = opened(clock)
    refusal = health.admit("p", "m")
    assert refusal is not None
    assert (refusal.cause, refusal.seconds) == ("breaker_open", 10.0)
    assert health.admit("p", "other") is None
    assert "2 failures" in health.snapshot()["p"]


def test_a_success_in_between_starts_the_count_again() -> None:
    health = LocalHealth(failures=2, clock=Clock())
    health.failed("p", "m")
    health.succeeded("p", "m")
    health.failed("p", "m")
    assert health.admit("p", "m") is None
    assert health.snapshot() == {}


def test_half_open_admits_exactly_one_of_ten_until_it_settles() -> None:
    clock = Clock()
    health = opened(clock)
    clock.now = 10.0
    assert [health.admit("p", "m") is None for _ in range(10)].count(True) == 1
    health.succeeded("p", "m")
    assert all(health.admit("p", "m") is None for _ in range(10))


def test_a_failed_probe_opens_the_breaker_again() -> None:
    clock = Clock()
    health = opened(clock)
    clock.now = 10.0
    assert health.admit("p", "m") is None
    health.failed("p", "m")
    refusal = health.admit("p", "m")
    assert refusal is not None
    assert refusal.seconds == 10.0


def test_a_probe_that_tells_nothing_frees_its_place() -> None:
    clock = Clock()
    health = opened(clock)
    clock.now = 10.0
    assert health.admit("p", "m") is None
    health.released("p", "m")
    assert health.admit("p", "m") is None
    health.released("p", "never seen")


def test_parking_ends_when_its_time_is_over() -> None:
    clock = Clock()
    health = LocalHealth(clock=clock)
    health.park("p", 5)
    refusal = health.admit("p", "m")
    assert refusal is not None
    assert (refusal.cause, refusal.seconds) == ("parked", 5.0)
    assert "rate limited" in health.snapshot()["p"]
    clock.now = 5.0
    assert health.admit("p", "m") is None
    assert health.snapshot() == {}


def test_a_provider_set_aside_tells_its_reason() -> None:
    clock = Clock()
    health = LocalHealth(clock=clock)
    health.set_aside("p", 60, "bad key")
    refusal = health.admit("p", "m")
    assert refusal is not None
    assert (refusal.cause, refusal.reason) == ("set_aside", "bad key")
    clock.now = 60.0
    assert health.admit("p", "m") is None
