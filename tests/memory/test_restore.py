"""Copies put back while others have the database open, by whoever is killed in the middle of it."""

from __future__ import annotations

import asyncio
import os
import stat
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from conversation.errors import InvalidInput, StoreBusy, StoreUnavailable, ThreadConflict
from memory import _places, backup
from memory._schema import MIGRATIONS
from memory.backup import back_up, restore
from memory.checkup import examine
from memory.sqlite import SqliteThreadStore
from tests.memory.conftest import Open
from tests.memory.contract import Clock, answer, said, say, user
from tests.memory.dumps import rows, schema
from tests.memory.test_backup import spoil
from tests.memory.test_sqlite import start_writer
from tests.waiting import a_while


def replaced(file: Path) -> list[Path]:
    return sorted(path for path in file.parent.iterdir() if ".replaced-" in path.name)


async def test_what_is_replaced_is_kept_beside_and_can_be_put_back(opened: Open, file: Path, copy: Path) -> None:
    store = opened(file)
    thread_id = await say(store, "one")
    back_up(file, copy)
    await say(store, "two", thread_id)
    later = await say(store, "three")
    assert restore(file, copy, lose=True).replaced == replaced(file)[0]
    assert [one.turns for one in await store.list(workspace=None)] == [2]
    before = [replaced(file)[0]]
    assert stat.S_IMODE(before[0].stat().st_mode) == 0o600
    assert restore(file, before[0]).found.threads == 2
    assert len((await store.load(thread_id)).turns) == 4 and len((await store.load(later)).turns) == 2


@pytest.mark.parametrize("newer", ["thread", "exchange", "pending", "summary"])
async def test_newer_threads_are_not_lost_unasked(opened: Open, file: Path, copy: Path, clock: Clock, newer: str) -> None:
    store = opened(file)
    thread_id = await say(store, "one")
    back_up(file, copy)
    clock.now += 1
    if newer == "thread":
        thread_id = await say(store, "two")
    elif newer == "exchange":
        await say(store, "two", thread_id)
    elif newer == "pending":
        await store.begin(user("two"), workspace="/w", thread_id=thread_id)
    else:
        await store.append(thread_id, answer("notes"), uid="s")
    before = rows(file)
    with pytest.raises(ThreadConflict, match=f": 1, such as {thread_id}") as refused:
        restore(file, copy)
    assert "--force" in refused.value.hint
    assert rows(file) == before and replaced(file) == []
    assert {path.name for path in file.parent.iterdir()} == {"threads.db", "threads.db-wal", "threads.db-shm", "owners"}


async def test_threads_that_were_deleted_since_come_back(opened: Open, file: Path, copy: Path) -> None:
    store = opened(file)
    thread_id = await say(store, "one")
    back_up(file, copy)
    await store.delete(thread_id)
    restore(file, copy)
    assert said(await store.load(thread_id)) == [(1, "one", "done"), (2, "one!", "done")]


async def test_stores_that_have_the_old_database_open_go_on_with_the_new_one_and_do_it_no_harm(
    opened: Open, file: Path, copy: Path
) -> None:
    idle, busy = opened(file), opened(file)
    thread_id = await say(idle, "one")
    back_up(file, copy)
    await say(busy, "lost", thread_id)
    restore(file, copy, lose=True)
    late = opened(file)
    await say(late, "two", thread_id)
    await say(busy, "three", thread_id)  # lets go of the old database, whose log had the name that the new one's has now
    await late.aclose()
    await idle.aclose()
    assert [turn.content for turn in (await opened(file).load(thread_id)).turns] == ["one", "one!", "two", "two!", "three", "three!"]
    assert examine(file).damage == ()
    assert examine(replaced(file)[0]).turns == 4


async def test_a_writer_that_waited_for_the_old_database_writes_into_the_new_one(opened: Open, file: Path, copy: Path) -> None:
    store = opened(file)
    await say(store, "one")
    back_up(file, copy)
    with closing(apsw.Connection(str(file))) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        other.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(store.begin(user("late"), workspace="/w"))
        await a_while(0.2)
        os.replace(copy, _places.ready(file))
        file.rename(file.with_name("kept.db"))
        other.execute("ROLLBACK")
    started = await waiting
    assert [one.title for one in await opened(file).list(workspace=None)] == ["late", "one"]
    assert said(await store.load(started.thread.id)) == [(1, "late", "pending")]
    assert "late" not in {title for (_, _, title, *_) in rows(file.with_name("kept.db"))["threads"]}


async def test_writers_in_four_processes_lose_nothing_by_a_restore_in_their_midst(opened: Open, file: Path, copy: Path) -> None:
    store = opened(file)
    thread_id = await say(store, "start")
    back_up(file, copy)
    writers = [start_writer(file, thread_id, "12") for _ in range(4)]
    async with asyncio.timeout(20):
        while len((await store.load(thread_id)).landed) < 20:
            await a_while(0.01)
    await asyncio.to_thread(restore, file, copy, lose=True)
    for writer in writers:
        await asyncio.to_thread(writer.communicate)
    # One that had begun before and came to complete after it was told that its exchange is not there; the others did all they had to.
    there = [await opened(path).load(thread_id) for path in (replaced(file)[0], file)]
    for thread in there:
        assert [turn.seq for turn in thread.turns] == list(range(1, len(thread.turns) + 1))
    landed = [turn.content for thread in there for turn in thread.landed if turn.role == "user"]
    assert len(landed) == len(set(landed)) + 1, "an exchange is in one of the two, but for the one that was in the backup"
    assert all(examine(path).damage == () for path in (replaced(file)[0], file))


async def test_a_log_that_somebody_reads_is_kept_with_what_is_replaced(
    opened: Open, file: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "WAIT_SECONDS", 0.1)
    store = opened(file)
    thread_id = await say(store, "one")
    back_up(file, copy)
    with closing(apsw.Connection(str(file))) as reader:
        reader.execute("BEGIN; SELECT count(*) FROM turns")
        await say(store, "two", thread_id)
        restore(file, copy, lose=True)
        assert len((await store.load(thread_id)).turns) == 2
        assert len((await opened(replaced(file)[0]).load(thread_id)).turns) == 4
        await say(store, "three", thread_id)
    assert examine(file).turns == 4


async def test_a_damaged_database_is_replaced_only_when_that_is_asked_for_and_kept_as_it_is(opened: Open, file: Path, copy: Path) -> None:
    store = opened(file)
    thread_id = await say(store, "one")
    back_up(file, copy)
    await store.aclose()
    file.write_bytes(b"\0" + file.read_bytes()[1:])
    before = file.read_bytes()
    with pytest.raises(StoreUnavailable, match="not a database") as refused:
        restore(file, copy)
    assert "--force" in refused.value.hint
    assert file.read_bytes() == before
    done = restore(file, copy, lose=True)
    assert done.replaced is not None and done.replaced.read_bytes() == before
    assert len((await opened(file).load(thread_id)).turns) == 2


async def test_what_cannot_be_restored_changes_nothing(opened: Open, file: Path, copy: Path, tmp_path: Path) -> None:
    store = opened(file)
    await say(store, "x" * 50_000)
    back_up(file, copy)
    names = ("newer", "foreign", "empty", "text", "spoilt")
    newer, foreign, empty, text, spoilt = (tmp_path / f"{name}.db" for name in names)
    for path in (newer, spoilt):
        path.write_bytes(copy.read_bytes())
    spoil(spoilt)
    for path, statement in ((newer, "PRAGMA user_version = 99"), (foreign, "CREATE TABLE threads (x); PRAGMA user_version = 1")):
        with closing(apsw.Connection(str(path))) as sql:
            sql.execute(statement)
    empty.touch()
    text.write_text("not a database at all" * 100)
    for source, message in (
        (newer, "made by a newer Parley"),
        (foreign, "no database of Parley's threads"),
        (empty, "no database of Parley's threads"),
        (text, "not a database"),
        (spoilt, "damaged: "),
        (tmp_path / "missing.db", "cannot be opened"),
        (tmp_path / "none" / "missing.db", "No such file"),
        (tmp_path, "cannot be opened"),
    ):
        with pytest.raises(StoreUnavailable, match=message) as refused:
            restore(file, source, lose=True)
        assert str(source) in refused.value.message
    with pytest.raises(InvalidInput, match="itself"):
        restore(file, file)
    assert replaced(file) == [] and examine(file).turns == 2
    assert {path.name for path in file.parent.iterdir()} == {"threads.db", "threads.db-wal", "threads.db-shm", "owners"}


async def test_a_database_that_is_a_link_is_restored_where_it_leads(opened: Open, file: Path, copy: Path, tmp_path: Path) -> None:
    await say(opened(file), "one")
    back_up(file, copy)
    link = tmp_path / "home" / "threads.db"
    link.parent.mkdir()
    link.symlink_to(copy)
    with pytest.raises(InvalidInput, match="is a link"):
        restore(link, file, lose=True)


async def test_a_backup_of_the_first_schema_is_restored_as_it_is_and_migrated_when_it_is_used(
    opened: Open, file: Path, copy: Path
) -> None:
    with closing(apsw.Connection(str(copy))) as sql:
        sql.execute(MIGRATIONS[0])
        sql.execute("INSERT INTO spend VALUES ('2027-01-01', 1.5); PRAGMA user_version = 1")
    restore(file, copy)
    assert schema(file) == schema(copy)
    await opened(file).ping()
    assert schema(file)[-1] == (len(MIGRATIONS),)


# --- being killed in the middle, and others in the way -------------------------------------------------------------


async def test_a_restore_that_was_killed_in_the_middle_is_finished_by_who_comes_next(opened: Open, file: Path, copy: Path) -> None:
    store = opened(file)
    thread_id = await say(store, "one")
    back_up(file, copy)
    await say(store, "two", thread_id)
    os.replace(copy, _places.ready(file))
    file.rename(file.with_name("kept.db"))  # and here it was killed: the old database's log has the name of the new one's
    thread = await opened(file).load(thread_id)
    assert said(thread) == [(1, "one", "done"), (2, "one!", "done")]
    await say(store, "three", thread_id)
    assert examine(file).turns == 4
    assert not _places.ready(file).exists()


async def test_twenty_that_come_next_at_once_finish_it_once(opened: Open, file: Path, copy: Path) -> None:
    store = opened(file)
    thread_id = await say(store, "one")
    back_up(file, copy)
    os.replace(copy, _places.ready(file))
    file.rename(file.with_name("kept.db"))
    stores = [opened(file) for _ in range(20)]
    threads = await asyncio.gather(*(one.load(thread_id) for one in stores))
    assert {len(thread.turns) for thread in threads} == {2}


async def test_what_a_removed_database_left_behind_does_not_become_the_next_ones(opened: Open, file: Path) -> None:
    store = opened(file)
    await say(store, "one")
    file.unlink()
    fresh = opened(file)
    await say(fresh, "two")
    assert [one.title for one in await store.list(workspace=None)] == ["two"]
    assert examine(file).damage == ()


async def test_while_somebody_opens_the_database_it_is_not_replaced_and_the_other_way_round(
    opened: Open, file: Path, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await say(opened(file), "one")
    back_up(file, copy)
    monkeypatch.setattr(backup, "WAIT_SECONDS", 0.05)
    with _places.locked(file.parent), pytest.raises(StoreBusy):
        restore(file, copy)
    with _places.locked(file.parent, alone=True):
        store = SqliteThreadStore(file, busy_timeout_s=0.05)
        with pytest.raises(StoreBusy):
            await store.ping()
        with pytest.raises(StoreBusy):
            back_up(file, copy, replace=True)
    await store.ping()
    await store.aclose()
    assert replaced(file) == []
