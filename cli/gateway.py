"""The gateway: a listener for each shim and the router, all in one process, with the MCP server beside every provider."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import signal
import socket
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from cli._exit import ExitWatch
from cli._http_app import RunningCalls, build_app
from cli._http_ports import BindError, PortTakenError, listen
from cli.http import EXIT_GRACE, MAX_SESSIONS, Listener, config
from conversation.errors import StoreError
from gateway.conversations import split_path
from gateway.errors import Shaped
from gateway.exchange import new_request_id
from gateway.guard import Guard, Headers, check_bind, url_host
from gateway.routing import Chained, Pinned
from gateway.shim import MAX_BODY_BYTES, Shim
from gateway.sticky import Sticky
from providers.base import ModelInfo
from providers.budget import Budget
from tools.app import App
from tools.mcp import build_server

ROUTER = "router"
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Port:
    """One shim's port and the variable that moves it."""

    shim: str
    number: int
    variable: str


def every_port(numbers: Mapping[str, int]) -> tuple[Port, ...]:
    """Return the ports of the gateway, the router's first, for the `numbers` the settings give each shim."""
    return tuple(Port(shim, number, f"PARLEY_PORT_{shim.upper()}") for shim, number in numbers.items())


def ours(host: str, port: Port) -> bool:
    """Tell whether the port is held by a gateway of ours for the same shim."""
    address = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 - recognised, not bound
    request = urllib.request.Request(f"http://{url_host(address)}:{port.number}/health")
    with contextlib.suppress(OSError, ValueError), urllib.request.urlopen(request, timeout=2) as answer:  # noqa: S310
        told = json.loads(answer.read(4_096))
        return told.get("server") == "parley" and told.get("shim") == port.shim
    return False


class Taken(BindError):
    """A port of a shim that cannot be had."""


def bind(host: str, wanted: Sequence[Port]) -> list[tuple[Port, list[socket.socket]]]:
    """Return listening sockets for every port, or none at all. Raises Taken, naming the shim and the variable that moves it."""
    bound: list[tuple[Port, list[socket.socket]]] = []
    for port in wanted:
        try:
            bound.append((port, listen(host, port.number, setting=port.variable)))
        except BindError as error:
            for one in (one for _, sockets in bound for one in sockets):
                one.close()
            kind = Taken if isinstance(error, PortTakenError) else BindError
            raise kind(f"{port.shim}: {error}") from None
    return bound


async def serve(
    app: App, bound: Sequence[tuple[Port, list[socket.socket]]], *, host: str, token: str | None, announce: Callable[[str], None]
) -> None:
    """Serve until SIGTERM or SIGINT; running requests get some seconds to end, and the process is gone within ten."""
    check_bind(host, token)
    calls = _Requests()
    listeners = [_listener(app, port, sockets, host, token, calls, announce) for port, sockets in bound]

    def leave(reason: str) -> None:
        for one in listeners:
            one.leave(reason)

    watch = ExitWatch(grace=EXIT_GRACE, on_leave=leave)
    watch.watch_signals((signal.SIGTERM, signal.SIGINT))
    watch.start()
    warming = asyncio.ensure_future(app.warm())
    try:
        await asyncio.gather(*(one.serve(sockets) for one, (_, sockets) in zip(listeners, bound, strict=True)))
    finally:
        warming.cancel()
        watch.leave("the gateway ended")


def _listener(
    app: App, port: Port, sockets: list[socket.socket], host: str, token: str | None, calls: _Requests, announce: Callable[[str], None]
) -> Listener:
    number = int(sockets[0].getsockname()[1])
    mcp = build_server(app)
    mcp.middleware.append(calls.mcp)
    shim = build_shim(app, port.shim, build_app(mcp, transports=("http",), max_body_bytes=MAX_BODY_BYTES, max_sessions=MAX_SESSIONS))
    guard = Guard(
        calls.counted(shim), hosts=[host], ports=[number], token=token, max_body_bytes=MAX_BODY_BYTES, open_paths=["/health"], shape=_shape
    )
    return Listener(config(guard), calls, on_started=lambda: announce(f"{port.shim}: http://{url_host(host)}:{number}"))


def build_shim(app: App, name: str, mcp: ASGIApp | None = None) -> Shim:
    """Return one shim, pinned to the provider it is named after, or the router."""
    catalogue = app.catalogue

    def models() -> Sequence[ModelInfo]:
        return [model for provider in (catalogue.chain if name == ROUTER else (name,)) for model in catalogue.models(provider)]

    def problem() -> str | None:
        if not app.is_warm():
            return "starting"
        if name == ROUTER:
            return None if catalogue.chain else "no provider is configured"
        return catalogue.problem(name) or app.health.rejected(name)

    return Shim(
        name=name,
        chain=app.chain,
        routes=_chained(app) if name == ROUTER else Pinned(catalogue, name),
        pinned=name != ROUTER,
        models=models,
        problem=problem,
        scrub=app.scrub,
        mcp=mcp,
        status=partial(_status, app) if name == ROUTER else None,
    )


def _chained(app: App) -> Chained:
    return Chained(app.catalogue, app.chain.lately, app.strategy, Sticky(app.sticky_seconds))


async def _status(app: App) -> Mapping[str, Any]:
    troubles = app.health.snapshot()
    providers = {
        one.name: {"port": one.port, "configured": app.catalogue.configured(one.name), "trouble": troubles.get(one.name)}
        for one in app.catalogue.providers
    }
    return {
        "version": app.version,
        "warm": app.is_warm(),
        "chain": list(app.catalogue.chain),
        "providers": providers,
        "strategy": app.strategy,
        "spending": await _spending(app.budget),
        "tasks": len(asyncio.all_tasks()),
    }


async def _spending(budget: Budget | None) -> Mapping[str, Any] | None:
    """Return what was spent today, None where that cannot be read."""
    try:
        return None if budget is None else {**await budget.of_today(), "limit_usd": budget.limit_usd}
    except StoreError:
        return None  # the rest of the status is known all the same


def _shape(status: int, kind: str, message: str) -> tuple[Mapping[str, object], Headers]:
    """Return what the guard refuses as the shims tell errors."""
    request_id = new_request_id()
    given = Shaped(status, kind, message)
    return given.body(request_id), ((b"request-id", request_id.encode()), (b"x-should-retry", b"false"))


class _Requests:
    """Counts what is being worked on over all ports: HTTP requests to shims, and calls of MCP tools."""

    def __init__(self) -> None:
        self.mcp = RunningCalls()
        self._open: set[asyncio.Task[Any]] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    def counted(self, app: ASGIApp) -> ASGIApp:
        """Return the application with its Messages requests counted."""

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or not split_path(scope["path"])[1].startswith("/v1/messages"):
                await app(scope, receive, send)
                return
            serving = asyncio.current_task()
            assert serving is not None  # noqa: S101 - a server runs applications in tasks
            self._open.add(serving)
            self._idle.clear()
            try:
                await app(scope, receive, send)
            finally:
                self._open.discard(serving)
                if not self._open:
                    self._idle.set()

        return serve

    async def until_idle(self) -> None:
        """Wait until nothing is being worked on."""
        await self._idle.wait()
        await self.mcp.until_idle()

    def stop(self) -> None:
        """Cancel requests, which tell their clients so."""
        for serving in self._open:
            serving.cancel()
