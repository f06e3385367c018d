"""A file of the first release, opened by today's store: every row is found, to the last byte."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import apsw
import pytest

from conversation.errors import ThreadExpired, ThreadNotFound
from conversation.messages import Usage
from memory._schema import MIGRATIONS
from memory.checkup import examine
from memory.ledger import SpendLedger
from memory.sqlite import SqliteThreadStore
from tests.memory.contract import said, say
from tests.memory.dumps import rows, schema

DIGESTS = ["e488dba431b9f8e9", "fcf818744552bc79"]
"""Of the migrations that are out in the world."""
ONE, TWO, OLD, GONE = (f"00000000-0000-4000-8000-00000000000{number}" for number in range(4))
AT = "2026-01-0{}T00:00:00.000000Z"
IMAGE = "iVBORw0KGgoAAAANSUhEUg=="
ODD = "na\u00efve \u6f22\u5b57 \U0001f600 \u202e a\u0300\r\n\ttab, quote ' \" ; -- NUL:\0 end"
USAGE = '{"input_tokens":3,"output_tokens":5,"cached_tokens":1,"cost_usd":0.30000000000000004}'
META = '{"upto": 2, "tokens": 64, "facts": [[2, "p/m", "Yes"]]}'
ASKED = '{"role":"user","content":"still there?","tool":"chat","provider":null,"model":null,"usage":null,"meta":null}'

FIRST: dict[str, list[tuple[Any, ...]]] = {
    "threads": [
        (1, ONE, ODD[:20], "/w", AT.format(1), AT.format(3), 4, None, None),
        (3, TWO, "branch", "/odd \u00e9", AT.format(2), AT.format(2), 2, ONE, 2),
    ],
    "tombstones": [(OLD, "expired", AT.format(1)), (GONE, "deleted", AT.format(2))],
    "exchanges": [
        (1, "e1", ONE, "done", "nobody", AT.format(1), 0, None),
        (2, "e2", ONE, "interrupted", "nobody", AT.format(2), 2, None),
        (5, "e3", TWO, "pending", "nobody", AT.format(2), 2, ASKED),
    ],
    "turns": [
        (1, "e1:0", ONE, 1, "e1", "user", "done", ODD, "chat", None, None, None, None, AT.format(1)),
        (2, "e1:1", ONE, 2, "e1", "assistant", "done", "needle " + "x" * 9000, "consensus", "p", "m", USAGE, None, AT.format(1)),
        (3, "e2:0", ONE, 3, "e2", "user", "interrupted", "and?", "fallback", None, None, None, None, AT.format(2)),
        (4, "s", ONE, 4, "s", "assistant", "done", "notes", "condense", None, None, None, META, AT.format(3)),
        (8, f"{TWO}:1", TWO, 1, "e1", "user", "done", ODD, "chat", None, None, None, None, AT.format(1)),
        (9, f"{TWO}:2", TWO, 2, "e1", "assistant", "done", "needle too", "chat", "p", "m", USAGE, None, AT.format(1)),
    ],
    "attachments": [
        ("e1:0", 0, ONE, "a.py", "text", "text/plain", "d1"),
        ("e1:0", 1, ONE, "b.png", "image", "image/png", "d2"),
        ("e3:0", 0, TWO, "c.py", "text", "text/plain", "d1"),
        (f"{TWO}:1", 0, TWO, "a.py", "text", "text/plain", "d1"),
    ],
    "contents": [(1, "d1", "text", f"x = 1\n{ODD}"), (2, "d2", "image", IMAGE)],
    "spend": [("2026-01-01", 1.5), ("2026-01-02", 0.1 + 0.2)],
    "pings": [(1, AT.format(1))],
}


@pytest.fixture
def file(parley_home: Path) -> Path:
    """A database as the first release left it: in WAL mode, without auto_vacuum."""
    parley_home.mkdir()
    path = parley_home / "threads.db"
    with closing(apsw.Connection(str(path))) as sql:
        sql.execute("PRAGMA journal_mode = WAL")
        sql.execute(MIGRATIONS[0])
        for table, kept in FIRST.items():
            sql.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(kept[0]))})", kept)  # noqa: S608
        sql.execute("PRAGMA user_version = 1")
    return path


@pytest.fixture
async def store(file: Path) -> AsyncIterator[SqliteThreadStore]:
    made = SqliteThreadStore(file)
    yield made
    await made.aclose()


def test_what_was_released_is_never_changed() -> None:
    assert [hashlib.sha256(text.encode()).hexdigest()[:16] for text in MIGRATIONS[:2]] == DIGESTS


async def test_every_row_of_the_first_schema_is_there_to_the_last_byte(store: SqliteThreadStore, file: Path) -> None:
    before = rows(file)
    assert {name: before[name] for name in FIRST} == {name: sorted(kept, key=repr) for name, kept in FIRST.items()}
    await store.list(workspace="nowhere")
    after = rows(file)
    assert [(day, "", "", "", 0, 0, 0, 0, usd, 0) for day, usd in before.pop("spend")] == after.pop("spending")
    # Of the exchange that waits, nobody is left to answer it: reading has settled that, and the file of its turn stays.
    (landed,) = [row for row in after["turns"] if row not in before["turns"]]
    assert (landed[1], landed[3], landed[6], landed[7]) == ("e3:0", 3, "interrupted", "still there?")
    for name in ("tombstones", "attachments", "contents", "pings"):
        assert after[name] == before[name]
    assert set(before["turns"]) < set(after["turns"])
    assert set(before["exchanges"]) - set(after["exchanges"]) == {FIRST["exchanges"][2]}
    assert set(before["threads"]) - set(after["threads"]) == {FIRST["threads"][1]}, "whose last turn is another now"
    assert examine(file).damage == () and examine(file).index == ""


async def test_the_first_schema_becomes_that_of_a_new_file(store: SqliteThreadStore, file: Path, tmp_path: Path) -> None:
    fresh = SqliteThreadStore(tmp_path / "new" / "threads.db")
    for one in (store, fresh):
        await one.ping()
    assert schema(file) == schema(tmp_path / "new" / "threads.db")
    await fresh.aclose()


async def test_threads_of_the_first_release_are_read_searched_continued_and_deleted(store: SqliteThreadStore, file: Path) -> None:
    one, two = await store.load(ONE), await store.load(TWO)
    assert [turn.content for turn in one.turns] == [row[7] for row in FIRST["turns"][:4]]
    assert [attached.content for attached in one.turns[0].attachments] == [f"x = 1\n{ODD}", IMAGE]
    assert one.turns[1].usage == Usage(input_tokens=3, output_tokens=5, cached_tokens=1, cost_usd=0.1 + 0.2)
    assert one.turns[3].meta == {"upto": 2, "tokens": 64, "facts": [[2, "p/m", "Yes"]]}
    assert (two.parent_id, two.parent_seq, two.workspace) == (ONE, 2, "/odd \u00e9")
    assert said(two)[2:] == [(3, "still there?", "interrupted")]
    assert [attached.path for attached in two.turns[2].attachments] == ["c.py"]
    assert {found.id for found in await store.search("needle", workspace=None)} == {ONE, TWO}
    with pytest.raises(ThreadExpired):
        await store.load(OLD)
    with pytest.raises(ThreadNotFound, match="deleted"):
        await store.load(GONE)
    await say(store, "next", ONE)
    assert [turn.seq for turn in (await store.load(ONE)).turns] == list(range(1, 7))
    await store.delete(ONE)
    assert (await store.load(TWO)).turns == two.turns
    ledger = SpendLedger(file)
    assert (await ledger.spent("2026-01-01"), await ledger.spent("2026-01-02")) == (1.5, 0.1 + 0.2)
    await ledger.aclose()


async def test_twenty_that_open_a_file_of_the_first_release_at_once_migrate_it_once(file: Path) -> None:
    stores = [SqliteThreadStore(file, busy_timeout_s=20) for _ in range(20)]
    found = await asyncio.gather(*(one.load(ONE) for one in stores))
    assert {len(thread.turns) for thread in found} == {4}
    for one in stores:
        await one.aclose()
