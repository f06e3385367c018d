"""Turns as Redis keeps them: JSON, with the contents of files apart, since one stands in many turns."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from conversation.messages import Usage
from conversation.threads import Attachment, NewTurn, Turn, TurnState

_STATES: Mapping[str, TurnState] = {"d": "done", "i": "interrupted"}


def written(turn: NewTurn, *, uid: str, exchange_id: str, at: str) -> str:
    """Return a turn without its number and its state, which its place and its letter say."""
    said = turn.model_dump(mode="json", exclude={"attachments", "seq", "state", "uid", "exchange_id", "at"}, exclude_defaults=True)
    files = [[item.path, item.kind, item.media_type, item.digest] for item in turn.attachments]
    kept = {**said, "role": turn.role, "uid": uid, "exchange": exchange_id, "at": at, **({"files": files} if files else {})}
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":"))


def file_name(kind: str, digest: str) -> str:
    """Return the name a file's content is kept under."""
    return f"{kind}:{digest}"


def contents(turns: Iterable[NewTurn]) -> dict[str, str]:
    """Return the files of turns by name, each once."""
    return {file_name(item.kind, item.digest): item.content for turn in turns for item in turn.attachments}


class Kept:
    """A turn as it was kept, parsed."""

    def __init__(self, text: str, state: TurnState) -> None:
        self.state: TurnState = state
        self._fields: dict[str, Any] = json.loads(text)

    @classmethod
    def landed(cls, row: str) -> Kept:
        """Return the turn of a row of the list, whose first letter is its state."""
        return cls(row[1:], _STATES[row[0]])

    @property
    def files(self) -> list[str]:
        """The names of its files."""
        return [file_name(kind, digest) for _, kind, _, digest in self._fields.get("files", ())]

    @property
    def content(self) -> str:
        """What it says."""
        return self._fields["content"]

    def turn(self, seq: int, found: Mapping[str, str]) -> Turn:
        """Return it with its number and the contents of its files."""
        fields = dict(self._fields)
        usage = fields.pop("usage", None)
        attachments = tuple(
            Attachment(path=path, kind=kind, media_type=media_type, content=found[file_name(kind, digest)], digest=digest)
            for path, kind, media_type, digest in fields.pop("files", ())
        )
        exchange_id = fields.pop("exchange")
        return Turn(
            **fields,
            usage=None if usage is None else Usage(**usage),
            attachments=attachments,
            exchange_id=exchange_id,
            seq=seq,
            state=self.state,
        )


def numbered(kept: Sequence[Kept], found: Mapping[str, str], first: int = 1) -> tuple[Turn, ...]:
    """Return turns with their numbers, from `first` on."""
    return tuple(one.turn(seq, found) for seq, one in enumerate(kept, first))
