"""What the tests of panels have in common: a question, four answers, and what they come to."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any

from conversation.messages import Event
from conversation.threads import Thread
from providers.base import Call
from tests.tools.house import MODELS, House, Play, answer

CLAUDE, GEMINI, GPT, ROUTER = (MODELS[name].name for name in MODELS)
EVERYONE = [CLAUDE, GEMINI, GPT, ROUTER]
QUESTION = "Which database holds our job queue?"
SAID = {
    "vertex_claude": "Take PostgreSQL: LISTEN/NOTIFY saves a broker. Watch vacuum.",
    "vertex_gemini": "PostgreSQL it is, since SKIP LOCKED is enough. Watch vacuum.",
    "github_models": "Take Redis. Streams are made for it.",
    "openrouter": "No strong view, yet PostgreSQL is there already.",
}
SQL = {"position": "SQL", "held_by": ["A"], "quote": "Take PostgreSQL"}
OUTCOME = {
    "agreements": [{"text": "PostgreSQL will do", "held_by": ["A", "B"], "quotes": ["Take PostgreSQL", "PostgreSQL it is"]}],
    "disagreements": [
        {
            "text": "Which store",
            "sides": [
                {"position": "PostgreSQL", "held_by": ["A", "B"], "quote": "Watch vacuum"},
                {"position": "Redis", "held_by": ["C"], "quote": "Take Redis"},
            ],
        }
    ],
    "recommendation": "Use PostgreSQL.",
    "confidence": "medium",
    "confidence_reason": "One dissents.",
}


def is_comparison(call: Call) -> bool:
    return "You compare what several models answered" in str(call.body["system"])


def panelist(text: str, outcome: object = OUTCOME) -> Play:
    """Says `text` on the panel, and `outcome` as the one who compares."""

    async def play(call: Call) -> AsyncGenerator[Event, None]:
        for event in answer((outcome if isinstance(outcome, str) else json.dumps(outcome)) if is_comparison(call) else text):
            yield event

    return play


def seated(house: House, outcome: object = OUTCOME, said: Mapping[str, str] = SAID) -> House:
    for name, text in said.items():
        house.upstreams[name].plays = [panelist(text, outcome)]
    return house


def prompt_of(call: Call) -> str:
    """The last message's text."""
    return "".join(block.get("text", "") for block in call.body["messages"][-1]["content"])


def everything(call: Call) -> str:
    return json.dumps(call.body, ensure_ascii=False)


async def thread_of(house: House, got: Mapping[str, Any]) -> Thread:
    return await house.store.load(got["continuation_id"])


def outcome(**changes: Any) -> dict[str, Any]:
    return {**OUTCOME, **changes}
