"""Graphiti's prompts, sent to a simulated upstream over its own wire."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from typing import Any

import pytest

pytest.importorskip("graphiti_core")  # it imports with warnings, which a plain import here would make errors

from graphiti_core.prompts.dedupe_edges import EdgeDuplicate
from graphiti_core.prompts.dedupe_nodes import NodeResolutions
from graphiti_core.prompts.extract_edges import BatchEdgeTimestamps, EdgeTimestamps, ExtractedEdges
from graphiti_core.prompts.extract_nodes import EntitySummary, ExtractedEntities, SummarizedEntities
from graphiti_core.prompts.extract_nodes_and_edges import CombinedExtraction
from graphiti_core.prompts.lib import prompt_library
from graphiti_core.prompts.models import Message
from graphiti_core.prompts.summarize_nodes import Summary, SummaryDescription
from graphiti_core.prompts.summarize_sagas import SagaSummary
from pydantic import BaseModel

from graph._graphiti import Ask
from graph.episodes import Episode, Source
from tests.simulator.support import Client, Reply, chat_body, claude_body, said

BODY = "Alice works at Acme."
Messages = Sequence[tuple[str, str]]


class Person(BaseModel):
    """A person, as somebody's own type of entity."""

    role: str
    age: int | None = None


def context(body: str, **more: Any) -> dict[str, Any]:
    """What Graphiti fills its prompts with, for one episode."""
    at = "2026-03-04 05:06:07+00:00"
    return {
        "episode_content": body, "previous_episodes": [{"content": "Earlier: Zed uses <CURRENT MESSAGE>\n", "timestamp": at}],
        "custom_extraction_instructions": "", "entity_types": [{"entity_type_id": 0, "entity_type_name": "Entity"}],
        "source_description": "a note", "reference_time": at, **more,
    }


_FACTS = {
    "existing_edges": [{"idx": 0, "fact": "We use SQLite now."}],
    "edge_invalidation_candidates": [{"idx": 1, "fact": "We use Postgres."}, {"idx": 2, "fact": "We use ruff. It's \"quick\"."}],
    "new_edge": "We use SQLite now.",
}
_NODE = {"name": "Alice", "summary": "Alice is here.", "entity_types": ["Entity"], "attributes": {"role": "lead"}}
_EXTRACTED = [{"id": 0, "name": "ALICE", "entity_type": ["Entity"]}, {"id": 1, "name": "NYC"}, {"id": 2, "name": "Anna Berg"}]
_KNOWN = ("Anne Berg", "Alice", "New York City")
_EXISTING = [{"candidate_id": number, "name": name, "summary": "it's"} for number, name in enumerate(_KNOWN)]

PROMPTS: dict[str, tuple[Any, dict[str, Any], type[BaseModel]]] = {
    "extract_message": (prompt_library.extract_nodes.extract_message, {}, ExtractedEntities),
    "extract_text": (prompt_library.extract_nodes.extract_text, {}, ExtractedEntities),
    "extract_json": (prompt_library.extract_nodes.extract_json, {}, ExtractedEntities),
    "edge": (prompt_library.extract_edges.edge, {"nodes": [{"name": "Alice"}, {"name": "Acme"}], "edge_types": []}, ExtractedEdges),
    "combined": (prompt_library.extract_nodes_and_edges.extract_message, {}, CombinedExtraction),
    "nodes": (prompt_library.dedupe_nodes.nodes, {"extracted_nodes": _EXTRACTED, "existing_nodes": _EXISTING}, NodeResolutions),
    "resolve_edge": (prompt_library.dedupe_edges.resolve_edge, _FACTS, EdgeDuplicate),
    "timestamps": (prompt_library.extract_edges.extract_timestamps, {"fact": "Alice works at Acme."}, EdgeTimestamps),
    "timestamps_batch": (
        prompt_library.extract_edges.extract_timestamps_batch,
        {"facts": [{"fact": "Alice works at Acme.", "reference_time": "2026-03-04T05:06:07+00:00"}, {"fact": "x"}]}, BatchEdgeTimestamps,
    ),
    "summary": (prompt_library.extract_nodes.extract_summary, {"node": _NODE}, EntitySummary),
    "summaries": (prompt_library.extract_nodes.extract_summaries_batch, {"entities": [_NODE, {"name": "Nobody"}]}, SummarizedEntities),
    "summaries_of_episodes": (
        prompt_library.extract_nodes.extract_entity_summaries_from_episodes, {"entities": [_NODE]}, SummarizedEntities,
    ),
    "summarize_pair": (prompt_library.summarize_nodes.summarize_pair, {"node_summaries": [{"summary": "a"}, {"summary": "b"}]}, Summary),
    "summary_description": (prompt_library.summarize_nodes.summary_description, {"summary": "Alice is here."}, SummaryDescription),
    "saga": (prompt_library.summarize_sagas.summarize_saga, {"saga_name": "s", "episodes": ["We use SQLite."]}, SagaSummary),
    "entity_attributes": (prompt_library.extract_nodes.extract_attributes, {"node": _NODE}, Person),
    "fact_attributes": (prompt_library.extract_edges.extract_attributes, {"fact": "x", "existing_attributes": {"age": 3}}, Person),
}
"""Each prompt that Graphiti sends while it adds episodes: how it is made, of what, and the model of its answer."""


def rendered(name: str, body: str = BODY, **more: Any) -> tuple[Messages, type[BaseModel]]:
    """The messages of a prompt as Graphiti's own client sends them, and the model of their answer."""
    make, filled, model = PROMPTS[name]
    messages: list[Message] = make(context(body, **{**filled, **more}))
    if name.endswith("_attributes"):
        messages[0].content += "\n\n<<graphiti.attr_extraction.preamble.v1>>\nATTRIBUTE EXTRACTION: ..."
    messages[-1].content += f"\n\nRespond with a JSON object in the following format:\n\n{json.dumps(model.model_json_schema())}"
    return [(one.role, one.content) for one in messages], model


async def send(client: Client, route: str, messages: Messages, max_tokens: int = 4000) -> Reply:
    """Messages to one of the upstreams, on its own wire."""
    system = "\n".join(text for role, text in messages if role == "system")
    turns = [{"role": role, "content": text} for role, text in messages if role != "system"]
    match route:
        case "vertex_claude":
            return await client.claude(claude_body(system=system, messages=turns, max_tokens=max_tokens))
        case "vertex_gemini":
            contents = [{"role": "model" if one["role"] == "assistant" else "user", "parts": [{"text": one["content"]}]} for one in turns]
            rest = {"systemInstruction": {"parts": [{"text": system}]}, "generationConfig": {"maxOutputTokens": max_tokens}}
            return await client.gemini({"contents": contents, **rest})
        case "openrouter_messages":
            return await client.messages(system=system, messages=turns, max_tokens=max_tokens)
        case "github_models":
            whole = [{"role": "system", "content": system}, *turns]
            return await client.github(chat_body("openai/gpt-4.1", messages=whole, max_tokens=max_tokens))
        case _:
            whole = [{"role": "system", "content": system}, *turns]
            return await client.openrouter(chat_body("anthropic/claude-sonnet-4.5", messages=whole, max_tokens=max_tokens))


async def text_of(client: Client, route: str, messages: Messages) -> str:
    """What is answered to messages."""
    return said(route, await send(client, route, messages), stream=False)


async def answer(client: Client, name: str, body: str = BODY, route: str = "github_models", **more: Any) -> dict[str, Any]:
    """The answer to a prompt, checked against Graphiti's model of it."""
    messages, model = rendered(name, body, **more)
    found: dict[str, Any] = json.loads(await text_of(client, route, messages))
    model.model_validate(found)
    return found


def asking(client: Client, route: str) -> Ask:
    """What a Graph asks: one upstream, over HTTP."""

    async def ask(messages: Messages, is_small: bool, max_tokens: int) -> str:
        return said(route, await send(client, route, messages, min(max_tokens, 8000)), stream=False)

    return ask


def told(body: str, day: int = 1, source: Source = "text") -> Episode:
    """An episode that was told on a day of January."""
    at = f"2026-01-{day:02}T00:00:00Z"
    return Episode(name="note", body=body, group_id="g", uuid=str(uuid.uuid4()), created_at=at, source=source, state="running")
