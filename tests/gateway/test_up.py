"""`parley up` as a process: ports and who has them, what is wrong in its settings, the token, and how it ends."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import pytest

from simulator import ThreadedSimulator
from tests.gateway.client import Client
from tests.gateway.conftest import starting
from tests.gateway.running import Gateway, free_ports
from tests.main_job.process import PARLEY, bare_environment


def up(env: Mapping[str, str], folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PARLEY, "up", *arguments], env=dict(env), cwd=folder, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize(
    ("arguments", "settings", "said"),
    [
        (["--only", "vertex"], {}, "there is no shim 'vertex'"),
        (["--only", ","], {}, "names no shim"),
        ([], {"PARLEY_PORT_ROUTER": "http"}, "PARLEY_PORT_ROUTER"),
        ([], {"PARLEY_PORT_ROUTER": "70000"}, "PARLEY_PORT_ROUTER"),
        ([], {"PARLEY_PORT_OPENROUTER": "8090"}, "must differ"),
        ([], {"PARLEY_PORT_ROUTER": "8093"}, "must differ"),
        ([], {"PARLEY_HOST": "0.0.0.0"}, "PARLEY_TOKEN"),
        ([], {"PARLEY_ADAPTER": "magic"}, "PARLEY_ADAPTER must be litellm or native"),
    ],
)
def test_what_is_wrong_is_said_in_one_line_with_status_2(arguments: list[str], settings: dict[str, str], said: str, tmp_path: Path) -> None:
    done = up({**bare_environment(tmp_path), **settings}, tmp_path, *arguments)
    assert (done.returncode, done.stdout) == (2, "") and said in done.stderr and done.stderr.count("\n") <= 2, done.stderr


def test_a_taken_port_names_shim_variable_and_who_has_it_and_nothing_is_left_listening(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port, other = taken.getsockname()[1], free_ports(1)[0]
        env = {**bare_environment(tmp_path), "PARLEY_PORT_VERTEX_GEMINI": str(port), "PARLEY_PORT_ROUTER": str(other)}
        done = up(env, tmp_path, "--only", "router,vertex_gemini")
        assert done.returncode == 1 and "Traceback" not in done.stderr
        assert all(one in done.stderr for one in ("vertex_gemini", str(port), "PARLEY_PORT_VERTEX_GEMINI", f"pid {os.getpid()}"))


def test_a_gateway_of_ours_that_runs_already_is_no_error(gateway: Gateway, tmp_path: Path) -> None:
    ports = {f"PARLEY_PORT_{shim.upper()}": str(port) for shim, port in gateway.ports.items()}
    done = up({**bare_environment(tmp_path), **ports}, tmp_path)
    assert done.returncode == 0 and "running already" in done.stderr


async def test_without_credentials_it_runs_says_what_is_missing_and_is_not_ready(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    env = {**bare_environment(tmp_path), "PARLEY_PORT_OPENROUTER": str(port)}
    process = subprocess.Popen([PARLEY, "up", "--only", "openrouter"], env=env, cwd=tmp_path, stderr=subprocess.PIPE)
    try:
        assert process.stderr is not None and b"openrouter" in process.stderr.readline()
        async with aiohttp.ClientSession() as session:
            base = f"http://127.0.0.1:{port}"
            end = time.monotonic() + 20
            while True:
                async with session.get(f"{base}/ready") as ready:
                    told = await ready.json()
                    assert ready.status == 503 and time.monotonic() < end
                if told["reason"] != "starting":
                    break
            assert "OPENROUTER_API_KEY" in told["reason"]
            body = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "q"}]}
            async with session.post(f"{base}/v1/messages", json=body) as got:
                assert (got.status, got.headers["x-should-retry"]) == (401, "false")
                assert "OPENROUTER_API_KEY" in (await got.json())["error"]["message"]
            async with session.post(f"{base}/v1/messages/count_tokens", json=body) as got:
                assert (got.status, (await got.json())["type"]) == (401, "error")
            async with session.get(f"{base}/health") as health:
                assert health.status == 200
        process.terminate()
        assert process.wait(12) == 0
    finally:
        process.kill()
        process.communicate()


async def test_a_token_is_asked_of_everything_but_health(simulated: ThreadedSimulator, sim: ThreadedSimulator, tmp_path: Path) -> None:
    with starting(simulated, tmp_path, "--only", "vertex_claude", PARLEY_TOKEN="a-token-of-mine") as gateway:
        async with aiohttp.ClientSession() as session:
            client = Client(session, gateway, sim)
            refused = await client.ask("vertex_claude")
            assert (refused.status, refused.body["error"]["type"]) == (401, "authentication_error")
            assert (await client.get("vertex_claude", "/health")).status == 200
            body = json.dumps({"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "q"}]}).encode()
            for header in ({"authorization": "Bearer a-token-of-mine"}, {"x-api-key": "a-token-of-mine"}):
                assert (await client.post("vertex_claude", "/v1/messages", body, header)).status == 200
            assert "a-token-of-mine" not in str(sim.log)


async def test_a_running_answer_ends_before_the_gateway_does(simulated: ThreadedSimulator, sim: ThreadedSimulator, tmp_path: Path) -> None:
    sim.rule("*", "a slow answer in pieces", chunks=6, chunk_delay_s=0.2)
    with starting(simulated, tmp_path, "--only", "vertex_claude") as gateway:
        async with aiohttp.ClientSession() as session:
            asked = {"model": "m", "max_tokens": 99, "stream": True, "messages": [{"role": "user", "content": "q"}]}
            async with session.post(f"{gateway.url('vertex_claude')}/v1/messages", json=asked) as response:
                await response.content.readany()
                gateway.process.send_signal(signal.SIGTERM)
                rest = await response.read()
    assert rest.endswith(b'data: {"type":"message_stop"}\n\n')


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_an_answer_that_takes_too_long_is_ended_with_an_error_and_the_gateway_is_gone_within_ten_seconds(
    simulated: ThreadedSimulator, sim: ThreadedSimulator, tmp_path: Path, stream: bool
) -> None:
    sim.rule("*", "a very slow answer in pieces", chunks=6, chunk_delay_s=30)
    with starting(simulated, tmp_path, "--only", "vertex_claude") as gateway:
        async with aiohttp.ClientSession() as session:
            asking = asyncio.create_task(Client(session, gateway, sim).ask("vertex_claude", stream=stream))
            await asyncio.to_thread(sim.until, lambda log: any(entry["provider"] == "vertex_claude" for entry in log))
            gateway.process.send_signal(signal.SIGTERM)
            got = await asking
            assert await asyncio.to_thread(gateway.process.wait, 10) == 0
    if stream:
        assert (got.status, got.events[-1]["type"], got.events[-1]["error"]["type"]) == (200, "error", "overloaded_error")
    else:
        assert (got.status, got.body["error"]["type"], got.headers["retry-after"]) == (503, "overloaded_error", "1")


def test_two_gateways_at_once_are_not_both_up(simulated: ThreadedSimulator, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    env = {**bare_environment(tmp_path), "PARLEY_PORT_OPENROUTER": str(port)}
    processes = [
        subprocess.Popen([PARLEY, "up", "--only", "openrouter"], env=env, cwd=tmp_path, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    ended: list[int] = []

    def wait(process: subprocess.Popen[str]) -> None:
        ended.append(process.wait(30))

    threads = [threading.Thread(target=wait, args=(one,), daemon=True) for one in processes]
    try:
        for thread in threads:
            thread.start()
        end = time.monotonic() + 25
        while not ended and time.monotonic() < end:
            threads[0].join(0.05)
        assert ended and ended[0] in (0, 1) and sum(one.poll() is None for one in processes) == 1
    finally:
        for one in processes:
            one.terminate()
        for thread in threads:
            thread.join(15)
        for one in processes:
            one.communicate()
