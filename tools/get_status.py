"""The tool get_status: how the memory does."""

from __future__ import annotations

from conversation.messages import Frozen
from tools.app import Call
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
