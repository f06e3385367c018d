"""The same tools over streamable HTTP and SSE, with the SDK's own client, and who is kept out."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, TextContent

from simulator import ThreadedSimulator
from tests.main_job.process import PARLEY, bare_environment
from tests.main_job.wires import asked

TOKEN = "a-token-for-the-port"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "version", "arguments": {}}}


@contextmanager
def serving_http(sim: ThreadedSimulator, folder: Path, **changes: str) -> Generator[str]:
    """A server on a free port, ended as a service is; its base URL."""
    env = {**bare_environment(folder), **sim.environment(folder), **changes}
    words = [PARLEY, "serve", "--transport", "http", "--port", "0"]
    with subprocess.Popen(words, env=env, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = process.stderr.readline()
        try:
            assert said.startswith("parley: serving MCP on http://127.0.0.1:"), said
            yield said.split()[4].rpartition("/")[0]
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0


@pytest.fixture(scope="module")
def url(simulated: ThreadedSimulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving_http(simulated, tmp_path_factory.mktemp("http"), PARLEY_TOKEN=TOKEN) as base:
        yield base


@asynccontextmanager
async def client(url: str, path: str) -> AsyncIterator[Client]:
    """The SDK's client with the token."""
    if path == "/sse":
        async with Client(sse_client(url + path, headers=BEARER)) as found:
            yield found
        return
    async with httpx2.AsyncClient(headers=BEARER, timeout=30) as web, Client(streamable_http_client(url + path, http_client=web)) as found:
        yield found


def error_of(result: CallToolResult) -> dict[str, Any]:
    (block,) = result.content
    assert result.is_error and isinstance(block, TextContent)
    return json.loads(block.text)


@pytest.mark.parametrize(("path", "other"), [("/mcp", "/sse"), ("/sse", "/mcp")])
async def test_a_thread_goes_on_from_one_transport_to_the_other(url: str, sim: ThreadedSimulator, path: str, other: str) -> None:
    sim.rule("vertex_claude", "the word is tangerine")
    async with client(url, path) as one:
        first = (await one.call_tool("chat", {"prompt": "A word?", "model": "vertex_claude"})).structured_content
        assert first is not None and first["content"] == "the word is tangerine"
        assert error_of(await one.call_tool("chat", {"prompt": "x", "model": "nobody"}))["code"] == "unknown_model"
    async with client(url, other) as two:
        arguments = {"prompt": "Which?", "model": "openrouter", "continuation_id": first["continuation_id"]}
        second = (await two.call_tool("chat", arguments)).structured_content
    assert second is not None and second["turn"] == 4
    assert "tangerine" in str(asked(sim, "openrouter")[0]["body"])


def post(url: str, path: str = "/mcp", **headers: str) -> tuple[int, bytes]:
    """Send one request with exactly these headers besides what MCP asks for; an empty value leaves the header out."""
    netloc = url.removeprefix("http://")
    usual = {"Host": netloc, "Accept": "application/json, text/event-stream", "Content-Type": "application/json", **BEARER}
    content = json.dumps(CALL).encode()
    connection = http.client.HTTPConnection(netloc, timeout=10)
    try:
        connection.putrequest("POST", path, skip_host=True, skip_accept_encoding=True)
        for name, value in {**usual, "Content-Length": str(len(content)), **headers}.items():
            if value:
                connection.putheader(name, value)
        connection.endheaders(content)
        reply = connection.getresponse()
        return reply.status, reply.read()
    finally:
        connection.close()


WRONG = [
    ("a foreign host", {"Host": "evil.example"}, 421),
    ("a name rebound to loopback", {"Host": "evil.example:{port}"}, 421),
    ("another port", {"Host": "127.0.0.1:1"}, 421),
    ("no host", {"Host": ""}, 400),
    ("a foreign origin", {"Origin": "http://evil.example"}, 403),
    ("an origin like ours", {"Origin": "http://127.0.0.1.evil.example:{port}"}, 403),
    ("another port's origin", {"Origin": "http://127.0.0.1:1"}, 403),
    ("a file's origin", {"Origin": "null"}, 403),
    ("no token", {"Authorization": ""}, 401),
    ("a wrong token", {"Authorization": "Bearer a-token-for-the-pork"}, 401),
    ("half a token", {"Authorization": f"Bearer {TOKEN[:8]}"}, 401),
    ("a token of another kind", {"Authorization": f"Basic {TOKEN}"}, 401),
    ("a body of a gigabyte", {"Content-Length": "1000000000"}, 413),
]


@pytest.mark.parametrize(("headers", "status"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
@pytest.mark.parametrize("path", ["/mcp", "/sse", "/messages/?session_id=0"])
def test_who_has_no_business_here_is_kept_out_of_every_path(url: str, path: str, headers: dict[str, str], status: int) -> None:
    port = url.rpartition(":")[2]
    got, body = post(url, path, **{name: value.format(port=port) for name, value in headers.items()})
    assert got == status and TOKEN.encode() not in body


@pytest.mark.parametrize("headers", [{}, {"Authorization": "", "x-api-key": TOKEN}, {"Origin": "http://localhost:{port}"}])
def test_who_has_the_token_is_let_in(url: str, headers: dict[str, str]) -> None:
    port = url.rpartition(":")[2]
    status, body = post(url, **{name: value.format(port=port) for name, value in headers.items()})
    assert status not in (401, 403, 421), body


def test_without_a_token_loopback_is_served_and_health_always(url: str, simulated: ThreadedSimulator, tmp_path: Path) -> None:
    with serving_http(simulated, tmp_path) as open_url:
        assert post(open_url, Authorization="")[0] not in (401, 403)
        assert post(open_url, Origin="http://evil.example")[0] == 403
    with httpx2.Client() as web:
        assert web.get(f"{url}/health").json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("words", "env"),
    [([], {"PARLEY_HOST": "0.0.0.0"}), (["--host", "192.0.2.1"], {}), (["--host", "::"], {}), ([], {"PARLEY_HOST": "box.example"})],
    ids=str,
)
def test_a_host_others_can_reach_needs_a_token(words: list[str], env: dict[str, str], tmp_path: Path) -> None:
    command = [PARLEY, "serve", "--transport", "http", "--port", "0", *words]
    done = subprocess.run(command, env={**bare_environment(tmp_path), **env}, cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert "PARLEY_TOKEN" in done.stderr
