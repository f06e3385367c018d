"""The tool search_nodes: entities that are remembered."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tools import memories
from tools.app import Call
from tools.memories import CenterNode, GroupIds, NodesAnswer, Query
from tools.registry import tool


@tool(title="Search entities that are remembered", read_only=True, idempotent=True)
async def search_nodes(
    call: Call,
    query: Query,
    group_ids: GroupIds = [],  # noqa: B006 - pydantic copies it for each call
    max_nodes: Annotated[int, Field(ge=1, le=100)] = 10,
    center_node_uuid: CenterNode = None,
    include_superseded: Annotated[bool, Field(description="Do not put those last of which nothing is true any more")] = False,
) -> NodesAnswer:
    """Search the memory for entities (people, services, tools, ...), each with a summary of what is known of it."""
    from graph.episodes import Wanted

    memory = call.app.memory()
    wanted = Wanted(
        query=query, group_ids=tuple(group_ids), limit=max_nodes, include_superseded=include_superseded, center=center_node_uuid
    )
    found = await memory.nodes(wanted)
    nodes = tuple(map(memories.node_shown, found))
    count = memories.fitted(nodes, call.app.limits.max_answer_tokens - 500)
    warnings = (*memories.lexical(memory.nodes_by_words), *memories.left_out("nodes", len(nodes) - count))
    return NodesAnswer(nodes=nodes[:count], warnings=warnings)
