"""Who signed what: the books of signatures, and a round trip of Gemini's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from conversation.messages import Event, fold
from providers._google import GoogleTokens
from providers._http import HttpClient
from providers._litellm import LiteLLMProvider
from providers.base import Call
from providers.config import ProviderSettings
from providers.signatures import SignatureBook, ThoughtBook
from simulator import Simulator
from tests.providers.recorded import SPEC


def signed(signature: Any) -> Event:
    return {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": signature}}


def test_the_signers_of_the_newest_signatures_are_known() -> None:
    book = SignatureBook(most=2)
    for signature in ("one", "two", "", None, "three"):
        book.note("vertex_claude", signed(signature))
    book.note("vertex_claude", {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x"}})
    assert [book.signer(name) for name in ("one", "two", "three", "")] == [None, "vertex_claude", "vertex_claude", None]


def test_odd_messages_are_left_as_they_are() -> None:
    book = SignatureBook()
    book.note("openrouter", signed("theirs"))
    thought = {"type": "thinking", "thinking": "t", "signature": "theirs"}
    odd: list[Any] = ["no object", {"role": "user"}, {"role": "user", "content": "text"}, {"role": "assistant", "content": ["x", thought]}]
    assert book.kept("vertex_claude", {"messages": odd})["messages"] == [*odd[:3], {"role": "assistant", "content": ["x"]}]
    for body in ({"messages": "none"}, {"messages": odd[:3]}):
        assert book.kept("vertex_claude", body) is body


def test_the_newest_thoughts_are_kept_by_the_id_of_their_call() -> None:
    book = ThoughtBook(most=1)
    for name in ("a", "b"):
        block = {"type": "tool_use", "id": name, "provider_specific_fields": {"signature": name}}
        event = book.noted({"type": "content_block_start", "index": 0, "content_block": block})
        assert event == {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": name}}
    assert book.noted(signed("s")) == signed("s")
    uses: list[dict[str, Any]] = [{"type": "tool_use", "id": "a"}, {"type": "tool_use", "id": "b"}, {"type": "text", "text": "x"}]
    book.restore([{"content": "text"}, {"content": uses}])
    assert [block.get("provider_specific_fields") for block in uses] == [None, {"signature": "b"}, None]


async def test_geminis_thought_signature_goes_back_with_its_call(tmp_path: Path, litellm_environment: None) -> None:
    spec, tool = SPEC["vertex_gemini"], {"name": "look", "description": "Looks.", "input_schema": {"type": "object", "properties": {}}}
    model = next(one for one in spec.models if one.id.startswith("gemini-3"))
    async with Simulator() as sim:
        settings = ProviderSettings.from_env(sim.environment(tmp_path))
        assert settings.google is not None
        http, tokens = HttpClient(), GoogleTokens(settings.google)
        provider = LiteLLMProvider(spec, settings, http, tokens)
        sim.rule("vertex_gemini", "", tool_use=[{"name": "look", "input": {}}], times=1)
        turns: list[dict[str, Any]] = [{"role": "user", "content": "look"}]
        first = Call(model=model, body={"max_tokens": 100, "messages": turns, "tools": [tool]})
        said = fold([event async for event in provider.stream(first)]).blocks
        (use,) = [block for block in said if block["type"] == "tool_use"]
        turns += [{"role": "assistant", "content": list(said)}]
        turns += [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": use["id"], "content": "seen"}]}]
        sim.rule("vertex_gemini", "I saw.")
        again = Call(model=model, body={"max_tokens": 100, "messages": turns, "tools": [tool]})
        assert fold([event async for event in provider.stream(again)]).text == "I saw."
        parts = sim.requests("vertex_gemini")[-1]["body"]["contents"][1]["parts"]
        signatures = [part["thoughtSignature"] for part in parts if "function_call" in part]
        assert len(signatures) == 1 and "skip" not in signatures[0]
        await http.aclose()
        await tokens.aclose()
