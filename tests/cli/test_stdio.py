"""The stdio transport, over real pipes and sockets and in a process of its own."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import mcp_types as types
import psutil
import pytest
from mcp import Client, StdioServerParameters

from cli._stdio_messages import LineSplitter, Overlong
from tests.cli.wired import INITIALIZE, PATIENCE, SERVER, Wired, Words, command, reading

MIB = 1 << 20
LEAVING = ("eof", "eof-socket", "SIGTERM", "SIGINT", "SIGHUP", "stdout")
on_both_wires = pytest.mark.parametrize("wired", ["pipe", "socket"], indirect=True)
RUNNING = ("nothing", "slow", "stuck", "blocked", "stubborn")


@pytest.fixture
async def wired(request: pytest.FixtureRequest) -> AsyncIterator[Wired]:
    async with Wired(getattr(request, "param", "pipe")) as server:
        await server.initialize()
        yield server


def error(answer: dict[str, Any]) -> tuple[object, int]:
    return answer["id"], answer["error"]["code"]


# --- what is answered ---------------------------------------------------------------------------------------------

BAD_LINES: dict[str, tuple[bytes, object, int]] = {
    "malformed": (b"{bad}", None, -32700),
    "truncated": (b'{"jsonrpc":"2.0","id":1,"method":"pi', None, -32700),
    "invalid utf-8": (b'{"jsonrpc":"2.0","id":1,"method":"\xff"}', None, -32700),
    "a byte order mark": (b"\xef\xbb\xbf{", None, -32700),
    "a control character": (b'"\x00"', None, -32700),
    "two messages on one line": (b'{"jsonrpc":"2.0","id":1,"method":"ping"} {"jsonrpc":"2.0","id":2,"method":"ping"}', None, -32700),
    "an empty batch": (b"[]", None, -32600),
    "a batch": (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', None, -32600),
    "a number": (b"3", None, -32600),
    "a string": (b'"ping"', None, -32600),
    "null": (b"null", None, -32600),
    "an empty object": (b"{}", None, -32600),
    "a wrong jsonrpc version": (b'{"jsonrpc":"1.0","id":7,"method":"ping"}', 7, -32600),
    "no jsonrpc version": (b'{"id":"seven","method":"ping"}', "seven", -32600),
    "a notification of a wrong version": (b'{"jsonrpc":"1.0","method":"ping"}', None, -32600),
    "no method": (b'{"jsonrpc":"2.0","id":7}', 7, -32600),
    "a method that is no string": (b'{"jsonrpc":"2.0","id":7,"method":5}', 7, -32600),
    "positional params": (b'{"jsonrpc":"2.0","id":7,"method":"ping","params":[1]}', 7, -32600),
    "a null id": (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', None, -32600),
    "a fractional id": (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', None, -32600),
    "a boolean id": (b'{"jsonrpc":"2.0","id":true,"method":"ping"}', None, -32600),
    "an id that is an object": (b'{"jsonrpc":"2.0","id":{},"method":"ping"}', None, -32600),
    "a broken response": (b'{"jsonrpc":"2.0","id":7,"result":5}', None, -32600),
    "10,000 arrays deep": (b"[" * 10_000 + b"]" * 10_000, None, -32700),
    "10,000 objects deep, in a request": (
        b'{"jsonrpc":"2.0","id":8,"method":"ping","params":' + b'{"a":' * 10_000 + b"1" + b"}" * 10_000 + b"}", 8, -32700,
    ),
}  # fmt: skip


@on_both_wires
async def test_every_kind_of_bad_line_gets_a_json_rpc_error_and_the_connection_goes_on(wired: Wired) -> None:
    for name, (line, request_id, code) in BAD_LINES.items():
        await wired.send(line + b"\n")
        assert error(await wired.receive()) == (request_id, code), name
    assert await wired.pings()


async def test_bad_lines_before_initialize_are_answered_too() -> None:
    async with Wired() as server:
        await server.send(b"garbage\n")
        assert error(await server.receive()) == (None, -32700)
        assert (await server.initialize())["result"]["serverInfo"]["name"] == "tiny"


async def test_an_error_says_nothing_of_the_line_it_is_about(wired: Wired) -> None:
    await wired.send(b'{"jsonrpc":"2.0","secret-key-sk-123"}\n')
    assert b"sk-123" not in await wired.line()


async def test_text_cut_in_the_middle_of_an_emoji_is_taken(wired: Wired) -> None:
    await wired.initialize()
    halves = {rb"cut \ud83d": "cut \ufffd", rb"\uD83D\uDE00 \uDE00": "\U0001f600 \ufffd", rb"\\ud83d": r"\ud83d"}
    for number, (written, said) in enumerate(halves.items(), 100):
        call = b'{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"echo","arguments":{"text":"%s"}}}\n'
        await wired.send(call % (number, written))
        answer = await wired.receive()
        assert (answer["id"], answer["result"]["content"][0]["text"]) == (number, said)


async def test_blank_lines_are_ignored_and_windows_line_ends_accepted(wired: Wired) -> None:
    await wired.send(b'\n  \n\r\n\t\n{"jsonrpc":"2.0","id":"crlf","method":"ping"}\r\n')
    assert await wired.receive() == {"jsonrpc": "2.0", "id": "crlf", "result": {}}


@pytest.mark.parametrize("version", ["1999-01-01", "2026-07-28", "", "x" * 1000])
async def test_an_unknown_protocol_version_is_answered_with_one_that_is_spoken(version: str) -> None:
    async with Wired() as server:
        await server.request("initialize", protocolVersion=version, capabilities={}, clientInfo={"name": "t", "version": "1"})
        assert (await server.receive())["result"]["protocolVersion"] == "2025-11-25"


@on_both_wires
async def test_a_20_megabyte_line_is_refused_under_its_own_id_without_being_held(wired: Wired) -> None:
    filler = b"x" * 20 * MIB
    before = peak_memory(wired.process.pid)
    for line, request_id in (
        (b'{"jsonrpc":"2.0","id":71,"method":"tools/call","params":{"a":"' + filler + b'"}}', 71),
        (b'{"method":"tools/call","params":{"a":"' + filler + b'"},"jsonrpc":"2.0","id":"last"}', "last"),
        (b'{"method":"x","params":{"id":5,"a":"' + filler + b'"},"jsonrpc":"2.0"}', None),
        (b'{"jsonrpc":"2.0","id":1,"result":{"a":"' + filler + b'"}}', None),
        (filler, None),
    ):
        await wired.send(line + b"\n")
        assert error(await wired.receive()) == (request_id, -32600)
    assert await wired.pings()
    assert peak_memory(wired.process.pid) - before < 40 * MIB, "five lines of 20 MiB were skipped, not collected"


@on_both_wires
async def test_a_line_under_the_limit_is_read_whole_and_a_long_answer_comes_back_whole(wired: Wired) -> None:
    await wired.call("echo", text="y" * 12 * MIB)
    assert (await wired.receive())["result"]["content"][0]["text"] == "y" * 12 * MIB


async def test_the_limit_is_exact() -> None:
    async with Wired(max_line_bytes=1000) as server:
        frame = b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"_meta":{"a":"%s"}}}'
        await server.send(frame.replace(b"%s", b"x" * (1000 - len(frame) + 2)) + b"\n")
        assert "error" not in await server.receive()
        await server.send(frame.replace(b"%s", b"x" * (1000 - len(frame) + 3)) + b"\n")
        assert error(await server.receive()) == (1, -32600)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_lines_come_out_the_same_however_the_bytes_are_cut(size: int) -> None:
    text = b"one\n\ntwo\r\n" + b"L" * 25 + b"\nthree\n" + b"M" * 21
    splitter = LineSplitter(20)
    lines = [line for start in range(0, len(text), size) for line in splitter.feed(text[start : start + size])]
    lines.append(splitter.finish())
    assert lines == [b"one", b"", b"two\r", Overlong(25, b"L" * 25, b"L" * 25), b"three", Overlong(21, b"M" * 21, b"M" * 21)]


def peak_memory(pid: int) -> int:
    """The most bytes the process ever held, or where the system does not tell, what it holds now."""
    status = Path(f"/proc/{pid}/status")
    if status.exists():
        return next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return psutil.Process(pid).memory_info().rss


async def run(arguments: list[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
    return await asyncio.to_thread(subprocess.run, arguments, timeout=PATIENCE, **options)


# --- the wire belongs to the protocol ---------------------------------------------------------------------------------


async def test_stray_prints_and_children_reach_stderr_and_never_the_wire(wired: Wired) -> None:
    for tool in ("print", "child"):
        asked = await wired.call(tool)
        assert (await wired.receive())["id"] == asked
    await wired.words.until("stray print")
    await wired.words.until("stray write")
    await wired.words.until("stray child")
    assert await wired.pings()


async def test_a_child_reads_end_of_file_where_stdin_was(wired: Wired) -> None:
    await wired.call("child")  # it runs `cat`, which would otherwise eat the protocol
    assert "result" in await wired.receive()


@on_both_wires
async def test_an_answer_to_a_client_that_reads_slowly_is_whole_and_pings_sent_meanwhile_are_answered_after_it(wired: Wired) -> None:
    big = await wired.call("big", size=8 * MIB)
    pings = [await wired.request("ping") for _ in range(200)]
    assert len((await wired.receive())["result"]["content"][0]["text"]) == 8 * MIB
    assert [(await wired.receive())["id"] for _ in pings] == pings
    assert big < pings[0]


@on_both_wires
async def test_an_answer_that_nobody_reads_yet_holds_up_no_other_call(wired: Wired) -> None:
    wired.pause_reading()
    await wired.call("big", size=8 * MIB)
    asked = await wired.call("slow")
    await wired.words.until("slow-began")
    await wired.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": asked}})
    await wired.words.until("slow-cancelled")


@on_both_wires
async def test_a_client_that_sends_without_reading_does_not_grow_the_server_without_bound(wired: Wired) -> None:
    for _ in range(12):
        await wired.call("big", size=8 * MIB)
    sizes = [len(await wired.line()) for _ in range(12)]
    assert min(sizes) > 8 * MIB
    assert await wired.pings()


async def test_the_wire_may_be_regular_files(tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    source.write_bytes(b'{"jsonrpc":"2.0","id":1,"method":"ping"}\nnonsense\n{"jsonrpc":"2.0","id":2,"method":"ping"}')
    with source.open("rb") as stdin, target.open("wb") as stdout:
        done = await run(command("stdio"), stdin=stdin, stdout=stdout, stderr=subprocess.PIPE)
    assert done.returncode == 0
    answers = [types.jsonrpc_message_adapter.validate_json(line) for line in target.read_bytes().splitlines()]
    assert sorted(str(getattr(answer, "id", "")) for answer in answers) == ["1", "2", "None"]


async def test_the_end_of_a_regular_file_ends_the_process_although_a_call_will_not(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.write_bytes(
        b'{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},'
        b'"clientInfo":{"name":"t","version":"1"}}}\n{"jsonrpc":"2.0","method":"notifications/initialized"}\n'
        b'{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"stubborn","arguments":{}}}\n'
    )
    with source.open("rb") as stdin:
        done = await run(command("stdio", "exit_grace=0.5"), stdin=stdin, capture_output=True)
    assert done.returncode == 1
    assert b"stubborn-began" in done.stderr


async def test_quick_calls_piped_in_at_once_are_answered_before_the_end() -> None:
    lines = json.dumps({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": INITIALIZE}) + "\n"
    lines += '{"jsonrpc":"2.0","method":"notifications/initialized"}\n'
    for number in range(1, 50):
        lines += json.dumps({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": {"name": "brief", "arguments": {}}}) + "\n"
    done = await run(command("stdio"), input=lines.encode(), capture_output=True)
    assert done.returncode == 0
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert sorted(answer["id"] for answer in answers if "result" in answer) == list(range(50))


@pytest.mark.parametrize("closed", ["0<&-", "1>&-"])
async def test_a_missing_end_of_the_wire_is_an_error_in_words(closed: str) -> None:
    line = f"exec {' '.join(command('stdio'))} {closed}"
    done = await run(["sh", "-c", line], stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert b"stdio needs an open stdin and stdout" in done.stderr


# --- many calls at once -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tool", ["slow", "stuck"])
async def test_a_ping_is_answered_while_a_call_runs(wired: Wired, tool: str) -> None:
    await wired.call(tool)
    await wired.words.until(f"{tool}-began")
    assert await wired.pings()


async def test_a_hundred_concurrent_calls_are_each_answered_once_with_their_own_text(wired: Wired) -> None:
    asked = {await wired.call("echo", text=f"text {number}"): f"text {number}" for number in range(100)}
    answers = [await wired.receive() for _ in asked]
    assert {answer["id"]: answer["result"]["content"][0]["text"] for answer in answers} == asked


async def test_a_cancelled_call_stops_and_is_not_answered(wired: Wired) -> None:
    asked = await wired.call("slow")
    await wired.words.until("slow-began")
    await wired.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": asked}})
    await wired.words.until("slow-cancelled")
    assert await wired.pings()


# --- the end ----------------------------------------------------------------------------------------------------------


async def leave(server: Wired, how: str) -> None:
    match how:
        case "eof" | "eof-socket":
            server.close_stdin()
        case "stdout":
            server.close_stdout()
        case name:
            server.signal(signal.Signals[name])


async def check_leaving(how: str, running: str) -> None:
    # Ending on end-of-file is held to the grace that users get; the others share its code and need not wait as long.
    options = {} if how == "eof" else {"exit_grace": 1.5}
    async with Wired("socket" if how == "eof-socket" else "pipe", **options) as server:
        await server.initialize()
        if running != "nothing":
            await server.call(running)
            await server.words.until(f"{running}-began")
        await leave(server, how)
        status = await server.ended()
    clean = running in {"nothing", "slow"}
    heard = server.words.heard
    assert status == (0 if clean else 1), how
    assert ("returned" in heard) == clean, how
    assert ("slow-cancelled" in heard) == (running == "slow"), how
    assert ("closed" in heard) == (clean or running == "stuck"), f"{how}: stores close unless the loop itself is held"
    assert any(word.startswith("ended while still busy") for word in heard) != clean, how


@pytest.mark.parametrize("running", RUNNING)
async def test_the_process_is_gone_within_five_seconds_however_the_client_leaves_and_whatever_runs(running: str) -> None:
    await asyncio.gather(*(check_leaving(how, running) for how in LEAVING[:3]))
    await asyncio.gather(*(check_leaving(how, running) for how in LEAVING[3:]))


async def test_a_second_signal_does_not_cut_the_clean_end_short() -> None:
    async with Wired() as server:
        await server.initialize()
        server.signal(signal.SIGINT)
        server.signal(signal.SIGTERM)
        assert await server.ended() == 0
        assert "returned" in server.words.heard


@pytest.mark.parametrize("how", ["eof", "SIGTERM"])
async def test_a_client_that_stopped_reading_does_not_hold_up_the_end(how: str) -> None:
    async with Wired() as server:
        await server.initialize()
        server.pause_reading()
        await server.call("big", size=8 * MIB)
        await leave(server, how)
        await server.ended()


async def test_half_a_line_at_the_end_is_refused_and_the_end_is_clean() -> None:
    async with Wired() as server:
        await server.initialize()
        await server.send(b'{"jsonrpc":"2.0","id":5,"meth')
        server.close_stdin()
        assert error(await server.receive()) == (None, -32700)
        assert await server.ended() == 0


async def test_a_whole_last_line_without_its_newline_is_served() -> None:
    async with Wired() as server:
        await server.initialize()
        await server.send(b'{"jsonrpc":"2.0","id":5,"method":"ping"}')
        server.close_stdin()
        assert await server.receive() == {"jsonrpc": "2.0", "id": 5, "result": {}}
        assert await server.ended() == 0


async def test_a_shorter_grace_is_kept() -> None:
    async with Wired(exit_grace=0.5) as server:
        await server.initialize()
        await server.call("blocked")
        await server.words.until("blocked-began")
        server.close_stdin()
        assert await server.words.until_silent() < 2


CLIENT = """
import json, subprocess, sys
mode, tool, *command = sys.argv[1:]
ends = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE} if mode == "own" else {}
server = subprocess.Popen(command, **ends)
def send(**message):
    server.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\\n")
    server.stdin.flush()
if mode == "own":
    info = {"name": "c", "version": "1"}
    send(id=1, method="initialize", params={"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": info})
    server.stdout.readline()
    send(method="notifications/initialized")
    send(id=2, method="tools/call", params={"name": tool, "arguments": {}})
server.wait()
"""


@pytest.mark.parametrize("running", ["slow", "stuck", "blocked", "stubborn"])
async def test_a_client_killed_with_9_takes_the_server_with_it(running: str) -> None:
    line = [sys.executable, "-c", CLIENT, "own", running, *command("stdio")]
    client = subprocess.Popen(line, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert client.stderr is not None
    stderr, transport = await reading(os.dup(client.stderr.fileno()))
    words = Words(stderr)
    await words.until(f"{running}-began")
    client.kill()
    client.wait()
    client.stderr.close()
    await words.until_silent()
    transport.close()
    assert ("slow-cancelled" in words.heard) == (running == "slow")


async def test_a_server_whose_parent_is_killed_ends_although_others_hold_its_pipes_open() -> None:
    server = subprocess.Popen(
        [sys.executable, "-c", CLIENT, "shared", "", *command("stdio")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
    )  # fmt: skip
    assert server.stdin and server.stdout and server.stderr
    server.stdin.write(b'{"jsonrpc":"2.0","id":1,"method":"ping"}\n')
    assert b'"id":1' in await asyncio.to_thread(server.stdout.readline)
    server.kill()
    server.wait()
    stderr, transport = await reading(os.dup(server.stderr.fileno()))
    await Words(stderr).until_silent()
    transport.close()
    for end in (server.stdin, server.stdout, server.stderr):
        end.close()


# --- real clients -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "version"), [("legacy", "2025-11-25"), ("auto", "2026-07-28"), ("2026-07-28", "2026-07-28")])
async def test_the_official_client_lists_and_calls_in_both_protocol_eras(mode: Any, version: str) -> None:
    seen: list[float] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append(progress)

    parameters = StdioServerParameters(command=sys.executable, args=[str(SERVER), "stdio"])
    async with asyncio.timeout(PATIENCE), Client(parameters, mode=mode) as client:
        assert client.protocol_version == version
        assert "echo" in {tool.name for tool in (await client.list_tools()).tools}
        result = await client.call_tool("echo", {"text": "hello"})
        assert isinstance(result.content[0], types.TextContent)
        assert result.content[0].text == "hello"
        await client.call_tool("progress", {}, progress_callback=on_progress)
    assert seen == [0.5]


def packages_after(module: str) -> set[str]:
    code = f"import asyncio, sys, {module}; print(*{{name.split('.')[0] for name in sys.modules}} - set(sys.stdlib_module_names))"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_importing_the_transport_brings_no_package_that_the_sdk_server_does_not() -> None:
    assert packages_after("cli.stdio") - packages_after("mcp.server") == {"cli"}
