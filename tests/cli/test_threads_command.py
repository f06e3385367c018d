"""parley threads: conversations from the command line."""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path

import pytest

from memory.config import MemoryConfig
from tests.cli.kept import conversation, panel
from tests.cli.run import Here


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
    always = ["seq", "role", "tool", "provider", "model", "content", "state", "at", "usage"]
    assert [list(turn) for turn in document["turns"]] == [[*always, "attachments"], always, always]
    assert document["turns"][0]["attachments"] == [{"path": "a.py", "kind": "text", "media_type": "text/plain", "content": "print()"}]
    for turn in document["turns"]:
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


def test_markdown_tells_sides_outcomes_and_summaries_and_who_wrote_them(here: Here, home: Path) -> None:
    out = here("threads", "show", panel(home))[1]
    headings = [re.sub(r", \d{4}-\d\d-\d\dT[\d:]+", "", line) for line in out.splitlines() if line.startswith("## ")]
    assert headings == [
        "## 1. you, consensus",
        "## 2. p/m, consensus, seat A, asked to argue: for",
        "## 3. p/n, consensus, seat B",
        "## 4. parley, consensus, outcome",
        "## 5. p/m, codereview",
        "## 6. parley, condense, summary of turns 1 to 5",
    ]


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


def test_removed_threads_are_gone(here: Here, home: Path) -> None:
    first, second, kept = conversation(home), conversation(home), conversation(home)
    status, out, err = here("threads", "rm", first, second, first)
    assert (status, out, err) == (0, "", f"removed {first}\nremoved {second}\n")
    assert [row["continuation_id"] for row in json.loads(here("threads", "ls", "--json")[1])["threads"]] == [kept]


def test_threads_that_are_not_there_keep_none_from_being_removed_and_are_named(here: Here, home: Path) -> None:
    first, second, missing = conversation(home), conversation(home), [str(uuid.uuid4()), str(uuid.uuid4())]
    status, out, err = here("threads", "rm", first, missing[0], second, missing[1])
    assert (status, out, json.loads(here("threads", "ls", "--json")[1])) == (1, "", {"threads": []})
    assert err.splitlines()[:2] == [f"removed {first}", f"removed {second}"]
    assert err.splitlines()[2:] == [f"parley: There is no thread {', '.join(missing)}. `parley threads ls` lists the threads there are."]


@pytest.mark.parametrize("action", ["show", "export", "rm"])
def test_an_unknown_id_fails_with_one_line(here: Here, home: Path, action: str) -> None:
    status, out, err = here("threads", action, str(uuid.uuid4()))
    assert (status, out) == (1, "") and "`parley threads ls` lists" in err and err.count("\n") == 1


def test_a_store_that_cannot_be_opened_fails_with_one_line(here: Here, home: Path) -> None:
    home.mkdir()
    MemoryConfig(home=home).database.write_text("this is no database" * 100)
    status, out, err = here("threads", "ls")
    assert (status, out) == (1, "") and err.startswith("parley: ") and err.count("\n") == 1
