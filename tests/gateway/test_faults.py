"""Every fault of the simulator on every shim, streamed or whole: status, shape, hits upstream. The router: test_router.py."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from simulator import ThreadedSimulator
from tests.gateway.client import HASTY, PROVIDERS, Client, check_grammar
from tests.gateway.conftest import starting
from tests.gateway.running import Gateway

BOTH = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
EACH = pytest.mark.parametrize("shim", PROVIDERS)
OVERLOADED = {503, 529, 500, 502}

BEFORE: tuple[tuple[str, dict[str, Any], set[int], str], ...] = (
    ("status", {"status": 400}, {400}, "invalid_request_error"),
    ("status", {"status": 401, "times": 2}, {401}, "authentication_error"),
    ("status", {"status": 402}, {402}, "billing_error"),
    ("status", {"status": 403}, {403}, "permission_error"),
    ("status", {"status": 404}, {404}, "not_found_error"),
    ("status", {"status": 408}, {408}, "timeout_error"),
    ("status", {"status": 413}, {400}, "invalid_request_error"),
    ("status", {"status": 429, "headers": {"retry-after": "7"}}, {429}, "rate_limit_error"),
    ("status", {"status": 500}, {500}, "api_error"),
    ("status", {"status": 502, "body": "<html>Bad gateway</html>"}, {502}, "api_error"),
    ("status", {"status": 503}, {503}, "overloaded_error"),
    ("status", {"status": 529}, {529}, "overloaded_error"),
    ("refuse", {}, {502}, "api_error"),
    ("hang_before_headers", {}, {504}, "timeout_error"),
    ("hang_after_headers", {}, {504}, "timeout_error"),
    ("pings_only", {}, {504}, "timeout_error"),
    ("html_200", {}, {502}, "api_error"),
    ("empty", {}, {502}, "api_error"),
    ("error_json_200", {}, OVERLOADED, ""),
    ("cut_before_content", {}, {502}, "api_error"),
    ("cut_before_content", {"reset": True}, {502}, "api_error"),
    ("malformed_event", {"n": 0}, {502}, "api_error"),
    ("truncated_json", {}, {502}, "api_error"),
    ("error_event", {}, OVERLOADED, ""),
    ("empty_choices", {}, {502}, "api_error"),
)
AFTER: tuple[tuple[str, dict[str, Any]], ...] = (
    ("cut_after_content", {"n": 2}),
    ("cut_after_content", {"n": 2, "reset": True}),
    ("cut_after_content", {"n": 2, "clean": True}),
    ("malformed_event", {"n": 2}),
    ("error_event", {"n": 2}),
    ("no_finish", {}),
)
NAMES = [f"{kind} {' '.join(str(value) for value in fault.values())}"[:40].strip() for kind, fault, *_ in BEFORE]


@pytest.fixture(scope="module")
def gateway(simulated: ThreadedSimulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway of this module's own: what fails here parks providers and sets them aside."""
    with starting(simulated, tmp_path_factory.mktemp("own")) as up:
        yield up


@EACH
@BOTH
@pytest.mark.parametrize(("kind", "fault", "statuses", "error"), BEFORE, ids=NAMES)
async def test_a_fault_before_content_is_told_as_it_is(
    client: Client, shim: str, stream: bool, kind: str, fault: dict[str, Any], statuses: set[int], error: str
) -> None:
    vertex = shim.startswith("vertex")
    client.sim.fault(shim, kind, **{**fault, **({} if vertex else {"times": 1})})
    got = await client.ask(shim, stream=stream, model=HASTY)
    client.sim.clear_faults()
    assert got.status in statuses, got.content
    assert got.body["type"] == "error" and got.body["error"]["message"] and got.body["request_id"] == got.headers["request-id"]
    assert error in ("", got.body["error"]["type"])
    assert got.headers.get("retry-after") == ("7" if got.status == 429 else None)
    assert (got.headers.get("x-should-retry") == "false") == (got.status in {400, 401, 402, 403, 404})
    assert len(client.sim.requests(shim)) <= (2 if fault.get("status") == 401 and vertex else 1)  # once more with a new token
    assert (await client.ask(shim, stream=stream, model=HASTY)).answer.text  # and a shim tries again, whatever was before
    assert not [entry for entry in client.sim.log if entry["provider"] in set(PROVIDERS) - {shim}]


@EACH
@BOTH
@pytest.mark.parametrize(("kind", "fault"), AFTER)
async def test_a_fault_after_content_is_one_error_and_the_end(
    client: Client, shim: str, stream: bool, kind: str, fault: dict[str, Any]
) -> None:
    client.sim.rule(shim, "some words that come in many pieces", chunks=8)
    client.sim.fault(shim, kind, **fault)
    got = await client.ask(shim, stream=stream, model=HASTY)
    assert len(client.sim.requests(shim)) == 1
    if not stream:
        assert got.status >= 500 and got.body["type"] == "error"
        return
    kinds = [event["type"] for event in got.events]
    assert got.status == 200 and kinds[0] == "message_start" and "content_block_delta" in kinds
    assert kinds[-1] == "error" and kinds.count("error") == 1
    assert not {"message_stop", "message_delta"} & set(kinds)
    assert got.events[-1]["error"]["type"] in ("api_error", "overloaded_error", "timeout_error")
    with pytest.raises((AssertionError, IndexError)):
        check_grammar(got.events)


@EACH
async def test_silence_after_content_ends_at_the_idle_deadline(client: Client, shim: str) -> None:
    client.sim.rule(shim, "some words that come in many pieces", chunks=8, chunk_delay_s=5)
    got = await client.ask(shim, stream=True, model=HASTY)
    assert got.events[-1]["error"]["type"] == "timeout_error" and "silent for 0.4 s" in got.events[-1]["error"]["message"]


@pytest.mark.parametrize("shim", ["vertex_claude", "github_models", "openrouter"])  # Gemini sends a call in one piece
async def test_no_half_call_of_a_tool_is_closed(client: Client, shim: str) -> None:
    client.sim.rule(shim, "", tool_use=[{"name": "look", "input": {"at": "a long argument that comes in pieces"}}], chunks=12)
    client.sim.fault(shim, "cut_after_content", n=1)
    look = {"name": "look", "description": "Looks.", "input_schema": {"type": "object", "properties": {"at": {"type": "string"}}}}
    events = (await client.ask(shim, stream=True, model=HASTY, tools=[look])).events
    assert "content_block_stop" not in [event["type"] for event in events]
    assert events[-1]["type"] == "error"


@EACH
@BOTH
async def test_a_prompt_that_is_too_long_is_told_in_words_that_make_claude_code_compact(client: Client, shim: str, stream: bool) -> None:
    client.sim.model(shim, (await client.ask(shim)).headers["x-parley-model"], context_window=1_000)
    got = await client.ask(shim, stream=stream, messages=[{"role": "user", "content": "word " * 4_000}])
    assert (got.status, got.headers["x-should-retry"]) == (400, "false")
    assert got.body["error"]["type"] == "invalid_request_error"
    assert got.body["error"]["message"].startswith("prompt is too long: ")


@EACH
async def test_no_key_and_no_home_is_in_an_error(client: Client, shim: str) -> None:
    keys = client.secrets
    client.sim.fault(shim, "status", status=400, message=f"refused: {' '.join(keys)}")
    got = await client.ask(shim)
    assert got.status == 400 and not [key for key in keys if key.encode() in got.content]
