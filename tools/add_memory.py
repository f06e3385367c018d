"""The tool add_memory: an episode told to the memory."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tools.app import Call
from tools.memories import State
from tools.registry import tool
from tools.results import Result


class Added(Result):
    """The episode is kept for good; its facts are found in the background."""

    uuid: str
    state: State
    group_id: str


@tool(title="Remember", idempotent=True)
async def add_memory(
    call: Call,
    name: Annotated[str, Field(description="A short title")],
    episode_body: Annotated[str, Field(description="What to remember, as it is to be read later on its own")],
    group_id: Annotated[str | None, Field(description="Where to keep it (this workspace's group)")] = None,
    source: Annotated[Literal["text", "json", "message"], Field(description="message: lines of 'who: what'")] = "text",
    source_description: Annotated[str | None, Field(description="Where it is from")] = None,
    uuid: Annotated[str | None, Field(description="Your own id: told again with it, it is kept once")] = None,
) -> Added:
    """Remember something for later sessions and every instance: a decision and why, a fact, a preference, a lesson.

    Kept at once; a model then finds entities and facts in it, and what it contradicts is marked as superseded.
    """
    from graph.episodes import NewEpisode
    from graph.memory import new_uuid

    kept = await call.app.memory().add(
        NewEpisode(
            name=name,
            body=episode_body,
            group_id=group_id or "",
            uuid=uuid or new_uuid(),
            source=source,
            source_description=source_description or "",
        )
    )
    return Added(uuid=kept.uuid, state=kept.state, group_id=kept.group_id)
