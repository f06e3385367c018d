"""One request from arrival to its last byte: logged, met by faults, refused or answered."""

from __future__ import annotations

import asyncio
import itertools
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from .asked import Asked
from .exchange import Exchange, refuse
from .extraction import play
from .extraction_table import Table
from .faults import Fault, Faults
from .jsonish import Json, as_dict
from .log import Log, LogEntry
from .models import ModelList
from .oauth import Tokens
from .play import answer_with, play_early
from .refusals import Refusal
from .rules import Answer, Rules, echo, within_limit
from .wires import Wire

Serve = Callable[[Exchange], Awaitable[web.StreamResponse]]


def _nobody_listens() -> None:
    """Until someone does."""


@dataclass(slots=True)
class State:
    """Everything one simulator holds. `changed` is called whenever the log has changed."""

    rules: Rules = field(default_factory=Rules)
    faults: Faults = field(default_factory=Faults)
    extractions: Table = field(default_factory=Table)
    log: Log = field(default_factory=Log)
    models: ModelList = field(default_factory=ModelList)
    tokens: Tokens = field(default_factory=Tokens)
    changed: Callable[[], None] = _nobody_listens


class Handler:
    """Takes a request through log, faults and checks; `serve` is the route's own part."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._instance = secrets.token_hex(3)
        self._ids = itertools.count(1)

    async def handle(
        self, request: web.Request, provider: str, route: str, auth: str, serve: Serve, *, model: str | None = None, **more: Any
    ) -> web.StreamResponse:
        """Answer one request; never raises a Refusal. `more` is for Exchange."""
        log = self.state.log
        entry = log.open(provider, route, request.method, request.raw_path, request.headers, auth)
        entry["model"] = model
        x = Exchange(request, entry, provider + ("_count" if route == "count_tokens" else ""), _once(lambda: log.close(entry)), **more)
        try:
            raw = await request.read()
            entry["raw_bytes"] = len(raw)
            if raw and request.content_type != "application/x-www-form-urlencoded":
                _parse(x, raw)
            self.state.changed()
            return await self._serve(x, serve)
        except (asyncio.CancelledError, ConnectionResetError):
            if not x.cut:
                entry["disconnected"] = True
                entry["disconnected_at"] = time.monotonic()
                entry["answered"] = False
            raise
        finally:
            x.finished()
            self.state.changed()

    async def _serve(self, x: Exchange, serve: Serve) -> web.StreamResponse:
        """Faults any request meets come first, then the checks, then the answer."""
        fault = x.early = self._take(x, before_checks=True)
        if fault is not None and fault.kind == "delay":
            await asyncio.sleep(fault.seconds or 0.0)
        elif fault is not None and fault.kind != "expires_in":
            return await play_early(x, fault)
        try:
            return await serve(x)
        except Refusal as refusal:
            return await refuse(x, refusal)

    def _take(self, x: Exchange, *, before_checks: bool) -> Fault | None:
        name = x.entry["model"] or ""
        found = self.state.models.find(x.entry["provider"], name)
        fault = self.state.faults.take(x.provider, [name, found.id] if found else [name], before_checks=before_checks)
        if fault is not None:
            x.entry["fault"] = fault.kind
        return fault

    def spoiler(self, x: Exchange) -> Fault | None:
        """The fault that is to spoil this answer, used up; None when there is none."""
        return self._take(x, before_checks=False)

    async def answer(self, x: Exchange, wire: Wire, asked: Asked) -> web.StreamResponse:
        """The scripted answer, that to a prompt of Graphiti's, or the echo."""
        x.entry["ignored"] = asked.ignored
        fault = self.spoiler(x)
        answer = self.state.rules.scripted(asked) or self._played(x, asked) or echo(asked)
        return await answer_with(x, wire, asked, answer, fault, f"{self._instance}{next(self._ids):06d}")

    def _played(self, x: Exchange, asked: Asked) -> Answer | None:
        """The answer to a prompt of Graphiti's, None for any other request."""
        played = play(asked, self.state.extractions)
        if played is None:
            return None
        x.entry["prompt"] = played.prompt
        x.entry["odd"] = played.odd
        return within_limit(played.answer, asked)


def _parse(x: Exchange, raw: bytes) -> None:
    """Note the body, the model and whether a stream is wanted: known before anything is checked, since a hang needs it too."""
    entry: LogEntry = x.entry
    try:
        entry["body"] = x.body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return
    given = as_dict(x.body) or {}
    if entry["model"] is None and isinstance(given.get("model"), str):
        entry["model"] = given["model"]
    x.stream = entry["stream"] = x.stream or given.get("stream") is True
    if x.stream and x.content_type == "application/json":
        x.content_type = "text/event-stream; charset=utf-8"


def _once(action: Callable[[], None]) -> Callable[[], None]:
    left = [action]

    def run() -> None:
        if left:
            left.pop()()

    return run


def json_object(body: Any) -> Json:
    """The body as an object. Raises Refusal when it is none."""
    found = as_dict(body)
    if found is None:
        raise Refusal(400, "The request body is not valid JSON.")
    return found
