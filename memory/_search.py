"""Searching threads: any text is a valid query, and every word of it has to stand in one turn."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence

from conversation.threads import ThreadSummary
from memory import _rows
from memory._sql import Instant, Sql, clean

# Thai, Lao, Burmese, Khmer, kana, Han and Hangul: written without spaces, or with endings that belong to the word. A full-text index
# of words cannot find a part of them, so they are looked for as they are.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

_WHERE = """
    JOIN threads h ON h.id = t.thread_id
    WHERE (:workspace IS NULL OR h.workspace = :workspace) AND h.updated >= :cutoff
    AND NOT EXISTS (SELECT 1 FROM json_each(:plain) WHERE instr(t.content, value) = 0)
"""
_INDEXED = f"""
    SELECT t.thread_id, t.n FROM turns_fts JOIN turns t ON t.n = turns_fts.rowid {_WHERE}
    AND turns_fts MATCH :match ORDER BY turns_fts.rank
"""  # noqa: S608 - no value is in the text
_PLAIN = f"SELECT t.thread_id, t.n FROM turns t {_WHERE} ORDER BY t.n DESC"  # noqa: S608 - no value is in the text


def words_of(query: str) -> list[str]:
    """Return the words of a query, each once."""
    return list(dict.fromkeys(clean(query).replace("\0", " ").split()))


def is_indexed(word: str) -> bool:
    """Tell whether a full-text index holds the word; if not, it has to be looked for as it is, such as `->` or a Chinese word."""
    return any(char.isalnum() for char in word) and not _UNSPACED.search(word)


def snippet(content: str, words: Sequence[str]) -> str:
    """Return the surroundings of the first of the words that stands in the text, on one line."""
    hit = re.search("|".join(re.escape(word) for word in words[:100]), content, re.IGNORECASE)
    start = max(hit.start() - 60, 0) if hit else 0
    shown = " ".join(_CONTROL.sub(" ", content[start : start + 160]).split())
    return ("\u2026" if start else "") + shown + ("\u2026" if start + 160 < len(content) else "")


def holds(content: str, words: Sequence[str]) -> bool:
    """Tell whether a turn holds every word, as the full-text index of SQLite would."""
    tokens = f" {' '.join(_tokens(content))} "
    return all(f" {' '.join(_tokens(word))} " in tokens if is_indexed(word) else word in content for word in words)


def _tokens(text: str) -> list[str]:
    """Return the words as SQLite's unicode61 tokenizer has them: letters and digits, folded, without diacritics."""
    plain = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    return re.findall(r"[^\W_]+", plain.casefold())


def search(sql: Sql, query: str, workspace: str | None, limit: int, at: Instant) -> list[ThreadSummary]:
    """Return threads with a turn that holds every word, best first; without a word, all threads, last updated first."""
    words = words_of(query)
    if not words:
        return _rows.summaries(sql, workspace, limit, at)
    indexed = [word for word in words if is_indexed(word)]
    plain = [word for word in words if not is_indexed(word)]
    bound = {
        "workspace": workspace,
        "cutoff": at.cutoff,
        "plain": json.dumps(plain),
        "match": " ".join('"{}"'.format(word.replace('"', '""')) for word in indexed),
    }
    found: dict[str, int] = {}
    rows = sql.execute(_INDEXED if indexed else _PLAIN, bound)
    for thread_id, turn in rows:
        if len(found) >= limit:
            rows.close()
            break
        found.setdefault(thread_id, turn)
    return [_rows.summary(sql, thread_id, snippet(_rows.content(sql, turn), words)) for thread_id, turn in found.items()]
