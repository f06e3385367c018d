"""Threads as episodes: what was said in a consultation, told to the memory."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence

from conversation.summaries import is_summary
from conversation.threads import Thread, Turn
from graph.episodes import MAX_NAME, NewEpisode, group_of

MOST = 12_000
"""Characters of one episode: a longer stretch of a thread is told in several, since models miss more in longer texts."""
_NAMESPACE = uuid.UUID("6d1c3a7e-9a54-4f0e-8f0f-0c6a2b1d5e42")


def episodes_of(thread: Thread, after: int = 0) -> list[NewEpisode]:
    """Return the turns after that number as episodes, in order. The same turns are the same episodes, whoever tells them."""
    turns = [turn for turn in thread.landed if turn.seq > after and turn.state == "done" and not is_summary(turn) and turn.content.strip()]
    return [_episode(thread, part) for part in _parts(turns)]


def _parts(turns: Sequence[Turn]) -> Iterator[list[Turn]]:
    """Yield the turns in stretches that one episode can hold."""
    part: list[Turn] = []
    for turn in turns:
        if part and sum(len(one.content) for one in part) + len(turn.content) > MOST:
            yield part
            part = []
        part.append(turn)
    if part:
        yield part


def _episode(thread: Thread, turns: Sequence[Turn]) -> NewEpisode:
    span = f"{turns[0].seq}-{turns[-1].seq}"
    return NewEpisode(
        name=f"{' '.join(thread.title.split())[: MAX_NAME - 60] or 'A thread'} (turns {span})",
        body="\n".join(f"{_speaker(turn)}: {_shortened(turn.content)}" for turn in turns),
        group_id=group_of(thread.workspace),
        uuid=str(uuid.uuid5(_NAMESPACE, f"{thread.id} {span}")),
        source="message",
        source_description=f"thread {thread.id}",
        at=turns[-1].at,
    )


def _speaker(turn: Turn) -> str:
    return "user" if turn.role == "user" else turn.model or "assistant"


def _shortened(text: str) -> str:
    """Return a text of one turn, its middle left out where it alone is too long for an episode."""
    return text if len(text) <= MOST else f"{text[: MOST // 2]}\n[...]\n{text[-MOST // 2 :]}"
