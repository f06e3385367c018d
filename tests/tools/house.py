"""A whole Parley in memory for the tests of the tools: everything real but the upstreams, which play scripts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mcp import Client
from mcp.types import CallToolResult, TextContent

from conversation.messages import Event
from conversation.threads import ThreadStore
from graph.memory import Memory
from memory.health import HealthRecord
from memory.in_process import InProcessThreadStore
from providers.base import Call, ModelInfo, ProviderSpec
from providers.budget import Budget
from providers.catalogue import Catalogue
from providers.chain import Chain
from tests.providers.played import Play as Play
from tests.providers.played import Upstream
from tests.providers.played import answer as answer
from tools.app import App
from tools.files import FileReader
from tools.limits import Limits
from tools.mcp import build_server
from tools.roles import RoleBook

MODELS = {
    "vertex_claude": ModelInfo(
        provider="vertex_claude",
        id="claude-sonnet-4-5",
        aliases=("sonnet",),
        context_window=200_000,
        max_output=64_000,
        input_usd_per_mtok=3,
        output_usd_per_mtok=15,
        reasoning=True,
    ),
    "vertex_gemini": ModelInfo(provider="vertex_gemini", id="gemini-2.5-pro", aliases=("gemini",), context_window=1_000_000, images=True),
    "github_models": ModelInfo(provider="github_models", id="openai/gpt-4o", aliases=("gpt",), context_window=8_000, max_output=4_000),
    "openrouter": ModelInfo(provider="openrouter", id="anthropic/claude-sonnet-4.5", aliases=("sonnet",), context_window=200_000),
}


ROLES = (
    "planner", "thinkdeep", "debug", "precommit", "secaudit", "refactor",
    "testgen", "docgen", "analyze", "challenge", "tracer", "apilookup",
)  # fmt: skip


async def silence(call: Call) -> AsyncGenerator[Event, None]:
    """Never any content."""
    yield {"type": "message_start", "message": {}}
    await asyncio.Event().wait()


class House:
    """An App with its upstreams; `configured` are the providers with credentials."""

    def __init__(
        self,
        workspace: Path,
        *,
        configured: Sequence[str] = tuple(MODELS),
        store: ThreadStore | None = None,
        budget: Budget | None = None,
        limits: Limits | None = None,
        roles: RoleBook | None = None,
        models: Mapping[str, Sequence[ModelInfo]] | None = None,
        aliases: Mapping[str, Sequence[str]] | None = None,
        memory: Callable[[], Memory] | None = None,
    ) -> None:
        self.upstreams = {name: Upstream(name, f"I am {name}") for name in MODELS}
        self.health = HealthRecord()
        self.store = store or InProcessThreadStore()
        specs = [
            ProviderSpec(
                name=name,
                title=name,
                port=8090 + number,
                variables=(f"{name.upper()}_KEY",),
                hint=f"Set {name.upper()}_KEY.",
                models=tuple((models or {}).get(name, [one])),
            )
            for number, (name, one) in enumerate(MODELS.items())
        ]
        problems = {name: None if name in configured else "No key is set." for name in MODELS}
        self.app = App(
            catalogue=Catalogue(specs, problems=problems, order=list(MODELS), aliases=aliases),
            chain=Chain(self.upstreams.__getitem__, self.health, budget=budget),
            store=self.store,
            files=FileReader(workspace, limits=limits),
            health=self.health,
            workspace=str(workspace),
            home=str(workspace / "home"),
            version="1.2.3",
            budget=budget,
            limits=limits or Limits(),
            roles=roles or RoleBook(),
        )
        if memory is not None:
            self.app = replace(self.app, memory=memory)
        self.server = build_server(self.app)

    def client(self, mode: str = "legacy") -> Client:
        return Client(self.server, mode=mode)

    async def call(self, name: str, arguments: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the structured answer of one call by a client of its own; the text block has to say the same."""
        async with self.client() as client:
            return structured(await client.call_tool(name, arguments))

    async def error(self, name: str, arguments: dict[str, Any] | None = None) -> dict[str, Any]:
        """Return the error of one call; it has to have the one shape errors have."""
        async with self.client() as client:
            result = await client.call_tool(name, arguments)
        assert result.is_error
        assert result.structured_content is None
        error = json.loads(text_of(result))
        assert set(error) == {"code", "message", "hint", "retryable", "attempts"}
        assert error["message"] and error["hint"]
        return error

    @property
    def calls(self) -> int:
        """How often any upstream was asked."""
        return sum(len(one.calls) for one in self.upstreams.values())

    def body(self, name: str, number: int = -1) -> Mapping[str, Any]:
        """The body the upstream received."""
        return self.upstreams[name].calls[number].body

    def received(self, name: str, number: int = -1) -> str:
        """All of that body as text."""
        return json.dumps(self.body(name, number), ensure_ascii=False)


def structured(result: CallToolResult) -> dict[str, Any]:
    """Return the structured answer; the text block has to say the same."""
    assert not result.is_error, text_of(result)
    assert result.structured_content is not None
    assert json.loads(text_of(result)) == result.structured_content
    return result.structured_content


def text_of(result: CallToolResult) -> str:
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text
