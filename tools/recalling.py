"""What the memory holds on a question, as a fenced part of the request."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from conversation.errors import MemoryUnavailable, StoreError
from conversation.fences import MEMORY_NOTE, defuse, label, memory_tags
from conversation.json_text import whole
from conversation.messages import Frozen, Warned
from conversation.tokens import estimate_tokens
from tools.app import App
from tools.bounds import fitting
from tools.memories import lexical, noticed

if TYPE_CHECKING:
    from graph.episodes import Findings, FoundEpisode, FoundFact

_MOST = 12
"""Facts at most, and as many episodes."""
_LOOKED_AT = 4_000
"""Characters of a prompt that are searched for."""
_OF_AN_EPISODE = 250
"""Tokens shown of one."""


class Recalled(Frozen):
    """What was found, a line each; nothing when nothing was."""

    lines: tuple[str, ...] = ()
    warnings: tuple[Warned, ...] = ()

    def before(self, prompt: str) -> str:
        """Return the prompt with what was found before it."""
        if not self.lines:
            return prompt
        opening, closing = memory_tags()
        return f"{opening}{chr(10).join(self.lines)}{closing}\n\n{prompt}"

    def explained(self, system: str) -> str:
        """Return the system prompt, which says what is within the fence."""
        return f"{system}\n\n{MEMORY_NOTE}" if self.lines else system


NOTHING = Recalled()


async def recalled(app: App, prompt: str) -> Recalled:
    """Return the few facts and episodes that have most to do with a prompt. Raises MemoryUnavailable."""
    from graph.episodes import Wanted

    memory = app.memory()
    try:
        found = await memory.search(Wanted(query=prompt[:_LOOKED_AT], group_ids=(), limit=_MOST))
    except StoreError as error:
        raise MemoryUnavailable(f"{error.message} {error.hint}".rstrip(), retryable=error.retryable) from None
    lines = tuple(_within(found, app.limits.max_memory_tokens))
    return Recalled(lines=lines, warnings=(*lexical(app.scrub(found.by_words)), *noticed(found.notice)))


def _within(found: Findings, tokens: int) -> Iterator[str]:
    """Yield the best lines that fit into so many tokens: facts, and then episodes that say more."""
    for line in (*map(_fact, found.facts), *map(_episode, found.episodes)):
        tokens -= estimate_tokens(line)
        if tokens < 0:
            return
        yield line


def _fact(found: FoundFact) -> str:
    fact = found.fact
    since = f"since {fact.valid_at[:10]}" if fact.valid_at else ""
    ended = f"no longer true since {fact.invalid_at[:10]}" if fact.invalid_at else "no longer true"
    told = "; ".join(f'from "{label(whole(one.name))}", {one.created_at[:10]}' for one in found.told)
    about = "; ".join(part for part in (ended if found.superseded else "", since, told) if part)
    return f"- {_line(fact.fact)} [{about}]"


def _episode(found: FoundEpisode) -> str:
    episode = found.episode
    text = _line(episode.body)
    kept = fitting(text, _OF_AN_EPISODE)
    some = "some of it no longer true; " if found.superseded else ""
    return f'- {text[:kept]}{"" if kept >= len(text) else "..."} [{some}noted as "{label(whole(episode.name))}", {episode.created_at[:10]}]'


def _line(text: str) -> str:
    """Return a text on one line, without any tag of ours in it."""
    return defuse(" ".join(whole(text).split()))
