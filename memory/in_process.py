"""Threads in the memory of one process: what SQLite keeps, until the process ends. For tests: `parley` itself keeps no thread this way."""

from __future__ import annotations

import builtins
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from conversation.errors import InvalidInput, StoreUnavailable, ThreadConflict, ThreadExpired, ThreadNotFound
from conversation.summaries import is_summary
from conversation.threads import LEAST_RECENT, NewTurn, Started, Thread, ThreadSummary, Turn, TurnState, parse_thread_id, title_of
from memory._search import holds, snippet, words_of
from memory._sql import Clock, Instant, clean


@dataclass
class _Held:
    """A thread under way: landed turns, and pending ones by exchange in order of arrival."""

    id: str
    title: str
    workspace: str
    created: str
    updated: str
    parent_id: str | None = None
    parent_seq: int | None = None
    turns: list[Turn] = field(default_factory=list[Turn])
    pending: dict[str, Turn] = field(default_factory=dict[str, Turn])


@dataclass(frozen=True)
class _Exchange:
    thread_id: str
    seq_then: int
    state: TurnState = "pending"


class InProcessThreadStore:
    """A ThreadStore without a file; the arguments mean what they mean for SqliteThreadStore."""

    def __init__(self, *, ttl_days: float | None = None, clock: Clock = time.time) -> None:
        self._ttl_days = ttl_days
        self._clock = clock
        self._threads: dict[str, _Held] = {}
        self._exchanges: dict[str, _Exchange] = {}
        self._deleted: set[str] = set()
        self._closed = False

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
        at = self._now()
        if branch_from is not None and thread_id is None:
            raise InvalidInput("branch_from needs the continuation_id of the thread to branch from.")
        source = None if thread_id is None else self._get(parse_thread_id(thread_id), at)
        exchange_id = str(uuid.uuid4()) if exchange_id is None else clean(exchange_id)
        if exchange_id not in self._exchanges:
            held = self._place(turn, source, clean(workspace), branch_from, expected_seq, at)
            seq = len(held.turns)
            self._exchanges[exchange_id] = _Exchange(held.id, seq)
            held.pending[exchange_id] = _landed(turn, f"{exchange_id}:0", seq + 1, exchange_id, "pending", at.now)
        known = self._exchanges[exchange_id]
        return Started(exchange_id=exchange_id, thread=_shown(self._threads[known.thread_id], known.seq_then, exchange_id, recent))

    def _place(
        self, turn: NewTurn, source: _Held | None, workspace: str, branch_from: int | None, expected_seq: int | None, at: Instant
    ) -> _Held:
        last = 0 if source is None else len(source.turns)
        if expected_seq is not None and expected_seq != last:
            raise ThreadConflict(f"The thread stands at turn {last}, not at turn {expected_seq}.")
        if expected_seq is not None and source is not None and branch_from is None and source.pending:
            raise ThreadConflict(f"Another exchange is pending on the thread, which will not stay at turn {expected_seq}.")
        if source is not None and branch_from is None:
            source.updated = at.now
            return source
        if branch_from is not None and not 1 <= branch_from <= last:
            raise InvalidInput(f"branch_from is {branch_from}, but the thread has the turns 1 to {last}.")
        made = _Held(str(uuid.uuid4()), title_of(turn.content), workspace, at.now, at.now)
        if source is not None:
            made.parent_id, made.parent_seq = source.id, branch_from
            made.turns = [turn.model_copy(update={"uid": f"{made.id}:{turn.seq}"}) for turn in source.turns[:branch_from]]
        self._threads[made.id] = made
        return made

    async def complete(self, exchange_id: str, answers: Sequence[NewTurn]) -> tuple[Turn, ...]:
        at = self._now()
        exchange_id = clean(exchange_id)
        known = self._exchanges.get(exchange_id)
        if known is None:
            raise ThreadNotFound("The exchange is not there: its thread was deleted or has expired.")
        if known.state == "interrupted":
            raise ThreadConflict("The exchange was interrupted before its answer came.")
        held = self._threads[known.thread_id]
        if known.state == "pending":
            self._land(exchange_id, "done")
            for number, answer in enumerate(answers, 1):
                held.turns.append(_landed(answer, f"{exchange_id}:{number}", len(held.turns) + 1, exchange_id, "done", at.now))
            held.updated = at.now
        return tuple(turn for turn in held.turns if turn.exchange_id == exchange_id)

    async def interrupt(self, exchange_id: str) -> None:
        self._now()
        known = self._exchanges.get(clean(exchange_id))
        if known is not None and known.state == "pending":
            self._land(clean(exchange_id), "interrupted")

    def _land(self, exchange_id: str, state: TurnState) -> None:
        known = self._exchanges[exchange_id]
        held = self._threads[known.thread_id]
        asked = held.pending.pop(exchange_id)
        held.turns.append(asked.model_copy(update={"seq": len(held.turns) + 1, "state": state}))
        self._exchanges[exchange_id] = replace(known, state=state)

    async def append(self, thread_id: str, turn: NewTurn, *, uid: str) -> Turn:
        at = self._now()
        held, uid = self._get(parse_thread_id(thread_id), at), clean(uid)
        known = next((one for one in held.turns if one.exchange_id == uid), None)
        if known is None:
            known = _landed(turn, uid, len(held.turns) + 1, uid, "done", at.now)
            held.turns.append(known)
        return known

    async def restore(self, turns: Sequence[Turn], *, workspace: str) -> str:
        at = self._now()
        made = _Held(str(uuid.uuid4()), title_of(turns[0].content), clean(workspace), at.now, at.now)
        for seq, turn in enumerate(turns, 1):
            state = "interrupted" if turn.state == "pending" else turn.state
            known = {"uid": f"{made.id}:{seq}", "seq": seq, "state": state, "at": turn.at or at.now}
            made.turns.append(turn.model_copy(update=known))
        self._threads[made.id] = made
        return made.id

    async def load(self, thread_id: str, *, recent: int | None = None) -> Thread:
        held = self._get(parse_thread_id(thread_id), self._now())
        return _shown(held, len(held.turns), "", recent)

    async def list(self, *, workspace: str | None, limit: int = 20) -> builtins.list[ThreadSummary]:
        return [_summary(held, None) for held in self._recent(workspace)][: max(limit, 0)]

    async def search(self, query: str, *, workspace: str | None, limit: int = 20) -> builtins.list[ThreadSummary]:
        words = words_of(query)
        if not words:
            return await self.list(workspace=workspace, limit=limit)
        found = (
            (held, next((turn for turn in reversed(held.turns) if holds(turn.content, words)), None)) for held in self._recent(workspace)
        )
        return [_summary(held, snippet(turn.content, words)) for held, turn in found if turn is not None][: max(limit, 0)]

    async def delete(self, thread_id: str) -> None:
        self._now()
        known = parse_thread_id(thread_id)
        if self._threads.pop(known, None) is None:
            raise self._missing(known)
        self._exchanges = {name: exchange for name, exchange in self._exchanges.items() if exchange.thread_id != known}
        self._deleted.add(known)

    async def ping(self) -> None:
        self._now()

    async def risks(self) -> builtins.list[str]:
        return []

    async def aclose(self) -> None:
        for exchange_id, exchange in self._exchanges.items():
            if exchange.state == "pending":
                self._land(exchange_id, "interrupted")
        self._closed = True

    def _now(self) -> Instant:
        """Return the time of a call. Raises StoreUnavailable after aclose."""
        if self._closed:
            raise StoreUnavailable("The thread store is closed.", hint="The server is shutting down.")
        return Instant.of(self._clock(), self._ttl_days)

    def _get(self, thread_id: str, at: Instant) -> _Held:
        held = self._threads.get(thread_id)
        if held is None:
            raise self._missing(thread_id)
        if held.updated < at.cutoff:
            raise ThreadExpired("The thread has expired.")
        return held

    def _missing(self, thread_id: str) -> ThreadNotFound:
        if thread_id in self._deleted:
            return ThreadNotFound("The thread has been deleted.")
        return ThreadNotFound("There is no thread with this continuation_id.")

    def _recent(self, workspace: str | None) -> builtins.list[_Held]:
        at = self._now()
        where = None if workspace is None else clean(workspace)
        kept = [held for held in self._threads.values() if where in (None, held.workspace) and held.updated >= at.cutoff]
        kept.reverse()  # of two from the same moment the later one comes first
        return sorted(kept, key=lambda held: held.updated, reverse=True)


def _landed(turn: NewTurn, uid: str, seq: int, exchange_id: str, state: TurnState, at: str) -> Turn:
    values = {name: getattr(turn, name) for name in NewTurn.model_fields}
    return Turn(**values, uid=uid, seq=seq, exchange_id=exchange_id, state=state, at=at)


def _shown(held: _Held, upto: int, without: str, recent: int | None = None) -> Thread:
    landed = held.turns[:upto] if recent is None else _recent(held.turns[:upto], recent)
    pending = [turn for name, turn in held.pending.items() if name != without]
    numbered = [turn.model_copy(update={"seq": seq}) for seq, turn in enumerate(pending, upto + 1)]
    return Thread(
        id=held.id,
        title=held.title,
        workspace=held.workspace,
        created=held.created,
        updated=held.updated,
        turns=(*landed, *numbered),
        parent_id=held.parent_id,
        parent_seq=held.parent_seq,
        earlier=upto - len(landed),
    )


def _recent(turns: list[Turn], size: int) -> list[Turn]:
    """Return the newest turns of which those of whole exchanges say so much together, after the summaries before them."""
    first, least = len(turns), LEAST_RECENT
    while first and (size > 0 or least > 0):
        first -= 1
        if turns[first].state == "done":
            size, least = size - len(turns[first].content.encode()), least - 1
    return [*filter(is_summary, turns[:first]), *turns[first:]]


def _summary(held: _Held, text: str | None) -> ThreadSummary:
    """Count the turns that `load` returns, interrupted and pending ones too."""
    turns = len(held.turns) + len(held.pending)
    return ThreadSummary(id=held.id, title=held.title, workspace=held.workspace, turns=turns, updated=held.updated, snippet=text)
