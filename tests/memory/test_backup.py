"""Whole copies of the database, taken while others write."""

from __future__ import annotations

import asyncio
import os
import stat
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from conversation.errors import InvalidInput, StoreUnavailable, ThreadExpired, ThreadNotFound
from conversation.spending import Account, Spent
from conversation.threads import NewTurn
from memory.backup import back_up, restore
from memory.checkup import examine
from memory.ledger import SpendLedger
from memory.sqlite import SqliteThreadStore
from tests.memory.conftest import Open
from tests.memory.contract import DAY, Clock, answer, attachment, said, say, user
from tests.memory.dumps import rows, schema
from tests.memory.test_sqlite import start_writer


async def lived_in(store: SqliteThreadStore, file: Path, clock: Clock) -> list[str]:
    """The threads of a store with something in every table."""
    old, gone = await say(store, "old"), await say(store, "gone")
    clock.now += 31 * DAY
    image = attachment("b.png", "iVBORw0K", "image", "image/png")
    thread_id = await say(store, "one \u00e9\u6f22\0", None, attachment("a.py", "x = 1"), image)
    await store.append(thread_id, NewTurn(role="assistant", content="notes", tool="condense", meta={"upto": 2}), uid="s")
    branch = await store.begin(user("other"), workspace="/v", thread_id=thread_id, branch_from=2)
    await store.complete(branch.exchange_id, [answer("other!")])
    broken = await store.begin(user("never"), workspace="/w", thread_id=thread_id)
    await store.interrupt(broken.exchange_id)
    await store.begin(user("pending", attachment("c", "c")), workspace="/w", thread_id=thread_id)
    removed = await say(store, "removed")
    await store.delete(removed)
    await store.ping()
    ledger = SpendLedger(file)
    await ledger.add({Account("2027-01-01", "p", "m", "s"): Spent(1, usd=0.1)})
    await ledger.aclose()
    for missing, error in ((old, ThreadExpired), (gone, ThreadExpired), (removed, ThreadNotFound)):
        with pytest.raises(error):
            await store.load(missing)
    return [thread_id, branch.thread.id]


def spoil(file: Path) -> None:
    """Overwrite the last quarter of the pages."""
    content = file.read_bytes()
    kept = len(content) // 4096 * 3 // 4 * 4096
    file.write_bytes(content[:kept] + b"\xff" * (len(content) - kept))


async def test_a_backup_put_into_another_home_is_the_same_to_the_last_byte(
    opened: Open, file: Path, copy: Path, tmp_path: Path, clock: Clock
) -> None:
    store, other = opened(file), tmp_path / "other" / "threads.db"
    threads = await lived_in(store, file, clock)
    found = back_up(file, copy)
    assert (found.threads, found.turns) == (2, 8)
    done = restore(other, copy)
    assert done.replaced is None and done.found == found
    before = rows(file)
    assert all(before[name] for name in ("threads", "turns", "exchanges", "attachments", "contents", "tombstones", "spending", "pings"))
    assert before == rows(copy) == rows(other)
    assert schema(file) == schema(copy) == schema(other)
    assert os.listdir(other.parent) == ["threads.db"]
    again = opened(other)
    for thread_id in threads:
        assert (await again.load(thread_id)).landed == (await store.load(thread_id)).landed
    assert said(await store.load(threads[0]))[-1][1:] == ("pending", "pending")
    assert said(await again.load(threads[0]))[-1][1:] == ("pending", "interrupted"), "nobody there will answer it"
    assert [one.id for one in await again.search("notes", workspace=None)] == threads[:1]


async def test_a_backup_while_eight_processes_write_is_whole_each_time(opened: Open, file: Path, tmp_path: Path) -> None:
    store = opened(file)
    thread_id = await say(store, "start")
    writers = [start_writer(file, thread_id, "6") for _ in range(8)]
    taken: list[int] = []
    while any(writer.poll() is None for writer in writers):
        path = tmp_path / f"{len(taken)}.db"
        taken.append(await asyncio.to_thread(lambda path=path: back_up(file, path).turns))
        thread = await opened(path).load(thread_id)
        assert [turn.seq for turn in thread.landed] == list(range(1, len(thread.landed) + 1))
        assert [turn.content for turn in thread.landed][1::2] == [f"{turn.content}!" for turn in thread.landed[::2]]
    for writer in writers:
        await asyncio.to_thread(writer.communicate)
        assert writer.returncode == 0
    assert taken == sorted(taken) and len(set(taken)) > 1
    assert back_up(file, tmp_path / "last.db").turns == 2 + 8 * 2 * 6 * 2


async def test_a_backup_is_one_private_file(opened: Open, file: Path, copy: Path) -> None:
    await say(opened(file), "one")
    back_up(file, copy)
    assert os.listdir(copy.parent) == ["copy.db"]
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    copy.chmod(0o400)
    assert examine(copy).turns == 2


async def test_a_file_that_is_there_is_replaced_only_when_that_is_asked_for(opened: Open, file: Path, copy: Path) -> None:
    await say(opened(file), "one")
    copy.write_text("mine")
    copy.chmod(0o644)
    with pytest.raises(InvalidInput, match=r"copy.db is there already"):
        back_up(file, copy)
    assert copy.read_text() == "mine"
    assert back_up(file, copy, replace=True).turns == 2
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert os.listdir(copy.parent) == ["copy.db"]


async def test_what_cannot_be_backed_up_leaves_nothing_behind(opened: Open, file: Path, copy: Path, tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="no threads yet"):
        back_up(file, copy)
    await say(opened(file), "one")
    for target, message in ((tmp_path / "none" / "copy.db", "No such file"), (tmp_path / ("x" * 240), "too long")):
        with pytest.raises(StoreUnavailable, match=message):
            back_up(file, target)
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreUnavailable, match="Is a directory"):
        back_up(file, tmp_path / "folder", replace=True)
    with pytest.raises(InvalidInput, match="itself"):
        back_up(file, file, replace=True)
    assert os.listdir(tmp_path) == ["folder"]


async def test_a_damaged_database_makes_no_backup(opened: Open, file: Path, copy: Path) -> None:
    store = opened(file)
    await say(store, "x" * 50_000)
    await store.aclose()
    spoil(file)
    with pytest.raises(StoreUnavailable, match="The thread store is damaged: ") as refused:
        back_up(file, copy)
    assert "parley doctor" in refused.value.hint
    assert not copy.exists()


async def test_a_backup_has_a_search_that_works_also_when_that_of_the_database_does_not(opened: Open, file: Path, copy: Path) -> None:
    await say(opened(file), "needle")
    with closing(apsw.Connection(str(file))) as sql:
        sql.execute("DELETE FROM turns_fts_docsize")
    assert examine(file).index
    back_up(file, copy)
    assert examine(copy).index == ""
    assert len(await opened(copy).search("needle", workspace=None)) == 1
