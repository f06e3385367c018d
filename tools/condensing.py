"""Threads that outgrow a window: their older turns are condensed once, and the summary is kept in the thread."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from conversation.errors import ParleyError, StoreError
from conversation.fences import cut_middle
from conversation.summaries import SUMMARY_TOOL, Fact, covered, extract, is_summary, older, views
from conversation.threads import NewTurn, Turn
from conversation.window import build_window
from providers.base import ModelInfo
from providers.chain import Reply
from tools.app import Call
from tools.bounds import clean
from tools.texts import text

_KEPT = 0.4
"""Of a window, what the newest turns keep in full. What is freed is what lies between two condensings."""
_NOTES = 1 / 8
"""Of a window, at most, what a model's notes take, and again what is kept word for word."""
_MOST_NOTES = 4_000
_OUTPUT_TOKENS = 4_096
_SYSTEM = "You condense conversations. You see one, in turns by several authors, and answer with notes that stand in its place."


@dataclass(slots=True)
class Condenser:
    """Condenses one thread on behalf of one call, once for all the models it asks. `thread_id` None is a thread that is not stored."""

    call: Call
    thread_id: str | None
    deadline_s: float = 30.0
    _one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)
    _made: list[Turn] = field(default_factory=list[Turn])

    async def shortened(self, history: Sequence[Turn], room: int) -> Sequence[Turn] | None:
        """Return the history with one more summary, so that it fits into about `room` tokens; None when nothing can be condensed.

        The notes are a cheap model's. Without one that answers, and for what it left out, the turns' own words are kept.
        """
        async with self._one_at_a_time:
            known = [*history, *self._made]
            stored = max((turn.seq for turn in history if turn.exchange_id), default=0)
            span = older(views(known)[-1], int(room * _KEPT), stored=stored)
            if all(is_summary(turn) for turn in span):
                return known if self._made else None
            self.call.say(f"condensing {len(span)} older turns")
            summary = _summary(span, await self._notes(span), min(_MOST_NOTES, int(room * _NOTES)))
            self._made.append(await self._kept(summary, after=history))
            return [*history, *self._made]

    async def _notes(self, span: Sequence[Turn]) -> Reply | None:
        """Return a cheap model's notes, None when none answers in time."""
        app = self.call.app

        async def prepare(model: ModelInfo) -> dict[str, object]:
            most = app.limits.max_window_tokens or model.context_window
            room = min(most, model.context_window - _OUTPUT_TOKENS) - 1_000
            window = await asyncio.to_thread(
                build_window, history=span, prompt=text("condense"), attachments=(), model=model.name, budget_tokens=room, images=False
            )
            system = f"{_SYSTEM}\n\n{window.system or ''}".strip()
            return {"messages": list(window.messages), "max_tokens": min(_OUTPUT_TOKENS, model.max_output), "system": system}

        with suppress(ParleyError):
            return await app.chain.ask(app.catalogue.cheap(), prepare, deadline_s=self.deadline_s)
        return None

    async def _kept(self, summary: NewTurn, *, after: Sequence[Turn]) -> Turn:
        """Return the summary as a turn of the thread; when it cannot be stored it serves this call alone."""
        upto = (summary.meta or {})["upto"]
        uid = f"{self.thread_id}:1-{upto}"
        if self.thread_id is not None:
            with suppress(StoreError):
                return await self.call.app.store.append(self.thread_id, summary, uid=uid)
        known = {name: getattr(summary, name) for name in NewTurn.model_fields}
        return Turn(**known, uid=uid, seq=max(turn.seq for turn in after) + 1, exchange_id="", state="done", at=after[-1].at)


def _summary(span: Sequence[Turn], reply: Reply | None, tokens: int) -> NewTurn:
    notes = "" if reply is None else clean(cut_middle(reply.answer.text.strip(), tokens))
    facts = extract(span, notes, tokens if notes else 2 * tokens)
    return NewTurn(
        role="assistant",
        content="\n\n".join(part for part in (notes, _word_for_word(facts)) if part),
        tool=SUMMARY_TOOL,
        provider=reply.model.provider if reply else None,
        model=reply.model.id if reply else None,
        usage=reply.usage if reply else None,
        meta={
            "upto": max(covered(turn) or turn.seq for turn in span),
            "facts": [[fact.seq, fact.who, clean(fact.text)] for fact in facts],
        },
    )


def _word_for_word(facts: Sequence[Fact]) -> str:
    if not facts:
        return ""
    return "Said in these turns, word for word:\n" + "\n".join(fact.shown() for fact in facts)
