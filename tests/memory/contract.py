"""What every ThreadStore does. A store's own test module subclasses the contract and gives it the fixture `open_store`."""

from __future__ import annotations

import asyncio
import hashlib
import time
import uuid
from collections.abc import Callable

import pytest

from conversation.errors import InvalidContinuationId, InvalidInput, StoreUnavailable, ThreadConflict, ThreadExpired, ThreadNotFound
from conversation.messages import Usage
from conversation.summaries import SUMMARY_TOOL
from conversation.threads import LEAST_RECENT, Attachment, NewTurn, Started, Thread, ThreadStore

OpenStore = Callable[[], ThreadStore]
DAY = 86400.0
TTL_DAYS = 30.0
MANY_WORDS = " ".join(f"w{n}" for n in range(3000))
MANY_SIGNS = " ".join(f"->{n}" for n in range(2000)) + " -> <-" * 2000


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


def user(text: str, *files: Attachment) -> NewTurn:
    return NewTurn(role="user", content=text, attachments=files)


def answer(text: str, model: str = "m") -> NewTurn:
    return NewTurn(role="assistant", content=text, provider="p", model=model, usage=Usage(input_tokens=1, output_tokens=2, cost_usd=0.5))


def attachment(path: str, content: str, kind: str = "text", media_type: str = "text/plain") -> Attachment:
    return Attachment(path=path, kind=kind, media_type=media_type, content=content, digest=hashlib.sha256(content.encode()).hexdigest())  # pyright: ignore[reportArgumentType]


async def say(store: ThreadStore, text: str, thread_id: str | None = None, *files: Attachment, workspace: str = "/w") -> str:
    """Land one exchange, `text` and `text!`, and return the thread's id."""
    started = await store.begin(user(text, *files), workspace=workspace, thread_id=thread_id)
    await store.complete(started.exchange_id, [answer(f"{text}!")])
    return started.thread.id


def said(thread: Thread) -> list[tuple[int, str, str]]:
    return [(turn.seq, turn.content, turn.state) for turn in thread.turns]


class ThreadStoreContract:
    async def test_a_turn_of_no_exchange_lands_once_and_is_copied_by_a_branch(self, open_store: OpenStore) -> None:
        store = open_store()
        thread_id = await say(store, "hello")
        summary = NewTurn(role="assistant", content="notes", tool="condense", meta={"upto": 2, "facts": [[1, "x", "y"]]})
        first = await store.append(thread_id, summary, uid="mine")
        again = await store.append(thread_id, answer("other words"), uid="mine")
        assert first == again
        assert (first.seq, first.state, first.meta, first.tool) == (3, "done", summary.meta, "condense")
        await say(store, "and then", thread_id)
        thread = await store.load(thread_id)
        assert said(thread)[2:] == [(3, "notes", "done"), (4, "and then", "done"), (5, "and then!", "done")]
        branch = await store.begin(user("from there"), workspace="/w", thread_id=thread_id, branch_from=3)
        assert [turn.meta for turn in branch.thread.turns] == [None, None, summary.meta]

    async def test_an_exchange_begins_with_the_newest_turns_and_the_summaries_if_no_more_is_asked_for(self, open_store: OpenStore) -> None:
        store = open_store()
        thread_id = await say(store, "start", None, attachment("old.py", "old"))
        summary = answer("notes").model_copy(update={"tool": SUMMARY_TOOL, "meta": {"upto": 2, "tokens": 64}})
        for name in ("one", "two"):
            await store.append(thread_id, summary.model_copy(update={"content": name}), uid=name)
        for number in range(100):
            await say(store, f"question {number} {'x' * 500}", thread_id, *[attachment("new.py", f"{number}")][number % 10 :])
        exported = [turn for turn in (await store.load(thread_id)).turns if turn.state == "done"]
        copied = await store.restore(exported, workspace="/w")
        for one in (thread_id, copied):
            for size in (0, 10_000, 40_000):
                started = await store.begin(user("and?"), workspace="/w", thread_id=one, recent=size)
                whole = [turn for turn in (await store.load(one)).turns if turn.state != "pending"]
                summaries, turns = started.thread.turns[:2], started.thread.turns[2:]
                assert list(summaries) == whole[2:4]
                assert list(turns) == whole[-len(turns) :], "the newest, as they are"
                assert LEAST_RECENT <= len(turns) < 150
                assert sum(len(turn.content) for turn in turns) >= size
                assert started.thread.earlier == len(whole) - len(turns) - 2
                loaded = await store.load(one, recent=size)
                assert [turn.seq for turn in loaded.turns if turn.state != "pending"] == [turn.seq for turn in (*summaries, *turns)]
                await store.interrupt(started.exchange_id)
        started = await store.begin(user("and?"), workspace="/w", thread_id=thread_id, recent=1_000_000)
        assert (started.thread.landed, started.thread.earlier) == ((await store.load(thread_id)).landed, 0)
        branch = await store.begin(user("but"), workspace="/w", thread_id=copied, branch_from=150, recent=100)
        assert branch.thread.landed[-1].content == exported[149].content
        assert [turn.content for turn in branch.thread.landed[:2]] == ["one", "two"]

    async def test_interrupted_turns_do_not_count_among_the_newest(self, open_store: OpenStore) -> None:
        store = open_store()
        thread_id = await say(store, "start")
        for number in range(100):
            started = await store.begin(user(f"again {number}"), workspace="/w", thread_id=thread_id)
            await store.interrupt(started.exchange_id)
        thread = (await store.begin(user("and?"), workspace="/w", thread_id=thread_id, recent=10)).thread
        assert [turn.content for turn in thread.landed] == ["start", "start!"]

    async def test_a_turn_cannot_be_added_to_a_thread_that_is_not_there(self, open_store: OpenStore, clock: Clock) -> None:
        store = open_store()
        with pytest.raises(ThreadNotFound):
            await store.append(str(uuid.uuid4()), answer("x"), uid="u")
        thread_id = await say(store, "hello")
        clock.now += (TTL_DAYS + 1) * DAY
        with pytest.raises(ThreadExpired):
            await store.append(thread_id, answer("x"), uid="u")

    async def test_adding_a_turn_does_not_make_a_thread_look_used(self, open_store: OpenStore, clock: Clock) -> None:
        store = open_store()
        thread_id = await say(store, "hello")
        before = (await store.load(thread_id)).updated
        clock.now += 60
        await store.append(thread_id, answer("x"), uid="u")
        assert (await store.load(thread_id)).updated == before

    async def test_an_exchange_is_pending_until_it_is_completed(self, open_store: OpenStore) -> None:
        store = open_store()
        started = await store.begin(user("hello\nworld"), workspace="/w")
        assert started.thread.turns == ()
        assert (started.thread.title, started.thread.workspace) == ("hello", "/w")
        assert said(await store.load(started.thread.id)) == [(1, "hello\nworld", "pending")]
        turns = await store.complete(started.exchange_id, [answer("hi"), answer("ho", "n")])
        assert [(turn.seq, turn.role, turn.model, turn.state) for turn in turns] == [
            (1, "user", None, "done"),
            (2, "assistant", "m", "done"),
            (3, "assistant", "n", "done"),
        ]
        assert (await store.load(started.thread.id)).turns == turns
        assert turns[1].usage == Usage(input_tokens=1, output_tokens=2, cost_usd=0.5)

    async def test_begin_returns_exactly_the_exchanges_completed_when_it_began(self, open_store: OpenStore) -> None:
        store = open_store()
        thread_id = await say(store, "one")
        slow = await store.begin(user("slow"), workspace="/w", thread_id=thread_id)
        await say(store, "two", thread_id)
        late = await store.begin(user("late"), workspace="/w", thread_id=thread_id)
        assert [turn.content for turn in slow.thread.landed] == ["one", "one!"]
        assert [turn.content for turn in late.thread.landed] == ["one", "one!", "two", "two!"]
        assert said(late.thread)[4:] == [(5, "slow", "pending")]

    async def test_concurrent_exchanges_land_whole_in_order_of_completion(self, open_store: OpenStore) -> None:
        store = open_store()
        thread_id = await say(store, "start")
        begun = [await store.begin(user(f"q{n}"), workspace="/w", thread_id=thread_id) for n in range(4)]
        for n in (2, 0, 3, 1):
            await store.complete(begun[n].exchange_id, [answer(f"a{n}")])
        thread = await store.load(thread_id)
        assert [turn.content for turn in thread.turns][2:] == ["q2", "a2", "q0", "a0", "q3", "a3", "q1", "a1"]
        assert [turn.seq for turn in thread.turns] == list(range(1, 11))

    async def test_sixteen_writers_on_one_thread_lose_nothing(self, open_store: OpenStore) -> None:
        stores = [open_store() for _ in range(4)]
        thread_id = await say(stores[0], "start")
        if (await self.shares(stores[1], thread_id)) is False:
            stores = stores[:1] * 4
        await asyncio.gather(*(say(stores[n % 4], f"w{n}", thread_id) for n in range(16)))
        thread = await stores[3].load(thread_id)
        assert [turn.seq for turn in thread.turns] == list(range(1, 35))
        pairs = [(thread.turns[at].content, thread.turns[at + 1].content) for at in range(0, 34, 2)]
        assert sorted(pairs) == sorted([("start", "start!")] + [(f"w{n}", f"w{n}!") for n in range(16)])

    async def shares(self, store: ThreadStore, thread_id: str) -> bool:
        """Whether stores opened one after another see the same threads."""
        try:
            await store.load(thread_id)
        except ThreadNotFound:
            return False
        return True

    async def test_a_repeated_begin_records_nothing_twice_and_returns_the_same(self, open_store: OpenStore) -> None:
        store = open_store()
        first = await store.begin(user("q"), workspace="/w", exchange_id="e")
        again = await store.begin(user("q"), workspace="/w", exchange_id="e")
        assert again == first
        await store.complete("e", [answer("a")])
        await say(store, "more", first.thread.id)
        landed = await store.begin(user("q"), workspace="/w", thread_id=first.thread.id, exchange_id="e")
        assert landed.thread.turns == ()
        assert len((await store.load(first.thread.id)).turns) == 4

    async def test_a_repeated_complete_returns_the_same_turns(self, open_store: OpenStore) -> None:
        store = open_store()
        started = await store.begin(user("q"), workspace="/w")
        first = await store.complete(started.exchange_id, [answer("a")])
        await say(store, "next", started.thread.id)
        assert await store.complete(started.exchange_id, [answer("another")]) == first
        assert len((await store.load(started.thread.id)).turns) == 4

    async def test_an_interrupted_exchange_keeps_the_callers_turn_and_the_thread_goes_on(self, open_store: OpenStore) -> None:
        store = open_store()
        started = await store.begin(user("q"), workspace="/w")
        await store.interrupt(started.exchange_id)
        await store.interrupt(started.exchange_id)
        await say(store, "next", started.thread.id)
        thread = await store.load(started.thread.id)
        assert said(thread) == [(1, "q", "interrupted"), (2, "next", "done"), (3, "next!", "done")]
        assert [turn.content for turn in thread.landed] == ["next", "next!"]
        with pytest.raises(ThreadConflict):
            await store.complete(started.exchange_id, [answer("late")])

    async def test_interrupting_what_has_landed_or_never_was_changes_nothing(self, open_store: OpenStore) -> None:
        store = open_store()
        started = await store.begin(user("q"), workspace="/w")
        turns = await store.complete(started.exchange_id, [answer("a")])
        await store.interrupt(started.exchange_id)
        await store.interrupt("unknown")
        assert (await store.load(started.thread.id)).turns == turns

    async def test_expected_seq_guards_against_another_writer(self, open_store: OpenStore) -> None:
        store = open_store()
        thread_id = await say(store, "one")
        await store.begin(user("two"), workspace="/w", thread_id=thread_id, expected_seq=2)
        await say(store, "three", thread_id)
        with pytest.raises(ThreadConflict, match="turn 4"):
            await store.begin(user("four"), workspace="/w", thread_id=thread_id, expected_seq=2)
        with pytest.raises(ThreadConflict):
            await store.begin(user("new"), workspace="/w", expected_seq=1)

    async def test_a_store_tells_what_may_lose_threads(self, open_store: OpenStore) -> None:
        assert await open_store().risks() == []

    async def test_of_two_writers_with_the_same_expected_seq_one_begins(self, open_store: OpenStore) -> None:
        store = open_store()
        thread_id = await say(store, "one")
        begun = [store.begin(user(f"q{n}"), workspace="/w", thread_id=thread_id, exchange_id=f"e{n}", expected_seq=2) for n in range(8)]
        found = await asyncio.gather(*begun, return_exceptions=True)
        (won,) = [one for one in found if isinstance(one, Started)]
        assert sum(isinstance(one, ThreadConflict) for one in found) == 7
        again = await store.begin(user("q"), workspace="/w", thread_id=thread_id, exchange_id=won.exchange_id, expected_seq=2)
        assert again == won, "the winner may repeat itself"
        branch = await store.begin(user("x"), workspace="/w", thread_id=thread_id, branch_from=1, expected_seq=2)
        await store.begin(user("y"), workspace="/w", thread_id=thread_id)
        await store.complete(won.exchange_id, [answer("a")])
        assert [turn.content for turn in branch.thread.turns] == ["one"]
        assert len((await store.load(thread_id)).landed) == 4

    async def test_a_branch_starts_with_the_turns_up_to_its_point_and_leaves_the_thread_alone(self, open_store: OpenStore) -> None:
        store = open_store()
        thread_id = await say(store, "one", None, attachment("a.py", "x = 1"))
        await say(store, "two", thread_id)
        before = await store.load(thread_id)
        started = await store.begin(user("other"), workspace="/v", thread_id=thread_id, branch_from=2)
        await store.complete(started.exchange_id, [answer("other!")])
        branch = await store.load(started.thread.id)
        assert [turn.content for turn in started.thread.turns] == ["one", "one!"]
        assert [turn.content for turn in branch.turns] == ["one", "one!", "other", "other!"]
        assert branch.turns[0].attachments == (attachment("a.py", "x = 1"),)
        assert (branch.parent_id, branch.parent_seq, branch.workspace, branch.title) == (thread_id, 2, "/v", "other")
        assert await store.load(thread_id) == before
        await store.delete(thread_id)
        assert (await store.load(branch.id)) == branch

    @pytest.mark.parametrize("branch_from", [0, -1, 3])
    async def test_a_branch_from_a_turn_that_is_not_there_is_invalid(self, open_store: OpenStore, branch_from: int) -> None:
        store = open_store()
        thread_id = await say(store, "one")
        with pytest.raises(InvalidInput, match="1 to 2"):
            await store.begin(user("x"), workspace="/w", thread_id=thread_id, branch_from=branch_from)
        assert len(await store.list(workspace=None)) == 1

    async def test_a_branch_needs_a_thread(self, open_store: OpenStore) -> None:
        with pytest.raises(InvalidInput):
            await open_store().begin(user("x"), workspace="/w", branch_from=1)

    async def test_unknown_malformed_and_deleted_ids_are_told_apart(self, open_store: OpenStore) -> None:
        store = open_store()
        with pytest.raises(ThreadNotFound, match="no thread"):
            await store.load(str(uuid.uuid4()))
        with pytest.raises(ThreadNotFound):
            await store.begin(user("x"), workspace="/w", thread_id=str(uuid.uuid4()))
        with pytest.raises(ThreadNotFound):
            await store.delete(str(uuid.uuid4()))
        with pytest.raises(ThreadNotFound):
            await store.complete("unknown", [answer("a")])
        for call in (store.load("x' OR 1"), store.delete("\ud800"), store.begin(user("x"), workspace="/w", thread_id="")):
            with pytest.raises(InvalidContinuationId):
                await call
        thread_id = await say(store, "one", None, attachment("a", "a"))
        started = await store.begin(user("two"), workspace="/w", thread_id=thread_id)
        await store.delete(thread_id.upper())
        for call in (store.load(thread_id), store.delete(thread_id), store.begin(user("x"), workspace="/w", thread_id=thread_id)):
            with pytest.raises(ThreadNotFound, match="deleted"):
                await call
        with pytest.raises(ThreadNotFound):
            await store.complete(started.exchange_id, [answer("late")])
        await store.interrupt(started.exchange_id)
        assert await store.search("one", workspace=None) == []

    async def test_a_thread_expires_when_nothing_was_said_for_its_time_to_live(self, open_store: OpenStore, clock: Clock) -> None:
        store = open_store()
        thread_id = await say(store, "one")
        clock.now += 29 * DAY
        await say(store, "two", thread_id)
        clock.now += 29 * DAY
        assert len((await store.load(thread_id)).turns) == 4
        clock.now += 2 * DAY
        for call in (store.load(thread_id), store.begin(user("x"), workspace="/w", thread_id=thread_id)):
            with pytest.raises(ThreadExpired):
                await call
        assert await store.list(workspace=None) == []
        assert await store.search("one", workspace=None) == []

    async def test_an_expired_thread_stays_known_as_expired_after_others_came(self, open_store: OpenStore, clock: Clock) -> None:
        store = open_store()
        thread_id = await say(store, "one")
        for _ in range(2):
            clock.now += 31 * DAY
            await say(store, "another")
        with pytest.raises(ThreadExpired):
            await store.load(thread_id)

    async def test_threads_are_listed_last_updated_first(self, open_store: OpenStore, clock: Clock) -> None:
        store = open_store()
        ids: list[str] = []
        for n in range(3):
            clock.now += 1
            ids.append(await say(store, f"t{n}", workspace="/w" if n else "/other"))
        clock.now += 1
        await say(store, "again", ids[1])
        ids.append(await say(store, "same moment"))
        listed = await store.list(workspace=None)
        assert [summary.id for summary in listed] == [ids[3], ids[1], ids[2], ids[0]]
        assert (listed[1].title, listed[1].turns, listed[1].snippet) == ("t1", 4, None)
        assert [summary.id for summary in await store.list(workspace="/other")] == [ids[0]]
        assert len(await store.list(workspace=None, limit=2)) == 2
        assert await store.list(workspace=None, limit=0) == []

    async def test_a_search_finds_turns_that_hold_every_word(self, open_store: OpenStore) -> None:
        store = open_store()
        cats = await say(store, "Cats and dogs in the Caf\u00e9")
        fish = await say(store, "Fish and chips", workspace="/other")
        assert [found.id for found in await store.search("dogs CATS", workspace=None)] == [cats]
        assert [found.id for found in await store.search("cafe", workspace=None)] == [cats]
        assert {found.id for found in await store.search("and", workspace=None)} == {cats, fish}
        assert [found.id for found in await store.search("and", workspace="/other")] == [fish]
        assert len(await store.search("and", workspace=None, limit=1)) == 1
        assert await store.search("cats fish", workspace=None) == []
        assert await store.search("cat", workspace=None) == []
        (found,) = await store.search("chips", workspace=None)
        assert found.snippet is not None
        assert "chips" in found.snippet

    async def test_a_search_finds_words_of_scripts_without_spaces_and_signs(self, open_store: OpenStore) -> None:
        store = open_store()
        thread_id = await say(store, "\u65e5\u672c\u8a9e\u30c6\u30ad\u30b9\u30c8 a -> b")
        for query in ("\u672c\u8a9e", "->", "a ->", "-> \u30c6\u30ad\u30b9\u30c8", "\u65e5\u672c\u8a9e b"):
            assert [found.id for found in await store.search(query, workspace=None)] == [thread_id], query
        assert await store.search("<-", workspace=None) == []
        assert await store.search("a <-", workspace=None) == []

    @pytest.mark.parametrize(
        "query",
        ['"', "'", "* ^", "a OR", "NEAR(", "content:x", "-", "%_", "\0", "\ud800", "a\0b", "\U0001f600", "(" * 300, MANY_WORDS, MANY_SIGNS],
        ids=lambda query: ascii(query)[:20],
    )
    async def test_any_text_is_a_valid_query(self, open_store: OpenStore, query: str) -> None:
        store = open_store()
        thread_id = await say(store, "one")
        found = [thread_id] if query == "\0" else []  # which holds no word, and so lists them all
        assert [one.id for one in await store.search(query, workspace=None)] == found

    async def test_a_search_for_no_word_is_a_list(self, open_store: OpenStore) -> None:
        store = open_store()
        thread_id = await say(store, "one")
        assert [found.id for found in await store.search("  \n", workspace="/w")] == [thread_id]

    async def test_a_snippet_shows_the_surroundings_of_the_word(self, open_store: OpenStore) -> None:
        store = open_store()
        await say(store, "start " + "x " * 500 + "needle\n\0pin " + "y " * 500)
        (found,) = await store.search("needle", workspace=None)
        assert found.snippet is not None
        assert "needle pin" in found.snippet
        assert len(found.snippet) < 200
        assert found.snippet[0] == found.snippet[-1] == "\u2026"

    @pytest.mark.parametrize(
        "text", ["\U0001f600 \u202e\u0000 e\u0301", "a\0b", "", " \n\t", "x" * 1_000_000, "\r\n\r", "'); DROP TABLE turns;--"]
    )
    async def test_a_turn_comes_back_as_it_was(self, open_store: OpenStore, text: str) -> None:
        store = open_store()
        turn = NewTurn(role="user", content=text, tool="consensus", meta={"\0": [1, None, {"a": text[:10]}]})
        started = await store.begin(turn, workspace="/w\ud800")
        (pending,) = (await store.load(started.thread.id)).turns
        assert (pending.content, pending.meta) == (text, turn.meta)
        await store.complete(started.exchange_id, [NewTurn(role="assistant", content=text, meta={})])
        landed = (await store.load(started.thread.id)).turns
        assert [(back.content, back.tool) for back in landed] == [(text, "consensus"), (text, "chat")]
        assert [back.meta for back in landed] == [turn.meta, {}]

    async def test_attachments_come_back_in_order_with_every_turn_that_carried_them(self, open_store: OpenStore) -> None:
        store = open_store()
        files = (
            attachment("b.py", "x = 1\0\n"),
            attachment("a.png", "aGk=", "image", "image/png"),
            attachment("same.txt", "aGk="),
            attachment("b.py", "x = 2"),
        )
        thread_id = await say(store, "one", None, *files)
        started = await store.begin(user("two", files[0]), workspace="/w", thread_id=thread_id)
        assert (await store.load(thread_id)).turns[2].attachments == files[:1]
        drawn = answer("here").model_copy(update={"attachments": files[1:2]})
        await store.complete(started.exchange_id, [drawn])
        assert [turn.attachments for turn in (await store.load(thread_id)).turns] == [files, (), files[:1], files[1:2]]

    async def test_a_list_counts_every_turn_that_is_shown(self, open_store: OpenStore) -> None:
        store = open_store()
        thread_id = await say(store, "needle")
        lost = await store.begin(user("lost"), workspace="/w", thread_id=thread_id)
        await store.interrupt(lost.exchange_id)
        await store.begin(user("asked"), workspace="/w", thread_id=thread_id)
        only = await store.begin(user("only"), workspace="/w")
        assert {one.id: one.turns for one in await store.list(workspace=None)} == {thread_id: 4, only.thread.id: 1}
        assert [one.turns for one in await store.search("needle", workspace=None)] == [4]
        assert len((await store.load(thread_id)).turns) == 4

    async def test_a_thread_said_elsewhere_is_restored_as_it_was(self, open_store: OpenStore, clock: Clock) -> None:
        store = open_store()
        thread_id = await say(store, "one\nmore", None, attachment("a.py", "x = 1"))
        lost = await store.begin(user("lost"), workspace="/w", thread_id=thread_id)
        await store.interrupt(lost.exchange_id)
        await store.append(thread_id, NewTurn(role="assistant", content="notes", tool="condense", meta={"upto": 2}), uid="u")
        await store.begin(user("asked"), workspace="/w", thread_id=thread_id)
        before = (await store.load(thread_id)).turns
        noted = {"meta": {"seat": "A", "stance": "for"}, "attachments": (attachment("b.png", "aGk=", "image", "image/png"),)}
        before = (before[0], before[1].model_copy(update=noted), *before[2:])
        clock.now += 60 * DAY
        restored = await store.load(await store.restore((*before, before[0].model_copy(update={"at": ""})), workspace="/other\ud800"))
        new = {"uid", "state"}
        assert [turn.model_dump(exclude=new) for turn in restored.turns[:-1]] == [turn.model_dump(exclude=new) for turn in before]
        assert [turn.state for turn in restored.turns] == ["done", "done", "interrupted", "done", "interrupted", "done"]
        assert (restored.title, restored.workspace, restored.turns[-1].seq) == ("one", "/other?", 6)
        assert restored.turns[-1].at == restored.created == restored.updated > before[0].at
        assert await say(store, "goes on", restored.id) == restored.id
        assert [turn.seq for turn in (await store.load(restored.id)).turns[6:]] == [7, 8]
        assert [one.id for one in await store.search("notes", workspace=None)] == [restored.id]

    async def test_a_ping_returns_and_closing_interrupts_what_is_pending(self, open_store: OpenStore) -> None:
        store = open_store()
        await store.ping()
        started = await store.begin(user("q"), workspace="/w")
        await say(store, "done")
        await store.aclose()
        await store.aclose()
        for call in (store.load(started.thread.id), store.ping(), store.list(workspace=None), store.begin(user("x"), workspace="/w")):
            with pytest.raises(StoreUnavailable, match="closed"):
                await call

    async def test_a_store_that_was_never_used_closes(self, open_store: OpenStore) -> None:
        await open_store().aclose()
