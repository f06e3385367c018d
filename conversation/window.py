"""The window: which turns and files of a thread go to a model, and in what shape.

`build_window` is where a thread becomes one request. It decides three things:

- Whose voice each turn speaks in. The target model's own answers are assistant messages; the caller's turns are user
  messages; every other model's words are quoted inside a user message, in a fence that names their author.
- Where a file stands. Each file goes in once, in its newest version, at the turn that brought that version.
- What gives way when it is too much. If the thread does not fit as it is, the summary that leaves the most turns in stands for
  those it covers (conversation.summaries). No single turn or file may take more than a quarter of the budget while something
  else needs the room: what is larger is cut in the middle. Then the oldest turns are left out. The prompt is never cut.
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from conversation.errors import ContextTooLong
from conversation.fences import DATA_NOTE, cut_middle, defuse, file_tags, label, numbered, summary_tags, turn_tags
from conversation.messages import Frozen, Warned
from conversation.summaries import covered, is_summary, views
from conversation.threads import Attachment, Turn
from conversation.tokens import estimate_tokens, fair_limit, image_size, image_tokens

__all__ = ["Window", "build_window", "estimate_tokens", "image_tokens"]

Role = Literal["user", "assistant"]

_OVERHEAD = 4
"""Tokens a message or a join of two texts costs besides its words, counted high."""
_MARKER_TOKENS = 24
"""Room for the marker that may open the request."""


class Window(Frozen):
    """What to send: Messages API messages, beginning and ending with the user's.

    `system` is a note to add to the system prompt, or None; `tokens` estimates messages and note together; `left_out`
    counts the landed turns that did not fit.
    """

    messages: tuple[dict[str, Any], ...]
    system: str | None = None
    tokens: int = 0
    warnings: tuple[Warned, ...] = ()
    left_out: int = 0


@dataclass(frozen=True)
class _Part:
    """A piece of a turn that is sent whole, or cut to a limit. `name` is how a warning calls it."""

    name: str
    body: str
    tags: tuple[str, str] = ("", "")
    image: dict[str, Any] | None = None
    image_cost: int = 0
    whole: bool = False
    """Never cut: the prompt, and notes of a line."""

    @cached_property
    def cost(self) -> int:
        return estimate_tokens(self.body) + self.frame

    @cached_property
    def frame(self) -> int:
        return estimate_tokens(self.tags[0]) + estimate_tokens(self.tags[1]) + self.image_cost + _OVERHEAD

    def price(self, limit: float) -> int:
        """Return the tokens it takes under a limit."""
        return self.cost if self.whole or self.cost <= limit else int(limit)

    def is_cut(self, limit: float) -> bool:
        return not self.whole and self.cost > limit

    def is_left_out(self, limit: float) -> bool:
        """Tell whether the limit leaves room for a mention only."""
        return self.is_cut(limit) and (self.image is not None or limit - self.frame < _MARKER_TOKENS)

    def render(self, limit: float) -> list[str | dict[str, Any]]:
        """Return it as texts and image blocks, within the limit as far as that can be."""
        if self.is_left_out(limit):
            return [f"[{self.name}: left out, no room]"]
        body = cut_middle(self.body, int(limit) - self.frame) if self.is_cut(limit) else self.body
        text = f"{self.tags[0]}{body}{self.tags[1]}"
        return [text] if self.image is None else [text, self.image]


@dataclass(frozen=True)
class _Entry:
    """A turn, or the request itself, as parts."""

    role: Role
    parts: tuple[_Part, ...]
    pinned: bool = False
    """Stays when older entries are left out: a summary, which stands first."""

    def price(self, limit: float) -> int:
        return _OVERHEAD + sum(part.price(limit) for part in self.parts)


def build_window(
    *, history: Sequence[Turn], prompt: str, attachments: Sequence[Attachment], model: str, budget_tokens: int, images: bool
) -> Window:
    """Return the request that carries `prompt` with its attachments after the landed turns of `history`.

    `model` is the exact name "provider/model" of the model that will read it; `images` says whether it takes images.
    Turns that are not done are passed over. Raises ContextTooLong when the prompt alone, or the prompt with the barest
    mention of its files, is over `budget_tokens`.
    """
    if estimate_tokens(prompt) + _OVERHEAD > budget_tokens:
        raise _too_long("The prompt alone", model, budget_tokens)
    shown = views(history)

    def fitted(number: int) -> tuple[list[_Entry], int, float]:
        entries = _entries(shown[number], prompt, attachments, model, images)
        return entries, *_fit(entries, budget_tokens)

    def fits(number: int) -> bool:
        entries, kept, _ = fitted(number)
        return kept == len(entries)

    # Each view is shorter than the one before; the first that fits leaves the most in.
    number = min(bisect.bisect_left(range(len(shown) - 1), True, key=fits), len(shown) - 1)
    entries, kept, limit = fitted(number)
    while True:
        window = _assemble(entries, kept, limit)
        if window.tokens <= budget_tokens:
            break
        # Estimates of parts do not quite add up to the estimate of the whole; give way a little more.
        if kept > 1 + entries[0].pinned:
            kept -= 1
        elif limit >= 1:
            limit = min(limit, float(budget_tokens)) // 2
        else:
            raise _too_long("The prompt with its files", model, budget_tokens)
    refused = [
        Warned(code="file_refused", message=f"{label(item.path)}: {model} takes no images.")
        for item in attachments
        if item.kind == "image" and not images
    ]
    condensed = _condensed(shown[number])
    return window.model_copy(update={"warnings": (*condensed, *window.warnings, *refused)})


def _condensed(view: Sequence[Turn]) -> list[Warned]:
    upto = covered(view[0]) if view else 0
    said = f"Turns 1 to {upto} were sent as a summary: the thread is too long for the model's window. They stay in the thread in full."
    return [Warned(code="condensed", message=said)] if upto else []


def _too_long(what: str, model: str, budget: int) -> ContextTooLong:
    provider, _, name = model.partition("/")
    return ContextTooLong(f"{what} is over the {budget} tokens that {model} has room for.", provider=provider, model=name)


# --- turns into parts ----------------------------------------------------------------------------------------------


def _entries(turns: Sequence[Turn], prompt: str, attachments: Sequence[Attachment], model: str, images: bool) -> list[_Entry]:
    carried = [turn.attachments if turn.role == "user" else () for turn in turns]
    carried.append(tuple(attachments))
    newest = {item.path: (index, item) for index, items in enumerate(carried) for item in items}
    entries: list[_Entry] = []
    for index, turn in enumerate(turns):
        files = _files(carried[index], index, newest, images)
        own = turn.role == "assistant" and f"{turn.provider}/{turn.model}" == model and not is_summary(turn) and not _stance(turn)
        entries.append(_Entry("assistant" if own else "user", (*files, _words(turn, own)), pinned=is_summary(turn)))
    files = _files(carried[-1], len(turns), newest, images)
    entries.append(_Entry("user", (*files, _Part("prompt", prompt if prompt.strip() else "(no text)", whole=True))))
    return entries


def _words(turn: Turn, own: bool) -> _Part:
    text = turn.content if turn.content.strip() else "(no text)"
    if own or turn.role == "user":
        return _Part(f"turn {turn.seq}", text)
    if is_summary(turn):
        return _Part(f"summary of turns 1 to {covered(turn)}", defuse(text), summary_tags(covered(turn)))
    author = f"{turn.provider}/{turn.model}" if turn.model else "parley"
    return _Part(f"turn {turn.seq}", defuse(text), turn_tags(author, turn.tool, _stance(turn)))


def _stance(turn: Turn) -> str:
    """The side a model was asked to argue, which is not its own view; empty when it spoke for itself."""
    return str((turn.meta or {}).get("stance") or "")


def _files(items: Iterable[Attachment], index: int, newest: dict[str, tuple[int, Attachment]], images: bool) -> list[_Part]:
    parts: list[_Part] = []
    for path in dict.fromkeys(item.path for item in items):
        where, latest = newest[path]
        if where == index:
            parts.append(_file(latest, images))
        else:
            kind = "image" if latest.kind == "image" else "file"
            parts.append(_Part(path, f"[{kind} {label(path)}: see its newer version below]", whole=True))
    return parts


def _file(item: Attachment, images: bool) -> _Part:
    name = label(item.path)
    if item.kind == "text":
        return _Part(f"file {name}", defuse(numbered(item.content)), file_tags(item.path))
    if not images:
        return _Part(f"image {name}", f"[image {name} ({label(item.media_type)}): this model takes no images]", whole=True)
    source = {"type": "base64", "media_type": item.media_type, "data": item.content}
    cost = image_tokens(image_size(item.content))
    return _Part(f"image {name}", f"[image {name}]", image={"type": "image", "source": source}, image_cost=cost)


# --- what gives way ------------------------------------------------------------------------------------------------


def _fit(entries: Sequence[_Entry], budget: int) -> tuple[int, float]:
    """Return how many entries to keep, the newest and a pinned one, and the limit for each of their parts."""
    room = budget - _MARKER_TOKENS - estimate_tokens(DATA_NOTE)
    share = max(budget // 4, 1)
    pinned = int(entries[0].pinned)
    kept, used = 0, 0
    for entry in (*entries[:pinned], *reversed(entries[pinned:])):
        used += entry.price(share)
        if used > room and kept > pinned:
            break
        kept += 1
    shown = _newest(entries, kept)
    parts = [part for entry in shown for part in entry.parts]
    fixed = len(shown) * _OVERHEAD + sum(part.cost for part in parts if part.whole)
    return kept, fair_limit([part.cost for part in parts if not part.whole], room - fixed)


def _newest(entries: Sequence[_Entry], kept: int) -> list[_Entry]:
    """Return so many entries, in order: a pinned one first of all, then the newest."""
    pinned = int(entries[0].pinned)
    return [*entries[:pinned], *entries[len(entries) - max(kept - pinned, 0) :]]


# --- parts into messages -------------------------------------------------------------------------------------------


def _assemble(entries: Sequence[_Entry], kept: int, limit: float) -> Window:
    left_out = len(entries) - kept
    shown = _newest(entries, kept)
    pieces: list[tuple[Role, list[str | dict[str, Any]]]] = [
        (entry.role, [item for part in entry.parts for item in part.render(limit)]) for entry in shown
    ]
    if left_out:
        pieces.insert(int(entries[0].pinned), ("user", [f"[{left_out} earlier turn{'s' if left_out > 1 else ''} left out]"]))
    elif shown[0].role == "assistant":
        pieces.insert(0, ("user", ["[The conversation begins with your words.]"]))
    messages = tuple(
        {"role": role, "content": _blocks(item for _, items in group for item in items)}
        for role, group in itertools.groupby(pieces, key=lambda piece: piece[0])
    )
    parts = [part for entry in shown for part in entry.parts]
    system = DATA_NOTE if any(part.tags[0] and not part.is_left_out(limit) for part in parts) else None
    pictures = sum(part.image_cost for part in parts if not part.is_left_out(limit))
    return Window(
        messages=messages,
        system=system,
        tokens=_measure(messages) + pictures + (estimate_tokens(system) + _OVERHEAD if system else 0),
        warnings=_warnings([part.name for part in parts if part.is_cut(limit)], left_out),
        left_out=left_out,
    )


def _blocks(items: Iterable[str | dict[str, Any]]) -> list[dict[str, Any]]:
    """Return content blocks; neighbouring texts become one, since some upstreams join text blocks without a space."""
    blocks: list[dict[str, Any]] = []
    for is_text, group in itertools.groupby(items, key=lambda item: isinstance(item, str)):
        if is_text:
            blocks.append({"type": "text", "text": "\n\n".join(str(item) for item in group)})
        else:
            blocks.extend(item for item in group if isinstance(item, dict))
    return blocks


def _measure(messages: Iterable[dict[str, Any]]) -> int:
    return sum(_OVERHEAD + sum(estimate_tokens(block.get("text", "")) for block in message["content"]) for message in messages)


def _warnings(cut: Sequence[str], left_out: int) -> tuple[Warned, ...]:
    warnings: list[Warned] = []
    if cut:
        named = ", ".join(cut[:10]) + (f" and {len(cut) - 10} more" if len(cut) > 10 else "")
        warnings.append(Warned(code="truncated", message=f"Cut to fit the model's window: {named}."))
    if left_out:
        said = f"{left_out} earlier {'turns were' if left_out > 1 else 'turn was'} left out: the thread is too long for the model's window."
        warnings.append(Warned(code="truncated", message=said))
    return tuple(warnings)
