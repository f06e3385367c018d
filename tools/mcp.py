"""The tools as an MCP server. The one place that shapes MCP results and errors."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Sequence
from typing import Any

from mcp import MCPError
from mcp.server import Server, ServerRequestContext
from mcp.types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    GetPromptRequestParams,
    GetPromptResult,
    ListPromptsResult,
    ListToolsResult,
    PaginatedRequestParams,
    Prompt,
    PromptArgument,
    PromptMessage,
    TextContent,
    ToolAnnotations,
)
from mcp.types import Tool as ListedTool

from conversation.errors import InternalError, InvalidInput, ParleyError
from conversation.scrub import where
from providers.names import near
from tools import TOOLS
from tools.app import App, Call
from tools.consultation import consultation
from tools.progress import Send, Watch, reporting
from tools.registry import Tool, select
from tools.roles import Role

log = logging.getLogger(__name__)

INSTRUCTIONS = """\
Parley asks other models (Claude on Vertex, Gemini, GPT, OpenRouter's) for you. Use it for a second opinion, a review, a plan \
to be challenged, or work another model is better at.
- chat asks one model; fallback asks several in order until one answers. listmodels has the names.
- consensus asks several at once and says what they agree and disagree on: for decisions. codereview has code reviewed, by paths, \
diff or git_range, each finding at its line.
- Every answer has a continuation_id. Pass it to go on in the same thread, with any tool and any model: each sees who said what.
- Models see only what you send: name files in `files` and they are sent whole. Nothing else of the workspace is visible to them.
- Errors have a code, a hint on what to do next, and retryable. Read warnings: a refused file or an unsaved answer is told there.
- role has it answered as a specialist: planner, thinkdeep, debug, precommit, secaudit, refactor, testgen, docgen, analyze, challenge, \
tracer or apilookup, or one of the user's own.
- threads lists, shows and searches past threads, and shows the rest of an answer that was cut.
- add_memory keeps what is worth knowing in later sessions, for every instance here: decisions and why, facts, preferences. Search with \
search_memory_facts before asking again what may have been settled. What is no longer true is left out, or marked superseded.\
"""


def build_server(app: App, enabled: Sequence[str] | None = None) -> Server[Any]:
    """Return the server over the enabled tools (all by default). It opens nothing and binds nothing."""
    tools = select(TOOLS, enabled)

    async def list_tools(ctx: ServerRequestContext[Any], params: PaginatedRequestParams | None) -> ListToolsResult:
        return ListToolsResult(tools=[_listed(one) for one in tools.values()])

    async def call_tool(ctx: ServerRequestContext[Any], params: CallToolRequestParams) -> CallToolResult:
        return await _call(app, tools, ctx, params)

    async def list_prompts(ctx: ServerRequestContext[Any], params: PaginatedRequestParams | None) -> ListPromptsResult:
        roles = await asyncio.to_thread(lambda: app.roles.roles)
        return ListPromptsResult(prompts=[_prompt(role) for role in roles.values()])

    async def get_prompt(ctx: ServerRequestContext[Any], params: GetPromptRequestParams) -> GetPromptResult:
        try:
            role = await asyncio.to_thread(app.roles.get, params.name)
            message = PromptMessage(role="user", content=TextContent(type="text", text=consultation(role, params.arguments or {})))
            return GetPromptResult(description=role.description, messages=[message])
        except ParleyError as error:  # prompts have no error results of their own
            raise MCPError(code=INVALID_PARAMS, message=app.scrub(f"{error.message} {error.hint}")) from None

    def input_schema(name: str) -> dict[str, Any] | None:
        return tools[name].input_schema if name in tools else None

    return Server[Any](
        "parley",
        version=app.version,
        title="Parley",
        description="Conversations with other models, in threads that survive",
        instructions=INSTRUCTIONS,
        get_tool_input_schema=input_schema,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_prompts=list_prompts,
        on_get_prompt=get_prompt,
    )


def _listed(one: Tool) -> ListedTool:
    hints = one.hints
    return ListedTool(
        name=one.name,
        title=hints.title,
        description=one.description,
        input_schema=one.input_schema,
        output_schema=one.output_schema,
        annotations=ToolAnnotations(
            title=hints.title,
            read_only_hint=hints.read_only,
            destructive_hint=hints.destructive,
            idempotent_hint=hints.idempotent,
            open_world_hint=hints.open_world,
        ),
    )


async def _call(app: App, tools: dict[str, Tool], ctx: ServerRequestContext[Any], params: CallToolRequestParams) -> CallToolResult:
    """Run one call and return its answer or its error; a cancelled call raises CancelledError on."""
    watch = Watch(f"{params.name[:60]} is working")
    try:
        async with reporting(watch, _sender(ctx), every=app.limits.progress_seconds):
            result = await _tool(tools, params.name).run(Call(app, watch.say), params.arguments or {})
            structured = result.model_dump(mode="json")
    except ParleyError as error:
        return _failed(app, error)
    except Exception as error:  # the boundary to the client, which is told that it is a defect
        log.error("tool %s failed: %s at %s", params.name[:60], type(error).__name__, where(error))
        return _failed(app, InternalError(f"{params.name[:60]} failed unexpectedly ({type(error).__name__})."))
    return CallToolResult(content=[TextContent(type="text", text=_json(structured))], structured_content=structured)


def _tool(tools: dict[str, Tool], name: str) -> Tool:
    if name in tools:
        return tools[name]
    suggestions = near(name, list(tools)) or list(tools)
    raise InvalidInput(f"There is no tool '{name[:60]}'.", hint=f"Call one of: {', '.join(suggestions)}.")


def _sender(ctx: ServerRequestContext[Any]) -> Send:
    async def send(elapsed: float, message: str) -> None:  # nothing is sent to a client that gave no progress token
        await ctx.session.report_progress(elapsed, None, message)

    return send


def _failed(app: App, error: ParleyError) -> CallToolResult:
    """Return the error as the one text block clients get; nothing in it tells a secret or a home path."""
    shown = {**error.as_dict(), "message": app.scrub(error.message), "hint": app.scrub(error.hint)}
    return CallToolResult(content=[TextContent(type="text", text=_json(shown))], is_error=True)


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _prompt(role: Role) -> Prompt:
    """Return the role as a prompt; one that a repository brought along says so, since its text speaks to the client's model."""
    origin = " (from the workspace)" if role.of_workspace else ""
    arguments = [PromptArgument(name=one.name, description=one.description, required=one.required) for one in role.arguments]
    return Prompt(name=role.name, title=role.title, description=role.description + origin, arguments=arguments)
