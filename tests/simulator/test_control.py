"""The control routes and the log."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from simulator import Simulator
from tests.simulator.support import Client, Reply


async def control(client: Client, path: str, body: Any = None) -> Reply:
    return await client.send(f"/_sim/{path}", body if body is not None else "", None)


async def look(client: Client, path: str) -> Any:
    return (await client.send(f"/_sim/{path}", None, None, "GET")).json


async def test_rules_and_faults_come_singly_in_lists_and_wrapped(client: Client) -> None:
    assert (await control(client, "rules", {"provider": "openrouter", "text": "a", "times": 1})).json == {"added": 1, "rules": 1}
    assert (await control(client, "rules", [{"provider": "openrouter", "text": "b", "times": 1}])).json["rules"] == 2
    wrapped = {"provider": "openrouter", "rules": [{"text": "c", "times": 1}, {"text": "d"}]}
    assert (await control(client, "rules", wrapped)).json == {"added": 2, "rules": 4}
    texts = [(await client.openrouter()).json["choices"][0]["message"]["content"] for _ in range(4)]
    assert texts == ["a", "b", "c", "d"]
    fault = {"provider": "openrouter", "kind": "status", "status": 429, "headers": {"retry-after": 2}, "times": "forever"}
    assert (await control(client, "faults", fault)).json == {"added": 1, "faults": 1}
    reply = await client.openrouter()
    assert (reply.status, reply.headers["retry-after"]) == (429, "2")


async def test_models_may_be_changed_and_added(client: Client) -> None:
    await control(client, "models", {"provider": "github_models", "model": "openai/gpt-4.1", "context_window": 1})
    assert (await client.github(messages=[{"role": "user", "content": "x" * 40}])).status == 413
    await control(client, "models", [{"provider": "openrouter", "model": "new/one", "max_output": 5, "family": "gpt"}])
    assert (await client.openrouter(model="new/one", max_tokens=6)).status == 400
    assert (await client.openrouter(model="new/one", max_tokens=5)).status == 200
    await control(client, "reset")
    assert (await client.openrouter(model="new/one")).status == 404


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("rules", "{oops", "the body is not JSON"),
        ("rules", "", "expected an object"),
        ("rules", 7, "expected an object"),
        ("rules", [], "expected an object"),
        ("rules", {"provider": "nobody"}, "a rule's provider must be one of"),
        ("faults", {"provider": "openrouter", "kind": "explode"}, "unknown fault kind"),
        ("faults", ["x"], "expected an object"),
        ("models", {"model": "x"}, "needs provider and model"),
        ("models", {"provider": "openrouter", "model": "x", "colour": 1}, "unknown model property 'colour'"),
        ("models", {"provider": "openrouter", "model": "x", "max_output": "5"}, "max_output of a model cannot be '5'"),
        ("models", {"provider": "openrouter", "model": "x", "max_output": True}, "max_output of a model cannot be True"),
        ("reset", {"parts": ["everything"]}, "cannot reset 'everything'"),
        ("reset", {"parts": "rules"}, "parts must be a list"),
        ("reset", [], "reset takes no body"),
    ],
)
async def test_bad_control_input_is_a_400_that_says_why(client: Client, path: str, body: Any, words: str) -> None:
    reply = await control(client, path, body)
    assert reply.status == 400
    assert words in reply.json["error"]


async def test_one_bad_rule_in_a_list_adds_none(client: Client) -> None:
    reply = await control(client, "rules", [{"provider": "openrouter", "text": "a"}, {"provider": "x"}])
    assert reply.status == 400
    assert (await look(client, "state"))["rules"] == 0


async def test_unknown_control_routes_are_404(client: Client) -> None:
    assert (await control(client, "nothing")).status == 404
    assert (await client.send("/_sim/rules", None, None, "GET")).status in (404, 405)


async def test_the_log_shows_what_arrived_and_hides_credentials(client: Client) -> None:
    await client.openrouter(messages=[{"role": "user", "content": "remember me"}], stream=True)
    await client.send("/api/v1/messages?key=secret-in-query&a=1", {}, "secret-token", X_Api_Key="secret-key")
    good, bad = await look(client, "log")
    assert (good["seq"], good["provider"], good["route"], good["model"]) == (1, "openrouter", "chat", "anthropic/claude-sonnet-4.5")
    assert (good["method"], good["path"], good["stream"], good["status"]) == ("POST", "/api/v1/chat/completions", True, 200)
    assert good["body"]["messages"][0]["content"] == "remember me"
    assert good["raw_bytes"] == len(json.dumps(good["body"]))
    assert (good["auth"], good["headers"]["authorization"]) == ("ok", "<credential ok>")
    assert good["answered"] and good["answered_at"] >= good["at"] and not good["disconnected"]
    assert (bad["auth"], bad["headers"]["authorization"], bad["headers"]["x-api-key"]) == ("bad", "<credential bad>", "<credential bad>")
    assert bad["path"] == "/api/v1/messages?key=<credential>&a=1"
    assert "secret" not in json.dumps(bad)
    assert [entry["seq"] for entry in await look(client, "log?provider=openrouter")] == [1, 2]
    assert await look(client, "log?provider=vertex_claude") == []


async def test_the_state_counts_what_is_in_flight(client: Client, sim: Simulator) -> None:
    sim.fault("github_models", "hang_before_headers", times=3)
    lines = [await client.dial(*client.question("github_models")) for _ in range(3)]
    await sim.until(lambda log: sum(entry["fault"] is not None for entry in log) == 3)
    state = await look(client, "state")
    assert state["simulated"] is True
    assert (state["in_flight"], state["max_in_flight"]["github_models"]) == ({"github_models": 3}, 3)
    assert sorted(entry["in_flight"] for entry in sim.log) == [1, 2, 3]
    for line in lines:
        await line.close()
    await sim.until(lambda log: all(entry["disconnected"] for entry in log))
    assert sim.state["in_flight"] == {}
    assert (sim.state["max_in_flight"], sim.state["totals"]) == ({"google_token": 0, "github_models": 3}, {"github_models": 3})


async def test_reset_forgets_only_what_it_is_told(client: Client, sim: Simulator) -> None:
    sim.rule("openrouter", "scripted")
    sim.fault("openrouter", "status")
    await client.openrouter()
    await control(client, "reset", {"parts": ["faults", "log"]})
    assert sim.log == [] and sim.state["rules"] == 1
    assert (await client.openrouter()).json["choices"][0]["message"]["content"] == "scripted"
    await control(client, "reset", {"parts": ["tokens"]})
    assert (await client.claude()).status == 401
    await control(client, "reset")
    assert sim.log == [] and sim.state["rules"] == 0


async def test_the_control_routes_may_have_a_port_of_their_own() -> None:
    async with Simulator(control_port=0) as sim:
        assert sim.control_url != sim.base_url
        reader, writer = await asyncio.open_connection("127.0.0.1", int(sim.base_url.rpartition(":")[2]))
        writer.write(b"GET /_sim/state HTTP/1.0\r\n\r\n")
        assert b" 404 " in await reader.readline()
        writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", int(sim.control_url.rpartition(":")[2]))
        writer.write(b"GET /_sim/state HTTP/1.0\r\n\r\n")
        assert b" 200 " in await reader.readline()
        writer.close()


async def test_waiting_for_the_second_request_waits_through_the_first(client: Client, sim: Simulator) -> None:
    waiting = asyncio.create_task(sim.until(lambda log: log[1]["answered"] and log[1]["seq"]))
    await client.openrouter()
    await client.openrouter()
    assert await waiting == 2


async def test_waiting_for_what_never_comes_ends_with_the_log(client: Client, sim: Simulator) -> None:
    await client.openrouter()
    with pytest.raises(TimeoutError, match=r"1 openrouter anthropic/claude-sonnet-4\.5 status=200"):
        await sim.until(lambda log: len(log) == 2, timeout=0.05)


async def test_a_taken_port_is_an_error_and_leaves_nothing_behind(sim: Simulator) -> None:
    port = int(sim.base_url.rpartition(":")[2])
    with pytest.raises(OSError):
        await Simulator(port).start()
    with pytest.raises(OSError):
        await Simulator(0, port).start()


async def test_stopping_ends_hanging_answers(client: Client) -> None:
    async with Simulator() as other:
        other.fault("openrouter", "hang_before_headers")
        line = await Client(other, client.session, client.token, client.env).dial(*client.question("openrouter"))
        await other.until(lambda log: log and log[0]["fault"])
    assert await line.rest() == b""


async def test_a_long_log_forgets_its_beginning(client: Client, sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simulator.log._KEPT", 10)
    for _ in range(11):
        await client.openrouter()
    assert [entry["seq"] for entry in sim.log] == list(range(2, 12))
    assert sim.state["totals"]["openrouter"] == 11
