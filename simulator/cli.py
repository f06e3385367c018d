"""`parley simulate`: the simulated upstreams as a process, with the environment that points Parley at them."""

from __future__ import annotations

import argparse
import asyncio
import json
import shlex
import signal
import sys
import tempfile
from typing import NoReturn

from .server import Simulator


def main(argv: list[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM. 0 done, 1 a port is taken, 2 wrong use."""
    try:
        options = _parser().parse_args(argv)
    except SystemExit as stop:
        return int(stop.code or 0)
    try:
        return asyncio.run(_serve(options))
    except KeyboardInterrupt:
        return 0
    except OSError as error:
        print(f"parley simulate: the simulated upstreams cannot listen: {error.strerror or error}", file=sys.stderr)
        return 1


def _port(text: str) -> int:
    number = int(text) if text.isdecimal() and len(text) <= 5 else -1
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is not a port from 0 to 65535")
    return number


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="parley simulate",
        description="Simulated Vertex, GitHub Models and OpenRouter on one loopback port; no answer is a real model's. What is not "
        "scripted gets a labelled echo, and the prompts of the knowledge graph the JSON they ask for.",
        epilog="Control routes: POST /_sim/rules, faults, models, extractions, odd_extractions and reset, GET /_sim/log and state. "
        "What they take: python -c 'import simulator; print(simulator.__doc__)'",
    )
    parser.add_argument("--port", type=_port, default=0, help="port to serve on (any free one)")
    parser.add_argument("--control-port", type=_port, default=None, help="serve the control routes /_sim/ on this port alone")
    parser.add_argument("--json", action="store_true", help="print one JSON object in place of export lines")
    return parser


async def _serve(options: argparse.Namespace) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    with tempfile.TemporaryDirectory(prefix="parley-simulated-") as folder:
        async with Simulator(options.port, options.control_port) as simulator:
            _announce(simulator, simulator.environment(folder), as_json=options.json)
            await stop.wait()
    print("parley simulate: the simulated upstreams have stopped", file=sys.stderr)
    return 0


def _announce(simulator: Simulator, environment: dict[str, str], *, as_json: bool) -> None:
    """On stdout, ready for `eval` or a file: the first line is a comment to a shell."""
    if as_json:
        shown = {"simulated": True, "base_url": simulator.base_url, "control_url": simulator.control_url, "environment": environment}
        print(json.dumps(shown), flush=True)
        return
    lines = [f"# simulated upstreams on {simulator.base_url} (control: {simulator.control_url}/_sim/)"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
    print("\n".join(lines), flush=True)
