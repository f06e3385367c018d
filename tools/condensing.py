"""Threads that outgrow a window: their older turns are condensed once, and the summary is kept in the thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from conversation.errors import ParleyError, StoreError
from conversation.facts import Fact, extract, facts_in
from conversation.json_text import whole
from conversation.messages import Usage
from conversation.summaries import SUMMARY_TOOL, base, covered, facts_of, is_summary, older, paths_in, summary_tokens
from conversation.threads import NewTurn, Turn
from conversation.tokens import estimate_tokens
from conversation.window import Priced, build_window
from providers.base import ModelInfo
from providers.chain import Reply
from tools.app import Call
from tools.bounds import fitting
from tools.texts import filled

Price = Callable[[Sequence[Turn]], Priced]
"""Reckons what turns take of the window they are to fit into."""

_KEPT = 0.4
"""Of the room for turns, what the newest keep in full. What is freed is what lies between two condensings."""
_OUTPUT_TOKENS = 4_096
_MARGIN = 256
_SYSTEM = "You condense conversations. You see one, in turns by several authors, and answer with notes that stand in its place."


@dataclass(slots=True)
class Condenser:
    """Condenses one thread on behalf of one call, once for all the models it asks. `thread_id` None is a thread that is not stored."""

    call: Call
    thread_id: str | None
    deadline_s: float = 30.0
    used: Usage = field(default_factory=lambda: Usage(cost_usd=0.0))
    """What the notes took."""
    _one_at_a_time: asyncio.Lock = field(default_factory=asyncio.Lock)
    _made: list[Turn] = field(default_factory=list[Turn])

    async def shortened(self, history: Sequence[Turn], window: int, price: Price, provider: str = "") -> Sequence[Turn] | None:
        """Return the history with one more summary, so that it fits into a window of so many tokens; None when nothing can be condensed.

        The notes are a cheap model's, of `provider` if it can. Without one that answers, and for what it left out, the turns' own
        words are kept. A prompt that takes most of the window is no reason to shorten the thread for good: then words are kept for
        this call alone.
        """
        async with self._one_at_a_time:
            there = {turn.uid for turn in history}
            known = [*history, *(turn for turn in self._made if turn.uid not in there)]
            size = summary_tokens(window)
            span, room = await asyncio.to_thread(_span, known, size, price)
            if room < 2 * size or all(is_summary(turn) for turn in span):
                return known if self._made else None
            self.call.say(f"condensing {len(span)} older turns")
            for_good = 2 * room >= window
            notes = await self._notes(span, size, provider) if for_good and not self.call.app.notes.resting() else None
            summary = await asyncio.to_thread(_summary, known, span, notes, size)
            self._made.append(await self._kept(summary, after=history, for_good=for_good))
            return [*known, self._made[-1]]

    async def _notes(self, span: Sequence[Turn], size: int, provider: str) -> _Notes | None:
        """Return a cheap model's notes, None when none answers in time: then none is asked for some minutes.

        A model that has room for all the turns is asked first, and of those the one at `provider`, which has seen them.
        """
        app = self.call.app
        left_out: dict[str, int] = {}

        async def prepare(model: ModelInfo) -> dict[str, object]:
            output = min(_OUTPUT_TOKENS, model.max_output, model.context_window // 4)
            room = model.context_window - output - estimate_tokens(_SYSTEM) - _MARGIN
            most = app.limits.max_window_tokens
            window = await asyncio.to_thread(
                build_window,
                history=span,
                prompt=filled("condense", words=str(size * 2 // 3)),
                attachments=(),
                model=model.name,
                budget_tokens=room if most is None else min(room, most),
                images=False,
            )
            left_out[model.name] = window.left_out
            system = f"{_SYSTEM}\n\n{window.system or ''}".strip()
            return {"messages": list(window.messages), "max_tokens": output, "system": system}

        needed = _OUTPUT_TOKENS + sum(estimate_tokens(turn.content) for turn in span) * 5 // 4
        routes = sorted(app.catalogue.cheap(), key=lambda model: (model.context_window < needed, model.provider != provider))
        try:
            reply = await app.chain.ask(routes, prepare, deadline_s=self.deadline_s)
        except ParleyError:
            app.notes.rest()
            return None
        self.used = self.used.plus(reply.usage)
        return _Notes(reply, left_out[reply.model.name]) if reply.answer.text.strip() else None

    async def _kept(self, summary: NewTurn, *, after: Sequence[Turn], for_good: bool) -> Turn:
        """Return the summary as a turn of the thread; when it cannot be stored, or is not to be, it serves this call alone."""
        meta = summary.meta or {}
        uid = f"{self.thread_id}:{meta['tokens']}:1-{meta['upto']}"
        if self.thread_id is not None and for_good:
            with suppress(StoreError):
                return await self.call.app.store.append(self.thread_id, summary, uid=uid)
        known = {name: getattr(summary, name) for name in NewTurn.model_fields}
        return Turn(**known, uid=uid, seq=max(turn.seq for turn in after) + 1, exchange_id="", state="done", at=after[-1].at)


@dataclass(frozen=True, slots=True)
class _Notes:
    """What a model noted down of a span of turns, and how many of the oldest had no room in its window."""

    reply: Reply
    left_out: int

    def shown(self, span: Sequence[Turn], tokens: int) -> str:
        """Return the notes within `tokens`, under a line that says whose they are and what they leave out."""
        written = whole(self.reply.answer.text.strip())
        unseen = [turn.seq for turn in span if not is_summary(turn)][: self.left_out]
        gap = f" They know nothing of turns {unseen[0]} to {unseen[-1]}." if unseen else ""
        head = f"Notes that {self.reply.model.name} took of these turns, not checked.{gap}"
        return f"{head}\n{written[: fitting(written, max(0, tokens - estimate_tokens(head)))]}"


def _span(known: Sequence[Turn], size: int, price: Price) -> tuple[list[Turn], int]:
    """Return the turns to condense into a summary of that size, and the room there is for the thread."""
    view = base(known, size)
    priced = price(view)
    stored = max((turn.seq for turn in known if turn.exchange_id), default=0)
    room = max(0, priced.room)
    most = int(0.9 * room) - 2 * size
    return older(view, priced.turns, int(room * _KEPT), most=most, stored=stored), room


def _summary(known: Sequence[Turn], span: Sequence[Turn], notes: _Notes | None, tokens: int) -> NewTurn:
    """Return the summary of a span. Its facts are chosen anew from all turns it covers: what earlier notes held may be missing here."""
    upto = max(covered(turn) or turn.seq for turn in span)
    written = notes.shown(span, tokens) if notes else ""
    turns = [turn for turn in known if turn.seq <= upto and turn.state == "done" and not is_summary(turn)]
    there = {turn.seq for turn in turns}
    kept = (fact for turn in span for fact in facts_of(turn) if fact.seq not in there)
    facts = extract([*kept, *(fact for turn in turns for fact in facts_in(turn))], written, tokens if written else 2 * tokens)
    reply = notes.reply if notes else None
    return NewTurn(
        role="assistant",
        content="\n\n".join(part for part in (_word_for_word(facts), written) if part),
        tool=SUMMARY_TOOL,
        provider=reply.model.provider if reply else None,
        model=reply.model.id if reply else None,
        usage=reply.usage if reply else None,
        meta={
            "upto": upto,
            "tokens": tokens,
            "facts": [[fact.seq, fact.who, whole(fact.text)] for fact in facts],
            "files": [whole(path) for path in paths_in((*span, *turns))],
        },
    )


def _word_for_word(facts: Sequence[Fact]) -> str:
    if not facts:
        return ""
    return "Said in these turns, word for word:\n" + "\n".join(fact.shown() for fact in facts)
