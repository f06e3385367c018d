"""An exchange on its way into the store: pending before a provider is asked, then done or interrupted."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress

import anyio

from conversation.errors import NotSavedYet, ParleyError, StoreError
from conversation.messages import Warned
from conversation.threads import NewTurn, Thread, Turn
from providers.base import ModelInfo
from tools.app import App
from tools.past import Past, recent


class Recording:
    """One exchange of one call. `thread` is how the thread stood when it began, None when it could not be recorded."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._id = str(uuid.uuid4())
        self._pending = False
        self._kept = False
        self.thread: Thread | None = None
        self.past: Past | None = None
        """What `thread` lacks of a long thread."""
        self.problem: str | None = None

    async def begin(self, turn: NewTurn, thread_id: str | None, branch_from: int | None, models: Sequence[ModelInfo]) -> None:
        """Record the caller's turn, before a request that is most likely to these models.

        Raises what the store raises; a new thread does without a store.
        """
        self._pending = True
        try:
            started = await self._app.store.begin(
                turn,
                workspace=self._app.workspace,
                thread_id=thread_id,
                branch_from=branch_from,
                exchange_id=self._id,
                recent=recent(models, self._app.limits),
            )
        except ParleyError as error:
            self._pending = False
            if thread_id is not None or not isinstance(error, StoreError):
                raise
            self.problem = f"This exchange was not saved and cannot be continued: {self._told(error)}"
        else:
            self.thread = started.thread
            self.past = Past(self._app.store, started.thread) if started.thread.earlier else None

    async def complete(self, *answers: NewTurn) -> tuple[Turn, ...]:
        """Land the exchange and return the answers' turns, none when they could not be saved; `problem` then says why."""
        if self.thread is None:
            return ()
        try:
            turns = await self._app.store.complete(self._id, answers)
        except ParleyError as error:
            self._kept = isinstance(error, NotSavedYet)
            self.problem = f"The answer was not saved{' yet' if self._kept else ''}: {self._told(error)}"
            return ()
        self._pending = False
        return turns[-len(answers) :]

    def going_on(self, saved: bool, named: str | None) -> str | None:
        """Return the id to go on with: none for a thread that has nothing saved, the caller's own for one that had.

        One that is saved once the store is back can be gone on with as well.
        """
        return self.thread.id if self.thread is not None and (saved or self._kept or self.thread.id == named) else None

    async def close(self) -> None:
        """Note an exchange that did not land as interrupted, within bounded time, also while the call is being cancelled."""
        if not self._pending:
            return
        with anyio.move_on_after(self._app.limits.interrupt_seconds, shield=True), suppress(ParleyError):
            await self._app.store.interrupt(self._id)

    def _told(self, error: ParleyError) -> str:
        return self._app.scrub(f"{error.message} {error.hint}".rstrip())

    @property
    def warnings(self) -> list[Warned]:
        """What went wrong with the thread."""
        unread = [] if self.past is None or self.past.problem is None else [self.past.problem]
        return unread if self.problem is None else [*unread, Warned(code="not_saved", message=self.problem)]


@asynccontextmanager
async def recording(app: App) -> AsyncGenerator[Recording]:
    """Give a Recording that is closed however the body ends."""
    one = Recording(app)
    try:
        yield one
    finally:
        await one.close()
