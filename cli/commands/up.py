"""`parley up`: the HTTP shims and the router, in the foreground."""

from __future__ import annotations

import argparse
import asyncio
import logging
from typing import TYPE_CHECKING

from cli.context import Context
from cli.environment import secrets
from cli.log import configure_logging
from cli.output import Failed, WrongUse, did_you_mean, say

if TYPE_CHECKING:
    import socket

    from cli.gateway import Port
    from tools.app import App

_log = logging.getLogger(__name__)


def run(context: Context, arguments: list[str]) -> int:
    """Serve until a signal; 0 also when all of it is running already."""
    from cli.commands.serve import check_bindable
    from cli.gateway import BindError, Taken, bind, every_port, ours
    from cli.wire import build_app, working_folder
    from providers.config import ProviderSettings

    options = _parser(context).parse_args(arguments)
    env = context.environment(options)
    configure_logging(env, secrets(env))
    host, token = env.get("PARLEY_HOST", "127.0.0.1"), env.get("PARLEY_TOKEN")
    check_bindable(host, token, "PARLEY_HOST")
    app = build_app(env, workspace=working_folder(env), adapter="native")
    wanted = _wanted(every_port(ProviderSettings.from_env(env).ports), options.only)
    try:
        bound = bind(host, wanted)
    except Taken as error:
        if all(ours(host, port) for port in wanted):
            say("parley: the gateway is running already")
            return 0
        raise Failed(str(error)) from None
    except BindError as error:
        raise Failed(str(error)) from None
    asyncio.run(_serve(app, bound, host, token))
    from cli._exit import end_process

    end_process()


def _parser(context: Context) -> argparse.ArgumentParser:
    parser = context.parser("up", "Run the HTTP shims, one port for each provider, and the router.")
    parser.add_argument("--only", metavar="SHIM,...", help="only these: router, vertex_claude, vertex_gemini, github_models, openrouter")
    return parser


def _wanted(every: tuple[Port, ...], only: str | None) -> tuple[Port, ...]:
    if only is None:
        return every
    known = [port.shim for port in every]
    names = [name.strip() for name in only.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise WrongUse(f"--only: there is no shim {name[:60]!r}{did_you_mean(name, known)} (shims: {', '.join(known)})")
    if not names:
        raise WrongUse(f"--only names no shim (shims: {', '.join(known)})")
    return tuple(port for port in every if port.shim in names)


async def _serve(app: App, bound: list[tuple[Port, list[socket.socket]]], host: str, token: str | None) -> None:
    from cli.gateway import serve
    from cli.wire import close_app

    attending = asyncio.create_task(app.attend(), name="attend to the memory")
    try:
        await serve(app, bound, host=host, token=token, announce=lambda text: say(f"parley: {text}"))
    finally:
        attending.cancel()
        await close_app(app)
