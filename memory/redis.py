"""Threads in Redis, for many machines: https://redis.io. One of memory/'s stores; which one is used says REDIS_URL.

A thread is a list that is only added to, by scripts that are one step each (memory._redis_scripts). Two sorted sets, of all threads
and of each workspace's, are what lists are read from: a thread is entered before it is made, and one that is not there is passed
over, so that a break in between loses nothing.
"""

from __future__ import annotations

import asyncio
import builtins
import logging
import time
import uuid
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from conversation.errors import InvalidInput, ParleyError, StoreError, ThreadConflict, ThreadNotFound
from conversation.summaries import is_summary
from conversation.threads import FoundInSome, NewTurn, Started, Thread, ThreadSummary, Turn, parse_thread_id, title_of
from memory import _redis_scripts as scripts
from memory._redis_answers import checked, gone
from memory._redis_client import RedisLink, risks
from memory._redis_lists import Head, entries, holding, of_workspace, recent
from memory._redis_owner import Heartbeat
from memory._redis_turns import Kept, Said, contents, numbered, row, written
from memory._search import snippet, words_of
from memory._sql import Clock, Instant, clean

log = logging.getLogger(__name__)

_ORDER = f"{scripts.PREFIX}:made"
_KEPT_SECONDS = 86_400
"""How much longer than its time to live a thread's keys are kept, since its time is counted by the clocks of clients."""
_EXCHANGE_SECONDS = 30 * 86_400
"""How long it is known which thread an exchange is in: somebody may still repeat it."""
_THREADS = uuid.uuid5(uuid.NAMESPACE_URL, "parley:threads")
_SWEPT = 10
"""Threads, those used longest ago, of which each new one looks whether they are still there."""
MOST_SEARCHED = 2_000
"""Threads, the ones used last: there is no index of words in Redis."""
MOST_SEARCHED_BYTES = 64 * 1024 * 1024
_LARGE = 2_000_000
"""Characters of turns that are parsed beside the event loop: so many take it some milliseconds."""
_COPIED_MS = 100
"""How long an answer waits for a replica to have it; one that is slower is kept in the spool meanwhile."""


class _Beginning(NamedTuple):
    """The arguments of ThreadStore.begin, and when it was called."""

    turn: NewTurn
    workspace: str
    exchange: str
    thread_id: str | None
    branch_from: int | None
    expected_seq: int | None
    recent: int | None
    at: Instant


class RedisThreadStore:
    """A ThreadStore shared by all processes of all machines that name the same Redis.

    `folder` is where this machine's processes show that they are alive; the other arguments are what they are of SqliteThreadStore.
    """

    def __init__(
        self,
        link: RedisLink,
        folder: Path,
        *,
        ttl_days: float | None = None,
        clock: Clock = time.time,
        most_searched: int = MOST_SEARCHED,
    ) -> None:
        self._link = link
        self._owners = Heartbeat(link, folder)
        self._ttl_days = ttl_days
        self._clock = clock
        self._most_searched = most_searched
        self._pending: dict[str, str] = {}
        """Exchanges of this process that are under way, and their threads."""
        self._leaving: set[asyncio.Future[None]] = set()

    async def begin(
        self,
        turn: NewTurn,
        *,
        workspace: str,
        thread_id: str | None = None,
        branch_from: int | None = None,
        exchange_id: str | None = None,
        expected_seq: int | None = None,
        recent: int | None = None,
    ) -> Started:
        if branch_from is not None and thread_id is None:
            raise InvalidInput("branch_from needs the continuation_id of the thread to branch from.")
        at, known = self._now(), None if thread_id is None else parse_thread_id(thread_id)
        exchange = str(uuid.uuid4()) if exchange_id is None else clean(exchange_id)
        given = _Beginning(turn, clean(workspace), exchange, known, branch_from, expected_seq, recent, at)
        beginning = asyncio.ensure_future(self._begin(given))
        try:
            return await asyncio.shield(beginning)
        except asyncio.CancelledError:
            self._give_up(beginning, exchange)
            raise

    async def _begin(self, given: _Beginning) -> Started:
        expected = given.expected_seq
        target = await self._before(given.exchange, given.thread_id)
        if target is None and (given.thread_id is None or given.branch_from is not None):
            target, expected = await self._made(given), None
        target = target or given.thread_id
        assert target is not None  # noqa: S101 - a thread is named or has been made
        owner, now = await self._owners.mine(), given.at.now
        await self._put(target, contents([given.turn]))
        asked = written(given.turn, uid=f"{given.exchange}:0", exchange_id=given.exchange, at=now)
        self._pending[given.exchange] = target
        beginning = partial(
            self._link.script,
            scripts.BEGIN,
            scripts.keys_of(target),
            *(self._ttl_ms, now, given.at.cutoff, given.exchange, owner, now, asked),
            *("" if one is None else one for one in (expected, given.recent)),
        )
        answer = await beginning()
        if tuple(answer) == scripts.UNKNOWN and target != given.thread_id:  # a server that was replaced has lost it
            await self._made(given)
            answer = await beginning()
        thread = await self._shown(target, answer)
        await self._index(given.exchange, thread.id, thread.workspace, thread.updated)
        return Started(exchange_id=given.exchange, thread=thread)

    def _give_up(self, beginning: asyncio.Future[Started], exchange: str) -> None:
        """Interrupt an exchange once it has begun: nobody will complete it, and it would look pending for as long as this process lives."""

        async def interrupt() -> None:
            with suppress(ParleyError):
                await beginning
                await self.interrupt(exchange)

        leaving = asyncio.ensure_future(interrupt())
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    async def complete(self, exchange_id: str, answers: Sequence[NewTurn]) -> tuple[Turn, ...]:
        turns, _ = await self.completed(exchange_id, answers)
        return turns

    async def completed(self, exchange_id: str, answers: Sequence[NewTurn]) -> tuple[tuple[Turn, ...], bool]:
        """Do what `complete` does, and tell whether a replica has it as well, where there is one."""
        exchange, at = clean(exchange_id), self._now()
        thread_id = await self._thread_of(exchange)
        if thread_id is None:
            raise ThreadNotFound("The exchange is not there: its thread was deleted or has expired.")
        await self._put(thread_id, contents(answers))
        texts = [written(turn, uid=f"{exchange}:{number}", exchange_id=exchange, at=at.now) for number, turn in enumerate(answers, 1)]
        answer, is_copied = await self._link.replicated(
            scripts.COMPLETE, scripts.keys_of(thread_id), self._ttl_ms, at.now, exchange, *texts, within_ms=_COPIED_MS
        )
        turns = await self._landed(thread_id, answer)
        self._pending.pop(exchange, None)
        with suppress(StoreError):  # the exchange has landed; the next one puts the lists right
            await self._link.pipe(entries(thread_id, answer[3], at.now))
        return turns, is_copied

    async def land(self, said: Said) -> bool:
        """Land an exchange that was said while Redis was away, once however often it is called; tell whether a replica has it as well.

        Raises ThreadNotFound and ThreadExpired for one whose thread is gone since.
        """
        await self._put(said.thread_id, said.files)
        fields = {
            **{"id": said.thread_id, "title": said.title, "workspace": said.workspace},
            **{"created": said.begun, "updated": said.completed, "made": 0},
        }
        parts = [part for pair in fields.items() for part in pair]
        answer, is_copied = await self._link.replicated(
            *(scripts.LAND, scripts.keys_of(said.thread_id), self._ttl_ms, said.exchange_id, said.completed, len(fields), *parts),
            *said.turns,
            within_ms=_COPIED_MS,
        )
        _, workspace = checked(answer)
        await self._index(said.exchange_id, said.thread_id, workspace, said.completed)
        return is_copied

    async def interrupt(self, exchange_id: str) -> None:
        exchange = clean(exchange_id)
        thread_id = await self._thread_of(exchange)
        if thread_id is not None:
            await self._link.script(scripts.INTERRUPT, scripts.keys_of(thread_id), exchange)
        self._pending.pop(exchange, None)

    def leave(self, exchange_id: str) -> None:
        """Let an exchange stay pending that somebody else will land."""
        self._pending.pop(clean(exchange_id), None)

    async def append(self, thread_id: str, turn: NewTurn, *, uid: str) -> Turn:
        known, own, at = parse_thread_id(thread_id), clean(uid), self._now()
        await self._put(known, contents([turn]))
        text = written(turn, uid=own, exchange_id=own, at=at.now)
        answer = await self._link.script(scripts.APPEND, scripts.keys_of(known), self._ttl_ms, at.cutoff, own, text)
        return (await self._landed(known, answer))[0]

    async def restore(self, turns: Sequence[Turn], *, workspace: str) -> str:
        at, thread_id = self._now(), str(uuid.uuid4())
        head = await self._entered(thread_id, title_of(turns[0].content), clean(workspace), at)
        numbered = [turn.model_copy(update={"seq": seq, "at": turn.at or at.now}) for seq, turn in enumerate(turns, 1)]
        await self._make(thread_id, head, numbered)
        return thread_id

    async def load(self, thread_id: str, *, recent: int | None = None) -> Thread:
        known = parse_thread_id(thread_id)
        thread, dead = await self._read(known, recent)
        if dead:
            await self._interrupt(known, dead)
            thread, _ = await self._read(known, recent)
        return thread

    async def list(self, *, workspace: str | None, limit: int = 20) -> builtins.list[ThreadSummary]:
        found: builtins.list[ThreadSummary] = []
        async with aclosing(self._recent(workspace)) as threads:
            async for head, count in threads:
                if len(found) >= limit:
                    break
                found.append(head.summary(count))
        return found

    async def search(self, query: str, *, workspace: str | None, limit: int = 20) -> builtins.list[ThreadSummary]:
        words = words_of(query)
        if not words:
            return await self.list(workspace=workspace, limit=limit)
        found: builtins.list[ThreadSummary] = []
        looked = size = 0
        async with aclosing(self._recent(workspace)) as threads:
            async for head, count in threads:
                if len(found) >= limit:
                    break
                if looked >= self._most_searched or size >= MOST_SEARCHED_BYTES:
                    return FoundInSome(found, looked)
                looked += 1
                text, bytes_ = await holding(self._link, head.id, words)
                size += bytes_
                if text is not None:
                    found.append(head.summary(count, snippet(text, words)))
        return found

    async def delete(self, thread_id: str) -> None:
        known = parse_thread_id(thread_id)
        where = await self._link.call("HGET", scripts.keys_of(known)[0], "workspace")
        answer = await self._link.script(scripts.DELETE, scripts.keys_of(known))
        if answer[0] == "gone":
            raise ThreadNotFound(gone(answer).message)
        await self._link.pipe([("ZREM", key, known) for key in (of_workspace(None), of_workspace(where or ""))])

    async def ping(self) -> None:
        await self._link.call("SET", f"{scripts.PREFIX}:ping", self._now().now)

    async def risks(self) -> builtins.list[str]:
        return await risks(self._link)

    async def aclose(self) -> None:
        await asyncio.gather(*self._leaving)
        with suppress(StoreError):
            for exchange, thread_id in list(self._pending.items()):
                await self._interrupt(thread_id, [exchange])
        await self._owners.aclose()
        await self._link.aclose()

    # --- making threads --------------------------------------------------------------------------------------------

    async def _made(self, given: _Beginning) -> str:
        """Return the id of a new thread, empty or with the first turns of another."""
        landed = await self._landed_turns(given.thread_id)
        last = len(landed)
        if given.expected_seq is not None and given.expected_seq != last:
            raise ThreadConflict(f"The thread stands at turn {last}, not at turn {given.expected_seq}.")
        if given.branch_from is not None and not 1 <= given.branch_from <= last:
            raise InvalidInput(f"branch_from is {given.branch_from}, but the thread has the turns 1 to {last}.")
        thread_id, copied = new_thread_id(given.exchange), landed[: given.branch_from or 0]
        head = await self._entered(
            thread_id, title_of(given.turn.content), given.workspace, given.at, given.thread_id, given.branch_from
        )
        await self._make(thread_id, head, copied)
        return thread_id

    async def _landed_turns(self, thread_id: str | None) -> Sequence[Turn]:
        if thread_id is None:
            return ()
        thread, _ = await self._read(thread_id)
        return [turn for turn in thread.turns if turn.state != "pending"]

    async def _entered(
        self, thread_id: str, title: str, workspace: str, at: Instant, parent: str | None = None, parent_seq: int | None = None
    ) -> dict[str, str | int]:
        """Enter a thread that is about to be made into the lists, and return its fields."""
        entered = entries(thread_id, workspace, at.now)
        answers = await self._link.pipe([("INCR", _ORDER), *entered, *(("ZRANGE", key, 0, _SWEPT - 1) for _, key, *_ in entered)])
        await self._sweep({str(key): ids for (_, key, *_), ids in zip(entered, answers[-len(entered) :], strict=True)})
        named = {"id": thread_id, "title": title, "workspace": workspace, "created": at.now, "updated": at.now, "made": int(answers[0])}
        return {**named, **({"parent_id": parent, "parent_seq": parent_seq or 0} if parent is not None else {})}

    async def _sweep(self, oldest: Mapping[str, Sequence[str]]) -> None:
        """Take from the lists those of the threads used longest ago that are gone: each machine may keep threads for another time."""
        ids = list(dict.fromkeys(one for found in oldest.values() for one in found))
        there = await self._link.pipe([("EXISTS", scripts.keys_of(one)[0]) for one in ids])
        gone_ids = {one for one, is_there in zip(ids, there, strict=True) if not is_there}
        removed = [("ZREM", key, one) for key, found in oldest.items() for one in found if one in gone_ids]
        if removed:
            await self._link.pipe(removed)

    async def _make(self, thread_id: str, head: dict[str, str | int], turns: Sequence[Turn]) -> None:
        """Make a thread of turns of another."""
        await self._put(thread_id, contents(turns))
        fields = [part for pair in head.items() for part in pair]
        rows = [row(one, uid=f"{thread_id}:{one.seq}", at=one.at) for one in turns]
        alone = " ".join(str(one.seq) for one in turns if is_summary(one))
        await self._link.script(scripts.MAKE, scripts.keys_of(thread_id), self._ttl_ms, alone, len(head), *fields, *rows)

    async def _put(self, thread_id: str, files: Mapping[str, str]) -> None:
        if files:
            parts = [part for pair in files.items() for part in pair]
            await self._link.script(scripts.PUT, scripts.keys_of(thread_id), len(files), *parts)

    # --- reading ---------------------------------------------------------------------------------------------------

    async def _read(self, thread_id: str, recent: int | None = None) -> tuple[Thread, builtins.list[str]]:
        """Return a thread, and those of its pending exchanges whose process is gone."""
        keys, size = scripts.keys_of(thread_id), "" if recent is None else recent
        answer = await self._link.script(scripts.LOAD, keys, self._now().cutoff, size, bulk=recent is None)
        thread = await self._shown(thread_id, answer)
        pending = [turn.exchange_id for turn in thread.turns if turn.state == "pending"]
        return thread, await self._dead(zip(pending, (known for known, _ in answer[3]), strict=True))

    async def _shown(self, thread_id: str, answer: Sequence[Any]) -> Thread:
        """Return the thread that a script has shown."""
        _, fields, rows, waiting, left, numbers = checked(answer)
        heavy = sum(map(len, rows)) > _LARGE
        kept = await asyncio.to_thread(_parsed, rows) if heavy else _parsed(rows)
        kept += [Kept.said(asked, "pending") for _, asked in waiting]
        files, before = await self._files(thread_id, kept), len(numbers)
        alone = (one.turn(int(number), files) for number, one in zip(numbers, kept, strict=False))
        numbering = partial(numbered, kept[before:], files, int(left) + 1)
        turns = (*alone, *(await asyncio.to_thread(numbering) if heavy else numbering()))
        head = Head.of(dict(zip(fields[::2], fields[1::2], strict=True)))
        named = {name: value for name, value in head._asdict().items() if name != "made"}
        return Thread(**named, turns=turns, earlier=int(left) - before)

    async def _landed(self, thread_id: str, answer: Sequence[Any]) -> tuple[Turn, ...]:
        _, first, rows, *_ = checked(answer)
        kept = Kept.all_landed(rows)
        return numbered(kept, await self._files(thread_id, kept), int(first))

    async def _files(self, thread_id: str, kept: Sequence[Kept]) -> dict[str, str]:
        names = list(dict.fromkeys(name for one in kept for name in one.files))
        if not names:
            return {}
        found = dict(zip(names, await self._link.call("HMGET", scripts.keys_of(thread_id)[5], *names, bulk=True), strict=True))
        if None in found.values():
            checked(await self._link.script(scripts.LOAD, scripts.keys_of(thread_id), "", 0))  # it may have been deleted meanwhile
            log.error("Redis has lost files of the thread %s; its turns are shown without them", thread_id)
        return {name: text for name, text in found.items() if text is not None}

    def _recent(self, workspace: str | None) -> AsyncGenerator[tuple[Head, int]]:
        return recent(self._link, None if workspace is None else clean(workspace), self._now().cutoff)

    # --- the rest --------------------------------------------------------------------------------------------------

    async def _thread_of(self, exchange: str) -> str | None:
        return self._pending.get(exchange) or await self._link.call("GET", _exchange_key(exchange))

    async def _before(self, exchange: str, thread_id: str | None) -> str | None:
        """Return the thread an exchange is in already, after the exchanges of a thread are interrupted whose process is gone."""
        asked: builtins.list[Sequence[str | int]] = [("GET", _exchange_key(exchange))]
        if thread_id is not None:
            asked.append(("LRANGE", scripts.keys_of(thread_id)[4], 0, -1))
        found, *waiting = await self._link.pipe(asked)
        if thread_id is not None and waiting[0]:
            told = await self._link.call("HMGET", scripts.keys_of(thread_id)[2], *waiting[0])
            await self._interrupt(thread_id, await self._dead(zip(waiting[0], told, strict=True)))
        return found

    async def _dead(self, known: Iterable[tuple[str, str | None]]) -> builtins.list[str]:
        """Return which of these pending exchanges, each with what is known of it, have nobody any more who completes them."""
        owners = {exchange: text.split()[1] for exchange, text in known if text and text.startswith("p ")}
        gone = {owner for owner in set(owners.values()) if await self._owners.is_dead(owner)}
        return [exchange for exchange, owner in owners.items() if owner in gone]

    async def _interrupt(self, thread_id: str, exchanges: Iterable[str]) -> None:
        for exchange in exchanges:
            await self._link.script(scripts.INTERRUPT, scripts.keys_of(thread_id), exchange)

    async def _index(self, exchange: str, thread_id: str, workspace: str, at: str) -> None:
        """Note which thread an exchange is in, and that the thread is in use."""
        known = ("SET", _exchange_key(exchange), thread_id, "EX", _EXCHANGE_SECONDS)
        await self._link.pipe([known, *entries(thread_id, workspace, at)])

    def _now(self) -> Instant:
        return Instant.of(self._clock(), self._ttl_days)

    @property
    def _ttl_ms(self) -> int:
        return 0 if self._ttl_days is None else int((self._ttl_days * 86_400 + _KEPT_SECONDS) * 1_000)


def new_thread_id(exchange: str) -> str:
    """Return the id of the thread an exchange begins: whoever begins it, here or while Redis is away, begins the same one."""
    return str(uuid.uuid5(_THREADS, exchange))


def _parsed(texts: Iterable[str]) -> list[Kept]:
    return Kept.all_landed([row for text in texts for row in text.split("\n")])


def _exchange_key(exchange: str) -> str:
    return f"{scripts.PREFIX}:exchange:{exchange}"
