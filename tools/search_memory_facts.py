"""The tool search_memory_facts: facts that are remembered, and episodes that say more."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from tools import memories
from tools.app import Call
from tools.memories import CenterNode, FactsAnswer, GroupIds, IncludeSuperseded, Query
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
        warnings=(
            *memories.lexical(call.app.scrub(found.by_words)),
            *memories.noticed(found.notice),
            *memories.left_out("results", missing),
        ),
    )
