"""The tables of memory.db: the inbox, which is the record, and beside it what was found in it, which can be made anew."""

from __future__ import annotations

from memory._database import Tables

_FIRST = """
-- The inbox. not_before: when a try that failed is repeated. scope: the group as one word, by which the index of words is searched.
CREATE TABLE episodes (
    n INTEGER PRIMARY KEY,
    uuid TEXT NOT NULL UNIQUE,
    group_id TEXT NOT NULL,
    name TEXT NOT NULL,
    body TEXT NOT NULL,
    source TEXT NOT NULL CHECK (source IN ('text', 'json', 'message')),
    source_description TEXT NOT NULL,
    created_at TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed')),
    tries INTEGER NOT NULL DEFAULT 0,
    error TEXT,
    not_before TEXT NOT NULL DEFAULT '',
    scope TEXT NOT NULL
) STRICT;
CREATE INDEX episodes_by_state ON episodes(state, group_id, n);
CREATE INDEX episodes_by_group ON episodes(group_id, n);

CREATE VIRTUAL TABLE episodes_fts USING fts5(name, body, scope, content = 'episodes', content_rowid = 'n',
    tokenize = "porter unicode61 remove_diacritics 2");
INSERT INTO episodes_fts(episodes_fts, rank) VALUES ('secure-delete', 1);
CREATE TRIGGER episodes_indexed AFTER INSERT ON episodes BEGIN
    INSERT INTO episodes_fts(rowid, name, body, scope) VALUES (new.n, new.name, new.body, new.scope);
END;
CREATE TRIGGER episodes_unindexed AFTER DELETE ON episodes BEGIN
    INSERT INTO episodes_fts(episodes_fts, rowid, name, body, scope) VALUES ('delete', old.n, old.name, old.body, old.scope);
END;

-- What was found. A generation is one graph: while another is made from the inbox, the one before is searched.
CREATE TABLE entities (
    n INTEGER PRIMARY KEY,
    generation INTEGER NOT NULL,
    uuid TEXT NOT NULL,
    group_id TEXT NOT NULL,
    name TEXT NOT NULL,
    labels TEXT NOT NULL,
    summary TEXT NOT NULL,
    created_at TEXT NOT NULL,
    UNIQUE (uuid, generation)
) STRICT;
CREATE INDEX entities_by_group ON entities(group_id);
CREATE TABLE mentions (
    generation INTEGER NOT NULL,
    episode TEXT NOT NULL,
    entity TEXT NOT NULL,
    PRIMARY KEY (episode, entity, generation)
) STRICT, WITHOUT ROWID;
CREATE INDEX mentions_by_entity ON mentions(entity);
CREATE TABLE facts (
    n INTEGER PRIMARY KEY,
    generation INTEGER NOT NULL,
    uuid TEXT NOT NULL,
    group_id TEXT NOT NULL,
    source TEXT NOT NULL,
    target TEXT NOT NULL,
    name TEXT NOT NULL,
    fact TEXT NOT NULL,
    created_at TEXT NOT NULL,
    valid_at TEXT,
    invalid_at TEXT,
    expired_at TEXT,
    UNIQUE (uuid, generation)
) STRICT;
CREATE INDEX facts_by_group ON facts(group_id, valid_at);
CREATE INDEX facts_by_source ON facts(source);
CREATE INDEX facts_by_target ON facts(target);
CREATE TABLE provenance (
    generation INTEGER NOT NULL,
    fact TEXT NOT NULL,
    episode TEXT NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (fact, episode, generation)
) STRICT, WITHOUT ROWID;
CREATE INDEX provenance_by_episode ON provenance(episode);

-- The names of both ends count among the words of a fact. The scope is of a group in one graph.
CREATE VIRTUAL TABLE facts_fts USING fts5(fact, ends, scope, tokenize = "porter unicode61 remove_diacritics 2");
INSERT INTO facts_fts(facts_fts, rank) VALUES ('secure-delete', 1);
CREATE VIRTUAL TABLE entities_fts USING fts5(name, summary, scope, tokenize = "porter unicode61 remove_diacritics 2");
INSERT INTO entities_fts(entities_fts, rank) VALUES ('secure-delete', 1);

-- Where an embedding model is set: the vectors of facts and of episodes, of length 1, as 32-bit numbers, the least byte first.
-- No n is ever given twice, so that processes which keep vectors in their memory know by it what is new and what is gone.
CREATE TABLE vectors (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    generation INTEGER NOT NULL,
    group_id TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('fact', 'episode')),
    uuid TEXT NOT NULL,
    numbers BLOB NOT NULL,
    UNIQUE (uuid, kind, generation)
) STRICT;
CREATE INDEX vectors_by_group ON vectors(generation, group_id, kind);

-- What was deleted here and has still to be deleted in the graph, which is another one for each group with some engines.
CREATE TABLE removals (
    n INTEGER PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('episode', 'fact', 'group')),
    name TEXT NOT NULL,
    group_id TEXT NOT NULL,
    UNIQUE (kind, name)
) STRICT;
-- generation: the graph that is searched; building: the one that is made anew; made:N: what the graph N was made with.
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO settings VALUES ('generation', '1');
"""

MEMORY = Tables("The memory", (_FIRST,), "Move memory.db away: a new one is made on the next call, and an export can be put into it.")
