"""A scripted Anthropic Messages endpoint on loopback, for driving the real Claude Code without a model.

It plays a model that wants a tool called and then repeats what the tool answered. Simulated; no model is involved.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

Block = dict[str, Any]


class ScriptedModel:
    """Calls `tool` once for each of `calls` (their arguments), all in one turn, then says what came back. Keeps every request."""

    def __init__(self, tool: str, *calls: dict[str, Any]) -> None:
        self.tool = tool
        self.calls = calls
        self.requests: list[dict[str, Any]] = []

    def content(self, body: dict[str, Any]) -> list[Block]:
        """Return the blocks the model answers with."""
        results = _results_of(self.tool, body)
        offered = {tool["name"] for tool in body.get("tools", [])}
        if results:
            return [{"type": "text", "text": f"The tool said: {' and '.join(results)}"}]
        if self.tool in offered:
            return [self._use(self.tool, arguments, index) for index, arguments in enumerate(self.calls)]
        if "WaitForMcpServers" in offered:
            return [self._use("WaitForMcpServers", {}, 0)]
        return [{"type": "text", "text": f"no tool {self.tool}"}]

    def _use(self, tool: str, arguments: dict[str, Any], index: int) -> Block:
        return {"type": "tool_use", "id": f"toolu_{len(self.requests)}_{index}", "name": tool, "input": arguments}


def _results_of(tool: str, body: dict[str, Any]) -> list[str]:
    """Return what each call of `tool` in the conversation brought back."""
    contents = [message["content"] for message in body["messages"]]
    blocks = [block for content in contents if isinstance(content, list) for block in content]
    calls = {block["id"] for block in blocks if block.get("type") == "tool_use" and block["name"] == tool}
    return [json.dumps(block["content"]) for block in blocks if block.get("type") == "tool_result" and block["tool_use_id"] in calls]


def _block_events(index: int, block: Block) -> list[dict[str, Any]]:
    text = block["type"] == "text"
    started = {"type": "text", "text": ""} if text else {**block, "input": {}}
    delta = (
        {"type": "text_delta", "text": block["text"]} if text else {"type": "input_json_delta", "partial_json": json.dumps(block["input"])}
    )
    return [
        {"type": "content_block_start", "index": index, "content_block": started},
        {"type": "content_block_delta", "index": index, "delta": delta},
        {"type": "content_block_stop", "index": index},
    ]


def _events(model: str, blocks: list[Block]) -> list[dict[str, Any]]:
    message = {
        "id": "msg_scripted",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    stop = "end_turn" if blocks[0]["type"] == "text" else "tool_use"
    return [
        {"type": "message_start", "message": message},
        *(event for index, block in enumerate(blocks) for event in _block_events(index, block)),
        {"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None}, "usage": {"output_tokens": 1}},
        {"type": "message_stop"},
    ]


async def _serve(model: ScriptedModel, ready: threading.Event, place: dict[str, Any]) -> None:
    async def messages(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        model.requests.append(body)
        events = _events(body["model"], model.content(body))
        text = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
        return web.Response(text=text, content_type="text/event-stream")

    async def head(request: web.Request) -> web.Response:
        return web.Response()

    app = web.Application(client_max_size=64 * 2**20)
    app.router.add_post("/v1/messages", messages)
    app.router.add_get("/", head)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    stop = asyncio.Event()
    place.update(port=runner.addresses[0][1], stop=stop, loop=asyncio.get_running_loop())
    ready.set()
    await stop.wait()
    await runner.cleanup()


@contextmanager
def serving(model: ScriptedModel) -> Iterator[str]:
    """Serve the scripted model in a thread of its own and yield its base URL."""
    ready, place = threading.Event(), dict[str, Any]()
    thread = threading.Thread(target=lambda: asyncio.run(_serve(model, ready, place)), daemon=True)
    thread.start()
    if not ready.wait(10):
        raise RuntimeError("the scripted endpoint did not start")
    try:
        yield f"http://127.0.0.1:{place['port']}"
    finally:
        place["loop"].call_soon_threadsafe(place["stop"].set)
        thread.join(10)
