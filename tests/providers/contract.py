"""What every adapter must do at the socket, whichever way it gets there. An adapter's test module subclasses ProviderContract."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from conversation.errors import ProviderError
from conversation.messages import Answer, Event, fold, starts_content
from providers._google import GoogleTokens
from providers._http import HttpClient
from providers.base import Call, ModelInfo, Provider, ProviderSpec
from providers.config import ProviderSettings
from simulator import Simulator

Make = Callable[[ProviderSpec, ProviderSettings, HttpClient, GoogleTokens], Provider]


@dataclass
class Rig:
    """One provider under test and the simulator that stands for its upstream."""

    provider: Provider
    model: ModelInfo
    sim: Simulator
    secrets: tuple[str, ...]

    async def events(self, prompt: str = "hello", **body: Any) -> list[Event]:
        return [event async for event in self.stream(prompt, **body)]

    def stream(self, prompt: str = "hello", **body: Any) -> AsyncIterator[Event]:
        message = {"role": "user", "content": prompt}
        return self.provider.stream(Call(model=self.model, body={"max_tokens": 1000, "messages": [message], **body}))

    async def failure(self, prompt: str = "hello") -> ProviderError:
        with pytest.raises(ProviderError) as caught:
            await self.events(prompt)
        return caught.value


@asynccontextmanager
async def rigged(spec: ProviderSpec, folder: Path, make: Make) -> AsyncIterator[Rig]:
    """Run a simulator and a provider that `make` returns for it, with a token fetched and nothing in the log."""
    async with Simulator() as sim:
        settings = ProviderSettings.from_env(sim.environment(folder))
        assert settings.google is not None
        http, tokens = HttpClient(), GoogleTokens(settings.google)
        secrets = (await tokens.token(),) if spec.auth == "google" else (settings.keys[spec.name].get_secret_value(),)
        sim.reset("log")
        yield Rig(make(spec, settings, http, tokens), spec.models[0], sim, secrets)
        await http.aclose()
        await tokens.aclose()


def grammatical(events: list[Event]) -> Answer:
    """Assert the Messages grammar, event by event, and return the answer."""
    kinds = [event["type"] for event in events]
    assert kinds[0] == "message_start" and kinds[-2:] == ["message_delta", "message_stop"]
    assert kinds.count("message_start") == kinds.count("message_delta") == kinds.count("message_stop") == 1
    expected, is_open = 0, False
    for event in events[1:-2]:
        assert event["index"] == expected
        match event["type"]:
            case "content_block_start":
                assert not is_open
                is_open = True
            case "content_block_delta":
                assert is_open
            case "content_block_stop":
                assert is_open
                is_open, expected = False, expected + 1
            case other:
                raise AssertionError(other)
    assert not is_open
    usage = events[-2]["usage"]
    assert {"input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"} <= set(usage)
    answer = fold(events)
    assert answer.complete
    return answer


FAULTS: tuple[tuple[str, dict[str, Any], set[str]], ...] = (
    ("status", {"status": 400}, {"invalid_request"}),
    ("status", {"status": 402}, {"quota"}),
    ("status", {"status": 403}, {"auth_failed"}),
    ("status", {"status": 404}, {"not_found"}),
    ("status", {"status": 408}, {"timeout"}),
    ("status", {"status": 413}, {"context_too_long"}),
    ("status", {"status": 429}, {"rate_limited"}),
    ("status", {"status": 500}, {"upstream_error"}),
    ("status", {"status": 502, "body": "<html>Bad gateway</html>"}, {"upstream_error"}),
    ("status", {"status": 503}, {"overloaded"}),
    ("status", {"status": 529}, {"overloaded"}),
    ("refuse", {}, {"refused"}),
    ("html_200", {}, {"malformed"}),
    ("empty", {}, {"empty"}),
    ("error_json_200", {}, {"overloaded", "upstream_error"}),
    ("cut_before_content", {}, {"truncated"}),
    ("cut_before_content", {"reset": True}, {"truncated"}),
    ("cut_before_content", {"clean": True}, {"truncated", "empty"}),
    ("cut_after_content", {"n": 2}, {"truncated"}),
    ("cut_after_content", {"n": 2, "reset": True}, {"truncated"}),
    ("cut_after_content", {"n": 2, "clean": True}, {"truncated"}),
    ("malformed_event", {}, {"malformed"}),
    ("malformed_event", {"n": 2}, {"malformed"}),
    ("empty_choices", {}, {"empty"}),
    ("no_finish", {}, {"truncated"}),
    ("error_event", {}, {"overloaded", "upstream_error"}),
    ("error_event", {"n": 2}, {"overloaded", "upstream_error"}),
    ("truncated_json", {}, {"truncated"}),
)
SILENCES = ("hang_before_headers", "hang_after_headers", "pings_only")


class ProviderContract:
    """Needs a fixture `rig`."""

    async def test_a_text_answer_keeps_the_grammar_and_counts_tokens(self, rig: Rig) -> None:
        rig.sim.rule(rig.model.provider, "The answer.", usage={"input_tokens": 11, "output_tokens": 5})
        answer = grammatical(await rig.events())
        assert (answer.text, answer.stop_reason) == ("The answer.", "end_turn")
        assert (answer.input_tokens, answer.output_tokens, answer.cached_tokens) == (11, 5, 0)

    async def test_tokens_read_from_a_cache_are_told_apart(self, rig: Rig) -> None:
        rig.sim.rule(rig.model.provider, "ok", usage={"input_tokens": 100, "output_tokens": 5, "cache_read_input_tokens": 40})
        usage = (await rig.events())[-2]["usage"]
        assert usage["cache_read_input_tokens"] == 40

    async def test_unicode_cut_anywhere_arrives_whole(self, rig: Rig) -> None:
        text = "\u4e16\u754c \U0001f600 \u00e9 \u0627\u0644"
        rig.sim.rule(rig.model.provider, text, chunks=len(text))
        rig.sim.fault(rig.model.provider, "drip", by="byte", seconds=0)
        assert grammatical(await rig.events()).text == text

    async def test_a_long_answer_in_many_pieces_arrives_whole(self, rig: Rig) -> None:
        text = "".join(f"{number} " for number in range(5_000))
        rig.sim.rule(rig.model.provider, text, chunks=500)
        assert grammatical(await rig.events(max_tokens=16_000)).text == text

    async def test_an_answer_cut_by_max_tokens_says_so(self, rig: Rig) -> None:
        rig.sim.rule(rig.model.provider, "half an ans", finish="max_tokens")
        assert grammatical(await rig.events()).stop_reason == "max_tokens"

    async def test_parallel_tool_calls_become_blocks_with_ids_of_their_own(self, rig: Rig) -> None:
        calls = [{"name": "look", "input": {"at": "a"}}, {"name": "look", "input": {"at": "b"}}]
        rig.sim.rule(rig.model.provider, "I look.", tool_use=calls)
        tool = {"name": "look", "description": "Looks.", "input_schema": {"type": "object", "properties": {"at": {"type": "string"}}}}
        answer = grammatical(await rig.events(tools=[tool]))
        used = [block for block in answer.blocks if block["type"] == "tool_use"]
        assert [block["input"] for block in used] == [{"at": "a"}, {"at": "b"}]
        assert len({block["id"] for block in used}) == 2 and answer.stop_reason == "tool_use"

    async def test_twenty_answers_at_once_are_not_mixed_up(self, rig: Rig) -> None:
        answers = await asyncio.gather(*(rig.events(f"number {number}!") for number in range(20)))
        for number, events in enumerate(answers):
            assert f"number {number}!" in grammatical(events).text

    async def test_connections_are_used_again(self, rig: Rig) -> None:
        for _ in range(3):
            await rig.events()
        assert len({entry["seq"] for entry in rig.sim.requests(rig.model.provider)}) == 3
        assert not any(entry["disconnected"] for entry in rig.sim.log)

    @pytest.mark.parametrize(("kind", "fault", "causes"), FAULTS)
    async def test_every_failure_has_its_cause(self, rig: Rig, kind: str, fault: dict[str, Any], causes: set[str]) -> None:
        rig.sim.fault(rig.model.provider, kind, **fault)
        error = await rig.failure()
        assert error.cause in causes
        assert (error.provider, error.model) == (rig.model.provider, rig.model.id)
        assert len(rig.sim.requests(rig.model.provider)) == 1  # nothing is retried here
        assert grammatical(await rig.events()).text  # and the next one is well

    @pytest.mark.parametrize("kind", SILENCES)
    async def test_leaving_a_silent_upstream_closes_the_connection(self, rig: Rig, kind: str) -> None:
        rig.sim.fault(rig.model.provider, kind)
        task = asyncio.create_task(rig.events())
        await rig.sim.until(lambda log: any(entry["provider"] == rig.model.provider for entry in log))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await rig.sim.until(lambda log: log[-1]["disconnected"])

    async def test_leaving_in_mid_answer_closes_the_connection(self, rig: Rig) -> None:
        rig.sim.rule(rig.model.provider, "a slow answer " * 10, chunks=50, chunk_delay_s=5)
        async with aclosing(rig.stream()) as events:  # type: ignore[type-var]
            async for event in events:
                if starts_content(event):
                    break
        await rig.sim.until(lambda log: log[-1]["disconnected"])

    async def test_nothing_leaves_before_there_is_content(self, rig: Rig) -> None:
        rig.sim.fault(rig.model.provider, "error_event")
        with pytest.raises(ProviderError):
            async for event in rig.stream():
                pytest.fail(f"{event} left")

    async def test_retry_after_is_kept(self, rig: Rig) -> None:
        rig.sim.fault(rig.model.provider, "status", status=429, headers={"retry-after": "7"})
        assert (await rig.failure()).retry_after == 7

    async def test_a_refusal_without_a_word_is_an_empty_answer(self, rig: Rig) -> None:
        rig.sim.rule(rig.model.provider, "", finish="refusal")
        error = await rig.failure()
        assert (error.cause, "declined" in error.message) == ("empty", True)

    @pytest.mark.parametrize("kind", ["status", "error_json_200", "error_event"])
    async def test_no_credential_gets_out_of_an_error(self, rig: Rig, kind: str, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level("DEBUG")
        await rig.events()
        planted = " ".join(rig.secrets)
        rig.sim.fault(rig.model.provider, kind, message=f"refused: {planted}")
        error = await rig.failure("a prompt that stays private")
        told = f"{error} {error.as_dict()} {error!r} {caplog.text}"
        assert "refused" in error.message
        assert not [secret for secret in rig.secrets if secret in told]
        assert "stays private" not in told

    async def test_warm_asks_no_model_and_survives_an_upstream_that_is_down(self, rig: Rig) -> None:
        rig.sim.fault("google_token", "status", status=500)
        await rig.provider.warm()
        assert rig.sim.requests(rig.model.provider) == []
