"""The HTTP transports, over real sockets and in a process of their own."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, Self

import aiohttp
import mcp_types as types
import pytest
from mcp import Client
from mcp.client.sse import sse_client

from cli._http_ports import BindError, PortTakenError, listen, port_owner
from tests.cli.wired import INITIALIZE, PATIENCE, Words, command, reading

GONE_WITHIN = 10.0
JSON = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
TRANSPORTS = ("http", "sse")
ROUTES = (
    ("POST", "/mcp"), ("GET", "/mcp"), ("DELETE", "/mcp"), ("GET", "/sse"), ("POST", "/messages/"), ("GET", "/health"), ("GET", "/nowhere"),
)  # fmt: skip


class Served:
    """One HTTP server process."""

    def __init__(self, **options: object) -> None:
        self._options = {"host": "127.0.0.1", "port": 0, "token": "", **options}

    async def __aenter__(self) -> Self:
        ours, theirs = os.pipe()
        arguments = [f"{name}={value}" for name, value in self._options.items()]
        self.process = subprocess.Popen(command("http", *arguments), stdin=subprocess.DEVNULL, stderr=theirs)
        os.close(theirs)
        stderr, self._stderr = await reading(ours)
        self.words = Words(stderr)
        self.url = (await self.words.until("url ")).removeprefix("url ")
        self.port = int(self.url.rpartition(":")[2])
        self.session = aiohttp.ClientSession()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()
        self.process.kill()
        await asyncio.to_thread(self.process.wait)
        self._stderr.close()

    async def ask(self, method: str, path: str, **options: Any) -> tuple[int, bytes]:
        async with asyncio.timeout(PATIENCE), self.session.request(method, self.url + path, **options) as answer:
            return answer.status, await answer.read()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def ended(self) -> tuple[int, float]:
        """Exit status, and the seconds it took to come."""
        began = asyncio.get_running_loop().time()
        status = await asyncio.to_thread(self.process.wait, GONE_WITHIN)
        took = asyncio.get_running_loop().time() - began
        await self.words.until_silent()
        return status, took

    def client(self, transport: str, **options: Any) -> Client:
        return Client(sse_client(f"{self.url}/sse") if transport == "sse" else f"{self.url}/mcp", **options)


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    async with Served() as server:
        yield server


def message(method: str, request_id: int | None = None, **params: object) -> bytes:
    head: dict[str, object] = {"jsonrpc": "2.0", "method": method, "params": params}
    return json.dumps(head if request_id is None else {**head, "id": request_id}).encode()


async def open_session(served: Served) -> dict[str, str]:
    """A 2025 session over streamable HTTP; the headers its requests carry."""
    async with served.session.post(f"{served.url}/mcp", data=message("initialize", 1, **INITIALIZE), headers=JSON) as answer:
        assert answer.status == 200
        headers = {**JSON, "mcp-session-id": answer.headers["mcp-session-id"], "mcp-protocol-version": "2025-11-25"}
        await answer.read()
    status, _ = await served.ask("POST", "/mcp", data=message("notifications/initialized"), headers=headers)
    assert status == 202
    return headers


def call(tool: str, request_id: int = 2, **arguments: object) -> bytes:
    return message("tools/call", request_id, name=tool, arguments=arguments)


def text_of(result: types.CallToolResult) -> str:
    assert isinstance(result.content[0], types.TextContent)
    return result.content[0].text


# --- real clients -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "version"), [("legacy", "2025-11-25"), ("auto", "2026-07-28")])
async def test_the_official_client_lists_and_calls_over_both_transports_in_both_eras(served: Served, mode: Any, version: str) -> None:
    for transport in TRANSPORTS:
        seen: list[float] = []

        async def on_progress(progress: float, total: float | None, message: str | None, seen: list[float] = seen) -> None:
            seen.append(progress)

        async with asyncio.timeout(PATIENCE), served.client(transport, mode=mode) as client:
            assert client.protocol_version == version, transport
            assert "echo" in {tool.name for tool in (await client.list_tools()).tools}
            assert text_of(await client.call_tool("echo", {"text": transport})) == transport
            await client.call_tool("progress", {}, progress_callback=on_progress)
        assert seen == [0.5], transport


@pytest.mark.parametrize("tool", ["slow", "stuck"])
async def test_other_calls_are_answered_while_one_runs(served: Served, tool: str) -> None:
    for transport in TRANSPORTS:
        async with asyncio.timeout(PATIENCE), served.client(transport, mode="legacy") as client:
            running = asyncio.create_task(client.call_tool(tool, {}))
            await served.words.until(f"{tool}-began")
            answers = await asyncio.gather(*(client.call_tool("echo", {"text": str(number)}) for number in range(20)))
            assert [text_of(answer) for answer in answers] == [str(number) for number in range(20)]
            running.cancel()
            await asyncio.wait([running])


# --- a client that leaves ---------------------------------------------------------------------------------------------


async def legacy_call(served: Served) -> None:
    headers = await open_session(served)
    await served.ask("POST", "/mcp", data=call("slow"), headers=headers)


META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


async def modern_call(served: Served) -> None:
    headers = {**JSON, "mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": "slow"}
    await served.ask("POST", "/mcp", data=message("tools/call", 2, name="slow", arguments={}, _meta=META), headers=headers)


async def sse_call(served: Served) -> None:
    async with served.session.get(f"{served.url}/sse", headers={"accept": "text/event-stream"}) as stream:
        target = served.url + await sse_target(stream)
        for body in (message("initialize", 1, **INITIALIZE), message("notifications/initialized"), call("slow")):
            async with served.session.post(target, data=body, headers=JSON) as answer:
                assert answer.status == 202
        await stream.read()


@pytest.mark.parametrize("talk", [legacy_call, modern_call, sse_call])
async def test_the_call_of_a_client_that_disconnects_is_cancelled(
    served: Served, talk: Callable[[Served], Coroutine[Any, Any, None]]
) -> None:
    talking = asyncio.create_task(talk(served))
    await served.words.until("slow-began")
    talking.cancel()
    await asyncio.wait([talking])
    await served.words.until("slow-cancelled")
    assert (await served.ask("GET", "/health"))[0] == 200


async def test_a_disconnect_cancels_its_own_call_and_no_other_of_the_session(served: Served) -> None:
    headers = await open_session(served)
    first, second = (
        asyncio.create_task(served.ask("POST", "/mcp", data=call("slow", number), headers=headers)) for number in (11, 12)
    )
    await served.words.until("slow-began")
    await served.words.until("slow-began")
    first.cancel()
    await asyncio.wait([first])
    await served.words.until("slow-cancelled")
    status, body = await served.ask("POST", "/mcp", data=call("echo", 13, text="still here"), headers=headers)
    assert (status, b"still here" in body, second.done()) == (200, True, False)
    await served.ask("POST", "/mcp", data=message("notifications/cancelled", requestId=12), headers=headers)
    await served.words.until("slow-cancelled")
    await second


async def test_a_client_killed_with_9_has_its_calls_cancelled(served: Served) -> None:
    code = f"""
import asyncio
from mcp import Client
async def main():
    async with Client({served.url + "/mcp"!r}, mode="legacy") as client:
        await client.call_tool("slow", {{}})
asyncio.run(main())
"""
    client = subprocess.Popen([sys.executable, "-c", code])
    await served.words.until("slow-began")
    client.kill()
    await asyncio.to_thread(client.wait)
    await served.words.until("slow-cancelled")


# --- what may not pass ------------------------------------------------------------------------------------------------


async def test_every_route_checks_host_origin_and_token() -> None:
    async with Served(token="s3cret") as served:
        good = {"authorization": "Bearer s3cret"}
        for method, path in ROUTES:
            where = f"{method} {path}"
            assert (await served.ask(method, path, headers={**good, "host": "evil.example"}))[0] == 421, where
            assert (await served.ask(method, path, headers={**good, "host": f"evil.example:{served.port}"}))[0] == 421, where
            assert (await served.ask(method, path, headers={**good, "origin": "null"}))[0] == 403, where
            assert (await served.ask(method, path, headers={**good, "origin": "http://localhost:1"}))[0] == 403, where
            status, body = await served.ask(method, path, headers={"x-api-key": "wrong"})
            assert status == (200 if path == "/health" else 401), where
            assert b"s3cret" not in body
        async with asyncio.timeout(PATIENCE), aiohttp.ClientSession(headers=good) as session, session.get(f"{served.url}/sse") as stream:
            assert stream.status == 200


async def test_an_unknown_path_and_a_wrong_method_are_json_errors(served: Served) -> None:
    for method, path, status in (("GET", "/nowhere", 404), ("POST", "/health", 405), ("HEAD", "/sse", 405), ("POST", "/sse", 405)):
        answered, body = await served.ask(method, path)
        assert answered == status, path
        assert method == "HEAD" or set(json.loads(body)["error"]) == {"type", "message"}


async def test_a_body_over_the_limit_is_refused_however_it_is_sent() -> None:
    async with Served(max_body_bytes=100_000) as served:

        async def endless() -> AsyncIterator[bytes]:
            for _ in range(200):
                yield b"x" * 10_000

        for path in ("/mcp", "/messages/?session_id=" + "0" * 32):
            for body in (io.BytesIO(b"x" * 20_000_000), endless()):
                status, answer = await served.ask("POST", path, data=body, headers=JSON)
                assert (status, json.loads(answer)["error"]["type"]) == (413, "request_too_large")
        headers = await open_session(served)
        status, answer = await served.ask("POST", "/mcp", data=call("echo", text="y" * 90_000), headers=headers)
        assert (status, b"y" * 90_000 in answer) == (200, True)


async def test_malformed_json_batches_and_deep_nesting_are_answered_and_the_session_goes_on(served: Served) -> None:
    headers = await open_session(served)
    for body in (b"{bad}", b"[]", b"[" * 10_000 + b"]" * 10_000, b"3", b"\xff", b'{"jsonrpc":"1.0","id":1,"method":"ping"}'):
        status, answer = await served.ask("POST", "/mcp", data=body, headers=headers)
        assert (status, "error" in json.loads(answer)) == (400, True), body[:40]
    status, answer = await served.ask("POST", "/mcp", data=message("ping", 5), headers=headers)
    assert (status, b'"id":5' in answer) == (200, True)


async def test_sessions_are_bounded_and_room_frees_up_when_one_ends() -> None:
    async with Served(max_sessions=2) as served:
        sessions = [await open_session(served) for _ in range(2)]
        listening = [await served.session.get(f"{served.url}/mcp", headers=headers) for headers in sessions]
        async with served.session.post(f"{served.url}/mcp", data=message("initialize", 1, **INITIALIZE), headers=JSON) as refused:
            assert (refused.status, refused.headers["retry-after"]) == (503, "5"), "both are in use"
        await served.ask("DELETE", "/mcp", headers=sessions[0])
        await open_session(served)
        for stream in listening:
            stream.close()
        streams = [await served.session.get(f"{served.url}/sse") for _ in range(2)]
        assert [stream.status for stream in streams] == [200, 200]
        async with served.session.get(f"{served.url}/sse") as refused:
            assert (refused.status, refused.headers["retry-after"]) == (503, "5")
        streams[0].close()
        async with asyncio.timeout(PATIENCE):
            while (again := await served.session.get(f"{served.url}/sse")).status == 503:
                again.release()
        again.close()
        streams[1].close()


async def test_the_longest_idle_session_makes_room_for_a_new_one_and_those_in_use_stay() -> None:
    async with Served(max_sessions=3) as served:
        first, second, third = [await open_session(served) for _ in range(3)]
        listening = await served.session.get(f"{served.url}/mcp", headers=first)
        await served.ask("POST", "/mcp", data=message("ping", 5), headers=second)
        await open_session(served)
        statuses = [(await served.ask("POST", "/mcp", data=message("ping", 6), headers=one))[0] for one in (first, second, third)]
        assert statuses == [200, 200, 404]
        new = await asyncio.gather(*(open_session(served) for _ in range(2)))
        statuses = [(await served.ask("POST", "/mcp", data=message("ping", 7), headers=one))[0] for one in (first, second, *new)]
        assert statuses == [200, 404, 200, 200]
        listening.close()


async def test_a_server_left_by_hundreds_of_clients_takes_new_ones() -> None:
    async with Served(max_sessions=8) as served:
        for _ in range(40):
            await open_session(served)
        assert len({(await open_session(served))["mcp-session-id"] for _ in range(8)}) == 8


async def sse_target(stream: aiohttp.ClientResponse) -> str:
    while not (line := (await stream.content.readline()).decode().strip()).startswith("data:"):
        pass
    return line.removeprefix("data:").strip()


@pytest.mark.parametrize("odd", [b"null", b"NaN", b"1.5", b"true", b"[1]"])
async def test_an_id_that_is_none_is_refused_on_every_transport(served: Served, odd: bytes) -> None:
    headers = await open_session(served)
    async with served.session.get(f"{served.url}/sse") as stream:
        target = await sse_target(stream)
        body = b'{"jsonrpc":"2.0","id":' + odd + b',"method":"ping"}'
        for path in ("/mcp", target):
            status, answer = await served.ask("POST", path, data=body, headers=headers)
            refusal = json.loads(answer)
            assert (status, refusal["error"]["code"], refusal["id"]) == (400, -32600, None), path
            assert "id must be" in refusal["error"]["message"]


async def test_a_text_cut_inside_an_emoji_is_taken_on_every_transport(served: Served) -> None:
    headers = await open_session(served)
    body = call("echo", 3, text="cut \ud83d")
    assert b"\\ud83d" in body
    status, answer = await served.ask("POST", "/mcp", data=body, headers=headers)
    assert (status, "cut \ufffd" in answer.decode()) == (200, True)
    modern = {**JSON, "mcp-protocol-version": "2026-07-28", "mcp-method": "tools/call", "mcp-name": "echo"}
    modern_body = message("tools/call", 3, name="echo", arguments={"text": "cut \ud83d"}, _meta=META)
    status, answer = await served.ask("POST", "/mcp", data=modern_body, headers=modern)
    assert status == 200
    async with asyncio.timeout(PATIENCE), served.session.get(f"{served.url}/sse") as stream:
        target = await sse_target(stream)
        for one in (message("initialize", 1, **INITIALIZE), message("notifications/initialized"), body):
            assert (await served.ask("POST", target, data=one, headers=JSON))[0] == 202
        while "cut \ufffd" not in (line := (await stream.content.readline()).decode()):
            assert line, "the stream ended without the answer"


async def test_only_the_transports_asked_for_have_routes() -> None:
    for transports, mcp, sse in (("http", 400, 404), ("sse", 404, 200)):
        async with Served(transports=transports) as served:
            assert (await served.ask("POST", "/mcp", data=b"{}", headers={"content-type": "application/json"}))[0] == mcp
            async with served.session.get(f"{served.url}/sse") as stream:
                assert stream.status == sse
            assert (await served.ask("GET", "/health"))[0] == 200


# --- the port ---------------------------------------------------------------------------------------------------------


async def test_a_taken_port_is_an_error_in_one_line_that_names_who_has_it_before_the_server_is_built() -> None:
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        arguments = command("http", "host=127.0.0.1", f"port={port}", "token=", "setting=PARLEY_PORT_ROUTER")
        done = await asyncio.to_thread(subprocess.run, arguments, capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 1
        last = done.stderr.strip().splitlines()[-1]
        assert last.startswith(f"cli._http_ports.PortTakenError: port {port} on 127.0.0.1 is taken")
        assert last.endswith("choose another with PARLEY_PORT_ROUTER")
        assert not Path("/proc/net/tcp").exists() or f"(pid {os.getpid()})" in last
        assert "closed" not in done.stderr


async def test_a_host_others_can_reach_is_refused_without_a_token() -> None:
    done = await asyncio.to_thread(
        subprocess.run, command("http", "host=0.0.0.0", "port=0", "token="), capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.returncode == 1
    assert "ValueError: PARLEY_HOST=0.0.0.0" in done.stderr


def test_two_servers_never_get_one_port() -> None:
    first = listen("127.0.0.1", 0)[0]
    port = first.getsockname()[1]
    for host in ("127.0.0.1", "localhost"):
        with pytest.raises(PortTakenError, match=f"port {port} .* is taken"):
            listen(host, port)
    first.close()
    for sock in listen("127.0.0.1", port):
        sock.close()
    assert port_owner(port) is None


def test_localhost_takes_one_port_on_every_address_it_stands_for() -> None:
    sockets = listen("localhost", 0)
    assert len({sock.getsockname()[1] for sock in sockets}) == 1
    for sock in sockets:
        sock.close()


def test_a_connection_made_before_the_server_runs_waits_instead_of_being_refused() -> None:
    sock = listen("127.0.0.1", 0)[0]
    with socket.create_connection(sock.getsockname()):
        sock.close()


@pytest.mark.parametrize("host", ["192.0.2.1", "not a host name"])
def test_a_host_that_is_not_this_machine_is_an_error_in_one_line(host: str, off_machine: list[str]) -> None:
    with pytest.raises((BindError, AssertionError)) as refused:
        listen(host, 0)
    assert "\n" not in str(refused.value)
    off_machine.clear()


# --- the end ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_an_idle_server_with_open_streams_and_sessions_ends_cleanly_at_once(number: signal.Signals) -> None:
    async with Served() as served:
        headers = await open_session(served)
        streams = [
            await served.session.get(f"{served.url}/sse"),
            await served.session.get(f"{served.url}/mcp", headers={**headers, "accept": "text/event-stream"}),
        ]
        served.signal(number)
        status, took = await served.ended()
        assert (status, served.words.heard[-1]) == (0, "returned")
        assert took < 3
        assert not any("Traceback" in word or "Exception" in word for word in served.words.heard)
        for stream in streams:
            stream.close()


async def test_a_running_call_may_end_after_the_signal_and_its_answer_arrives() -> None:
    async with Served() as served:
        headers = await open_session(served)
        talking = asyncio.create_task(served.ask("POST", "/mcp", data=call("gate"), headers=headers))
        await served.words.until("gate-waits")
        served.signal(signal.SIGTERM)
        await until_refused(served.port)
        gate = (await served.words.until("gate-at")).removeprefix("gate-at ")
        Path(gate).touch()
        status, body = await talking
        assert (status, b"through the gate" in body) == (200, True)
        assert (await served.ended())[0] == 0


async def check_ending(running: str) -> None:
    async with Served() as served:
        headers = await open_session(served)
        talking = asyncio.create_task(served.ask("POST", "/mcp", data=call(running), headers=headers))
        await served.words.until(f"{running}-began")
        served.signal(signal.SIGTERM)
        status, took = await served.ended()
        assert status == (0 if running == "slow" else 1), running
        assert ("slow-cancelled" in served.words.heard) == (running == "slow")
        assert took < GONE_WITHIN, running
        await asyncio.wait([talking])
        assert talking.exception() is not None, running


async def test_the_process_is_gone_within_ten_seconds_whatever_runs() -> None:
    await asyncio.gather(*(check_ending(running) for running in ("slow", "stuck", "blocked", "stubborn")))


async def test_a_second_signal_cancels_running_calls_at_once() -> None:
    async with Served() as served:
        headers = await open_session(served)
        talking = asyncio.create_task(served.ask("POST", "/mcp", data=call("slow"), headers=headers))
        await served.words.until("slow-began")
        served.signal(signal.SIGINT)
        await until_refused(served.port)
        served.signal(signal.SIGINT)
        status, took = await served.ended()
        assert (status, took < 4, "slow-cancelled" in served.words.heard) == (0, True, True)
        await asyncio.wait([talking])


async def until_refused(port: int) -> None:
    """Wait until the server takes no more connections."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionError:
                return
            writer.close()


async def test_small_packets_of_an_answer_do_not_wait_for_each_other() -> None:
    """A delayed packet costs 40 ms a request."""
    undelayed: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def accepted(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        undelayed.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    (sock,) = listen("127.0.0.1", 0)
    async with await asyncio.start_server(accepted, sock=sock) as server:
        _, writer = await asyncio.open_connection(*sock.getsockname())
        assert await asyncio.wait_for(undelayed, PATIENCE)
        writer.close()
        await writer.wait_closed()
        server.close()
