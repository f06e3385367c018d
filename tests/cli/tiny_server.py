"""A small real MCP server for the transport tests, run as a process: `python tiny_server.py stdio|http [name=value ...]`.

What happens inside is written to stderr, one word a line, for a test to wait for.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import mcp_types as types
from mcp.server import Server, ServerRequestContext

TOOLS = ("echo", "slow", "stuck", "blocked", "stubborn", "print", "child", "big", "progress", "gate", "brief")


def say(word: str) -> None:
    os.write(2, f"{word}\n".encode())


async def slow() -> str:
    """Never ends by itself; says when it begins and when it is cancelled."""
    say("slow-began")
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        say("slow-cancelled")
        raise
    return ""


async def stubborn() -> str:
    """Does not let itself be cancelled."""
    say("stubborn-began")
    while True:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()


async def gate() -> str:
    """Ends when the file it names on stderr appears."""
    path = Path(tempfile.mkdtemp(dir=Path.home())) / "gate"
    say("gate-waits")
    say(f"gate-at {path}")
    while not path.exists():
        await asyncio.sleep(0.02)
    return "through the gate"


async def call(name: str, arguments: dict[str, Any], ctx: ServerRequestContext[Any]) -> str:
    if endless := {"slow": slow, "gate": gate, "stubborn": stubborn}.get(name):
        return await endless()
    match name:
        case "stuck":
            await asyncio.to_thread(_sleep, "stuck-began")
        case "blocked":
            _sleep("blocked-began")
        case "print":
            print("stray print", flush=True)
            os.write(1, b"stray write\n")
        case "child":
            return subprocess.run(["sh", "-c", "echo stray child; cat"], check=True, capture_output=False).args[0]
        case "brief":
            await asyncio.sleep(0.05)
        case "big":
            return "x" * int(arguments["size"])
        case "progress":
            await ctx.session.report_progress(0.5, 1.0, "half")
        case _:
            return str(arguments.get("text", ""))
    return "done"


def _sleep(word: str) -> None:
    say(word)
    time.sleep(60)


async def on_list_tools(ctx: ServerRequestContext[Any], params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
    return types.ListToolsResult(tools=[types.Tool(name=name, input_schema={"type": "object"}) for name in TOOLS])


async def on_call_tool(ctx: ServerRequestContext[Any], params: types.CallToolRequestParams) -> types.CallToolResult:
    text = await call(params.name, params.arguments or {}, ctx)
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)])


@contextlib.asynccontextmanager
async def lifespan(_server: Server[Any]) -> AsyncIterator[dict[str, Any]]:
    try:
        yield {}
    finally:
        say("closed")


def build() -> Server[Any]:
    return Server("tiny", version="1", on_list_tools=on_list_tools, on_call_tool=on_call_tool, lifespan=lifespan)


async def main(transport: str, options: dict[str, Any]) -> None:
    if transport == "stdio":
        from cli.stdio import serve_stdio

        await serve_stdio(build(), **options)
        return
    from cli.http import serve_http

    transports = tuple(options.pop("transports", "http,sse").split(","))
    await serve_http(build, transports=transports, announce=lambda url: say(f"url {url}"), **options)


def _value(text: str) -> Any:
    for kind in (int, float):
        with contextlib.suppress(ValueError):
            return kind(text)
    return text or None


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], {name: _value(text) for name, _, text in (pair.partition("=") for pair in sys.argv[2:])}))
    say("returned")
