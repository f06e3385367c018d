"""The tables, as a list of migrations: `user_version` of a file counts how many of them it has seen.

A migration is never changed once released; a new one is added at the end.
"""

from __future__ import annotations

from collections.abc import Sequence

from memory._sql import Sql

_FIRST = """
CREATE TABLE threads (
    n INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    workspace TEXT NOT NULL,
    created TEXT NOT NULL,
    updated TEXT NOT NULL,
    last_seq INTEGER NOT NULL DEFAULT 0,
    parent_id TEXT,
    parent_seq INTEGER
) STRICT;
CREATE INDEX threads_by_time ON threads(updated);

-- What is left of a thread that is gone, so that an expired id is told from an unknown one.
CREATE TABLE tombstones (
    thread_id TEXT PRIMARY KEY,
    reason TEXT NOT NULL CHECK (reason IN ('expired', 'deleted')),
    at TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- asked: the caller's turn as JSON, while it is pending; seq_then: the thread's last turn when it began.
CREATE TABLE exchanges (
    n INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    thread_id TEXT NOT NULL REFERENCES threads(id) ON DELETE CASCADE,
    state TEXT NOT NULL CHECK (state IN ('pending', 'done', 'interrupted')),
    owner TEXT NOT NULL,
    begun TEXT NOT NULL,
    seq_then INTEGER NOT NULL,
    asked TEXT
) STRICT;
CREATE INDEX exchanges_by_thread ON exchanges(thread_id);
CREATE INDEX exchanges_pending ON exchanges(owner, thread_id) WHERE state = 'pending';

CREATE TABLE turns (
    n INTEGER PRIMARY KEY,
    uid TEXT NOT NULL UNIQUE,
    thread_id TEXT NOT NULL REFERENCES threads(id) ON DELETE CASCADE,
    seq INTEGER NOT NULL CHECK (seq > 0),
    exchange_id TEXT NOT NULL,
    role TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('done', 'interrupted')),
    content TEXT NOT NULL,
    tool TEXT NOT NULL,
    provider TEXT,
    model TEXT,
    usage TEXT,
    meta TEXT,
    at TEXT NOT NULL,
    UNIQUE (thread_id, seq)
) STRICT;
CREATE TRIGGER turns_are_only_added BEFORE UPDATE ON turns BEGIN SELECT RAISE(ABORT, 'turns are only added'); END;

CREATE TABLE attachments (
    turn_uid TEXT NOT NULL,
    position INTEGER NOT NULL,
    thread_id TEXT NOT NULL REFERENCES threads(id) ON DELETE CASCADE,
    path TEXT NOT NULL,
    kind TEXT NOT NULL,
    media_type TEXT NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (turn_uid, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX attachments_by_thread ON attachments(thread_id);
CREATE INDEX attachments_by_content ON attachments(digest, kind);

-- The same file in a hundred turns is stored once.
CREATE TABLE contents (
    n INTEGER PRIMARY KEY,
    digest TEXT NOT NULL,
    kind TEXT NOT NULL,
    content TEXT NOT NULL,
    UNIQUE (digest, kind)
) STRICT;

CREATE VIRTUAL TABLE turns_fts USING fts5(content, content = 'turns', content_rowid = 'n', tokenize = 'unicode61 remove_diacritics 2');
-- Without it the words of a deleted turn would stay readable in the file until the index is merged.
INSERT INTO turns_fts(turns_fts, rank) VALUES ('secure-delete', 1);
CREATE TRIGGER turns_indexed AFTER INSERT ON turns BEGIN
    INSERT INTO turns_fts(rowid, content) VALUES (new.n, new.content);
END;
CREATE TRIGGER turns_unindexed AFTER DELETE ON turns BEGIN
    INSERT INTO turns_fts(turns_fts, rowid, content) VALUES ('delete', old.n, old.content);
END;

CREATE TABLE spend (day TEXT PRIMARY KEY, usd REAL NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE pings (one INTEGER PRIMARY KEY CHECK (one = 1), at TEXT NOT NULL) STRICT;
"""

# What was spent before is known by its day only.
_SPENDING = """
CREATE TABLE spending (
    day TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    session TEXT NOT NULL,
    requests INTEGER NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cached_tokens INTEGER NOT NULL,
    usd REAL NOT NULL,
    unpriced INTEGER NOT NULL,
    PRIMARY KEY (day, provider, model, session)
) STRICT, WITHOUT ROWID;
INSERT INTO spending SELECT day, '', '', '', 0, 0, 0, 0, usd, 0 FROM spend;
DROP TABLE spend;
"""

# What comes with the most recent turns of a long thread: conversation.summaries.
_SUMMARIES = "CREATE INDEX turns_condensed ON turns(thread_id, seq) WHERE tool = 'condense';"

MIGRATIONS = (_FIRST, _SPENDING, _SUMMARIES)


def version(sql: Sql) -> int:
    """Return how many migrations the file has seen."""
    return int(sql.execute("PRAGMA user_version").fetchone()[0])


def migrate(sql: Sql, migrations: Sequence[str] = MIGRATIONS) -> None:
    """Apply what the file has not seen; to be called inside a write transaction."""
    for number in range(version(sql), len(migrations)):
        sql.execute(migrations[number])
        sql.execute(f"PRAGMA user_version = {number + 1}")
