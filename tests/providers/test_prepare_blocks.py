"""Blocks of kinds that an upstream does not know."""

from __future__ import annotations

from typing import Any

import pytest

from providers import SPECS
from providers._blocks import understood
from tests.providers.test_prepare import SPEC

TEXT = {"type": "text", "text": "t"}
FOUND = {"type": "search_result", "title": "Otters", "source": "http://o", "content": [{"type": "text", "text": "swim"}]}
REFERENCE = {"type": "tool_reference", "tool_name": "look"}
SERVED = [
    {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
    {
        "type": "web_search_tool_result",
        "tool_use_id": "srvtoolu_1",
        "content": [{"type": "web_search_result", "title": "Otters", "url": "http://o", "encrypted_content": "e"}],
    },
    {"type": "bash_code_execution_tool_result", "content": {"stdout": "out", "stderr": "", "content": []}},
]
EACH = pytest.mark.parametrize("provider", [spec.name for spec in SPECS if spec.wire != "anthropic"])


def blocks(provider: str, *given: Any, betas: tuple[str, ...] = ()) -> list[Any]:
    (message,) = understood([{"role": "user", "content": list(given)}], SPEC[provider], betas)
    return message["content"]


def text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}


def test_messages_of_known_blocks_stay_the_same_objects() -> None:
    result = {"type": "tool_result", "tool_use_id": "a", "content": [TEXT]}
    messages = [{"role": "user", "content": [TEXT, result, {"type": "image"}]}, {"role": "assistant", "content": "x"}, "odd"]
    for spec in SPECS:
        assert [id(one) for one in understood(messages, spec, ())] == [id(one) for one in messages[:2]]
    assert understood(None, SPECS[0], ()) == []


def test_what_anthropics_servers_wrote_goes_back_to_claude() -> None:
    assert blocks("vertex_claude", FOUND, *SERVED) == [FOUND, *SERVED]


@EACH
def test_what_only_anthropic_knows_is_told_to_others_in_words(provider: str) -> None:
    found = blocks(provider, {**FOUND, "cache_control": {"type": "ephemeral"}}, *SERVED, REFERENCE)
    assert found[0] == {**text("Otters\nhttp://o\nswim"), "cache_control": {"type": "ephemeral"}}
    assert found[1:] == [text("Otters\nhttp://o"), text("out"), text("look")]
    (result,) = blocks(provider, {"type": "tool_result", "tool_use_id": "a", "content": [FOUND, REFERENCE, {"type": "hologram"}]})
    assert result == {"type": "tool_result", "tool_use_id": "a", "content": [text("Otters\nhttp://o\nswim"), text("look")]}


def test_a_block_of_a_beta_goes_where_the_beta_goes() -> None:
    beta = ("tool-search-tool-2025-10-19",)
    assert blocks("vertex_claude", REFERENCE, betas=beta) == [REFERENCE]
    assert blocks("vertex_claude", REFERENCE) == blocks("openrouter", REFERENCE, betas=beta) == [text("look")]


@pytest.mark.parametrize("provider", SPEC)
def test_blocks_of_the_future_become_text_or_nothing(provider: str) -> None:
    deep: Any = "end"
    for _ in range(9):
        deep = {"type": "shell", "content": [deep]}
    odd = [{"type": "hologram", "x": 1}, {"type": ["text"]}, {"text": "no type"}, {"type": "note", "content": "words"}, deep, "words", 5]
    assert blocks(provider, *odd) == [text("no type"), text("words")]
