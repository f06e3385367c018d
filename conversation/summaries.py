"""Summaries: turns that stand for the older turns of a thread when those do not fit a window any more.

A summary is a turn like others, added to the thread once and never changed: its tool is SUMMARY_TOOL and its meta holds
`upto`, the number of the last turn it covers, `tokens`, the size it was made in, `facts`, the sentences it keeps word for
word, and `files`, the paths of those the turns showed. The turns it covers stay in the thread. A model with room for them is
sent them, one without is sent the summary and the turns after it. Summaries come in few sizes (`summary_tokens`), so that
models of like windows share one and none is cut.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Sequence

from conversation.facts import Fact
from conversation.threads import Turn

SUMMARY_TOOL = "condense"

_SHARE = 9
"""A summary has two parts of at most 1/9 of the window each: with its tags it stays below the quarter at which turns are cut."""
_LARGEST, _SMALLEST = 4_096, 32


def is_summary(turn: Turn) -> bool:
    """Tell whether a turn stands for earlier ones."""
    return turn.tool == SUMMARY_TOOL and turn.meta is not None and isinstance(turn.meta.get("upto"), int)


def covered(turn: Turn) -> int:
    """Return the number of the last turn a summary covers; 0 for any other turn."""
    return int((turn.meta or {})["upto"]) if is_summary(turn) else 0


def facts_of(turn: Turn) -> tuple[Fact, ...]:
    """Return what a summary keeps word for word."""
    rows = (turn.meta or {}).get("facts", ()) if is_summary(turn) else ()
    return tuple(Fact(int(seq), str(who), str(text)) for seq, who, text in rows)


def files_of(turn: Turn) -> tuple[str, ...]:
    """Return the paths of the files that the turns a summary covers showed."""
    paths = (turn.meta or {}).get("files", ()) if is_summary(turn) else ()
    return tuple(map(str, paths))


def paths_in(turns: Iterable[Turn]) -> list[str]:
    """Return the paths of the files of these turns, each once, and those that summaries among them name."""
    return [*dict.fromkeys(path for turn in turns for path in (*files_of(turn), *(item.path for item in turn.attachments)))]


def summary_tokens(window: int) -> int:
    """Return how many tokens each of the two parts of a summary may take for a window of so many tokens: a power of two."""
    share = max(_SMALLEST, min(_LARGEST, window // _SHARE))
    return 1 << (share.bit_length() - 1)


def _size(turn: Turn) -> int:
    return int((turn.meta or {}).get("tokens") or 0)


class Views:
    """The ways to show a thread's landed turns, the fullest first: as they are, then with each summary of the given size.

    Where turns are not there, the summary that stands for them is.
    """

    def __init__(self, turns: Iterable[Turn], tokens: int) -> None:
        self._said, summaries = _sorted(turns)
        first = self._said[0].seq if self._said else math.inf
        lead = max((one for one in summaries if covered(one) < first), key=covered, default=None)
        self._heads = [lead, *(one for one in summaries if _size(one) == tokens and one is not lead)]

    def __len__(self) -> int:
        return len(self._heads)

    def __getitem__(self, number: int) -> list[Turn]:
        head = self._heads[number]
        return self._said if head is None else _under(head, self._said)


def base(turns: Iterable[Turn], tokens: int) -> list[Turn]:
    """Return the view from which to make the next summary of that size: the shortest that keeps as much as it would, with notes."""
    said, summaries = _sorted(turns)
    rich = [one for one in summaries if _size(one) >= tokens and one.model is not None]
    return _under(max(rich, key=lambda one: (covered(one), _size(one))), said) if rich else said


def _sorted(turns: Iterable[Turn]) -> tuple[list[Turn], list[Turn]]:
    ordered = sorted((turn for turn in turns if turn.state == "done"), key=lambda turn: turn.seq)
    return [turn for turn in ordered if not is_summary(turn)], sorted(filter(is_summary, ordered), key=covered)


def _under(summary: Turn, said: Sequence[Turn]) -> list[Turn]:
    return [summary, *said[bisect.bisect_right(said, covered(summary), key=lambda turn: turn.seq) :]]


def older(view: Sequence[Turn], prices: Sequence[int], room: int, *, most: int, stored: int) -> list[Turn]:
    """Return the turns at the beginning of a view to condense, so that what stays takes `room` tokens, by the `prices` of the turns.

    Whole exchanges go, and none after the turn number `stored`, which is the last one in the store. The newest exchange stays
    while it takes no more than `most` tokens.
    """
    starts = [number for number, turn in enumerate(view) if turn.role == "user"]
    kept, taken, end = len(view), 0, len(view)
    for start in reversed(starts):
        taken += sum(prices[start:end])
        if taken > (most if start == starts[-1] else room):
            break
        kept = end = start
    return [turn for turn in view[:kept] if turn.seq <= stored or is_summary(turn)]
