"""parley threads: conversations from the command line."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from conversation.messages import Usage
from conversation.threads import Attachment, NewTurn
from memory.config import MemoryConfig
from memory.sqlite import SqliteThreadStore
from tests.cli.run import Here

HELLO = Attachment(path="a.py", kind="text", media_type="text/plain", content="print()", digest="0" * 64)


def stored(home: Path, use: Callable[[SqliteThreadStore], Awaitable[str]]) -> str:
    """What `use` returns of the store in `home`, which is closed again."""

    async def used() -> str:
        store = SqliteThreadStore(MemoryConfig(home=home).database, ttl_days=None)
        try:
            return await use(store)
        finally:
            await store.aclose()

    return asyncio.run(used())


def conversation(home: Path, question: str = "Which queue?", *, workspace: str = "/projects/space") -> str:
    """The id of a thread of two exchanges, of which the second was interrupted."""

    async def record(store: SqliteThreadStore) -> str:
        started = await store.begin(NewTurn(role="user", content=question, attachments=(HELLO,)), workspace=workspace)
        usage = Usage(input_tokens=3, output_tokens=5, cost_usd=0.25)
        answer = NewTurn(role="assistant", content="Postgres \u00e9", provider="vertex_claude", model="claude-x", usage=usage)
        await store.complete(started.exchange_id, [answer])
        again = await store.begin(
            NewTurn(role="user", content="And now?", tool="fallback"), workspace=workspace, thread_id=started.thread.id
        )
        await store.interrupt(again.exchange_id)
        return started.thread.id

    return stored(home, record)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PARLEY_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_threads_are_listed_with_their_ids(here: Here, home: Path, tmp_path: Path) -> None:
    first, second = conversation(home), conversation(home, "Which\ttabs?", workspace=str(tmp_path))
    status, out, err = here("threads", "ls")
    assert (status, err) == (0, "")
    assert [line.split()[0] for line in out.splitlines()] == [second, first]
    assert "Which tabs?" in out and "/projects/space" in out
    rows = json.loads(here("threads", "ls", "--json")[1])["threads"]
    assert set(rows[0]) == {"continuation_id", "title", "turns", "updated", "workspace"}
    assert [row["continuation_id"] for row in json.loads(here("threads", "ls", "--json", "--here")[1])["threads"]] == [second]
    assert len(json.loads(here("threads", "ls", "--json", "--limit", "1")[1])["threads"]) == 1


def test_with_no_threads_the_list_is_empty_and_says_so(here: Here, home: Path) -> None:
    assert here("threads", "ls") == (0, "", "no threads\n")
    assert json.loads(here("threads", "ls", "--json")[1]) == {"threads": []}


def test_a_search_finds_threads_with_every_word(here: Here, home: Path) -> None:
    found, _ = conversation(home), conversation(home, "Something else")
    rows = json.loads(here("threads", "search", "--json", "which", "queue")[1])["threads"]
    assert [row["continuation_id"] for row in rows] == [found] and "snippet" in rows[0]
    assert here("threads", "search", "zebra")[2] == "no threads\n"


def test_an_export_has_exactly_the_documented_shape(here: Here, home: Path) -> None:
    thread_id = conversation(home)
    status, out, err = here("threads", "export", thread_id, "--json")
    assert (status, err) == (0, "")
    document = json.loads(out)
    assert list(document) == ["continuation_id", "turns"] and document["continuation_id"] == thread_id
    for turn in document["turns"]:
        assert list(turn) == ["seq", "role", "tool", "provider", "model", "content", "state", "at", "usage"]
        turn.pop("at")
    assert document["turns"][1] == {
        "seq": 2,
        "role": "assistant",
        "tool": "chat",
        "provider": "vertex_claude",
        "model": "claude-x",
        "content": "Postgres \u00e9",
        "state": "done",
        "usage": {"input_tokens": 3, "output_tokens": 5, "cached_tokens": 0, "cost_usd": 0.25},
    }
    assert [
        (turn["seq"], turn["role"], turn["tool"], turn["state"], turn["usage"]) for turn in (document["turns"][0], document["turns"][2])
    ] == [
        (1, "user", "chat", "done", None),
        (3, "user", "fallback", "interrupted", None),
    ]


def test_without_json_an_export_is_markdown(here: Here, home: Path) -> None:
    thread_id = conversation(home)
    out = here("threads", "export", thread_id)[1]
    assert out.startswith("# Which queue?\n") and "\n## 2. vertex_claude/claude-x, chat, " in out
    assert "[text: a.py]" in out and "(interrupted)" in out
    assert here("threads", "show", thread_id)[1] == out


def test_what_a_model_sent_to_the_terminal_is_shown_and_not_obeyed(here: Here, home: Path) -> None:
    thread_id = conversation(home, "\x1b[31mred\x07 needle\x9b", workspace="/w\x1b[2J")
    for words in (("ls",), ("search", "needle"), ("show", thread_id), ("export", thread_id)):
        status, out, _ = here("threads", *words)
        assert status == 0 and "needle" in out
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", out), repr(out)
    assert "\\x1b[31mred\\x07 needle\\x9b" in here("threads", "show", thread_id)[1]


def test_show_tells_about_the_thread_as_well(here: Here, home: Path) -> None:
    thread_id = conversation(home)
    document = json.loads(here("threads", "show", thread_id.upper(), "--json")[1])
    assert (document["continuation_id"], document["title"], document["workspace"]) == (thread_id, "Which queue?", "/projects/space")
    assert document["turns"] == json.loads(here("threads", "export", thread_id, "--json")[1])["turns"]


@pytest.mark.parametrize("by_stdin", [True, False])
def test_an_imported_thread_is_the_exported_one_under_a_new_id(here: Here, home: Path, tmp_path: Path, by_stdin: bool) -> None:
    thread_id = conversation(home)
    exported = here("threads", "export", thread_id, "--json")[1]
    (tmp_path / "thread.json").write_text(exported)
    status, out, _ = here("threads", "import", "-", stdin=exported) if by_stdin else here("threads", "import", tmp_path / "thread.json")
    new_id = out.strip()
    assert status == 0 and uuid.UUID(new_id) and new_id != thread_id
    assert json.loads(here("threads", "export", new_id, "--json")[1])["turns"] == json.loads(exported)["turns"]
    rows = {row["continuation_id"]: row["turns"] for row in json.loads(here("threads", "ls", "--json")[1])["threads"]}
    assert rows == {thread_id: 3, new_id: 3}


def test_a_summary_stays_one_and_no_turn_changes_its_state_when_a_thread_is_imported(here: Here, home: Path) -> None:
    thread_id = conversation(home)
    meta = {"upto": 2, "facts": [[2, "claude-x", "Postgres"]]}

    async def summarize(store: SqliteThreadStore) -> str:
        await store.append(thread_id, NewTurn(role="assistant", content="notes", tool="condense", meta=meta), uid="u")
        return (await store.begin(NewTurn(role="user", content="Still there?"), workspace="/w", thread_id=thread_id)).thread.id

    stored(home, summarize)
    before = json.loads(here("threads", "export", thread_id, "--json")[1])["turns"]
    new_id = here("threads", "import", "-", stdin=json.dumps({"turns": before}))[1].strip()
    again = json.loads(here("threads", "export", new_id, "--json")[1])["turns"]
    assert again == before
    assert [turn["state"] for turn in again] == ["done", "done", "interrupted", "done", "interrupted"]
    assert (again[3]["meta"], [turn.get("meta") for turn in again].count(None)) == (meta, 4)


def test_a_turn_of_an_export_without_a_time_is_of_now(here: Here, home: Path) -> None:
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "", "state": "interrupted"}]
    new_id = here("threads", "import", "-", stdin=json.dumps({"turns": turns}))[1].strip()
    document = json.loads(here("threads", "show", new_id, "--json")[1])
    now = document["created"]
    assert [(turn["state"], turn["at"]) for turn in document["turns"]] == [("done", now), ("interrupted", now)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not json",
        "[]",
        "{}",
        '{"turns": []}',
        '{"turns": [{"role": "assistant", "content": "x"}]}',
        '{"turns": [{"role": "user"}]}',
        '{"turns": [{"role": "user", "content": ""}]}',
        '{"turns": [{"role": "user", "content": "x"}, {"role": "user", "content": " \\n"}]}',
        '{"turns": [{"role": "user", "content": "x", "at": "yesterday"}]}',
        '{"turns": [{"role": "user", "content": "x", "meta": {"upto": "all"}}]}',
        '{"turns": [{"role": "robot", "content": "x"}]}',
        '{"turns": [{"role": "user", "content": "x", "usage": {"input_tokens": "many"}}]}',
    ],
)
def test_what_is_no_export_is_refused_and_nothing_recorded(here: Here, home: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "thread.json").write_text(text)
    assert "is not an exported thread" in here.refused("threads", "import", tmp_path / "thread.json")
    assert here("threads", "ls")[2] == "no threads\n"


def test_a_file_that_is_not_there_cannot_be_imported(here: Here, home: Path) -> None:
    status, out, err = here("threads", "import", "nowhere.json")
    assert (status, out, err) == (1, "", "parley: cannot read nowhere.json: No such file or directory\n")


def test_removed_threads_are_gone(here: Here, home: Path) -> None:
    first, second, kept = conversation(home), conversation(home), conversation(home)
    status, out, err = here("threads", "rm", first, second, first)
    assert (status, out, err) == (0, "", f"removed {first}\nremoved {second}\n")
    assert [row["continuation_id"] for row in json.loads(here("threads", "ls", "--json")[1])["threads"]] == [kept]


@pytest.mark.parametrize("action", ["show", "export", "rm"])
def test_an_unknown_id_fails_with_one_line(here: Here, home: Path, action: str) -> None:
    status, out, err = here("threads", action, str(uuid.uuid4()))
    assert (status, out) == (1, "") and "`parley threads ls` lists" in err and err.count("\n") == 1


def test_a_store_that_cannot_be_opened_fails_with_one_line(here: Here, home: Path) -> None:
    home.mkdir()
    MemoryConfig(home=home).database.write_text("this is no database" * 100)
    status, out, err = here("threads", "ls")
    assert (status, out) == (1, "") and err.startswith("parley: ") and err.count("\n") == 1
