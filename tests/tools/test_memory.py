"""The tools of the memory, as a client sees them."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

from graph.memory import Memory
from tests.graph.notes import GROUP, entity, fact_uuid, remembering, tell
from tests.tools.house import House
from tools import memories
from tools.limits import Limits

QUEUE = "The job queue runs on PostgreSQL"
NEW_QUEUE = "The job queue runs on Redis Streams"


@pytest.fixture
def house(workspace: Path, memory: Memory) -> House:
    return House(workspace, memory=lambda: memory)


@pytest.fixture
async def changed(memory: Memory) -> tuple[str, str]:
    """A decision that was reversed; the uuids of both notes."""
    first = await tell(memory, "Job queue", f"{QUEUE}, for LISTEN/NOTIFY.", ("job queue", QUEUE, "PostgreSQL"))
    second = await tell(
        memory,
        "Queue moved",
        f"{NEW_QUEUE} now, for its load.",
        ("job queue", NEW_QUEUE, "Redis Streams"),
        ends=(QUEUE,),
        at="2026-02-01T00:00:00Z",
        source_description="a meeting",
    )
    return first, second


async def test_what_is_told_is_kept_at_once_and_once(house: House) -> None:
    known = str(uuid.uuid4())
    told = {"name": "Lunch", "episode_body": "Lunch is at noon.", "uuid": known.upper(), "source_description": "the door"}
    for _ in range(2):
        assert await house.call("add_memory", told) == {"uuid": known, "state": "queued", "group_id": GROUP}
    (row,) = (await house.call("get_episodes"))["episodes"]
    assert (row["uuid"], row["name"], row["content"], row["state"]) == (known, "Lunch", "Lunch is at noon.", "queued")
    assert (row["error"], row["group_id"], row["source_description"]) == (None, GROUP, "the door")


async def test_a_note_without_a_uuid_gets_one_and_can_be_put_into_a_group(house: House) -> None:
    answer = await house.call("add_memory", {"name": "x", "episode_body": '{"a": 1}', "group_id": "other", "source": "json"})
    assert uuid.UUID(answer["uuid"]) and answer["group_id"] == "other"
    assert (await house.call("get_episodes"))["episodes"] == []
    (row,) = (await house.call("get_episodes", {"group_ids": ["other", "other"]}))["episodes"]
    assert row["source"] == "json" and "source_description" not in row


@pytest.mark.parametrize(
    ("tool", "arguments", "says"),
    [
        ("add_memory", {"name": " ", "episode_body": "x"}, "name is empty"),
        ("add_memory", {"name": "x", "episode_body": ""}, "episode_body is empty"),
        ("add_memory", {"name": "x", "episode_body": "x" * 200_001}, "200,000"),
        ("add_memory", {"name": "x", "episode_body": "x", "uuid": "mine"}, "uuid is not a UUID"),
        ("add_memory", {"name": "x", "episode_body": "x", "source_description": "x" * 1_001}, "1,000"),
        ("add_memory", {"name": "x", "episode_body": "x", "group_id": "a/b"}, "group_id"),
        ("add_memory", {"name": "x", "episode_body": "x", "source": "html"}, "source"),
        ("add_memory", {"episode_body": "x"}, "name is required"),
        ("search_memory_facts", {"query": " "}, "query is empty"),
        ("search_memory_facts", {"query": "x", "group_ids": ["*"]}, "group_id"),
        ("search_memory_facts", {"query": "x", "max_facts": 0}, "max_facts"),
        ("search_memory_facts", {"query": "x", "center_node_uuid": "here"}, "uuid is not a UUID"),
        ("search_nodes", {"query": ""}, "query is empty"),
        ("get_entity_edge", {"uuid": "x"}, "uuid is not a UUID"),
        ("get_entity_edge", {"uuid": str(uuid.UUID(int=1))}, "no fact with this uuid"),
        ("delete_entity_edge", {"uuid": str(uuid.UUID(int=1))}, "no fact with this uuid"),
        ("delete_episode", {"uuid": str(uuid.UUID(int=1))}, "no episode with this uuid"),
        ("clear_graph", {}, f"confirm=true is needed to forget all of {GROUP}"),
        ("clear_graph", {"group_ids": ["other"], "confirm": False}, "forget all of other"),
    ],
)
async def test_a_wrong_call_is_told_so_and_changes_nothing(house: House, tool: str, arguments: dict[str, Any], says: str) -> None:
    await house.call("add_memory", {"name": "x", "episode_body": "kept"})
    error = await house.error(tool, arguments)
    assert error["code"] == "invalid_input" and says in error["message"], error
    assert len((await house.call("get_episodes"))["episodes"]) == 1


async def test_a_fact_is_found_with_when_it_holds_and_where_it_is_from(house: House, changed: tuple[str, str]) -> None:
    answer = await house.call("search_memory_facts", {"query": "Where does the job queue run?"})
    (found,) = answer["facts"]
    assert (found["fact"], found["source_node"], found["target_node"]) == (NEW_QUEUE, "job queue", "Redis Streams")
    assert (found["superseded"], found["valid_at"], found["invalid_at"]) == (False, "2026-02-01T00:00:00.000000Z", None)
    assert found["episodes"] == [changed[1]] and found["score"] > 0
    (source,) = found["sources"]
    assert (source["name"], source["created_at"]) == ("Queue moved", "2026-02-01T00:00:00.000000Z")
    assert (source["source_description"], source["excerpt"]) == ("a meeting", f"{NEW_QUEUE} now, for its load.")
    assert answer["episodes"] == [] and answer["note"].startswith("What is remembered")
    assert [one["code"] for one in answer["warnings"]] == ["lexical_memory"]


async def test_what_is_no_longer_true_is_shown_when_asked_for_and_marked(house: House, changed: tuple[str, str]) -> None:
    query = {"query": "Where does the job queue run?", "include_superseded": True}
    new, old = (await house.call("search_memory_facts", query))["facts"]
    assert (new["fact"], new["superseded"], old["fact"], old["superseded"]) == (NEW_QUEUE, False, QUEUE, True)
    assert old["invalid_at"] == new["valid_at"] and old["expired_at"]
    before = (await house.call("search_memory_facts", {"query": "Where did the job queue run before?"}))["facts"]
    assert [one["fact"] for one in before] == [QUEUE, NEW_QUEUE]


async def test_what_nobody_has_read_yet_is_found_by_its_own_words(house: House) -> None:
    await house.call("add_memory", {"name": "Lunch", "episode_body": "We eat at noon. " * 200})
    answer = await house.call("search_memory_facts", {"query": "when do we eat"})
    (row,) = answer["episodes"]
    assert answer["facts"] == [] and (row["name"], row["state"]) == ("Lunch", "queued")
    assert len(row["content"]) < 1_600 and "more characters" in row["content"]


async def test_entities_are_found(house: House, changed: tuple[str, str]) -> None:
    answer = await house.call("search_nodes", {"query": "redis"})
    (node,) = answer["nodes"]
    assert (node["name"], node["labels"], node["group_id"]) == ("Redis Streams", [], GROUP)
    assert [one["code"] for one in answer["warnings"]] == ["lexical_memory"]


async def test_entities_of_which_nothing_is_true_any_more_come_last(house: House, changed: tuple[str, str]) -> None:
    async def named(**more: Any) -> list[str]:
        return [one["name"] for one in (await house.call("search_nodes", {"query": "PostgreSQL job queue", **more}))["nodes"]]

    assert await named() == ["job queue", "PostgreSQL"]
    assert sorted(await named(include_superseded=True)) == ["PostgreSQL", "job queue"]


async def test_what_is_near_an_entity_comes_first(house: House, memory: Memory) -> None:
    await tell(memory, "a", "x", ("Ada", "Ada reviews the gate code", "gate"))
    await tell(memory, "b", "x", ("Bo", "Bo reviews the relay code, all the code", "relay"))
    by = {"query": "code", "center_node_uuid": entity("Ada").uuid}
    facts = (await house.call("search_memory_facts", by))["facts"]
    assert [one["source_node"] for one in facts] == ["Ada", "Bo"]
    nodes = (await house.call("search_nodes", {"query": "gate relay ada", "center_node_uuid": entity("gate").uuid}))["nodes"]
    assert [one["name"] for one in nodes] == ["gate", "Ada", "relay"]


async def test_one_fact_is_shown_and_deleted_by_its_uuid(house: House, changed: tuple[str, str]) -> None:
    known = {"uuid": fact_uuid(GROUP, NEW_QUEUE)}
    shown = await house.call("get_entity_edge", known)
    assert (shown["fact"], shown["source_node_uuid"]) == (NEW_QUEUE, entity("job queue").uuid)
    assert known["uuid"] in (await house.call("delete_entity_edge", known))["message"]
    assert (await house.error("get_entity_edge", known))["code"] == "invalid_input"
    assert len((await house.call("get_episodes"))["episodes"]) == 2


async def test_an_episode_is_deleted_with_what_only_it_tells(house: House, changed: tuple[str, str]) -> None:
    assert changed[1] in (await house.call("delete_episode", {"uuid": changed[1]}))["message"]
    facts = (await house.call("search_memory_facts", {"query": "job queue", "include_superseded": True}))["facts"]
    assert [one["fact"] for one in facts] == [QUEUE]
    assert [one["name"] for one in (await house.call("get_episodes"))["episodes"]] == ["Job queue"]


async def test_groups_are_cleared_once_that_is_confirmed(house: House, changed: tuple[str, str]) -> None:
    await house.call("add_memory", {"name": "x", "episode_body": "elsewhere", "group_id": "other"})
    assert GROUP in (await house.call("clear_graph", {"confirm": True}))["message"]
    assert (await house.call("get_episodes"))["episodes"] == []
    assert (await house.call("search_memory_facts", {"query": "job queue", "include_superseded": True}))["facts"] == []
    assert len((await house.call("get_episodes", {"group_ids": ["other"]}))["episodes"]) == 1


async def test_the_status_tells_what_waits_and_what_failed(house: House, memory: Memory) -> None:
    fresh = await house.call("get_status")
    assert fresh["queue"] == {"queued": 0, "running": 0, "done": 0, "failed": 0}
    assert (fresh["backend"], fresh["embedding"], fresh["owner"], fresh["group_id"]) == ("kuzu", "lexical", None, GROUP)
    assert "by words" in fresh["message"]
    await tell(memory, "read", "x")
    assert "has been read" in (await house.call("get_status"))["message"]
    poison = (await house.call("add_memory", {"name": "poison", "episode_body": "x"}))["uuid"]
    assert "wait to be read: 1" in (await house.call("get_status"))["message"]
    await memory.inbox.claim()
    await memory.inbox.fail(poison, "nonsense")
    status = await house.call("get_status")
    assert status["queue"] == {"queued": 0, "running": 0, "done": 1, "failed": 1} and "could not be read: 1" in status["message"]
    newest = (await house.call("get_episodes", {"max_episodes": 1}))["episodes"]
    assert [(one["name"], one["state"], one["error"]) for one in newest] == [("poison", "failed", "nonsense")]
    await memory.rebuild()
    assert "made anew" in (await house.call("get_status"))["message"]


async def test_without_a_provider_the_status_says_why_nothing_is_read(workspace: Path, tmp_path: Path) -> None:
    memory = remembering(tmp_path, unread="No provider is configured.")
    house = House(workspace, memory=lambda: memory)
    assert "No provider" not in (await house.call("get_status"))["message"]
    await house.call("add_memory", {"name": "x", "episode_body": "x"})
    assert "No provider is configured." in (await house.call("get_status"))["message"]
    await memory.aclose()


async def test_answers_stay_within_their_bound_and_say_what_is_missing(workspace: Path, memory: Memory) -> None:
    house = House(workspace, memory=lambda: memory, limits=Limits(max_answer_tokens=2_000))
    for number in range(8):
        await tell(memory, f"n{number}", "word " * 100, (f"a{number}", f"fact {number} of " + "word " * 60, f"b{number}"))
    answer = await house.call("search_memory_facts", {"query": "word"})
    assert 0 < len(answer["facts"]) < 8
    assert "more results did not fit" in answer["warnings"][-1]["message"]
    episodes = await house.call("get_episodes", {"max_episodes": 50})
    assert 0 < len(episodes["episodes"]) < 8 and "episodes did not fit" in episodes["warnings"][0]["message"]
    await tell(memory, "long", "long " * 5_000)
    (first,) = (await house.call("get_episodes", {"max_episodes": 1}))["episodes"]
    assert "parley memory export" in first["content"] and len(first["content"]) < 8_000
    for number in range(60):
        await tell(memory, f"m{number}", "x", (f"service {number}", f"service {number} is {'good ' * 20}", f"thing {number}"))
    nodes = await house.call("search_nodes", {"query": "service", "max_nodes": 100})
    assert 0 < len(nodes["nodes"]) < 60 and "nodes did not fit" in nodes["warnings"][-1]["message"]


async def test_an_episode_that_fits_is_shown_whole(house: House, memory: Memory) -> None:
    known = await tell(memory, "short", "All of it.")
    (kept,) = await memory.episodes()
    shown = memories.episode_shown(kept)
    assert kept.uuid == known and memories.cut(shown, 100) == shown
