"""The tool delete_entity_edge: one fact forgotten."""

from __future__ import annotations

from tools.app import Call
from tools.memories import Done
from tools.registry import tool


@tool(title="Forget a fact", destructive=True, idempotent=True)
async def delete_entity_edge(call: Call, uuid: str) -> Done:
    """Delete one fact from the memory; the episode that told it stays."""
    await call.app.memory().delete_fact(uuid)
    return Done(message=f"Entity edge with UUID {uuid} deleted successfully")
