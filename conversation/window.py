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
from typing import Any

from conversation.entries import MARKER_TOKENS, OVERHEAD, Entries, Role
from conversation.errors import ContextTooLong
from conversation.fences import DATA_NOTE, label
from conversation.messages import Frozen, Warned
from conversation.summaries import Views, covered, files_of, paths_in, summary_tokens
from conversation.threads import Attachment, Turn
from conversation.tokens import estimate_tokens, fair_limit


class Window(Frozen):
    """What to send: Messages API messages, beginning and ending with the user's.

    `system` is a note to add to the system prompt, or None; `tokens` estimates messages and note together; `left_out`
    counts the landed turns that did not fit; `summarized` is the number of the last turn a summary stands for, 0 without one.
    """

    messages: tuple[dict[str, Any], ...]
    system: str | None = None
    tokens: int = 0
    warnings: tuple[Warned, ...] = ()
    left_out: int = 0
    summarized: int = 0


def build_window(
    *, history: Sequence[Turn], prompt: str, attachments: Sequence[Attachment], model: str, budget_tokens: int, images: bool
) -> Window:
    """Return the request that carries `prompt` with its attachments after the landed turns of `history`.

    `model` is the exact name "provider/model" of the model that will read it; `images` says whether it takes images.
    Turns that are not done are passed over. Raises ContextTooLong when the prompt alone, or the prompt with the barest
    mention of its files, is over `budget_tokens`.
    """
    if estimate_tokens(prompt) + OVERHEAD > budget_tokens:
        raise _too_long("The prompt alone", model, budget_tokens)
    shown = Views(history, summary_tokens(budget_tokens))

    def entries_of(number: int) -> Entries:
        return Entries(shown[number], prompt, attachments, model, images)

    def fits(number: int) -> bool:
        entries = entries_of(number)
        return _kept(entries, budget_tokens) == len(entries)

    # Each view is shorter than the one before; the first that fits leaves the most in.
    number = min(bisect.bisect_left(range(len(shown) - 1), True, key=fits), len(shown) - 1)
    entries = entries_of(number)
    kept = _kept(entries, budget_tokens)
    limit = _limit(entries, kept, budget_tokens)
    while True:
        window = _assemble(entries, kept, limit)
        if window.tokens <= budget_tokens:
            break
        # Estimates of parts do not quite add up to the estimate of the whole; give way a little more.
        if kept > 1 + entries.pinned:
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
    view = shown[number]
    warnings = (*_condensed(view, history), *window.warnings, *refused)
    return window.model_copy(update={"warnings": warnings, "summarized": covered(view[0]) if view else 0})


@dataclass(frozen=True, slots=True)
class Priced:
    """What a request takes of a window, in tokens: each turn of a thread, and the room there is for all of them."""

    turns: list[int]
    room: int


def price(
    *, history: Sequence[Turn], prompt: str, attachments: Sequence[Attachment], model: str, budget_tokens: int, images: bool
) -> Priced:
    """Return what `build_window` reckons for these turns, all of them shown, and what prompt and attachments leave for them."""
    share = max(budget_tokens // 4, 1)
    *turns, request = (entry.price(share) for entry in Entries(history, prompt, attachments, model, images))
    return Priced(turns, _room(budget_tokens) - request)


def _room(budget: int) -> int:
    return budget - MARKER_TOKENS - estimate_tokens(DATA_NOTE)


def _condensed(view: Sequence[Turn], history: Sequence[Turn]) -> list[Warned]:
    upto = covered(view[0]) if view else 0
    if not upto:
        return []
    by = f" with notes by {view[0].provider}/{view[0].model}" if view[0].model else ""
    said = f"Turns 1 to {upto} were sent as a summary{by}: the thread is too long for the model's window. They stay in the thread in full."
    shown = {item.path for turn in view for item in turn.attachments}
    seen = (*files_of(view[0]), *paths_in(turn for turn in history if turn.seq <= upto))
    if gone := [*dict.fromkeys(label(path) for path in seen if path not in shown)]:
        said += f" Files that were shown in them were not sent again: {_listed(gone)}."
    return [Warned(code="condensed", message=said)]


def _too_long(what: str, model: str, budget: int) -> ContextTooLong:
    provider, _, name = model.partition("/")
    return ContextTooLong(f"{what} is over the {budget} tokens that {model} has room for.", provider=provider, model=name)


# --- what gives way ------------------------------------------------------------------------------------------------


def _kept(entries: Entries, budget: int) -> int:
    """Return how many entries to keep: the newest and a pinned one."""
    room = _room(budget)
    share = max(budget // 4, 1)
    kept, used = 0, 0
    pinned = [0] if entries.pinned else []
    for index in (*pinned, *range(len(entries) - 1, len(pinned) - 1, -1)):
        used += entries[index].price(share)
        if used > room and kept > len(pinned):
            break
        kept += 1
    return kept


def _limit(entries: Entries, kept: int, budget: int) -> float:
    """Return the limit for each part of the entries that are kept."""
    shown = entries.newest(kept)
    parts = [part for entry in shown for part in entry.parts]
    fixed = len(shown) * OVERHEAD + sum(part.cost for part in parts if part.whole)
    return fair_limit([part.cost for part in parts if not part.whole], _room(budget) - fixed)


# --- parts into messages -------------------------------------------------------------------------------------------


def _assemble(entries: Entries, kept: int, limit: float) -> Window:
    left_out = len(entries) - kept
    shown = entries.newest(kept)
    pieces: list[tuple[Role, list[str | dict[str, Any]]]] = [
        (entry.role, [item for part in entry.parts for item in part.render(limit)]) for entry in shown
    ]
    if left_out:
        pieces.insert(int(entries.pinned), ("user", [f"[{left_out} earlier turn{'s' if left_out > 1 else ''} left out]"]))
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
        tokens=_measure(messages) + pictures + (estimate_tokens(system) + OVERHEAD if system else 0),
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
    return sum(OVERHEAD + sum(estimate_tokens(block.get("text", "")) for block in message["content"]) for message in messages)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")


def _warnings(cut: Sequence[str], left_out: int) -> tuple[Warned, ...]:
    warnings: list[Warned] = []
    if cut:
        warnings.append(Warned(code="truncated", message=f"Cut to fit the model's window: {_listed(cut)}."))
    if left_out:
        said = f"{left_out} earlier {'turns were' if left_out > 1 else 'turn was'} left out: the thread is too long for the model's window."
        warnings.append(Warned(code="truncated", message=said))
    return tuple(warnings)
