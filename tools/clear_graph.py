"""The tool clear_graph: all of a group forgotten."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from conversation.errors import InvalidInput
from tools.app import Call
from tools.memories import Done, GroupIds
from tools.registry import tool


@tool(title="Forget everything", destructive=True, idempotent=True)
async def clear_graph(
    call: Call,
    group_ids: GroupIds = [],  # noqa: B006 - pydantic copies it for each call
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
