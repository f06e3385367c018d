"""parley serve, as clients meet it: the real process, the real transports, simulated upstreams."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult, TextContent

from simulator import ThreadedSimulator, running
from tests.cli.run import PARLEY

SECRET = "planted-secret-0123456789"
PROMPT = "tell-nobody-what-I-asked"
MEMORY = (
    "add_memory", "search_memory_facts", "search_nodes", "get_episodes", "get_status",
    "delete_episode", "get_entity_edge", "delete_entity_edge", "clear_graph",
)  # fmt: skip


@pytest.fixture
def sim() -> Iterator[ThreadedSimulator]:
    with running() as simulator:
        yield simulator


@pytest.fixture
def env(sim: ThreadedSimulator, tmp_path: Path) -> dict[str, str]:
    return {**os.environ, **sim.environment(tmp_path), "PARLEY_HOME": str(tmp_path / "home")}


def stdio(env: dict[str, str], cwd: Path, *arguments: str) -> Client:
    return Client(StdioServerParameters(command=str(PARLEY), args=["serve", *arguments], env=env, cwd=cwd))


async def names(client: Client) -> list[str]:
    return [tool.name for tool in (await client.list_tools()).tools]


async def providers(client: Client) -> list[tuple[str, bool]]:
    listed = (await client.call_tool("listmodels", {})).structured_content
    assert listed is not None
    return [(row["name"], row["configured"]) for row in listed["providers"]]


def failure(result: CallToolResult) -> dict[str, Any]:
    (block,) = result.content
    assert result.is_error and isinstance(block, TextContent)
    return json.loads(block.text)


async def test_a_client_on_stdio_asks_a_model_and_goes_on_after_a_restart(
    env: dict[str, str], tmp_path: Path, sim: ThreadedSimulator
) -> None:
    sim.rule("vertex_claude", "The word is xylophone.")
    sim.rule("vertex_gemini", "You were told {quote:xylo[a-z]+}.")
    async with stdio(env, tmp_path) as client:
        first = (await client.call_tool("chat", {"prompt": "A word?", "model": "vertex_claude"})).structured_content
    assert first is not None and first["content"] == "The word is xylophone."
    async with stdio(env, tmp_path) as client:
        arguments = {"prompt": "Which word?", "model": "gemini", "continuation_id": first["continuation_id"]}
        second = (await client.call_tool("chat", arguments)).structured_content
    assert second is not None and (second["content"], second["turn"]) == ("You were told xylophone.", 4)


@pytest.mark.parametrize(
    ("arguments", "variables", "expected"),
    [
        (("--tools", "version,chat"), {"PARLEY_TOOLS": "threads"}, ["chat", "version"]),
        ((), {"PARLEY_TOOLS": " listmodels , version"}, ["listmodels", "version"]),
        (
            (),
            {"PARLEY_DISABLED_TOOLS": f"chat,fallback,{','.join(MEMORY)}"},
            ["consensus", "codereview", "listmodels", "threads", "version"],
        ),
    ],
)
async def test_only_the_chosen_tools_are_there(
    env: dict[str, str], tmp_path: Path, arguments: tuple[str, ...], variables: dict[str, str], expected: list[str]
) -> None:
    async with stdio({**env, **variables}, tmp_path, *arguments) as client:
        assert await names(client) == expected
        assert failure(await client.call_tool("fallback", {"prompt": "x"}))["code"] == "invalid_input"


async def test_without_any_key_the_server_runs_and_says_how_to_configure_one(tmp_path: Path) -> None:
    async with stdio({**os.environ, "GITHUB_TOKEN": "${GITHUB_TOKEN:-}"}, tmp_path) as client:
        error = failure(await client.call_tool("chat", {"prompt": "x"}))
        assert error["code"] == "not_configured" and "OPENROUTER_API_KEY" in error["hint"]
        assert not any(configured for _, configured in await providers(client))


async def test_env_files_configure_the_server(tmp_path: Path, sim: ThreadedSimulator) -> None:
    (tmp_path / "keys.env").write_text("\n".join(f"{name}={value}" for name, value in sim.environment(tmp_path).items()))
    async with stdio({**os.environ, "PARLEY_HOME": str(tmp_path / "home")}, tmp_path, "--env-file", "keys.env") as client:
        assert all(configured for _, configured in await providers(client))


async def test_settings_of_parley_toml_reach_the_tools_and_the_environment_wins(env: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o700)
    settings = '[chain]\norder = ["github_models"]\n[aliases]\nmine = "openrouter"\n[budget]\ndaily_usd = 0\n'
    (tmp_path / "home" / "parley.toml").write_text(settings)
    async with stdio(env, tmp_path) as client:
        assert (await providers(client))[0] == ("github_models", True)
        assert failure(await client.call_tool("chat", {"prompt": "x", "model": "Mine"}))["code"] == "budget_exceeded"
    async with stdio({**env, "PARLEY_CHAIN": "openrouter"}, tmp_path) as client:
        assert (await providers(client))[0] == ("openrouter", True)


async def test_secrets_and_prompts_get_into_no_log_answer_or_store(env: dict[str, str], tmp_path: Path, sim: ThreadedSimulator) -> None:
    keys = {"PARLEY_TOKEN": SECRET, "REDIS_URL": f"redis://u:{SECRET}@127.0.0.1:9", "SOME_API_KEY": SECRET, "PARLEY_LOG_LEVEL": "debug"}
    keys["ALL_PROXY"] = f"socks5://u:{SECRET}@127.0.0.1:9"
    for provider in ("vertex_claude", "vertex_gemini", "github_models", "openrouter"):
        sim.fault(
            provider,
            "status",
            status=500,
            body={"error": {"message": f"key {SECRET} and {env['OPENROUTER_API_KEY']} and {env['GITHUB_TOKEN']}"}},
        )
    (tmp_path / "p.toml").write_text(f"[memory]\ngraph_url = 'neo4j://u:{SECRET}@127.0.0.1:9'\n")
    keys["PARLEY_CONFIG"] = str(tmp_path / "p.toml")
    log = tmp_path / "stderr"
    words = ["-c", f'exec "$0" "$@" 2>{log}', str(PARLEY), "serve"]
    async with Client(StdioServerParameters(command="/bin/sh", args=words, env={**env, **keys}, cwd=tmp_path)) as client:
        failed = failure(await client.call_tool("chat", {"prompt": PROMPT}))
        assert failed["code"] == "all_providers_failed"
        await client.call_tool("chat", {"prompt": PROMPT})
        found = await client.call_tool("search_memory_facts", {"query": PROMPT})
    shown = json.dumps(failed) + str(found) + log.read_text()
    for secret in (SECRET, env["OPENROUTER_API_KEY"], env["GITHUB_TOKEN"]):
        assert secret not in shown
        assert not [path for path in (tmp_path / "home").rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    assert PROMPT not in log.read_text()
    assert all(json.loads(line)["level"] for line in log.read_text().splitlines())
    assert "ALL_PROXY is ignored" in log.read_text()


async def test_when_the_client_is_gone_so_is_the_process_whatever_was_running(
    env: dict[str, str], tmp_path: Path, sim: ThreadedSimulator
) -> None:
    sim.fault("openrouter", "hang_after_headers")
    process = await asyncio.create_subprocess_exec(PARLEY, "serve", env=env, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None and process.stdout is not None
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    call = {"name": "chat", "arguments": {"prompt": "x", "model": "openrouter"}}
    process.stdin.write(line(1, "initialize", hello) + line(None, "notifications/initialized", {}))
    assert b'"id":1' in await process.stdout.readline()
    process.stdin.write(line(2, "tools/call", call))
    await sim.auntil(lambda log: [entry for entry in log if entry["provider"] == "openrouter"], timeout=30)
    process.stdin.close()
    async with asyncio.timeout(5):
        assert await process.wait() == 0
    await sim.auntil(lambda log: [entry for entry in log if entry["provider"] == "openrouter" and entry["disconnected"]])


def line(number: int | None, method: str, params: dict[str, Any]) -> bytes:
    message = {"jsonrpc": "2.0", "method": method, "params": params} | ({} if number is None else {"id": number})
    return json.dumps(message).encode() + b"\n"


@asynccontextmanager
async def over_http(env: dict[str, str], cwd: Path, *arguments: str) -> AsyncIterator[str]:
    """A server on a free port; its base URL."""
    words = [str(PARLEY), "serve", "--port", "0", *arguments]
    process = await asyncio.create_subprocess_exec(*words, env=env, cwd=cwd, stderr=subprocess.PIPE)
    assert process.stderr is not None
    try:
        said = (await asyncio.wait_for(process.stderr.readline(), 30)).decode()
        assert said.startswith("parley: serving MCP on http://127.0.0.1:"), said
        yield said.split()[4].rpartition("/")[0]
    finally:
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            assert await process.wait() == 0


@pytest.mark.parametrize(("transport", "path"), [("http", "/mcp"), ("http", "/sse"), ("sse", "/sse")])
async def test_a_client_over_http_calls_tools(env: dict[str, str], tmp_path: Path, transport: str, path: str) -> None:
    from mcp.client.sse import sse_client

    async with over_http(env, tmp_path, "--transport", transport) as url:
        target = sse_client(url + path) if path == "/sse" else url + path
        async with Client(target) as client:
            assert ("github_models", True) in await providers(client)


async def test_with_a_token_only_its_bearers_are_served(env: dict[str, str], tmp_path: Path) -> None:
    def status(url: str, **headers: str) -> int:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as reply:
                return reply.status
        except urllib.error.HTTPError as error:
            with error:
                return error.code

    blanks = {"PARLEY_TOKEN": f" {SECRET} ", "PARLEY_HOST": " 127.0.0.1 "}
    async with over_http({**env, **blanks}, tmp_path, "--transport", "http") as url:
        assert await asyncio.to_thread(status, url + "/mcp") == 401
        assert await asyncio.to_thread(status, url + "/mcp", Authorization=f"Bearer {SECRET}") not in (401, 403)
        assert await asyncio.to_thread(status, url + "/health") == 200


async def test_a_port_that_is_taken_fails_with_one_line(env: dict[str, str], tmp_path: Path) -> None:
    async with over_http(env, tmp_path, "--transport", "http") as url:
        port = url.rpartition(":")[2]
        words = [str(PARLEY), "serve", "--transport", "http", "--port", port]
        done = await asyncio.to_thread(subprocess.run, words, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1 and port in done.stderr and done.stderr.count("\n") == 1


def test_a_closed_stdin_fails_with_one_line(env: dict[str, str], tmp_path: Path) -> None:
    words = ["/bin/sh", "-c", f"exec {PARLEY} serve <&-"]
    done = subprocess.run(words, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert done.returncode == 1 and done.stderr.startswith("parley: ") and done.stderr.count("\n") == 1, done.stderr


def test_on_a_terminal_it_says_that_it_waits_for_a_client(env: dict[str, str], tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [PARLEY, "serve"], env=env, cwd=tmp_path, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None and process.stdout is not None
        said = process.stderr.readline()
        os.write(ours, b"\x04")  # Ctrl-D
        rest = process.stdout.read(), process.stderr.read()
    os.close(ours)
    os.close(theirs)
    assert said.startswith(b"parley: ready, and waiting for an MCP client on stdin") and rest == (b"", b"")
    assert process.returncode == 0


LAZY = """
import asyncio, os, sys
from pathlib import Path
from mcp import Client
from cli.wire import build_app, close_app
from tools.mcp import build_server

async def listed():
    app = build_app(os.environ, workspace=Path.cwd())
    async with Client(build_server(app)) as client:
        names = [tool.name for tool in (await client.list_tools()).tools]
    await close_app(app)
    return names

names = asyncio.run(listed())
heavy = (
    "litellm", "graphiti_core", "kuzu", "numpy", "neo4j", "graph", "graph.memory", "aiohttp", "google.auth", "google.oauth2", "apsw",
    "redis", "openai", "pathspec", "pypdf", "simulator", "yaml",
)
print(*names, "|", *(name for name in heavy if name in sys.modules))
"""


SEARCH = """
import asyncio, os, sys
from pathlib import Path

from cli.wire import build_app, close_app

async def searched():
    from graph.episodes import NewEpisode, Wanted
    app = build_app(os.environ, workspace=Path.cwd())
    memory = app.memory()
    await memory.inbox.add(NewEpisode(name="a note", body="A lorry", group_id=memory.group, uuid="6d1c3a7e-9a54-4f0e-8f0f-0c6a2b1d5e42"))
    found = await memory.search(Wanted(query="lorry", group_ids=()))
    print(len(found.episodes), await memory.nodes(Wanted(query="lorry", group_ids=())), (await memory.status()).embedding, "|", end="")
    await close_app(app)

asyncio.run(searched())
heavy = ("numpy", "graphiti_core", "kuzu", "litellm", "aiohttp", "graph.drainer", "graph.vectored", "providers._embeddings")
print(*(name for name in heavy if name in sys.modules))
"""


def test_searching_by_words_alone_imports_nothing_that_only_vectors_need(env: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", SEARCH], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stdout.strip()) == (0, "1 [] lexical |"), done.stderr


def test_building_and_listing_the_server_imports_nothing_heavy(env: dict[str, str], tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", LAZY], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"chat fallback consensus codereview listmodels threads version {' '.join(MEMORY)} |"
    assert not (tmp_path / "home").exists(), "and touches no disk"
