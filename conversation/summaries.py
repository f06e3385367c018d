"""Summaries: turns that stand for the older turns of a thread when those do not fit a window any more.

A summary is a turn like others, added to the thread once and never changed: its tool is SUMMARY_TOOL and its meta holds
`upto`, the number of the last turn it covers, and `facts`, the sentences it keeps word for word. The turns it covers stay in
the thread. A model with room for them is sent them, one without is sent the summary and the turns after it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from conversation.threads import Turn
from conversation.tokens import estimate_tokens

SUMMARY_TOOL = "condense"

_SENTENCE = re.compile(r"[^.!?\n]+(?:[.!?](?!\s|$)[^.!?\n]*)*[.!?]?")
_SPECIFIC = re.compile(r"`[^`]+`|\"[^\"]+\"|\b[A-Z]{2,}[A-Z0-9_-]*\b|\b\w*[a-z][A-Z]\w*\b|\b\w+_\w+\b|\b[\w.-]*\d[\w.,:/-]*")
_CUE = re.compile(r"\b(?:remember|must|never|always|decide|agree|call|name|chose|prefer|deadline|because|is|are|was|use)", re.I)
_LONGEST_FACT = 400


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


def views(turns: Iterable[Turn]) -> list[list[Turn]]:
    """Return the ways to show a thread's landed turns, the fullest first: without a summary, then with each one, oldest first."""
    ordered = sorted((turn for turn in turns if turn.state == "done"), key=lambda turn: turn.seq)
    summaries = sorted(filter(is_summary, ordered), key=covered)
    said = [turn for turn in ordered if not is_summary(turn)]
    return [said, *([one, *(turn for turn in said if turn.seq > covered(one))] for one in summaries)]


def older(view: Sequence[Turn], room: int, *, stored: int) -> list[Turn]:
    """Return the turns at the beginning of a view to condense, so that what stays takes about `room` tokens at most.

    Whole exchanges go, and none after the turn number `stored`, which is the last one in the store.
    """
    kept = len(view)
    while kept and room >= 0:
        kept -= 1
        room -= estimate_tokens(view[kept].content) + sum(min(1000, estimate_tokens(item.content)) for item in view[kept].attachments)
    kept += room < 0
    while 0 < kept < len(view) and view[kept].role != "user":
        kept += 1
    return [turn for turn in view[:kept] if turn.seq <= stored or is_summary(turn)]


# --- what is kept word for word ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Fact:
    """One sentence of a turn: the turn's number, who said it, the words."""

    seq: int
    who: str
    text: str

    def shown(self) -> str:
        return f"- turn {self.seq}, {self.who}: {self.text}"


def extract(turns: Sequence[Turn], summary: str, tokens: int) -> tuple[Fact, ...]:
    """Return the sentences that say the most, within `tokens`, in order: what the summary has already is left out.

    A sentence counts by what is specific in it (names, figures, code), by who said it and how; one whose like stands in many
    turns counts less. Of two that count the same, the earlier one is taken.
    """
    found = list(dict.fromkeys(fact for turn in turns for fact in (facts_of(turn) or _sentences(turn))))
    alike = Counter(_pattern(fact.text) for fact in found)
    missing = [fact for fact in found if not _said_in(fact.text, summary)]
    ranked = sorted(missing, key=lambda fact: (-_weight(fact) + min(4, alike[_pattern(fact.text)] - 1), fact.seq))
    chosen: set[Fact] = set()
    for fact in ranked:
        tokens -= estimate_tokens(fact.shown()) + 1
        if tokens < 0:
            break
        chosen.add(fact)
    return tuple(fact for fact in found if fact in chosen)


def _sentences(turn: Turn) -> list[Fact]:
    who = "the caller" if turn.role == "user" else f"{turn.provider}/{turn.model}" if turn.model else "parley"
    texts = (" ".join(match[0].split()) for match in _SENTENCE.finditer(turn.content))
    files = [f"the file {item.path} was shown here" for item in turn.attachments]
    return [Fact(turn.seq, who, text[:_LONGEST_FACT]) for text in (*files, *texts) if len(text) > 3]


def _pattern(text: str) -> str:
    return re.sub(r"\d+", "#", text)


def _said_in(text: str, summary: str) -> bool:
    specifics = _SPECIFIC.findall(text)
    return text in summary or bool(specifics and all(one in summary for one in specifics))


def _weight(fact: Fact) -> int:
    specific = min(3, len(_SPECIFIC.findall(fact.text)))
    asks = fact.text.endswith("?")
    return 2 * specific + bool(_CUE.search(fact.text)) + 2 * (fact.who == "the caller") - 3 * asks
