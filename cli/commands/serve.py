"""`parley serve`: the MCP server on stdio, SSE or streamable HTTP."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from cli.context import Context
from cli.environment import secrets, unknown_names
from cli.log import configure_logging
from cli.output import Failed, WrongUse, did_you_mean, say

if TYPE_CHECKING:
    from mcp.server import Server

    from tools.app import App

DEFAULT_PORT = 8094
TRANSPORTS = ("stdio", "sse", "http")
_log = logging.getLogger(__name__)


def run(context: Context, arguments: list[str]) -> int:
    """Serve until the client leaves, or until a signal; the process ends with it."""
    options = _parser(context).parse_args(arguments)
    env = context.environment(options)
    configure_logging(env, secrets(env))
    host, token = options.host or env.get("PARLEY_HOST", "127.0.0.1"), env.get("PARLEY_TOKEN")
    with _no_collections():
        enabled = enabled_tools(env, options.tools)
        if options.transport != "stdio":
            check_bindable(host, token, "--host" if options.host else "PARLEY_HOST")
        _warn_of_settings(env)
        app, server = _built(env, enabled)
    asyncio.run(_serve(app, server, options, host, token))
    from cli._exit import end_process

    end_process()


def _parser(context: Context) -> argparse.ArgumentParser:
    parser = context.parser("serve", "Run the MCP server.")
    parser.add_argument("--transport", choices=TRANSPORTS, default="stdio", help="stdio (default), sse, or http: /mcp and /sse on one port")
    parser.add_argument("--host", help="address to bind (PARLEY_HOST, 127.0.0.1); one that is not loopback needs PARLEY_TOKEN")
    parser.add_argument("--port", type=_port, default=DEFAULT_PORT, help=f"port to bind ({DEFAULT_PORT})")
    parser.add_argument("--tools", metavar="NAMES", help="only these tools, comma-separated (PARLEY_TOOLS, all)")
    return parser


def _built(env: Mapping[str, str], enabled: Sequence[str]) -> tuple[App, Server[Any]]:
    from cli.wire import build_app, working_folder
    from providers.proxies import Proxies
    from tools.mcp import build_server

    app = build_app(env, workspace=working_folder(env))
    for line in Proxies.from_env(env).ignored:
        _log.warning("%s", line)
    return app, build_server(app, enabled)


async def _serve(app: App, server: Server[Any], options: argparse.Namespace, host: str, token: str | None) -> None:
    from cli.wire import close_app

    attending = asyncio.create_task(app.attend(), name="attend to the memory")
    try:
        if options.transport == "stdio":
            await _on_stdio(server)
        else:
            await _on_http(server, options, host, token)
    finally:
        attending.cancel()
        await close_app(app)


@contextmanager
def _no_collections() -> Generator[None]:
    """Imports make many objects and no garbage: collecting meanwhile takes a tenth of the start, and later it is in vain."""
    gc.disable()
    try:
        yield
        gc.freeze()
    finally:
        gc.enable()


async def _on_stdio(server: Server[Any]) -> None:
    from cli.stdio import serve_stdio

    if sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty():
        say("parley: ready, and waiting for an MCP client on stdin and stdout, which this terminal is not; Ctrl-C ends it")
    try:
        await serve_stdio(server)
    except RuntimeError as error:
        raise Failed(str(error)) from None


async def _on_http(server: Server[Any], options: argparse.Namespace, host: str, token: str | None) -> None:
    from cli.http import BindError, serve_http

    paths = {"sse": ("/sse",), "http": ("/mcp", "/sse")}[options.transport]
    transports = ("sse",) if options.transport == "sse" else ("http", "sse")

    def announce(url: str) -> None:
        say(f"parley: serving MCP on {' and '.join(url + path for path in paths)}")

    try:
        await serve_http(server, host=host, port=options.port, token=token, transports=transports, announce=announce)
    except BindError as error:
        raise Failed(str(error)) from None


def check_serving(env: Mapping[str, str]) -> None:
    """Check the settings that only a serving process reads. Raises WrongUse."""
    enabled_tools(env, None)
    check_bindable(env.get("PARLEY_HOST", "127.0.0.1"), env.get("PARLEY_TOKEN"), "PARLEY_HOST")


def enabled_tools(env: Mapping[str, str], option: str | None) -> list[str]:
    """Return the names of the tools to register. Raises WrongUse for a name there is not."""
    from tools import TOOLS

    known = [function.__name__ for function in TOOLS]
    chosen = _names("--tools", option, known) if option is not None else _names("PARLEY_TOOLS", env.get("PARLEY_TOOLS", ""), known)
    disabled = _names("PARLEY_DISABLED_TOOLS", env.get("PARLEY_DISABLED_TOOLS", ""), known)
    enabled = [name for name in known if (not chosen or name in chosen) and name not in disabled]
    if not enabled:
        raise WrongUse("no tool is left to serve: see --tools, PARLEY_TOOLS and PARLEY_DISABLED_TOOLS")
    return enabled


def _names(source: str, text: str, known: Sequence[str]) -> list[str]:
    names = [part.strip() for part in text.split(",") if part.strip()]
    for name in names:
        if name not in known:
            raise WrongUse(f"{source}: there is no tool {name[:60]!r}{did_you_mean(name, known)} (tools: {', '.join(known)})")
    if source == "--tools" and not names:
        raise WrongUse(f"--tools names no tool (tools: {', '.join(known)})")
    return names


def check_bindable(host: str, token: str | None, setting: str) -> None:
    """Check that a token protects a host that others can reach; `setting` is where the host comes from. Raises WrongUse."""
    from gateway.guard import check_bind

    try:
        check_bind(host, token, setting=setting)
    except ValueError as error:
        raise WrongUse(str(error)) from None


def _warn_of_settings(env: Mapping[str, str]) -> None:
    for name in unknown_names(env):
        _log.warning("the environment has %s, which nothing reads", name)


def _port(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = -1
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{text[:20]!r} is not a port from 0 to 65535")
    return number
