"""The tool get_entity_edge: one fact that is remembered."""

from __future__ import annotations

from tools import memories
from tools.app import Call
from tools.memories import FactShown
from tools.registry import tool


@tool(title="One fact that is remembered", read_only=True, idempotent=True)
async def get_entity_edge(call: Call, uuid: str) -> FactShown:
    """Show one fact of the memory by its uuid."""
    return memories.fact_shown(await call.app.memory().fact(uuid), alone=True)
