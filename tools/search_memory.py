"""The tools search_memory_facts, search_nodes and get_entity_edge: what is remembered, found."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tools import memories
from tools.app import Call
from tools.memories import CenterNode, FactsAnswer, FactShown, GroupIds, IncludeSuperseded, NodesAnswer, Query
from tools.registry import tool


@tool(title="Search what is remembered", read_only=True, idempotent=True)
async def search_memory_facts(
    call: Call,
    query: Query,
    group_ids: GroupIds = [],  # noqa: B006 - pydantic copies it for each call
    max_facts: Annotated[int, Field(ge=1, le=100)] = 10,
    center_node_uuid: CenterNode = None,
    include_superseded: IncludeSuperseded = False,
) -> FactsAnswer:
    """Search the memory for facts: decisions, preferences, how things are here. Each with when it holds and where it is from."""
    from graph.episodes import Wanted

    memory = call.app.memory()
    wanted = Wanted(
        query=query, group_ids=tuple(group_ids), limit=max_facts, include_superseded=include_superseded, center=center_node_uuid
    )
    found = await memory.search(wanted)
    facts = tuple(map(memories.fact_shown, found.facts))
    episodes = tuple(map(memories.passage_shown, found.episodes))
    room = call.app.limits.max_answer_tokens - 500
    count = memories.fitted([*facts, *episodes], room)
    missing = len(facts) + len(episodes) - count
    return FactsAnswer(
        facts=facts[:count],
        episodes=episodes[: max(0, count - len(facts))],
        warnings=(*memories.lexical(memory.config.embedding), *memories.noticed(found.notice), *memories.left_out("results", missing)),
    )


@tool(title="Search entities that are remembered", read_only=True, idempotent=True)
async def search_nodes(
    call: Call,
    query: Query,
    group_ids: GroupIds = [],  # noqa: B006
    max_nodes: Annotated[int, Field(ge=1, le=100)] = 10,
    center_node_uuid: CenterNode = None,
) -> NodesAnswer:
    """Search the memory for entities (people, services, tools, ...), each with a summary of what is known of it."""
    from graph.episodes import Wanted

    memory = call.app.memory()
    found = await memory.nodes(Wanted(query=query, group_ids=tuple(group_ids), limit=max_nodes, center=center_node_uuid))
    nodes = tuple(map(memories.node_shown, found))
    count = memories.fitted(nodes, call.app.limits.max_answer_tokens - 500)
    warnings = (*memories.lexical(memory.config.embedding), *memories.left_out("nodes", len(nodes) - count))
    return NodesAnswer(nodes=nodes[:count], warnings=warnings)


@tool(title="One fact that is remembered", read_only=True, idempotent=True)
async def get_entity_edge(call: Call, uuid: str) -> FactShown:
    """Show one fact of the memory by its uuid."""
    return memories.fact_shown(await call.app.memory().fact(uuid), alone=True)
