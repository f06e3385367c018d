"""Entries: the turns of a thread and the request itself, as parts with a price, each whole or cut to a limit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal

from conversation.fences import cut_middle, defuse, file_tags, label, numbered, summary_tags, turn_tags
from conversation.summaries import covered, is_summary
from conversation.threads import Attachment, Turn
from conversation.tokens import estimate_tokens, image_size, image_tokens

Role = Literal["user", "assistant"]

OVERHEAD = 4
"""Tokens a message or a join of two texts costs besides its words, counted high."""
MARKER_TOKENS = 24
"""Room for the marker that may open the request."""


@lru_cache(maxsize=1024)
def _tags_cost(tags: tuple[str, str]) -> int:
    return sum(map(estimate_tokens, tags))


@dataclass(frozen=True)
class Part:
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
        return _tags_cost(self.tags) + self.image_cost + OVERHEAD

    def price(self, limit: float) -> int:
        """Return the tokens it takes under a limit."""
        return self.cost if self.whole or self.cost <= limit else int(limit)

    def is_cut(self, limit: float) -> bool:
        return not self.whole and self.cost > limit

    def is_left_out(self, limit: float) -> bool:
        """Tell whether the limit leaves room for a mention only."""
        return self.is_cut(limit) and (self.image is not None or limit - self.frame < MARKER_TOKENS)

    def render(self, limit: float) -> list[str | dict[str, Any]]:
        """Return it as texts and image blocks, within the limit as far as that can be."""
        if self.is_left_out(limit):
            return [f"[{self.name}: left out, no room]"]
        body = cut_middle(self.body, int(limit) - self.frame) if self.is_cut(limit) else self.body
        text = f"{self.tags[0]}{body}{self.tags[1]}"
        return [text] if self.image is None else [text, self.image]


@dataclass(frozen=True)
class Entry:
    """A turn, or the request itself, as parts."""

    role: Role
    parts: tuple[Part, ...]

    def price(self, limit: float) -> int:
        return OVERHEAD + sum(part.price(limit) for part in self.parts)


class Entries:
    """The entries of turns, and last that of the request; each is made when it is looked at, since the oldest often are not."""

    def __init__(self, turns: Sequence[Turn], prompt: str, attachments: Sequence[Attachment], model: str, images: bool) -> None:
        self._turns, self._prompt, self._model, self._images = turns, prompt, model, images
        self._carried = [turn.attachments if turn.role == "user" else () for turn in turns]
        self._carried.append(tuple(attachments))
        self._newest = {item.path: (index, item) for index, items in enumerate(self._carried) for item in items}
        self._made: dict[int, Entry] = {}

    @property
    def pinned(self) -> bool:
        """Tell whether the first one stays when older ones are left out."""
        return bool(self._turns) and is_summary(self._turns[0])

    def newest(self, kept: int) -> list[Entry]:
        """Return so many entries, in order: a pinned one first of all, then the newest."""
        first = len(self) - max(kept - self.pinned, 0)
        return [*([self[0]] if self.pinned else []), *(self[index] for index in range(first, len(self)))]

    def __len__(self) -> int:
        return len(self._turns) + 1

    def __getitem__(self, index: int) -> Entry:
        if index not in self._made:
            self._made[index] = self._request() if index == len(self._turns) else self._turn(index)
        return self._made[index]

    def _turn(self, index: int) -> Entry:
        turn = self._turns[index]
        own = turn.role == "assistant" and f"{turn.provider}/{turn.model}" == self._model and not is_summary(turn) and not _stance(turn)
        return Entry("assistant" if own else "user", (*self._files(index), _words(turn, own)))

    def _request(self) -> Entry:
        prompt = Part("prompt", self._prompt if self._prompt.strip() else "(no text)", whole=True)
        return Entry("user", (*self._files(len(self._turns)), prompt))

    def _files(self, index: int) -> Iterator[Part]:
        for path in dict.fromkeys(item.path for item in self._carried[index]):
            where, latest = self._newest[path]
            if where == index:
                yield _file(latest, self._images)
            else:
                kind = "image" if latest.kind == "image" else "file"
                yield Part(path, f"[{kind} {label(path)}: see its newer version below]", whole=True)


def _words(turn: Turn, own: bool) -> Part:
    text = turn.content if turn.content.strip() else "(no text)"
    if own or turn.role == "user":
        return Part(f"turn {turn.seq}", text)
    if is_summary(turn):
        return Part(f"summary of turns 1 to {covered(turn)}", defuse(text), summary_tags(covered(turn)))
    author = f"{turn.provider}/{turn.model}" if turn.model else "parley"
    return Part(f"turn {turn.seq}", defuse(text), turn_tags(author, turn.tool, _stance(turn)))


def _stance(turn: Turn) -> str:
    """The side a model was asked to argue, which is not its own view; empty when it spoke for itself."""
    return str((turn.meta or {}).get("stance") or "")


def _file(item: Attachment, images: bool) -> Part:
    name = label(item.path)
    if item.kind == "text":
        return Part(f"file {name}", defuse(numbered(item.content)), file_tags(item.path))
    if not images:
        return Part(f"image {name}", f"[image {name} ({label(item.media_type)}): this model takes no images]", whole=True)
    source = {"type": "base64", "media_type": item.media_type, "data": item.content}
    cost = image_tokens(image_size(item.content))
    return Part(f"image {name}", f"[image {name}]", image={"type": "image", "source": source}, image_cost=cost)
