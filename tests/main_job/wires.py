"""What a simulated upstream received, read from each wire in one form."""

from __future__ import annotations

import base64
from typing import Any, NamedTuple

from providers import SPECS
from simulator import LogEntry, ThreadedSimulator

PROVIDERS = ("vertex_claude", "vertex_gemini", "github_models", "openrouter")
MODELS = {spec.name: [model.id for model in spec.models] for spec in SPECS}
DEFAULTS = {provider: models[0] for provider, models in MODELS.items()}
HASTY = {
    "vertex_claude": "claude-haiku-4-5",
    "vertex_gemini": "gemini-2.5-flash",
    "github_models": "openai/gpt-4o-mini",
    "openrouter": "openai/gpt-4o-mini",
}
"""Models that the shared server gives a quarter of a second."""


def after(provider: str) -> str:
    """The next provider, round and round."""
    return PROVIDERS[(PROVIDERS.index(provider) + 1) % len(PROVIDERS)]


class Said(NamedTuple):
    """One text of a request: in whose voice, and what."""

    role: str
    text: str


def asked(sim: ThreadedSimulator, provider: str) -> list[LogEntry]:
    """The requests for an answer that a provider got, oldest first."""
    return [entry for entry in sim.requests(provider) if entry["route"] != "count_tokens"]


def upstream_calls(sim: ThreadedSimulator) -> int:
    """How many requests for an answer any provider got."""
    return sum(len(asked(sim, provider)) for provider in PROVIDERS)


def said(entry: LogEntry) -> list[Said]:
    """The texts of a request's conversation, the system prompt left out."""
    body: dict[str, Any] = entry["body"]
    if entry["provider"] == "vertex_gemini":
        roles = {"user": "user", "model": "assistant"}
        return [Said(roles[turn["role"]], part["text"]) for turn in body["contents"] for part in turn["parts"] if "text" in part]
    texts: list[Said] = []
    for message in body["messages"]:
        content = message["content"]
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if message["role"] != "system":
            texts += [Said(message["role"], block["text"]) for block in blocks if block["type"] == "text"]
    return texts


def text_of(entry: LogEntry) -> str:
    """All texts of the conversation in a row."""
    return "\n".join(one.text for one in said(entry))


def images(entry: LogEntry) -> list[tuple[str, bytes]]:
    """The images of a request, each as media type and bytes."""
    body: dict[str, Any] = entry["body"]
    found: list[tuple[str, bytes]] = []
    if entry["provider"] == "vertex_gemini":
        parts = [part for turn in body["contents"] for part in turn["parts"]]
        data = [part.get("inlineData") or part.get("inline_data") for part in parts]
        return [(one.get("mimeType") or one["mime_type"], base64.b64decode(one["data"])) for one in data if one]
    for block in (block for message in body["messages"] if isinstance(message["content"], list) for block in message["content"]):
        if block["type"] == "image":
            found.append((block["source"]["media_type"], base64.b64decode(block["source"]["data"])))
        elif block["type"] == "image_url":
            head, _, data = block["image_url"]["url"].partition(",")
            found.append((head.removeprefix("data:").removesuffix(";base64"), base64.b64decode(data)))
    return found
