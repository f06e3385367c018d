"""Lock files that tell the living from the dead."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from memory._owner import Owners


def test_an_owner_is_alive_while_its_lock_is_held(tmp_path: Path) -> None:
    one, two = Owners(tmp_path), Owners(tmp_path)
    assert not one.claimed
    mine = one.mine()
    assert one.claimed
    assert one.mine() == mine
    assert not one.is_dead(mine)
    assert not two.is_dead(mine)
    one.release()
    assert two.is_dead(mine)
    assert list(tmp_path.iterdir()) == []


def test_claiming_clears_away_the_locks_of_the_dead_only(tmp_path: Path) -> None:
    (tmp_path / "dead.lock").touch()
    owners = [Owners(tmp_path) for _ in range(2)]
    alive = {owner.mine() for owner in owners}
    assert {path.stem for path in tmp_path.iterdir()} == alive


def test_a_lock_file_cleared_away_before_it_is_locked_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock, seen = fcntl.flock, list[str]()

    def cleared_first(handle: int, how: int) -> None:
        seen.append(os.readlink(f"/proc/self/fd/{handle}"))
        if len(seen) == 1:
            os.unlink(seen[0])
        lock(handle, how)

    monkeypatch.setattr(fcntl, "flock", cleared_first)
    mine = Owners(tmp_path).mine()
    assert len(seen) == 2
    assert [path.stem for path in tmp_path.iterdir()] == [mine]


def test_releasing_what_was_never_claimed_is_nothing(tmp_path: Path) -> None:
    Owners(tmp_path / "none").release()
