"""What is found wrong with a database, and what is not taken for wrong."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import apsw
import pytest

from conversation.errors import StoreUnavailable
from memory.checkup import examine, reindex
from memory.sqlite import SqliteThreadStore
from tests.memory.contract import attachment, say, user
from tests.memory.dumps import rows


@pytest.fixture
async def store(file: Path) -> AsyncIterator[SqliteThreadStore]:
    made = SqliteThreadStore(file)
    yield made
    await made.aclose()


@pytest.fixture
async def thread(store: SqliteThreadStore) -> str:
    return await say(store, "the needle", None, attachment("a", "content"))


def changed(file: Path, statements: str) -> None:
    with closing(apsw.Connection(str(file))) as sql:
        sql.execute(statements)


async def test_a_sound_database_is_looked_at_while_others_use_it(store: SqliteThreadStore, file: Path, thread: str) -> None:
    started = await store.begin(user("pending"), workspace="/w", thread_id=thread)
    await store.begin(user("branch"), workspace="/w", thread_id=thread, branch_from=1)
    before = rows(file)
    found = examine(file)
    assert (found.threads, found.turns, found.damage, found.index, found.cut) == (2, 3, (), "", False)
    assert found.bytes == file.stat().st_size
    assert rows(file) == before
    await store.interrupt(started.exchange_id)


@pytest.mark.parametrize(
    ("statements", "problem"),
    [
        ("DELETE FROM contents", "files of turns whose content is lost: 1"),
        ("DELETE FROM turns WHERE seq = 1", "threads with turns missing or too many: 1"),
        ("DELETE FROM turns", "threads with turns missing or too many: 1"),
        ("UPDATE threads SET last_seq = 1", "threads with turns missing or too many: 1"),
        ("PRAGMA foreign_keys = OFF; DELETE FROM threads", "rows of threads that are not there: 4"),
    ],
)
async def test_rows_that_do_not_go_together_are_damage(file: Path, thread: str, statements: str, problem: str) -> None:
    changed(file, statements)
    found = examine(file)
    assert found.damage == (problem,) and found.index == ""


async def test_pages_that_are_not_what_they_were_are_damage(store: SqliteThreadStore, file: Path, thread: str) -> None:
    await say(store, "x" * 50_000, thread)
    await store.aclose()
    content = bytearray(file.read_bytes())
    content[-8192:] = b"\xff" * 8192
    file.write_bytes(content)
    found = examine(file)
    assert found.damage and all("\n" not in line for line in found.damage)
    assert found.turns == 4


async def test_a_file_that_cannot_be_read_as_a_database_is_damage(store: SqliteThreadStore, file: Path, thread: str) -> None:
    await store.aclose()
    file.write_bytes(b"\0" * file.stat().st_size)
    assert examine(file).damage == ("it cannot be read",)


@pytest.mark.parametrize(
    "statements",
    [
        "DELETE FROM turns_fts_docsize",
        "DROP TRIGGER turns_unindexed; DELETE FROM turns WHERE seq = 2; UPDATE threads SET last_seq = 1",
        "UPDATE turns_fts_data SET block = x'0000' WHERE id = (SELECT max(id) FROM turns_fts_data)",
    ],
)
async def test_a_search_that_is_not_that_of_the_turns_is_told_apart_and_built_anew(
    store: SqliteThreadStore, file: Path, thread: str, statements: str
) -> None:
    changed(file, statements)
    found = examine(file)
    assert found.damage == () and "turns_fts" in found.index
    reindex(file)
    assert examine(file).index == ""
    assert [one.id for one in await store.search("needle", workspace=None)] == [thread]


async def test_what_takes_too_long_is_cut_and_said_to_be(store: SqliteThreadStore, file: Path, thread: str) -> None:
    for number in range(60):
        await say(store, f"{number} " + " ".join(f"word{number}{other}" for other in range(50)), thread)
    assert examine(file, seconds=0.0).cut
    found = examine(file, locked_seconds=0.0)
    assert found.cut and found.turns == 122 and found.damage == ()


async def test_a_search_is_not_looked_at_while_another_writes_for_long(file: Path, thread: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memory.checkup.LOCKED_SECONDS", 0.05)
    with closing(apsw.Connection(str(file))) as other:
        other.execute("BEGIN IMMEDIATE")
        assert examine(file).cut
        other.execute("ROLLBACK")
    assert not examine(file).cut


async def test_a_file_that_is_not_there_or_none_of_ours_is_unavailable(file: Path) -> None:
    with pytest.raises(StoreUnavailable, match="cannot be used"):
        examine(file)
    file.parent.mkdir()
    with pytest.raises(StoreUnavailable, match="cannot be opened"):
        examine(file)
    changed(file, "CREATE TABLE threads(id)")
    for look in (examine, reindex):
        with pytest.raises(StoreUnavailable, match="no database of Parley's"):
            look(file)
    changed(file, "PRAGMA user_version = 99")
    with pytest.raises(StoreUnavailable, match="newer"):
        examine(file)
