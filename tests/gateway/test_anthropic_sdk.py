"""Anthropic's own Python SDK against every shim: its client and streaming helpers, and its types over all we send."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from anthropic import Anthropic, APIStatusError, AuthenticationError, BadRequestError, RateLimitError
from anthropic.types import Message, MessageTokensCount, ModelInfo, RawMessageStreamEvent
from pydantic import TypeAdapter

from simulator import ThreadedSimulator
from tests.gateway.client import PROVIDERS, Client
from tests.gateway.conftest import starting
from tests.gateway.running import SHIMS, Gateway

EACH = pytest.mark.parametrize("shim", SHIMS)
EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
LOOK: Any = {
    "name": "look",
    "description": "Looks.",
    "input_schema": {"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]},
}
ASK: Any = {"model": "claude-sonnet-4-6", "max_tokens": 4_000, "messages": [{"role": "user", "content": "hello"}]}


@pytest.fixture(scope="module")
def gateway(simulated: ThreadedSimulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway of this module's own: what fails here parks providers and sets them aside."""
    with starting(simulated, tmp_path_factory.mktemp("own")) as up:
        yield up


@pytest.fixture(params=SHIMS)
def sdk(request: pytest.FixtureRequest, gateway: Gateway, sim: ThreadedSimulator) -> Iterator[Anthropic]:
    """The SDK's client behind one shim, without retries."""
    with Anthropic(base_url=gateway.url(request.param), auth_token="dummy", api_key=None, max_retries=0, timeout=20) as client:
        yield client


def strict(value: Any, model: Any) -> None:
    """Check every field against the SDK's types, and that the types know each of them."""
    checked = TypeAdapter(model).validate_python(value, strict=False)
    unknown = checked.model_extra or {}
    assert set(unknown) <= {"request_id", "provider"}, unknown  # provider is what OpenRouter adds to its messages


def test_a_message_and_its_types(sdk: Anthropic, sim: ThreadedSimulator) -> None:
    sim.rule("*", "I look.", tool_use=[{"name": "look", "input": {"at": "a"}}], thinking="Let me see.")
    raw = sdk.messages.with_raw_response.create(**ASK, tools=[LOOK], thinking={"type": "enabled", "budget_tokens": 2_000})
    message = raw.parse()
    strict(raw.http_response.json(), Message)
    assert message.stop_reason == "tool_use" and message.content[-1].type == "tool_use"
    assert message.usage.input_tokens > 0 and message._request_id


def test_a_stream_and_its_helpers(sdk: Anthropic, sim: ThreadedSimulator) -> None:
    sim.rule("*", "I look.", tool_use=[{"name": "look", "input": {"at": "a \u4e16"}}], thinking="Let me see.")
    with sdk.messages.stream(**ASK, tools=[LOOK], thinking={"type": "enabled", "budget_tokens": 2_000}) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_message()
    assert {"message_start", "text", "input_json", "content_block_stop", "message_stop"} <= set(kinds)
    assert final.content[-1].type == "tool_use" and final.content[-1].input == {"at": "a \u4e16"}
    assert "".join(block.text for block in final.content if block.type == "text") == "I look."
    assert final.usage.output_tokens > 0 and final.stop_reason == "tool_use"


@EACH
async def test_every_event_is_one_the_sdk_knows_in_every_field(client: Client, shim: str) -> None:
    client.sim.rule("*", "I look.", tool_use=[{"name": "look", "input": {"at": "a"}}], thinking="Let me see.")
    got = await client.ask(shim, stream=True, tools=[LOOK], thinking={"type": "enabled", "budget_tokens": 2_000}, max_tokens=4_000)
    for event in got.events:
        checked = EVENT.validate_python(event)
        assert not checked.model_extra, event
        assert not (getattr(checked, "delta", None) and checked.delta.model_extra), event


def test_models_and_counts(sdk: Anthropic) -> None:
    models = list(sdk.models.list())
    assert models and all(isinstance(one, ModelInfo) for one in models)
    counted = sdk.messages.count_tokens(model=ASK["model"], messages=ASK["messages"], tools=[LOOK])
    assert isinstance(counted, MessageTokensCount) and counted.input_tokens > 10


def test_errors_are_the_sdks_own(gateway: Gateway, sim: ThreadedSimulator) -> None:
    rows: list[tuple[int, type[APIStatusError]]] = [(400, BadRequestError), (401, AuthenticationError), (429, RateLimitError)]
    for shim in PROVIDERS:
        for status, kind in rows:
            sim.fault(shim, "status", status=status, times=None)
            with Anthropic(base_url=gateway.url(shim), auth_token="dummy", max_retries=0) as sdk, pytest.raises(kind) as caught:
                sdk.messages.create(**ASK)
            sim.clear_faults()
            assert caught.value.request_id and caught.value.body["error"]["message"]  # type: ignore[index, call-overload]
