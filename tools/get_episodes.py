"""The tool get_episodes: what was told to the memory, word for word."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tools import memories
from tools.app import Call
from tools.memories import EpisodesAnswer, GroupIds
from tools.registry import tool


@tool(title="What was remembered", read_only=True, idempotent=True)
async def get_episodes(
    call: Call,
    group_ids: GroupIds = [],  # noqa: B006 - pydantic copies it for each call
    max_episodes: Annotated[int, Field(ge=1, le=200)] = 10,
) -> EpisodesAnswer:
    """List what was told to the memory, newest first, word for word, with what is still to be read or could not be."""
    found = await call.app.memory().episodes(group_ids, max_episodes)
    shown = tuple(map(memories.episode_shown, found))
    room = call.app.limits.max_answer_tokens - 500
    count = memories.fitted(shown, room)
    if shown and not count:
        shown, count = (memories.cut(shown[0], room - 500), *shown[1:]), 1
    return EpisodesAnswer(episodes=shown[:count], warnings=memories.left_out("episodes", len(shown) - count))
