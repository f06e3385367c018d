"""The tool delete_episode: one episode forgotten."""

from __future__ import annotations

from tools.app import Call
from tools.memories import Done
from tools.registry import tool


@tool(title="Forget an episode", destructive=True, idempotent=True)
async def delete_episode(call: Call, uuid: str) -> Done:
    """Delete an episode from the memory, with the facts that only it tells."""
    await call.app.memory().delete_episode(uuid)
    return Done(message=f"Episode with UUID {uuid} deleted successfully")
