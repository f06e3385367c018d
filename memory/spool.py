"""What was said while Redis was away: kept in the state folder, and landed there once it is back, each exchange once.

While Redis is away a new thread can be begun, and one that this process has seen can be gone on with; the answers say that they are
not saved. Exchanges that no replica has yet are kept here as well, and those of the last seconds in memory: whatever server a
connection comes back to, they are landed on it again, which changes nothing where they are there.
"""

from __future__ import annotations

import asyncio
import builtins
import logging
import time
import uuid
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from conversation.errors import CallerError, NotSavedYet, StoreError, StoreUnavailable, ThreadConflict, ThreadNotFound
from conversation.threads import NewTurn, Started, Thread, ThreadSummary, Turn, parse_thread_id, title_of
from memory._redis_client import RedisLink
from memory._redis_turns import Said
from memory._spool_folder import Spool
from memory._sql import Clock, clean, stamp
from memory.redis import RedisThreadStore, new_thread_id

log = logging.getLogger(__name__)
T = TypeVar("T")

_KNOWN_THREADS = 64
_RECENT_SECONDS = 15.0
"""So long the last exchanges are kept in memory: longer than it takes until another server is the primary."""
_AGAIN_SECONDS = 1.0
_OTHERS_SECONDS = 2.0
"""So long a call waits while another process lands what it might miss."""


@dataclass(slots=True)
class _Begun:
    started: Started
    asked: NewTurn
    at: str
    offline: bool = False


class SpoolingThreadStore:
    """A RedisThreadStore that keeps in `spool` what Redis does not take at the moment."""

    def __init__(
        self,
        store: RedisThreadStore,
        link: RedisLink,
        spool: Spool,
        *,
        clock: Clock = time.time,
        tick: Callable[[], float] = time.monotonic,
        on_begin: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_begin` is called with each exchange that begins, and must return at once."""
        self._store, self._link, self._spool, self._on_begin = store, link, spool, on_begin
        self._clock, self._tick = clock, tick
        self._begun: dict[str, _Begun] = {}
        self._threads: OrderedDict[str, Thread] = OrderedDict()
        """As they stood when this process saw them last."""
        self._kept: set[str] = set()
        """Exchanges that are in the spool: whoever gives them up gives up nothing."""
        self._recent: deque[tuple[float, Said]] = deque()
        self._breaks = link.breaks
        self._landing = asyncio.Lock()
        self._tending: asyncio.Task[None] | None = None
        self._examined = False
        self._examining: asyncio.Task[None] | None = None

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
        at = stamp(self._clock())
        exchange = str(uuid.uuid4()) if exchange_id is None else clean(exchange_id)
        self._on_begin()
        try:
            beginning = partial(
                self._store.begin,
                turn,
                workspace=workspace,
                thread_id=thread_id,
                branch_from=branch_from,
                exchange_id=exchange,
                expected_seq=expected_seq,
                recent=recent,
            )
            started = await self._whole(beginning)
            begun = _Begun(started, turn, at)
        except StoreUnavailable as error:
            if branch_from is not None or expected_seq is not None or self._link.is_closed:
                raise
            if thread_id is None:
                thread = _new(new_thread_id(exchange), turn, clean(workspace), at)
            else:
                thread = await self._last_known(parse_thread_id(thread_id), error)
            begun = _Begun(Started(exchange_id=exchange, thread=thread), turn, at, offline=True)
        self._begun[exchange] = begun
        self._know(begun.started.thread)
        if not self._examined and not begun.offline:
            self._examined = True
            self._examining = asyncio.create_task(self._examine(), name="settings of Redis")
        return begun.started

    async def _last_known(self, thread_id: str, error: StoreUnavailable) -> Thread:
        """Return a thread as it can still be read, with what this process has said on it since. Raises `error` when there is neither."""
        known = self._threads.get(thread_id)
        with suppress(StoreError, CallerError):  # it may be writing alone that Redis refuses
            loaded = await self._store.load(thread_id)
            return loaded if known is None else _with_later(loaded, known)
        if known is None:
            raise error
        return known

    async def complete(self, exchange_id: str, answers: Sequence[NewTurn]) -> tuple[Turn, ...]:
        exchange = clean(exchange_id)
        begun = self._begun.get(exchange)
        if begun is None:
            return await self._store.complete(exchange_id, answers)
        said = Said.of(begun.started, begun.asked, answers, begun=begun.at, completed=stamp(self._clock()))
        try:
            turns = await self._completed(begun, said, answers)
        except StoreUnavailable as error:
            await asyncio.to_thread(self._keep, said, error)
            self._store.leave(exchange)
            self._begun.pop(exchange, None)
            self._kept.add(exchange)
            known = self._as_known(begun)
            self._know(_with(known, said.as_turns(known)))
            self._tend()
            raise NotSavedYet(f"{error.message} It is kept in PARLEY_HOME and saved when Redis is back.", hint=error.hint) from None
        self._begun.pop(exchange, None)
        self._know(_with(self._as_known(begun), turns))
        self._recent.append((self._tick(), said))
        self._tend()
        return turns

    async def _completed(self, begun: _Begun, said: Said, answers: Sequence[NewTurn]) -> tuple[Turn, ...]:
        if begun.offline:
            raise StoreUnavailable("Redis could not be reached.")
        try:
            turns, is_copied = await self._store.completed(said.exchange_id, answers)
        except (ThreadNotFound, ThreadConflict):
            # Its beginning may be what a server lost that was replaced, or another machine took this process for dead: it lands whole.
            await self._store.land(said)
            turns, is_copied = await self._store.completed(said.exchange_id, answers)
        if not is_copied:
            await self._keep_for_replica(said)
        return turns

    async def _keep_for_replica(self, said: Said) -> None:
        """Keep an exchange that Redis has and a replica may not have."""
        try:
            await asyncio.to_thread(self._spool.put, said, is_stored=True)
        except OSError as problem:
            log.error("the spool takes nothing, and no replica has an exchange that Redis has: %s", problem.strerror)

    def _keep(self, said: Said, error: StoreUnavailable) -> None:
        """Keep an exchange in the spool. Raises `error` when even that fails."""
        try:
            self._spool.put(said)
        except OSError as problem:
            log.error("the spool takes nothing: %s", problem.strerror)
            raise error from None

    async def interrupt(self, exchange_id: str) -> None:
        exchange = clean(exchange_id)
        begun = self._begun.pop(exchange, None)
        if exchange in self._kept:
            self._kept.discard(exchange)
        elif begun is None or not begun.offline:
            await self._store.interrupt(exchange_id)

    async def append(self, thread_id: str, turn: NewTurn, *, uid: str) -> Turn:
        if any(one.offline and one.started.thread.id == thread_id for one in self._begun.values()):
            # What it says of turns by their numbers is true of the thread as this process saw it last.
            raise StoreUnavailable("The thread may have changed while Redis was away.")
        return await self._store.append(thread_id, turn, uid=uid)

    async def restore(self, turns: Sequence[Turn], *, workspace: str) -> str:
        return await self._store.restore(turns, workspace=workspace)

    async def load(self, thread_id: str, *, recent: int | None = None) -> Thread:
        return await self._whole(partial(self._store.load, thread_id, recent=recent))

    async def list(self, *, workspace: str | None, limit: int = 20) -> builtins.list[ThreadSummary]:
        return await self._whole(partial(self._store.list, workspace=workspace, limit=limit))

    async def search(self, query: str, *, workspace: str | None, limit: int = 20) -> builtins.list[ThreadSummary]:
        return await self._whole(partial(self._store.search, query, workspace=workspace, limit=limit))

    async def delete(self, thread_id: str) -> None:
        await self._land_waiting()
        self._threads.pop(parse_thread_id(thread_id), None)
        await self._store.delete(thread_id)

    async def ping(self) -> None:
        await self._store.ping()

    async def risks(self) -> builtins.list[str]:
        return await self._store.risks()

    async def _examine(self) -> None:
        with suppress(StoreError):
            for risk in await self.risks():
                log.warning("%s", risk)

    async def aclose(self) -> None:
        running = [task for task in (self._tending, self._examining) if task is not None]
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self._store.aclose()

    # --- landing what was kept -------------------------------------------------------------------------------------

    async def _whole(self, work: Callable[[], Awaitable[T]]) -> T:
        """Return what `work` returns once nothing of ours is missing in Redis; done again when a connection broke meanwhile."""
        await self._land_waiting()
        try:
            found = await work()
            if not self._broke:
                return found
        except ThreadNotFound:
            if self._spool.waiting():
                raise StoreUnavailable("What was said while Redis was away is still being saved.", hint="Try again in a moment.") from None
            if not self._broke:
                raise
        await self._land_recent_again()
        return await work()

    @property
    def _broke(self) -> bool:
        """Whether a connection broke since the last exchanges were landed: another server may have taken over without them."""
        return bool(self._recent) and self._link.breaks != self._breaks

    async def _land_waiting(self) -> None:
        """Have landed what Redis lacks, before anything that would miss it. What is not to be had now stays in the spool."""
        end = self._tick() + _OTHERS_SECONDS
        with suppress(OSError, StoreError):
            while self._spool.waiting() and not self._link.is_away:
                async with self._landing:
                    is_done = await self._land_all()
                if is_done or self._tick() >= end:
                    break
                await asyncio.sleep(_OTHERS_SECONDS / 40)

    async def _land_all(self) -> bool:
        """Land what waits in the spool; False when another process is doing that. Raises StoreError and OSError."""
        with self._spool.alone() as alone:
            for name in self._spool.waiting() if alone else ():
                try:
                    said = await asyncio.to_thread(self._spool.get, name)
                    if said is None or await self._landed(said):
                        self._spool.drop(name)
                    else:
                        self._spool.stored(name)
                except StoreUnavailable:
                    if self._link.is_away:
                        raise
                    # This one cannot be had, such as while Redis is nearly full: it holds up no other.
        return alone

    async def _copy_all(self) -> None:
        """Forget what replicas have by now. They have it in its order, so the first they lack is not the last. Raises as _land_all."""
        with self._spool.alone() as alone:
            for name in self._spool.copying() if alone else ():
                said = await asyncio.to_thread(self._spool.get, name)
                if said is not None and not await self._landed(said):
                    break
                self._spool.drop(name)

    async def _landed(self, said: Said) -> bool:
        """Land an exchange; True when nobody has to do it again."""
        try:
            is_copied = await self._store.land(said)
        except CallerError as error:
            log.warning("an exchange that was kept while Redis was away has no thread any more: %s", error.message)
            return True
        return is_copied

    def _tend(self) -> None:
        """Have what is kept looked after in the background, on disk and in memory, until none is left."""
        if self._tending is None or self._tending.done():
            self._tending = asyncio.create_task(self._until_safe(), name="look after what is kept")

    async def _until_safe(self) -> None:
        is_left = True
        while is_left:
            await asyncio.sleep(_AGAIN_SECONDS)
            try:
                await self._link.ping()  # over an old connection, it finds out that another server has taken over
                await self._land_recent_again()
                async with self._landing:
                    await self._land_all()
                await self._copy_all()
                is_left = bool(self._spool.names() or self._recent)
            except (StoreError, OSError):
                continue

    async def _land_recent_again(self) -> None:
        """Land the last exchanges again when a connection broke meanwhile, however long that took to be noticed."""
        breaks = self._link.breaks
        if self._broke:
            for _, said in list(self._recent):
                if not await self._landed(said):
                    await self._keep_for_replica(said)
        self._breaks = breaks
        while self._recent and self._tick() - self._recent[0][0] > _RECENT_SECONDS:
            self._recent.popleft()

    def _as_known(self, begun: _Begun) -> Thread:
        """Return the thread of an exchange with what others have landed in it since that began."""
        return self._threads.get(begun.started.thread.id, begun.started.thread)

    def _know(self, thread: Thread) -> None:
        self._threads[thread.id] = _with_earlier(thread, self._threads.get(thread.id))
        self._threads.move_to_end(thread.id)
        while len(self._threads) > _KNOWN_THREADS:
            self._threads.popitem(last=False)


def _new(thread_id: str, turn: NewTurn, workspace: str, at: str) -> Thread:
    return Thread(id=thread_id, title=title_of(turn.content), workspace=workspace, created=at, updated=at)


def _with_earlier(thread: Thread, known: Thread | None) -> Thread:
    """Return the thread with the turns it came without, as far as they are known: turns never change."""
    if known is None or not thread.earlier:
        return thread
    there = {turn.seq for turn in thread.turns}
    earlier = [turn for turn in known.turns if turn.state != "pending" and turn.seq not in there and turn.seq < max(there)]
    turns = sorted((*earlier, *thread.turns), key=lambda turn: turn.seq)
    return thread.model_copy(update={"turns": tuple(turns), "earlier": thread.earlier - len(earlier)})


def _with_later(thread: Thread, known: Thread) -> Thread:
    """Return the thread with what is known to have been said since, in the order it will land."""
    there = {turn.uid for turn in thread.turns}
    landed = [turn for turn in thread.turns if turn.state != "pending"]
    later = [turn for turn in known.landed if turn.uid not in there]
    first = 1 + max((turn.seq for turn in landed), default=0)
    return _with(thread, [turn.model_copy(update={"seq": seq}) for seq, turn in enumerate(later, first)]) if later else thread


def _with(thread: Thread, turns: Sequence[Turn]) -> Thread:
    """Return the thread with these turns landed in it, as far as this process knows it."""
    landed = [turn for turn in thread.turns if turn.state != "pending"]
    return thread.model_copy(update={"turns": (*landed, *turns), "updated": turns[-1].at})
