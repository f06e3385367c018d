"""Threads: what was said, by whom, and the protocol every store of threads implements.

A thread is a list of exchanges. An exchange is the caller's turn and the answers to it; it is pending while a provider is
asked, and stands or falls whole: `complete` gives its turns their numbers in order of completion, `interrupt` keeps the
caller's turn alone. Turns are only ever added.
"""

from __future__ import annotations

import builtins
import uuid
from collections.abc import Iterable, Sequence
from typing import Any, Literal, Protocol

from conversation.errors import InvalidContinuationId
from conversation.messages import Frozen, Usage

TurnState = Literal["pending", "done", "interrupted"]


class Attachment(Frozen):
    """A file as a turn carried it: text as it was, images as base64. `digest` is the SHA-256 of the content."""

    path: str
    kind: Literal["text", "image"]
    media_type: str
    content: str
    digest: str


class NewTurn(Frozen):
    """A turn on its way into the store."""

    role: Literal["user", "assistant"]
    content: str
    tool: str = "chat"
    provider: str | None = None
    model: str | None = None
    usage: Usage | None = None
    attachments: tuple[Attachment, ...] = ()
    meta: dict[str, Any] | None = None


class Turn(NewTurn):
    """A turn of a thread. `seq` counts from 1 without gaps among landed turns; pending ones are numbered after them."""

    uid: str
    seq: int
    exchange_id: str
    state: TurnState
    at: str  # ISO 8601, UTC


LEAST_RECENT = 16
"""Turns there are at least when the most recent are asked for, however long they are."""


class Thread(Frozen):
    """A thread with its turns in order: landed ones by seq, then pending ones in order of arrival.

    `earlier` counts the landed turns that were left out because only the most recent were asked for; summaries among them are there.
    """

    id: str
    title: str
    workspace: str
    created: str
    updated: str
    turns: tuple[Turn, ...] = ()
    parent_id: str | None = None
    parent_seq: int | None = None
    earlier: int = 0

    @property
    def landed(self) -> tuple[Turn, ...]:
        """The turns of completed exchanges: what a model is sent."""
        return tuple(turn for turn in self.turns if turn.state == "done")


class ThreadSummary(Frozen):
    """One line of a list: `turns` counts the turns that `load` returns, interrupted and pending ones too; `snippet` is set by a search."""

    id: str
    title: str
    workspace: str
    turns: int
    updated: str
    snippet: str | None = None


class FoundInSome(list[ThreadSummary]):
    """What a search found that looked through some of the threads only, so many of those used last: a store without an index of words."""

    def __init__(self, found: Iterable[ThreadSummary], searched: int) -> None:
        super().__init__(found)
        self.searched = searched

    @property
    def note(self) -> str:
        """What is to be said of it."""
        return f"Only the {self.searched:,} threads used last were searched: this store has no index of words."


class Started(Frozen):
    """An exchange that has been recorded pending, and the thread as it stood when it began (without this exchange)."""

    exchange_id: str
    thread: Thread


class ThreadStore(Protocol):
    """A durable store of threads, safe for many tasks and processes at once.

    Every method raises StoreBusy or StoreUnavailable when the store cannot do it; nothing is half written then.
    """

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
        """Record `turn` as pending and return the exchange and the thread as it stood.

        thread_id None makes a new thread titled after the turn. branch_from N makes a new thread that starts with the
        landed turns 1..N of thread_id, which stays as it is. A repeated exchange_id records nothing twice. `recent` is as in load.
        Raises ThreadNotFound, ThreadExpired, InvalidInput (branch_from out of range) and ThreadConflict (the last landed seq
        is not expected_seq, or another exchange is pending that will land before: of two with the same expected_seq one begins).
        """
        ...

    async def complete(self, exchange_id: str, answers: Sequence[NewTurn]) -> tuple[Turn, ...]:
        """Land the exchange: the caller's turn and the answers get the next numbers, in one step.

        Repeating it changes nothing and returns the same turns.
        """
        ...

    async def interrupt(self, exchange_id: str) -> None:
        """Land the caller's turn alone, as interrupted. An exchange that has landed already stays as it is."""
        ...

    async def append(self, thread_id: str, turn: NewTurn, *, uid: str) -> Turn:
        """Land one turn that belongs to no exchange, such as a summary, under an id of its own, and return it.

        Repeating a uid of the thread adds nothing and returns the turn that is there. The thread does not count as used by it.
        Raises ThreadNotFound and ThreadExpired.
        """
        ...

    async def restore(self, turns: Sequence[Turn], *, workspace: str) -> str:
        """Return the id of a new thread that holds these turns, one at least, as they were said elsewhere.

        They keep all but their numbers and uids, which are new; one without a time is of now, and a pending one is interrupted, for
        nobody answers it any more. The thread is titled after the first turn and of now. Nothing is recorded unless all of it is.
        """
        ...

    async def load(self, thread_id: str, *, recent: int | None = None) -> Thread:
        """Return the thread. Exchanges whose process died show as interrupted. Raises ThreadNotFound or ThreadExpired.

        With `recent` it comes with its summaries and its newest turns only: LEAST_RECENT landed ones at least, and about as many as say
        so many bytes together.
        """
        ...

    async def list(self, *, workspace: str | None, limit: int = 20) -> list[ThreadSummary]:
        """Return threads, last updated first; workspace None means all."""
        ...

    async def search(self, query: str, *, workspace: str | None, limit: int = 20) -> list[ThreadSummary]:
        """Return threads with a turn that holds every word of `query`, best first; any text is a valid query.

        FoundInSome says that there are threads which were not looked through.
        """
        ...

    async def delete(self, thread_id: str) -> None:
        """Remove the thread and its turns. Raises ThreadNotFound."""
        ...

    async def ping(self) -> None:
        """Return when the store can be read and written; raise StoreBusy or StoreUnavailable otherwise."""
        ...

    async def risks(self) -> builtins.list[str]:
        """Return what in the settings of what is behind the store may lose threads, a sentence each."""
        ...

    async def aclose(self) -> None:
        """Release what the store holds; pending exchanges of this process are interrupted."""
        ...


def parse_thread_id(text: str) -> str:
    """Return the canonical form of a continuation_id. Raises InvalidContinuationId."""
    try:
        return str(uuid.UUID(text.strip()))
    except ValueError:
        raise InvalidContinuationId("continuation_id is not a UUID.") from None


def title_of(text: str) -> str:
    """Return the first line of a prompt, at most 80 characters, for lists."""
    first = next((line.strip() for line in text.splitlines() if line.strip()), "(no text)")
    return first if len(first) <= 80 else first[:79] + "\u2026"
