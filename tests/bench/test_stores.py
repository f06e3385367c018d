"""The scripts that look for lost turns, in short: what they take for a loss, and that there is none."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from bench.kill9 import Run
from bench.store import answer, open_store, said, user

ROOT = Path(__file__).parents[2]


def rows(*words: str) -> list[str]:
    """What a script prints, after it has ended well."""
    done = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, timeout=55, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.mark.parametrize("where", [(), ("redis",)], ids=["SQLite", "Redis"])
def test_writers_that_are_killed_lose_nothing_they_said_was_stored(where: tuple[str, ...]) -> None:
    told, lost, _ = rows("bench.kill9", *where, "--rounds", "12")
    assert "in 12 rounds" in told
    assert lost.split()[-2:] == ["0", "0"]


def test_a_server_and_a_writer_that_die_together_lose_nothing_that_was_told_as_stored() -> None:
    found = rows("bench.loss", "--rounds", "1")
    assert len(found) == 3 and all(line.startswith("ok ") for line in found)


@pytest.mark.parametrize("where", [(), ("redis",)], ids=["SQLite", "Redis"])
def test_two_processes_on_one_thread_lose_nothing(where: tuple[str, ...]) -> None:
    found = rows("bench.appends", *where, "--turns", "100", "--least", "1")
    assert len(found) == 5 and all(line.startswith("ok ") for line in found)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("DELETE FROM turns WHERE seq = 4", "numbered"),
        ("UPDATE threads SET last_seq = 2; DELETE FROM turns WHERE seq > 2", "x is lost"),
        ("DELETE FROM turns WHERE seq = 5; UPDATE threads SET last_seq = 4", "neither whole nor interrupted"),
        ("UPDATE turns SET state = 'interrupted' WHERE seq = 3", "neither whole nor interrupted"),
        ("DELETE FROM turns_fts_docsize", "turns_fts"),
    ],
)
def test_what_is_lost_or_torn_is_noticed(parley_home: Path, change: str, problem: str) -> None:
    where = str(parley_home / "threads.db")
    run = Run(where, random.Random(1))

    async def written() -> str:
        store = open_store(where)
        thread_id = await said(store, "start")
        started = await store.begin(user("x"), workspace="/w", thread_id=thread_id)
        await store.complete(started.exchange_id, [answer("x!"), answer("x?")])
        await store.aclose()
        return thread_id

    thread_id = asyncio.run(written())
    run.told[thread_id].add("x")
    assert problems(run, [thread_id]) == []
    with closing(apsw.Connection(where)) as sql:
        sql.execute(f"DROP TRIGGER turns_are_only_added; {change}")
    assert any(problem in one for one in problems(run, [thread_id]))


def problems(run: Run, threads: Sequence[str]) -> list[str]:
    asyncio.run(run.check(threads))
    run.look_at_file()
    return run.problems
