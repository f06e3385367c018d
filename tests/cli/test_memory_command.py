"""parley memory: told, found, looked after, taken out and put in again."""

from __future__ import annotations

import asyncio
import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from graph.episodes import group_of
from graph.inbox import Inbox
from tests.cli.kept import conversation
from tests.cli.run import Here, parley
from tests.graph.notes import remembering, tell

NOTE = "Lunch is at noon."


def shown(here: Here, *arguments: str, stdin: str = "") -> Any:
    status, out, err = here("memory", *arguments, "--json", stdin=stdin)
    assert status == 0, err
    return json.loads(out)


@pytest.fixture
def group(tmp_path: Path) -> str:
    return group_of(str(tmp_path))


def filled(home: Path, group: str) -> None:
    """A memory with a decision that was reversed, and a note that could not be read."""

    async def fill() -> None:
        memory = remembering(home, group)
        old, new = "The queue runs on PostgreSQL", "The queue runs on Redis"
        await tell(memory, "Queue", "On PostgreSQL.", ("queue", old, "PostgreSQL"))
        await tell(memory, "Moved", "On Redis.", ("queue", new, "Redis"), ends=(old,), at="2026-02-01T00:00:00Z")
        await tell(memory, "Poison", "x")
        (poison, *_) = await memory.inbox.episodes(None, 1)
        await memory.inbox.fail(poison.uuid, "nonsense")
        await memory.aclose()

    asyncio.run(fill())


def test_what_is_told_is_found_and_can_be_told_again(here: Here, home: Path, group: str) -> None:
    known = str(uuid.uuid4())
    for _ in range(2):
        told = shown(here, "add", *NOTE.split(), "--uuid", known, "--at", "2026-01-31T12:00:00+01:00", "--source-description", "door")
        assert told == {"uuid": known, "state": "queued", "group_id": group}
    (row,) = shown(here, "export")["episodes"]
    assert (row["uuid"], row["name"], row["episode_body"]) == (known, NOTE, NOTE)
    assert (row["created_at"], row["source_description"]) == ("2026-01-31T11:00:00.000000Z", "door")
    status, out, _ = here("memory", "search", "when", "is", "lunch?")
    assert (status, out) == (0, f"{NOTE}  [{NOTE}, 2026-01-31, queued]\n")
    assert here("memory", "search", "whales") == (0, "", "nothing found\n")


def test_what_is_piped_in_is_told_under_a_name_in_a_group(here: Here, home: Path) -> None:
    status, out, _ = here("memory", "add", "--name", "Who", "--source", "message", "--group", "other", stdin="Ada: hello\nBo: hi\n")
    assert status == 0 and uuid.UUID(out.strip())
    assert shown(here, "export")["episodes"] == []
    (row,) = shown(here, "export", "--all")["episodes"]
    assert (row["name"], row["source"], row["group_id"]) == ("Who", "message", "other")
    assert shown(here, "search", "hello", "--group", "other")["episodes"][0]["name"] == "Who"


def test_a_search_shows_since_when_and_from_where(here: Here, home: Path, group: str) -> None:
    filled(home, group)
    status, out, _ = here("memory", "search", "queue", "--superseded")
    assert status == 0 and out.splitlines() == [
        "The queue runs on Redis  [since 2026-02-01; from Moved, 2026-02-01]",
        "The queue runs on PostgreSQL  [no longer true; since 2026-01-01, until 2026-02-01; from Queue, 2026-01-01]",
    ]
    answer = shown(here, "search", "queue", "--limit", "1")
    assert [one["superseded"] for one in answer["facts"]] == [False]


def test_the_status_lists_what_failed_and_retry_queues_it(here: Here, home: Path, group: str) -> None:
    filled(home, group)
    status = shown(here, "status")
    assert status["queue"] == {"queued": 0, "running": 0, "done": 2, "failed": 1} and status["owner"] is None
    _, out, _ = here("memory", "status")
    assert "2 read, 0 queued, 0 being read, 1 failed" in out and "Poison: nonsense" in out
    assert shown(here, "retry", str(uuid.uuid4())) == {"queued": 0}
    assert here("memory", "retry") == (0, "", "1 episodes are queued again\n")
    assert shown(here, "status")["queue"]["queued"] == 1


def test_a_rebuild_queues_everything_and_the_old_is_found_meanwhile(here: Here, home: Path, group: str) -> None:
    filled(home, group)
    status, _, err = here("memory", "rebuild")
    assert status == 0 and err.startswith("3 episodes will be read again")
    assert shown(here, "status")["queue"] == {"queued": 3, "running": 0, "done": 0, "failed": 0}
    assert len(shown(here, "search", "queue")["facts"]) == 1
    assert shown(here, "rebuild") == {"queued": 3}


def test_an_export_can_be_put_into_another_memory_once(here: Here, home: Path, group: str, tmp_path: Path) -> None:
    filled(home, group)
    _, out, _ = here("memory", "export")
    elsewhere = {"PARLEY_HOME": str(tmp_path / "elsewhere")}
    assert here("memory", "import", stdin=out, env=elsewhere) == (0, "", "3 episodes added\n")
    (tmp_path / "x.json").write_text(out)
    assert json.loads(here("memory", "import", "x.json", "--json", env=elsewhere)[1]) == {"added": 0}
    again = json.loads(here("memory", "export", env=elsewhere)[1])["episodes"]
    before = json.loads(out)["episodes"]
    assert [one["uuid"] for one in again] == [one["uuid"] for one in before]
    assert all(one["state"] == "queued" and one["created_at"] for one in again)


def test_a_thread_is_told(here: Here, home: Path, tmp_path: Path) -> None:
    thread = conversation(home)
    (row,) = shown(here, "add", "--thread", thread)["episodes"]
    assert row["state"] == "queued"
    episodes = shown(here, "export", "--all")["episodes"]
    assert episodes[0]["source"] == "message" and episodes[0]["source_description"] == f"thread {thread}"
    assert here("memory", "add", "--thread", thread)[1].strip() == row["uuid"]
    status, _, err = here("memory", "add", "--thread", str(uuid.UUID(int=5)))
    assert status == 1 and "parley threads ls" in err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("add",), "name what to remember, or pipe it in"),
        (("add", "x", "--uuid", "mine"), "uuid is not a UUID"),
        (("add", "x", "--group", "a/b"), "group_id"),
        (("add", "x", "--at", "yesterday"), "ISO 8601"),
        (("add", "--thread", "x"), "not a continuation_id"),
        (("search", "x", "--limit", "0"), "--limit"),
        (("search", " "), "query is empty"),
        (("retry", "x"), "uuid is not a UUID"),
        (("forget",), "forget"),
        ((), "add|search"),
    ],
)
def test_wrong_use_is_one_line(here: Here, home: Path, arguments: tuple[str, ...], says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert says in here.refused("memory", *arguments)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is not what"),
        ("[]", "is not what"),
        ('{"turns": []}', "is not what"),
        ('{"episodes": {}}', "is not what"),
        ('{"episodes": [{"uuid": 5}]}', "episode 1: "),
        ('{"episodes": [{"uuid": "x", "name": "a", "episode_body": "b", "group_id": "g"}]}', "episode 1: uuid is not a UUID"),
        ('{"episodes": ["x"]}', "episode 1: "),
    ],
)
def test_what_is_no_export_changes_nothing(here: Here, home: Path, text: str, says: str) -> None:
    status, out, err = here("memory", "import", stdin=text)
    assert (status, out, err.count("\n")) == (2, "", 1) and says in err
    assert not (home / "memory.db").exists()


def test_nothing_is_made_by_looking_for_help(tmp_path: Path) -> None:
    status, out, _ = parley("memory", "--help", env={"PARLEY_HOME": str(tmp_path / "home")})
    assert status == 0 and "rebuild" in out and not (tmp_path / "home").exists()


def test_doctor_tells_of_the_memory(here: Here, home: Path, group: str) -> None:
    def checked() -> list[tuple[str, str]]:
        checks = json.loads(here("doctor", "--json")[1])["checks"]
        return [(check["status"], check["detail"]) for check in checks if check["name"] == "memory"]

    assert checked() == []
    filled(home, group)
    ((status, detail),) = checked()
    assert status == "warning" and "could not be read: 1" in detail
    asyncio.run(_forget_poison(home))
    ((status, detail),) = checked()
    assert status == "ok" and detail.startswith("2 episodes, all read")
    (home / "memory.db").write_bytes(b"not a database" * 500)
    ((status, detail),) = checked()
    assert status == "broken" and "not a database" in detail


async def _forget_poison(home: Path) -> None:
    inbox = Inbox(home / "memory.db")
    for one in await inbox.episodes(None, 10):
        if one.state == "failed":
            await inbox.delete(one.uuid)
    await inbox.aclose()
