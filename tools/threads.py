"""The tool threads: past conversations listed, searched, shown and deleted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from conversation.errors import InvalidInput
from conversation.json_text import whole
from conversation.messages import Frozen, Usage, Warned
from conversation.threads import FoundInSome, Thread, ThreadSummary, Turn, TurnState, parse_thread_id
from tools.app import App, Call
from tools.bounds import fitting, json_tokens
from tools.registry import tool
from tools.results import OmitEmpty, OmitNone, Result


class ListedThread(Frozen):
    """One thread; `snippet` is where a search found its words."""

    continuation_id: str
    title: str
    turns: int
    updated: str
    workspace: str
    snippet: Annotated[str | None, OmitEmpty] = None


class ShownTurn(Frozen):
    """One turn; `seq` is its number for `turn` and for branch_from."""

    seq: int
    role: Literal["user", "assistant"]
    tool: str
    provider: str | None
    model: str | None
    content: str
    state: TurnState
    at: str
    usage: Usage | None


class ThreadsAnswer(Result):
    """`threads` for list and search, `turns` for show, `deleted` for delete."""

    threads: Annotated[tuple[ListedThread, ...] | None, OmitNone] = None
    continuation_id: Annotated[str | None, OmitEmpty] = None
    title: Annotated[str | None, OmitEmpty] = None
    turns: Annotated[tuple[ShownTurn, ...] | None, OmitNone] = None
    deleted: Annotated[str | None, OmitEmpty] = None
    warnings: Annotated[tuple[Warned, ...], OmitEmpty] = ()


@tool(title="Past threads", destructive=True, idempotent=True)
async def threads(
    call: Call,
    action: Literal["list", "show", "search", "delete"],
    continuation_id: Annotated[str | None, Field(description="For show and delete")] = None,
    query: Annotated[str | None, Field(description="For search: words that must all occur")] = None,
    limit: Annotated[int, Field(ge=1, le=200, description="Most threads, or newest turns")] = 20,
    other_workspaces: Annotated[bool, Field(description="Also threads of other folders")] = False,
    turn: Annotated[int | None, Field(ge=1, description="For show: only this turn")] = None,
    offset: Annotated[int, Field(ge=0, description="For show: from this character of it")] = 0,
) -> ThreadsAnswer:
    """Past threads: list them, search them, show one's turns (newest that fit), or delete one."""
    app = call.app
    workspace = None if other_workspaces else app.workspace
    if action == "list":
        return _listing(app, await app.store.list(workspace=workspace, limit=limit))
    if action == "search":
        if query is None or not query.strip():
            raise InvalidInput("query is required for action=search.")
        found = await app.store.search(query, workspace=workspace, limit=limit)
        answer = _listing(app, found)
        if isinstance(found, FoundInSome):
            answer = answer.model_copy(update={"warnings": (*answer.warnings, Warned(code="truncated", message=found.note))})
        return answer
    if continuation_id is None:
        raise InvalidInput(f"continuation_id is required for action={action}.")
    thread = await app.store.load(parse_thread_id(continuation_id))
    if action == "delete":
        return await _delete(app, thread, other_workspaces)
    if offset and turn is None:
        raise InvalidInput("offset needs turn, the turn to show from there.")
    return _show(app, thread, _wanted(thread, limit, turn), offset)


def _listing(app: App, found: Sequence[ThreadSummary]) -> ThreadsAnswer:
    """Return as many threads as fit."""
    rows: list[ListedThread] = []
    room = app.limits.max_answer_tokens - 200
    for one in found:
        snippet = None if one.snippet is None else whole(one.snippet)
        row = ListedThread(
            continuation_id=one.id, title=whole(one.title), turns=one.turns, updated=one.updated, workspace=one.workspace, snippet=snippet
        )
        room -= json_tokens(row.model_dump(mode="json"))
        if room < 0:
            message = f"{len(found) - len(rows)} more threads are not shown; search for words in them."
            return ThreadsAnswer(threads=tuple(rows), warnings=(Warned(code="truncated", message=message),))
        rows.append(row)
    return ThreadsAnswer(threads=tuple(rows))


async def _delete(app: App, thread: Thread, other_workspaces: bool) -> ThreadsAnswer:
    if thread.workspace != app.workspace and not other_workspaces:
        raise InvalidInput("The thread belongs to another workspace.", hint="Pass other_workspaces=true to delete it all the same.")
    await app.store.delete(thread.id)
    return ThreadsAnswer(deleted=thread.id)


def _wanted(thread: Thread, limit: int, turn: int | None) -> Sequence[Turn]:
    if turn is None:
        return thread.turns[-limit:]
    found = [one for one in thread.turns if one.seq == turn]
    if not found:
        raise InvalidInput(f"turn: the thread has no turn {turn}.", hint=f"It has turns 1 to {len(thread.turns)}.")
    return found


def _show(app: App, thread: Thread, wanted: Sequence[Turn], offset: int) -> ThreadsAnswer:
    """Return the newest of the wanted turns that fit, oldest first; when not even one fits, it is cut."""
    warnings: list[Warned] = []
    rows: list[ShownTurn] = []
    room = app.limits.max_answer_tokens - 500
    for one in reversed(wanted):
        row = _shown(one, offset)
        room -= json_tokens(row.model_dump(mode="json"))
        if room < 0 and rows:
            break
        if room < 0:
            row, warning = _cut(row, app.limits.max_answer_tokens - 1000, offset)
            warnings.append(warning)
        rows.insert(0, row)
    left_out = wanted[: len(wanted) - len(rows)]
    if left_out:
        message = f"Turns {left_out[0].seq} to {left_out[-1].seq} did not fit; name one of them with turn."
        warnings.append(Warned(code="truncated", message=message))
    return ThreadsAnswer(continuation_id=thread.id, title=whole(thread.title), turns=tuple(rows), warnings=tuple(warnings))


def _shown(turn: Turn, offset: int) -> ShownTurn:
    return ShownTurn(
        seq=turn.seq,
        role=turn.role,
        tool=turn.tool,
        provider=turn.provider,
        model=turn.model,
        content=whole(turn.content)[offset:],
        state=turn.state,
        at=turn.at,
        usage=turn.usage,
    )


def _cut(row: ShownTurn, tokens: int, offset: int) -> tuple[ShownTurn, Warned]:
    kept = fitting(row.content, tokens)
    left = len(row.content) - kept
    message = f"Turn {row.seq} has {left:,} more characters; show it with turn={row.seq}, offset={offset + kept}."
    return row.model_copy(update={"content": row.content[:kept]}), Warned(code="truncated", message=message)
