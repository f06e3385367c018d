"""parley threads import: what comes back of an export, and what is refused."""

from __future__ import annotations

import io
import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from cli import importing
from cli.commands import threads
from cli.context import Context
from cli.output import WrongUse
from conversation.threads import NewTurn
from memory.sqlite import SqliteThreadStore
from tests.cli.kept import HELLO, SHOT, attachment, conversation, loaded, panel, stored
from tests.cli.run import Here


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


def test_nothing_of_a_turn_is_lost_on_the_way_to_another_machine(here: Here, home: Path, tmp_path: Path) -> None:
    thread_id = panel(home)
    exported = here("threads", "export", thread_id, "--json")[1]
    status, out, _ = here("threads", "import", "-", stdin=exported, env={"PARLEY_HOME": str(tmp_path / "elsewhere")})
    assert status == 0
    before, after = loaded(home, thread_id), loaded(tmp_path / "elsewhere", out.strip())
    new = {"uid", "exchange_id"}
    assert [turn.model_dump(exclude=new) for turn in after.turns] == [turn.model_dump(exclude=new) for turn in before.turns]
    again = here("threads", "export", out.strip(), "--json", env={"PARLEY_HOME": str(tmp_path / "elsewhere")})[1]
    assert json.loads(again)["turns"] == json.loads(exported)["turns"]
    assert [len(turn.attachments) for turn in after.turns] == [2, 0, 0, 0, 2, 0]


def test_a_file_that_claims_to_be_another_ones_content_changes_no_other_thread(here: Here, home: Path) -> None:
    mine = conversation(home)
    for claimed in (HELLO.digest, "0" * 64):
        file = {"path": "a.py", "kind": "text", "media_type": "text/plain", "content": "exit()", "digest": claimed}
        turns = [{"role": "user", "content": "x", "attachments": [file]}]
        status, out, _ = here("threads", "import", "-", stdin=json.dumps({"turns": turns}))
        assert status == 0
        assert loaded(home, out.strip()).turns[0].attachments == (attachment("a.py", "text/plain", b"exit()"),)
    assert loaded(home, mine).turns[0].attachments == (HELLO,)


def summarized(**meta: Any) -> list[dict[str, Any]]:
    """The turns of an export of which the third is a summary."""
    summary = {"role": "assistant", "content": "notes", "tool": "condense", "meta": meta}
    return [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, summary, {"role": "user", "content": "c"}]


@pytest.mark.parametrize(
    ("turns", "complaint"),
    [
        (summarized(upto=10**9), "turn 3, meta.upto: a summary covers turns before its own, 1 to 2 here, not up to 1000000000"),
        (summarized(upto=3), "turn 3, meta.upto: a summary covers turns before its own, 1 to 2 here, not up to 3"),
        (summarized(upto=0), "turn 3, meta.upto: Input should be greater than or equal to 1"),
        (summarized(upto=-1), "turn 3, meta.upto: Input should be greater than or equal to 1"),
        (summarized(upto=True), "turn 3, meta.upto: Input should be a valid integer"),
        (summarized(upto=2.0), "turn 3, meta.upto: Input should be a valid integer"),
        (summarized(upto="all"), "turn 3, meta.upto: Input should be a valid integer"),
        (summarized(upto=2, tokens="many"), "turn 3, meta.tokens: Input should be a valid integer"),
        (summarized(upto=2, tokens=-8), "turn 3, meta.tokens: Input should be greater than or equal to 1"),
        (summarized(facts=[]), "turn 3, meta.upto: Field required"),
        (summarized(upto=2, facts={"a": 1}), "turn 3, meta.facts: Input should be a valid list"),
        (summarized(upto=2, facts=[[1, "p/m"]]), "turn 3, meta.facts.0.2: Field required"),
        (summarized(upto=2, facts=[[1, "p/m", "b", "c"]]), "turn 3, meta.facts.0: Tuple should have at most 3 items"),
        (summarized(upto=2, facts=[[1, "p/m", "b"], [True, "p/m", "b"]]), "turn 3, meta.facts.1.0: Input should be a valid integer"),
        (summarized(upto=2, facts=[[1, None, "b"]]), "turn 3, meta.facts.0.1: Input should be a valid string"),
        (summarized(upto=2, files=7), "turn 3, meta.files: Input should be a valid list"),
        (summarized(upto=2, files=[None]), "turn 3, meta.files.0: Input should be a valid string"),
        (summarized(upto=2, facts=["abc"]), "turn 3, meta.facts.0: Input should be a valid tuple"),
        ([{"role": "user", "content": "a", "tool": "condense", "meta": {"upto": 1}}], "turn 1, role: a summary is no turn of the caller"),
        ([{"role": "user", "content": "a", "meta": [1]}], "turn 1, meta: Input should be an object"),
        ([{"role": "user", "content": "a", "meta": {"x": float("inf")}}], "turn 1, meta: holds a number that JSON does not have"),
        ([{"role": "user", "content": "a", "usage": {"cost_usd": float("nan")}}], "turn 1, usage: the cost is no amount of money"),
        ([{"role": "user", "content": "a", "usage": {"input_tokens": -1}}], "turn 1, usage: a number of tokens is below 0"),
    ],
)
def test_what_would_hide_turns_or_break_later_is_refused_by_the_turns_number(
    here: Here, home: Path, tmp_path: Path, turns: list[dict[str, Any]], complaint: str
) -> None:
    (tmp_path / "thread.json").write_text(json.dumps({"turns": turns}))
    assert complaint in here.refused("threads", "import", tmp_path / "thread.json")
    assert here("threads", "ls")[2] == "no threads\n"


def test_meta_of_other_turns_is_nobodys_business(here: Here, home: Path) -> None:
    turns = [{"role": "user", "content": "a", "meta": {"upto": 10**9, "facts": 7}}]
    new_id = here("threads", "import", "-", stdin=json.dumps({"turns": turns}))[1].strip()
    assert loaded(home, new_id).turns[0].meta == {"upto": 10**9, "facts": 7}


@pytest.mark.parametrize(
    ("file", "complaint"),
    [
        ({"content": "aGk="}, "turn 1, attachments.0: the content is no image of the type image/png"),
        ({"content": SHOT.content, "media_type": "image/jpeg"}, "turn 1, attachments.0: the content is no image of the type image/jpeg"),
        ({"content": "not base64"}, "turn 1, attachments.0: the content of an image should be base64"),
        ({"content": SHOT.content, "path": ""}, "turn 1, attachments.0.path: "),
        ({"content": SHOT.content, "kind": "video"}, "turn 1, attachments.0.kind: "),
        ({}, "turn 1, attachments.0.content: Field required"),
    ],
)
def test_a_file_that_no_model_could_be_sent_is_refused(
    here: Here, home: Path, tmp_path: Path, file: dict[str, str], complaint: str
) -> None:
    given = {"path": "shot.png", "kind": "image", "media_type": "image/png", **file}
    (tmp_path / "thread.json").write_text(json.dumps({"turns": [{"role": "user", "content": "x", "attachments": [given]}]}))
    assert complaint in here.refused("threads", "import", tmp_path / "thread.json")


@pytest.mark.parametrize("by_stdin", [True, False])
def test_an_export_that_is_too_large_is_refused_for_that(
    here: Here, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_stdin: bool
) -> None:
    text = json.dumps({"turns": [{"role": "user", "content": "x" * 90}]})
    (tmp_path / "thread.json").write_text(text)
    source = "-" if by_stdin else str(tmp_path / "thread.json")
    said = f"parley: {'stdin' if by_stdin else source} is larger than {len(text) - 1} bytes\n"
    monkeypatch.setattr(importing, "MAX_BYTES", len(text) - 1)
    assert here("threads", "import", source, stdin=text) == (2, "", said)
    monkeypatch.setattr(importing, "MAX_BYTES", len(text))
    assert here("threads", "import", source, stdin=text)[0] == 0


def test_a_turn_of_an_export_without_a_time_is_of_now(here: Here, home: Path) -> None:
    turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "", "state": "interrupted"}]
    new_id = here("threads", "import", "-", stdin=json.dumps({"turns": turns}))[1].strip()
    document = json.loads(here("threads", "show", new_id, "--json")[1])
    now = document["created"]
    assert [(turn["state"], turn["at"]) for turn in document["turns"]] == [("done", now), ("interrupted", now)]


def test_what_is_piped_in_is_imported_without_a_dash_and_the_id_comes_as_json_too(here: Here, home: Path) -> None:
    exported = here("threads", "export", conversation(home), "--json")[1]
    status, out, _ = here("threads", "import", "--json", stdin=exported)
    (key, new_id), = json.loads(out).items()
    assert (status, key) == (0, "continuation_id")
    assert json.loads(here("threads", "export", new_id, "--json")[1])["turns"] == json.loads(exported)["turns"]


@pytest.mark.parametrize("is_closed", [True, False])
def test_with_nothing_piped_in_a_file_has_to_be_named(here: Here, home: Path, monkeypatch: pytest.MonkeyPatch, is_closed: bool) -> None:
    class Terminal(io.TextIOWrapper):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(threads.sys, "stdin", None if is_closed else Terminal(io.BytesIO()))
    with pytest.raises(WrongUse, match="name the file to import, or pipe it in"):
        threads.run(Context({}), ["import"])


@pytest.mark.parametrize(
    ("at", "kept"),
    [
        ("20260101", "2026-01-01T00:00:00.000000Z"),
        ("2026-W05", "2026-01-26T00:00:00.000000Z"),
        ("2026-01-01T01:30+02:00", "2025-12-31T23:30:00.000000Z"),
        ("2026-01-01 01:30:00.5", "2026-01-01T01:30:00.500000Z"),
        ("2026-01-01T01:30:00.123456Z", "2026-01-01T01:30:00.123456Z"),
    ],
)
def test_times_are_kept_as_stores_write_them(here: Here, home: Path, at: str, kept: str) -> None:
    turns = [{"role": "user", "content": "a", "at": at}]
    new_id = here("threads", "import", "-", stdin=json.dumps({"turns": turns}))[1].strip()
    assert loaded(home, new_id).turns[0].at == kept


@pytest.mark.parametrize(
    ("field", "complaint"),
    [
        ({"at": "0001-01-01T00:00+14:00"}, "turn 1, at: not a time as ISO 8601 writes it"),
        ({"usage": {"output_tokens": 10**40}}, "turn 1, usage: a number of tokens is above 1000000000000"),
        ({"usage": {"cost_usd": 1e30}}, "turn 1, usage: the cost is no amount of money"),
        ({"model": "m" * 100_000}, "turn 1, model: String should have at most 300 characters"),
        ({"provider": "m" * 301}, "turn 1, provider: String should have at most 300 characters"),
        ({"tool": "m" * 301}, "turn 1, tool: String should have at most 300 characters"),
    ],
)
def test_what_no_model_ever_had_is_refused(here: Here, home: Path, tmp_path: Path, field: dict[str, Any], complaint: str) -> None:
    (tmp_path / "thread.json").write_text(json.dumps({"turns": [{"role": "user", "content": "a", **field}]}))
    assert complaint in here.refused("threads", "import", tmp_path / "thread.json")


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
