"""The simulator itself: four upstreams on one loopback port, in the running event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from .control import Control, change_model, reset, snapshot
from .extraction_table import parse_odd, parse_recorded
from .faults import parse_fault
from .handling import Handler, State
from .identity import environment
from .jsonish import Json
from .log import LogEntry
from .routes import Routes
from .routes_vertex import VertexRoutes
from .rules import parse_rule

HOST = "127.0.0.1"
_BODY_LIMIT = 64 * 1024 * 1024
_KEEP_ALIVE = 75.0


class Simulator:
    """`async with Simulator() as sim:` serves until the block ends. Port 0 is any free port."""

    def __init__(self, port: int = 0, control_port: int | None = None) -> None:
        self._port = port
        self._control_port = control_port
        self._state = State(changed=self._wake)
        self._runners: list[web.AppRunner] = []
        self._waiting: set[asyncio.Future[None]] = set()
        self.base_url = ""
        self.control_url = ""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.stop()

    async def start(self) -> None:
        """Bind and serve. Raises OSError when a port is taken."""
        app, control = _application(), Control(self._state)
        handler = Handler(self._state)
        if self._control_port is None:
            control.add_to(app)
        Routes(handler).add_to(app)
        VertexRoutes(handler).add_to(app)
        try:
            self.base_url = self.control_url = await self._listen(app, self._port)
            if self._control_port is not None:
                own = _application()
                control.add_to(own)
                self.control_url = await self._listen(own, self._control_port)
        except OSError:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Close every connection, hanging ones too."""
        for runner in self._runners:
            await runner.cleanup()
        self._runners.clear()

    async def _listen(self, app: web.Application, port: int) -> str:
        # handler_cancellation: a client that goes away ends its handler at once, which is how hanging faults notice.
        runner = web.AppRunner(app, access_log=None, handler_cancellation=True, keepalive_timeout=_KEEP_ALIVE, shutdown_timeout=0.01)
        await runner.setup()
        self._runners.append(runner)
        await web.TCPSite(runner, HOST, port, backlog=512).start()
        return f"http://{HOST}:{runner.addresses[0][1]}"

    # --- scripting --------------------------------------------------------------------------------------------------------------------

    def rule(self, provider: str, text: str = "", **rule: Any) -> None:
        """Script an answer: match, match_last_user, model, thinking, tool_use, delay_s, chunk_delay_s, chunks, usage, finish, times."""
        self._state.rules.add(parse_rule({"provider": provider, "text": text, **rule}))

    def fault(self, provider: str, kind: str, **fault: Any) -> None:
        """Script a fault, once unless `times` says otherwise (None: for ever)."""
        self._state.faults.add(parse_fault({"provider": provider, "kind": kind, **fault}))

    def extractions(self, extractions: Iterable[Json]) -> None:
        """Record what is found in episodes: {body, entities, facts: [{source, name, target, fact, valid_at, invalid_at, contradicts}]}."""
        self._state.extractions.add([parse_recorded(one) for one in extractions])

    def odd_extraction(self, kind: str, times: int | None = 1, match: str | None = None, prompt: str | None = None) -> None:
        """Spoil the next answers to Graphiti's prompts (None: all), only to those about what holds `match`, only to that `prompt`."""
        self._state.extractions.add_odd(parse_odd({"kind": kind, "times": times, "match": match, "prompt": prompt}))

    def model(self, provider: str, model: str, **changes: Any) -> None:
        """Change a model's limits (context_window, max_output, ...), or add a model."""
        change_model(self._state, {"provider": provider, "model": model, **changes})

    def clear_faults(self, provider: str | None = None) -> None:
        """Drop the faults of one provider, or all."""
        self._state.faults.clear(provider)

    def reset(self, *parts: str) -> None:
        """Forget rules, faults, extractions, log and changed models; or only the named parts (also "tokens": revoke them)."""
        reset(self._state, list(parts) or None)

    def revoke_tokens(self) -> None:
        """Every Google token issued so far is refused from now on."""
        self._state.tokens.revoke()

    def environment(self, folder: Path | str) -> dict[str, str]:
        """The variables that point all four providers here; writes the service-account file into `folder`."""
        return environment(self.base_url, folder)

    # --- looking ----------------------------------------------------------------------------------------------------------------------

    @property
    def log(self) -> list[LogEntry]:
        """What arrived since the last reset, oldest first."""
        return list(self._state.log.entries)

    @property
    def state(self) -> Json:
        """Counts per provider: in_flight, max_in_flight, totals; rules and faults left; tokens_issued."""
        return snapshot(self._state)

    def requests(self, provider: str) -> list[LogEntry]:
        """The log of one provider."""
        return [entry for entry in self._state.log.entries if entry["provider"] == provider]

    async def until(self, predicate: Callable[[list[LogEntry]], Any], timeout: float = 5.0) -> Any:
        """Waits until `predicate(log)` is true and returns its value; an IndexError means not yet. Raises TimeoutError, showing the log."""
        deadline = asyncio.get_running_loop().time() + timeout
        while not (value := _value(predicate, self.log)):
            left = deadline - asyncio.get_running_loop().time()
            if left <= 0 or not await self._change(left):
                if value := _value(predicate, self.log):
                    return value
                raise TimeoutError(f"not within {timeout} s; simulated upstreams saw: {_brief(self.log)}")
        return value

    async def _change(self, seconds: float) -> bool:
        future = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            await asyncio.wait_for(future, seconds)
        except TimeoutError:
            return False
        finally:
            self._waiting.discard(future)
        return True

    def _wake(self) -> None:
        for future in self._waiting:
            if not future.done():
                future.set_result(None)


def _value(predicate: Callable[[list[LogEntry]], Any], log: list[LogEntry]) -> Any:
    try:
        return predicate(log)
    except IndexError:  # "the second request is ..." while there is only one
        return None


def _application() -> web.Application:
    return web.Application(client_max_size=_BODY_LIMIT)


def _brief(log: list[LogEntry]) -> list[str]:
    return [
        f"{entry['seq']} {entry['provider']} {entry['model']} status={entry['status']} answered={entry['answered']} "
        f"disconnected={entry['disconnected']}"
        for entry in log
    ]
