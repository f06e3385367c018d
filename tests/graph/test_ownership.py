"""Who drains: whoever is first, seen by all others, replaced when it is gone."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from graph.config import GraphConfig
from graph.episodes import NewEpisode
from graph.inbox import Inbox
from graph.memory import Memory, new_uuid
from graph.ownership import Watch, alone, owner, start
from graph.read_model import ReadModel
from tests.waiting import auntil, until

HOLDS = """
import sys
from pathlib import Path
from graph.ownership import alone
with alone(Path(sys.argv[1])) as mine:
    print(mine, flush=True)
    sys.stdin.read()
"""
LOOK = 0.02


@pytest.fixture
def lock(parley_home: Path) -> Path:
    return parley_home / "memory.lock"


class Starts:
    """Counts how often a drainer was to be started."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def watching(inbox: Inbox, lock: Path, starts: Starts) -> Watch:
    return Watch(inbox, lock.with_name("memory.db"), lock, starts, look_s=LOOK)


async def tell(inbox: Inbox) -> str:
    return (await inbox.add(NewEpisode(name="x", body="x", group_id="g", uuid=new_uuid()))).uuid


def test_one_process_is_alone_and_others_see_which(lock: Path) -> None:
    assert owner(lock) is None
    words = [sys.executable, "-c", HOLDS, str(lock)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdin is not None and holder.stdout.readline() == "True\n"
        assert owner(lock) == holder.pid
        with alone(lock) as mine:
            assert not mine
        holder.send_signal(signal.SIGKILL)
    assert owner(lock) is None
    with alone(lock) as mine:
        assert mine and owner(lock) == os.getpid()


async def test_a_drainer_is_started_when_there_is_something_to_do_and_none_is_there(inbox: Inbox, lock: Path) -> None:
    starts = Starts()
    watch = watching(inbox, lock, starts)
    watch.begin()
    await asyncio.sleep(0)
    uuid = await tell(inbox)
    await auntil(lambda: starts.count >= 1)
    await inbox.claim()
    await inbox.fail(uuid, "done with it")
    await auntil(lambda: watch.is_quiet)
    seen = starts.count
    watch.begin()
    await auntil(lambda: watch.is_quiet)
    assert starts.count == seen
    await watch.aclose()


async def test_none_is_started_while_one_is_there_and_one_is_as_soon_as_it_is_gone(inbox: Inbox, lock: Path) -> None:
    starts = Starts()
    watch = watching(inbox, lock, starts)
    await tell(inbox)
    with alone(lock):
        await watch.look()
        await watch.look()
        assert starts.count == 0
    await watch.look()
    assert starts.count == 1


async def test_one_that_ends_at_once_is_not_started_again_and_again(inbox: Inbox, lock: Path) -> None:
    starts = Starts()
    watch = Watch(inbox, lock.with_name("memory.db"), lock, starts, look_s=60)
    await tell(inbox)
    for _ in range(3):
        await watch.look()
    assert starts.count == 1


async def test_what_is_put_off_starts_nothing_before_its_time(inbox: Inbox, lock: Path) -> None:
    starts = Starts()
    watch = watching(inbox, lock, starts)
    uuid = await tell(inbox)
    await inbox.claim()
    await inbox.postpone(uuid, "later", 600)
    await watch.look()
    assert starts.count == 0
    await watch.aclose()


async def test_what_was_deleted_is_something_to_do(inbox: Inbox, lock: Path) -> None:
    starts = Starts()
    watch = watching(inbox, lock, starts)
    uuid = await tell(inbox)
    await inbox.claim()
    await inbox.delete(uuid)
    await watch.look()
    assert starts.count == 1


async def test_trouble_with_the_store_does_not_end_the_watch(inbox: Inbox, lock: Path) -> None:
    starts = Starts()
    database = lock.with_name("memory.db")
    database.mkdir(parents=True)
    watch = watching(inbox, lock, starts)
    watch.begin()
    await auntil(lambda: watch.looks >= 2)
    database.rmdir()
    await tell(inbox)
    await auntil(lambda: starts.count >= 1)
    await watch.aclose()


def test_a_process_that_is_started_is_nobodys_child_and_says_what_it_says_in_a_file(parley_home: Path) -> None:
    log, out = parley_home / "memory.log", parley_home / "out"
    code = "import os, sys; sys.stderr.write('said\\n'); open(sys.argv[1], 'w').write(f'{os.getppid()} {os.getcwd()} {os.environ}')"
    work = parley_home.parent / "work"
    work.mkdir()
    start([sys.executable, "-c", code, str(out)], {"WORD": "handed on"}, work, log)
    wait_for(out)
    parent, folder, rest = out.read_text().split(" ", 2)
    assert int(parent) != os.getpid() and folder == str(work) and "handed on" in rest
    work.rmdir()
    assert log.stat().st_mode & 0o777 == 0o600
    log.write_text("x" * 1_000_001)
    out.unlink()
    start([sys.executable, "-c", code, str(out)], {}, work, log)
    wait_for(out)
    assert log.stat().st_size < 1_000_000 and out.read_text().split()[1] == str(parley_home), "the folder is gone"


def wait_for(file: Path) -> None:
    """Wait until a process has written into a file."""
    until(lambda: file.exists() and file.read_text() != "")


async def test_a_memory_has_what_it_is_told_read_unless_nobody_can(inbox: Inbox, parley_home: Path, lock: Path) -> None:
    starts = Starts()
    told = NewEpisode(name="x", body="x", group_id="", uuid=new_uuid())
    for unread, expected in (("nobody", 0), ("", 1)):
        watch = watching(inbox, lock, starts)
        memory = Memory(
            GraphConfig(home=parley_home), inbox, ReadModel(inbox.database), group="g", watch=watch, unread=lambda unread=unread: unread
        )
        await memory.add(told)
        await memory.see_to_it()
        await watch.aclose()
        assert min(starts.count, 1) == expected
