"""MCP over HTTP: streamable HTTP and SSE on one port, behind the guard, ended by a signal."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Collection, Generator
from typing import Any, Protocol, cast

import uvicorn
from mcp.server import Server

from cli._exit import ExitWatch
from cli._http_app import RunningCalls, build_app
from cli._http_ports import BindError, PortTakenError, listen, port_owner
from cli._http_protocol import BoundedProtocol
from gateway.guard import Guard, check_bind, url_host

__all__ = ["BindError", "PortTakenError", "listen", "port_owner", "serve_http"]

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 16 * 1024 * 1024
"""Largest request body, as on stdio: files and images come as paths."""

MAX_SESSIONS = 256
"""Open sessions of each transport. One of streamable HTTP that is idle makes room for a new one, and is closed after half an hour."""

DRAIN_SECONDS = 6.0
"""How long running calls may go on after a signal."""

EXIT_GRACE = 9.0
"""Seconds from the signal to the end of the process, whatever runs."""

_CLOSE_SECONDS = 1.5
_LAST_ANSWERS = 0.2

# They log what passes through them: bodies at DEBUG, session ids at INFO, and the input of a message that does not parse with its error.
_TALKATIVE = {
    "sse_starlette.sse": logging.WARNING,
    "mcp.server.sse": logging.CRITICAL,
    "mcp.server.streamable_http": logging.CRITICAL,
    "mcp.server.streamable_http_manager": logging.ERROR,
}


async def serve_http(
    server: Server[Any] | Callable[[], Server[Any]],
    *,
    host: str,
    port: int,
    token: str | None,
    transports: Collection[str] = ("http", "sse"),
    max_body_bytes: int = MAX_BODY_BYTES,
    max_sessions: int = MAX_SESSIONS,
    announce: Callable[[str], None] | None = None,
    setting: str = "--port",
) -> None:
    """Serve until SIGTERM or SIGINT, and return when running calls have ended or been cancelled.

    The port is taken before a `server` that is a function is called; `announce` gets the base URL once requests are served. The
    process ends within 10 seconds of the signal, also when a thread or the loop itself is stuck, then with status 1; a second signal
    cancels running calls at once. The signal handlers stay for the rest of the process's life.

    Raises ValueError for a host that needs a token, PortTakenError or another BindError when the port cannot be had.
    """
    check_bind(host, token)
    sockets = listen(host, port, setting=setting)
    bound = int(sockets[0].getsockname()[1])
    for name, level in _TALKATIVE.items():
        logging.getLogger(name).setLevel(level)
    mcp = cast("Server[Any]", server) if isinstance(server, Server) else server()
    announced = announce or _log_address
    calls = RunningCalls()
    mcp.middleware.append(calls)
    app = build_app(mcp, transports=transports, max_body_bytes=max_body_bytes, max_sessions=max_sessions)
    guard = Guard(app, hosts=[host], ports=[bound], token=token, max_body_bytes=max_body_bytes, open_paths=["/health"])
    listener = Listener(config(guard), calls, on_started=lambda: announced(f"http://{url_host(host)}:{bound}"))
    watch = ExitWatch(grace=EXIT_GRACE, on_leave=listener.leave)
    watch.watch_signals((signal.SIGTERM, signal.SIGINT))
    watch.start()
    try:
        await listener.serve(sockets)
    finally:
        # Threads and executors may still be busy, and asyncio.run would wait for them: the clock ticks from here on.
        watch.leave("the server ended")


def _log_address(url: str) -> None:
    logger.info("serving on %s", url)


def config(app: Guard) -> uvicorn.Config:
    """Return how a guarded application is served."""
    return uvicorn.Config(
        app,
        loop="asyncio",
        http=BoundedProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=round(_CLOSE_SECONDS),
    )


class Running(Protocol):
    """What a server is working on."""

    async def until_idle(self) -> None: ...
    def stop(self) -> None:
        """Have what still runs tell its client and end."""
        ...


class Listener(uvicorn.Server):
    """A uvicorn server that lets running calls end before it closes their connections."""

    def __init__(self, config: uvicorn.Config, calls: Running, *, on_started: Callable[[], None]) -> None:
        super().__init__(config)
        self._calls = calls
        self._on_started = on_started
        self._hurry = asyncio.Event()
        self._draining: asyncio.Task[None] | None = None

    def leave(self, reason: str) -> None:
        """Begin to end; asked a second time, end without waiting for calls."""
        if self._draining is not None:
            self._hurry.set()
            return
        logger.info("stopping: %s", reason)
        self._draining = asyncio.create_task(self._drain())

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave signals to the exit watch: uvicorn's own handling cuts event streams off at once and raises the signal again at the end."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start serving."""
        await super().startup(sockets)
        if self.started:
            self._on_started()

    async def _drain(self) -> None:
        for listening in getattr(self, "servers", ()):
            listening.close()
        waits = [asyncio.create_task(self._calls.until_idle()), asyncio.create_task(self._hurry.wait())]
        await asyncio.wait(waits, timeout=DRAIN_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        self._calls.stop()
        if not self._hurry.is_set():
            await asyncio.sleep(_LAST_ANSWERS)  # a finished call still has to write its answer
        self.should_exit = True
        # Event streams have no end of their own; closing tells their sessions that the client is gone, which cancels what still runs.
        for connection in list(self.server_state.connections):
            connection.transport.close()
