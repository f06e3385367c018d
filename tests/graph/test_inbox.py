"""The inbox: what is told is kept once, is taken out in order, and leaves nothing behind when it is deleted."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from conversation.errors import InvalidInput, StoreUnavailable
from graph.episodes import Entity, Fact, Found, NewEpisode, Queue, group_of
from graph.inbox import CRASHED, CRASHES_OF_A_GRAPH, CRASHES_OF_AN_EPISODE, Inbox
from tests.memory.contract import Clock

ROOT = Path(__file__).parents[2]
ADDS = """
import asyncio, sys, uuid
from pathlib import Path
from graph.episodes import NewEpisode
from graph.inbox import CRASHED, CRASHES_OF_A_GRAPH, CRASHES_OF_AN_EPISODE, Inbox
async def main():
    inbox = Inbox(Path(sys.argv[1]))
    for number in range(1000):
        made = await inbox.add(NewEpisode(name=f"{number}", body="x", group_id="g", uuid=str(uuid.uuid4())))
        print(made.uuid, flush=True)
asyncio.run(main())
"""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def inbox(parley_home: Path, clock: Clock) -> AsyncIterator[Inbox]:
    one = Inbox(parley_home / "memory.db", clock=clock)
    yield one
    await one.aclose()


def told(name: str = "a name", group: str = "g", **more: str) -> NewEpisode:
    return NewEpisode.model_validate({"name": name, "body": f"{name}, at length", "group_id": group, "uuid": str(uuid.uuid4()), **more})


def entity(name: str, group: str = "g") -> Entity:
    return Entity(uuid=str(uuid.uuid5(uuid.NAMESPACE_OID, name)), group_id=group, name=name, created_at="2026-01-01")


def fact(text: str, source: Entity, target: Entity, *episodes: str) -> Fact:
    known = str(uuid.uuid5(uuid.NAMESPACE_OID, text))
    return Fact(
        uuid=known, group_id="g", source=source.uuid, target=target.uuid, name="KNOWS", fact=text, created_at="now", episodes=episodes
    )


async def names(inbox: Inbox) -> list[str]:
    return [one.name for one in await inbox.episodes()]


async def test_an_episode_is_kept_once_however_often_it_is_told(inbox: Inbox, parley_home: Path) -> None:
    one = told("first", source="json", source_description="a meeting")
    made = await inbox.add(one)
    assert (made.state, made.tries, made.error, made.uuid) == ("queued", 0, None, one.uuid)
    again = await inbox.add(one.model_copy(update={"body": "other words", "uuid": one.uuid.upper()}))
    assert again == made
    other = Inbox(parley_home / "memory.db")
    assert await other.episodes() == [made]
    assert await other.get(one.uuid) == made and await other.get(str(uuid.uuid4())) is None
    await other.aclose()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"name": " "}, "name is empty"),
        ({"body": "\n"}, "episode_body is empty"),
        ({"name": "x" * 301}, "name has 301 characters; at most 300"),
        ({"body": "x" * 200_001}, "episode_body has 200,001 characters"),
        ({"uuid": "mine"}, "uuid is not a UUID"),
        ({"group_id": "a b"}, "group_id is not a name"),
        ({"group_id": ""}, "group_id is not a name"),
        ({"group_id": "é"}, "group_id is not a name"),
    ],
)
async def test_what_cannot_be_kept_is_refused(inbox: Inbox, change: dict[str, str], complaint: str) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        await inbox.add(told().model_copy(update=change))
    assert await inbox.queue() == Queue()


def test_a_workspace_has_a_group_of_its_own() -> None:
    assert group_of("/home/me/my project/") != group_of("/srv/my project")
    assert group_of("/home/me/my project").startswith("my-project-")
    assert group_of("/").startswith("workspace-")


async def test_episodes_are_taken_in_order_within_a_group_and_side_by_side_across_groups(inbox: Inbox) -> None:
    for name, group in (("a1", "a"), ("a2", "a"), ("b1", "b")):
        await inbox.add(told(name, group))
    first = await inbox.claim()
    assert first is not None and (first.name, first.state, first.tries) == ("a1", "running", 1)
    assert await inbox.claim(busy=["b"]) is None, "a2 has to wait for a1"
    second = await inbox.claim()
    assert second is not None and second.name == "b1"
    assert await inbox.claim() is None
    await inbox.done(first.uuid, Found())
    third = await inbox.claim()
    assert third is not None and third.name == "a2"
    assert await inbox.queue() == Queue(running=2, done=1)


async def test_one_that_failed_for_now_is_tried_again_later_and_given_up_in_the_end(inbox: Inbox, clock: Clock) -> None:
    await inbox.add(told("poison"))
    await inbox.add(told("next"))
    one = await inbox.claim()
    assert one is not None
    await inbox.postpone(one.uuid, "rate limited", 30)
    following = await inbox.claim()
    assert following is not None and following.name == "next", "which it does not hold up"
    assert await inbox.claim() is None and await inbox.due_in() == pytest.approx(30)
    await inbox.done(following.uuid, Found())
    clock.now += 31
    again = await inbox.claim()
    assert again is not None and (again.name, again.tries, again.error) == ("poison", 2, "rate limited")
    await inbox.fail(one.uuid, "nonsense")
    known = await inbox.get(one.uuid)
    assert known is not None and (known.state, known.error) == ("failed", "nonsense")
    assert await inbox.due_in() is None
    assert await inbox.retry(str(uuid.uuid4())) == 0 and await inbox.retry() == 1
    known = await inbox.get(one.uuid)
    assert known is not None and (known.state, known.tries, known.error) == ("queued", 0, None)


async def test_what_a_drainer_that_is_gone_was_at_is_queued_again(inbox: Inbox) -> None:
    await inbox.add(told())
    await inbox.claim()
    assert await inbox.recover() == 1 and await inbox.queue() == Queue(queued=1)
    again = await inbox.claim()
    assert again is not None and again.tries == 2


async def test_what_was_found_is_put_into_the_place_of_what_was_known(inbox: Inbox) -> None:
    episode = await inbox.add(told())
    alice, bob = entity("Alice"), entity("Bob")
    knows = fact("Alice knows Bob", alice, bob, episode.uuid)
    found = Found(mentions=(alice.uuid, bob.uuid, alice.uuid), entities=(alice, bob), facts=(knows,))
    for _ in range(2):
        await inbox.claim()
        await inbox.done(episode.uuid, found)
    changed = knows.model_copy(update={"invalid_at": "2026-02-01"})
    await inbox.done(episode.uuid, Found(mentions=(alice.uuid,), facts=(changed,)))
    assert await inbox.queue() == Queue(done=1)


async def test_deleting_an_episode_leaves_nothing_that_it_alone_said(inbox: Inbox, parley_home: Path) -> None:
    first, second = await inbox.add(told("one, a secret word")), await inbox.add(told("two"))
    alice, bob, carol = entity("Alice"), entity("Bob"), entity("Carol")
    shared = fact("Alice knows Bob", alice, bob, first.uuid, second.uuid)
    own = fact("Alice knows Carol", alice, carol, first.uuid)
    await inbox.claim()
    await inbox.done(first.uuid, Found(mentions=(alice.uuid, bob.uuid, carol.uuid), entities=(alice, bob, carol), facts=(shared, own)))
    await inbox.claim()
    await inbox.done(second.uuid, Found(mentions=(alice.uuid, bob.uuid)))
    assert await inbox.delete(first.uuid) and not await inbox.delete(first.uuid)
    assert [one[1:] for one in await inbox.removals()] == [("episode", first.uuid, "g")]
    assert await inbox.delete_fact(shared.uuid) and not await inbox.delete_fact(own.uuid)
    assert await names(inbox) == ["two"]
    for number, *_ in await inbox.removals():
        await inbox.removed(number)
    assert await inbox.removals() == []


async def test_an_episode_that_was_never_looked_at_is_in_no_graph(inbox: Inbox) -> None:
    episode = await inbox.add(told())
    assert await inbox.delete(episode.uuid)
    assert await inbox.removals() == []


async def test_what_was_deleted_while_it_was_looked_at_is_removed_from_the_graph(inbox: Inbox) -> None:
    episode = await inbox.add(told())
    await inbox.claim()
    await inbox.delete(episode.uuid)
    await inbox.done(episode.uuid, Found(mentions=(entity("Alice").uuid,), entities=(entity("Alice"),)))
    assert [one[1:] for one in await inbox.removals()] == [("episode", episode.uuid, "g")]
    assert await inbox.queue() == Queue()


async def test_groups_are_cleared_apart_from_each_other(inbox: Inbox) -> None:
    kept, gone = await inbox.add(told("kept", "a")), await inbox.add(told("gone", "b"))
    alice, bob = entity("Alice", "b"), entity("Bob", "b")
    await inbox.done(gone.uuid, Found(mentions=(alice.uuid,), entities=(alice, bob), facts=(fact("x", alice, bob, gone.uuid),)))
    await inbox.clear(["b", "c"])
    assert await names(inbox) == ["kept"] and [one.uuid for one in await inbox.episodes(["a", "b"])] == [kept.uuid]
    assert await inbox.episodes(["b"]) == [] == await inbox.episodes([])
    assert [one[1:] for one in await inbox.removals()] == [("group", "b", "b"), ("group", "c", "c")]


async def test_settings_are_kept(inbox: Inbox) -> None:
    assert await inbox.setting("embedder") is None
    for value in ("lexical", "other"):
        await inbox.set("embedder", value)
    assert await inbox.setting("embedder") == "other"


async def test_words_that_no_file_can_hold_are_kept_as_far_as_they_can_be(inbox: Inbox) -> None:
    made = await inbox.add(told("odd \ud800 name"))
    assert made.name == "odd ? name"


async def test_nothing_acknowledged_is_lost_when_its_process_is_killed(inbox: Inbox, parley_home: Path) -> None:
    await inbox.queue()
    adding = subprocess.Popen(
        [sys.executable, "-c", ADDS, str(parley_home / "memory.db")], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    with adding:
        assert adding.stdout is not None
        acknowledged = [adding.stdout.readline().strip() for _ in range(30)]
        adding.kill()
        acknowledged += [line.strip() for line in adding.stdout if len(line) == 37]
    kept = {one.uuid for one in await inbox.episodes(limit=2_000)}
    assert set(acknowledged) <= kept


async def test_a_file_of_a_later_version_is_told_of(parley_home: Path) -> None:
    one = Inbox(parley_home / "memory.db")
    await one.database.run(lambda sql: sql.execute("PRAGMA user_version = 99").fetchall(), write=None)  # pyright: ignore[reportPrivateUsage]
    await one.aclose()
    later = Inbox(parley_home / "memory.db")
    with pytest.raises(StoreUnavailable, match="The memory was made by a newer Parley"):
        await later.queue()
    await later.aclose()
    with pytest.raises(StoreUnavailable, match="The memory is closed"):
        await later.queue()


async def test_many_add_at_once(inbox: Inbox, parley_home: Path) -> None:
    others = [Inbox(parley_home / "memory.db") for _ in range(4)]
    await asyncio.gather(*(one.add(told(f"{number}")) for number, one in enumerate(others * 10)))
    assert await inbox.queue() == Queue(queued=40)
    for one in others:
        await one.aclose()


async def test_what_crashes_the_engine_is_given_up_after_some_tries(inbox: Inbox) -> None:
    one = await inbox.add(told())
    for number in range(CRASHES_OF_AN_EPISODE):
        claimed = await inbox.claim()
        assert claimed is not None and claimed.tries == number + 1
        await inbox.recover(crashed=True)
    known = await inbox.get(one.uuid)
    assert known is not None and (known.state, known.error) == ("failed", CRASHED)


async def test_a_graph_in_which_nothing_is_read_any_more_is_made_anew(inbox: Inbox) -> None:
    first = await inbox.add(told("read"))
    await inbox.claim()
    await inbox.done(first.uuid, Found())
    await inbox.add(told("crash"))
    await inbox.add(told("crash too"))
    for _ in range(CRASHES_OF_A_GRAPH):
        assert not await inbox.is_building()
        await inbox.claim()
        await inbox.recover(crashed=True)
    assert await inbox.is_building() and await inbox.queue() == Queue(queued=3)
    for _ in range(2 * CRASHES_OF_A_GRAPH):
        await inbox.claim()
        await inbox.recover(crashed=True)
    assert await inbox.target() == 2, "a second one would fare no better: nothing was read in the first"


async def test_crashes_between_which_something_is_read_do_not_add_up(inbox: Inbox) -> None:
    for number in range(CRASHES_OF_A_GRAPH + 2):
        one = await inbox.add(told(f"n{number}"))
        await inbox.claim()
        await inbox.recover(crashed=True)
        await inbox.claim()
        await inbox.done(one.uuid, Found())
    assert not await inbox.is_building() and await inbox.waiting() is None


async def test_there_is_something_to_do_as_long_as_anything_is_left(inbox: Inbox, clock: Clock) -> None:
    assert await inbox.waiting() is None
    one = await inbox.add(told())
    assert await inbox.waiting() == 0
    await inbox.claim()
    assert await inbox.waiting() == 0
    await inbox.postpone(one.uuid, "later", 50)
    assert await inbox.waiting() == pytest.approx(50)
    await inbox.rebuild()
    assert await inbox.waiting() == 0


async def test_what_was_read_for_a_graph_that_is_made_anew_by_now_is_queued(inbox: Inbox) -> None:
    one = await inbox.add(told())
    await inbox.claim()
    await inbox.rebuild()
    await inbox.done(one.uuid, Found(), 1)
    assert await inbox.queue() == Queue(queued=1) and not await inbox.built()
    await inbox.claim()
    await inbox.done(one.uuid, Found(), 2)
    assert await inbox.built() and not await inbox.built()


async def test_what_was_put_off_can_be_read_now(inbox: Inbox) -> None:
    one = await inbox.add(told())
    await inbox.add(told("other"))
    await inbox.claim()
    await inbox.postpone(one.uuid, "the budget is spent", 600, counted=False)
    assert await inbox.retry() == 1
    again = await inbox.claim()
    assert again is not None and (again.uuid, again.tries, again.error) == (one.uuid, 1, None)
