"""The tools get_episodes, get_status, delete_episode, delete_entity_edge and clear_graph: the memory looked after."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from conversation.errors import InvalidInput
from conversation.messages import Frozen
from tools import memories
from tools.app import Call
from tools.memories import Done, EpisodesAnswer, GroupIds
from tools.registry import tool
from tools.results import Result


class QueueShown(Frozen):
    """How many episodes are in which state."""

    queued: int
    running: int
    done: int
    failed: int


class StatusAnswer(Result):
    """How the memory does; `owner` is the process that reads what is queued, null when none is needed."""

    queue: QueueShown
    backend: str
    embedding: str
    owner: int | None
    message: str
    group_id: str


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


@tool(title="Status of the memory", read_only=True, idempotent=True)
async def get_status(call: Call) -> StatusAnswer:
    """Tell how the memory does: what is still to be read, what failed, and how it searches."""
    memory = call.app.memory()
    status = await memory.status()
    queue = QueueShown.model_validate(status.queue.model_dump())
    return StatusAnswer(
        queue=queue,
        backend=status.backend,
        embedding=status.embedding,
        owner=status.owner,
        message=call.app.scrub(status.message),
        group_id=memory.group,
    )


@tool(title="Forget an episode", destructive=True, idempotent=True)
async def delete_episode(call: Call, uuid: str) -> Done:
    """Delete an episode from the memory, with the facts that only it tells."""
    await call.app.memory().delete_episode(uuid)
    return Done(message=f"Episode with UUID {uuid} deleted successfully")


@tool(title="Forget a fact", destructive=True, idempotent=True)
async def delete_entity_edge(call: Call, uuid: str) -> Done:
    """Delete one fact from the memory; the episode that told it stays."""
    await call.app.memory().delete_fact(uuid)
    return Done(message=f"Entity edge with UUID {uuid} deleted successfully")


@tool(title="Forget everything", destructive=True, idempotent=True)
async def clear_graph(
    call: Call,
    group_ids: GroupIds = [],  # noqa: B006
    confirm: Annotated[bool, Field(description="true, once the user has agreed: nothing can be brought back")] = False,
) -> Done:
    """Delete all that groups remember, episodes included. Ask the user first."""
    memory = call.app.memory()
    if not confirm:
        named = ", ".join(group_ids) or memory.group
        message = f"Nothing was deleted: confirm=true is needed to forget all of {named}."
        raise InvalidInput(message, hint="Ask the user, then call again with confirm=true. `parley memory export` makes a copy first.")
    groups = await memory.clear(group_ids)
    return Done(message=f"Graph data cleared successfully for group IDs: {', '.join(groups)}")
