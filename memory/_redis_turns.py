"""Turns as Redis keeps them: JSON, with the contents of files apart, since one stands in many turns."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from pydantic import Field
from pydantic_core import from_json

from conversation.messages import Frozen, Usage
from conversation.threads import Attachment, NewTurn, Started, Thread, Turn, TurnState

_UNSAID = {name: field.default for name, field in NewTurn.model_fields.items() if not field.is_required()}
_NAMES = frozenset(Turn.model_fields)
_STATES: Mapping[str, TurnState] = {"d": "done", "i": "interrupted"}


def written(turn: NewTurn, *, uid: str, exchange_id: str, at: str) -> str:
    """Return a turn without its number and its state, which its place and its letter say."""
    said = turn.model_dump(mode="json", exclude={"attachments", "seq", "state", "uid", "exchange_id", "at"}, exclude_defaults=True)
    files = [[item.path, item.kind, item.media_type, item.digest] for item in turn.attachments]
    kept = {**said, "role": turn.role, "uid": uid, "exchange_id": exchange_id, "at": at, **({"files": files} if files else {})}
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":"))


def file_name(kind: str, digest: str) -> str:
    """Return the name a file's content is kept under."""
    return f"{kind}:{digest}"


def contents(turns: Iterable[NewTurn]) -> dict[str, str]:
    """Return the files of turns by name, each once."""
    return {file_name(item.kind, item.digest): item.content for turn in turns for item in turn.attachments}


class Kept:
    """A turn as it was kept, parsed."""

    def __init__(self, fields: dict[str, Any], state: TurnState) -> None:
        self._state: TurnState = state
        self._files: Sequence[tuple[str, Literal["text", "image"], str, str]] = fields.pop("files", ())
        # A later version of Parley on another machine may write more of a turn.
        self._fields = fields if _NAMES.issuperset(fields) else {name: fields[name] for name in fields.keys() & _NAMES}

    @classmethod
    def said(cls, text: str, state: TurnState) -> Kept:
        """Return the turn of a text that is in no list yet."""
        return cls(from_json(text), state)

    @classmethod
    def landed(cls, row: str) -> Kept:
        """Return the turn of a row of the list, whose first letter is its state."""
        return cls.said(row[1:], _STATES[row[0]])

    @classmethod
    def all_landed(cls, rows: Sequence[str]) -> list[Kept]:
        """Return the turns of many rows, parsed in one go."""
        fields = from_json(f"[{','.join(row[1:] for row in rows)}]")
        return [cls(one, _STATES[row[0]]) for row, one in zip(rows, fields, strict=True)]

    @property
    def files(self) -> list[str]:
        """The names of its files."""
        return [file_name(kind, digest) for _, kind, _, digest in self._files]

    @property
    def content(self) -> str:
        """What it says."""
        return self._fields["content"]

    def turn(self, seq: int, found: Mapping[str, str]) -> Turn:
        """Return it with its number and the contents of its files."""
        fields: dict[str, Any] = {**_UNSAID, **self._fields, "seq": seq, "state": self._state}
        if self._files:
            there = (one for one in self._files if file_name(one[1], one[3]) in found)
            fields["attachments"] = tuple(_attachment(found, *one) for one in there)
        if fields["usage"] is not None:
            fields["usage"] = Usage(**{name: value for name, value in fields["usage"].items() if name in Usage.model_fields})
        return Turn.of_checked(fields)


def _attachment(found: Mapping[str, str], path: str, kind: Literal["text", "image"], media_type: str, digest: str) -> Attachment:
    return Attachment(path=path, kind=kind, media_type=media_type, content=found[file_name(kind, digest)], digest=digest)


def numbered(kept: Sequence[Kept], found: Mapping[str, str], first: int = 1) -> tuple[Turn, ...]:
    """Return turns with their numbers, from `first` on."""
    return tuple(one.turn(seq, found) for seq, one in enumerate(kept, first))


def row(turn: Turn, *, uid: str, at: str) -> str:
    """Return a turn of another thread, or of this one said elsewhere, as a row of the list; a pending one is interrupted."""
    return ("d" if turn.state == "done" else "i") + written(turn, uid=uid, exchange_id=turn.exchange_id, at=at)


class Said(Frozen):
    """A whole exchange on its way into Redis. `turns` are the caller's and the answers, as they are kept there; times are ISO 8601."""

    exchange_id: str
    thread_id: str
    title: str
    workspace: str
    begun: str
    completed: str
    turns: tuple[str, ...]
    files: dict[str, str] = Field(default_factory=dict)

    @classmethod
    def of(cls, started: Started, asked: NewTurn, answers: Sequence[NewTurn], *, begun: str, completed: str) -> Said:
        """Return the exchange that was begun so and has been answered."""
        own = started.exchange_id
        texts = [written(asked, uid=f"{own}:0", exchange_id=own, at=begun)]
        texts += [written(turn, uid=f"{own}:{number}", exchange_id=own, at=completed) for number, turn in enumerate(answers, 1)]
        thread = started.thread
        return cls(
            exchange_id=own,
            thread_id=thread.id,
            title=thread.title,
            workspace=thread.workspace,
            begun=begun,
            completed=completed,
            turns=tuple(texts),
            files=contents([asked, *answers]),
        )

    def as_turns(self, thread: Thread) -> tuple[Turn, ...]:
        """Return the turns as they will be in a thread that stood so, but for numbers that others may have taken by then."""
        first = 1 + max((turn.seq for turn in thread.turns if turn.state != "pending"), default=0)
        return numbered([Kept.said(text, "done") for text in self.turns], self.files, first)
