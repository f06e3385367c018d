"""The simulator as a thread beside a test, and as a process."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import simulator
from simulator import running

ROOT = Path(__file__).parents[2]


def ask(base_url: str, credential: str, timeout: float = 5) -> dict[str, object]:
    body = json.dumps({"model": "openai/gpt-4o", "messages": [{"role": "user", "content": "hello"}]}).encode()
    headers = {"authorization": f"Bearer {credential}", "content-type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(f"{base_url}/api/v1/chat/completions", body, headers), timeout=timeout) as reply:
        return json.loads(reply.read())


def test_a_thread_serves_blocking_code(tmp_path: Path) -> None:
    with running() as sim:
        key = sim.environment(tmp_path)["OPENROUTER_API_KEY"]
        sim.rule("openrouter", "from a thread", times=1)
        assert ask(sim.base_url, key)["choices"][0]["message"]["content"] == "from a thread"  # type: ignore[index]
        assert sim.until(lambda log: log[0]["answered"])
        assert [entry["provider"] for entry in sim.requests("openrouter")] == ["openrouter"]
        sim.fault("openrouter", "status", status=429)
        with pytest.raises(urllib.error.HTTPError) as caught:
            ask(sim.base_url, key)
        caught.value.close()
        assert caught.value.code == 429
        sim.fault("openrouter", "status")
        sim.clear_faults("openrouter")
        sim.model("openrouter", "openai/gpt-4o", name="renamed")
        sim.revoke_tokens()
        assert (len(sim.log), sim.state["totals"], sim.state["faults"]) == (2, {"openrouter": 2}, 0)
        sim.reset()
        assert sim.log == []
        with pytest.raises(TimeoutError):
            sim.until(lambda log: log, timeout=0.05)
    with pytest.raises(urllib.error.URLError):
        ask(sim.base_url, key)


async def test_a_thread_serves_async_code_too(tmp_path: Path) -> None:
    with running() as sim:
        key = sim.environment(tmp_path)["OPENROUTER_API_KEY"]
        sim.fault("openrouter", "hang_before_headers")
        call = asyncio.create_task(asyncio.to_thread(ask, sim.base_url, key, 0.3))
        await sim.auntil(lambda log: log and log[0]["fault"])
        with pytest.raises(TimeoutError):
            await call
        assert await sim.auntil(lambda log: log[0]["disconnected"])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("--port", "x"), "'x' is not a port from 0 to 65535"), (("--port", "65536"), "is not a port"), (("x",), "unrecognized arguments: x")],
)
def test_wrong_use_is_one_line(arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert simulator.main(list(arguments)) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("parley simulate: ") and said in err and err.count("\n") == 1


def test_errors_of_scripting_and_of_ports_reach_the_caller() -> None:
    with running() as sim:
        with pytest.raises(ValueError, match="unknown fault kind"):
            sim.fault("openrouter", "explode")
        with pytest.raises(OSError), running(int(sim.base_url.rpartition(":")[2])):
            pass


@contextmanager
def process(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    code = "import sys; from simulator import main; sys.exit(main(sys.argv[1:]))"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    started = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    try:
        with started:
            yield started
            if started.poll() is None:
                started.kill()
    finally:
        assert started.returncode is not None


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM])
def test_the_command_prints_an_environment_that_works_and_stops_cleanly(name: signal.Signals) -> None:
    with process("--port", "0") as sim:
        assert sim.stdout is not None and sim.stderr is not None
        first = sim.stdout.readline()
        lines = [sim.stdout.readline() for _ in range(8)]
        assert first.startswith("# simulated upstreams on http://127.0.0.1:")
        base_url = first.split()[4]
        words = [shlex.split(line) for line in lines]
        assert all(word[0] == "export" for word in words)
        environment = dict(word[1].split("=", 1) for word in words)
        assert environment["GITHUB_MODELS_ENDPOINT"] == f"{base_url}/inference"
        account = Path(environment["GOOGLE_APPLICATION_CREDENTIALS"])
        assert json.loads(account.read_text())["token_uri"] == f"{base_url}/token"
        assert "[simulated " in str(ask(base_url, environment["OPENROUTER_API_KEY"]))
        sim.send_signal(name)
        assert sim.wait(5) == 0
        assert "simulated" in sim.stderr.read()
        assert not account.exists()


def test_the_command_speaks_json_and_splits_ports() -> None:
    with process("--json", "--control-port", "0") as sim:
        assert sim.stdout is not None
        shown = json.loads(sim.stdout.readline())
        assert shown["simulated"] is True and shown["control_url"] != shown["base_url"]
        with urllib.request.urlopen(f"{shown['control_url']}/_sim/state", timeout=5) as reply:
            assert json.loads(reply.read())["simulated"] is True
        sim.terminate()
        assert sim.wait(5) == 0


def test_wrong_use_is_2_and_a_taken_port_is_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert simulator.main(["--port", "70000"]) == 2
    assert simulator.main(["--nonsense"]) == 2
    assert simulator.main(["--help"]) == 0
    capsys.readouterr()
    with running() as sim:
        assert simulator.main(["--port", sim.base_url.rpartition(":")[2]]) == 1
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1 and "cannot listen" in shown and "simulated" in shown


def test_naming_the_package_imports_no_server() -> None:
    code = "import sys, simulator; print('aiohttp' in sys.modules, hasattr(simulator, 'nothing'))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == ["False", "False"]
