"""A simulator in a thread of its own, for tests that drive subprocesses or block."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .jsonish import Json
from .log import LogEntry
from .server import Simulator

_START_SECONDS = 10.0


class ThreadedSimulator:
    """The methods of Simulator, callable from any thread; `until` blocks, `auntil` awaits."""

    def __init__(self, simulator: Simulator, loop: asyncio.AbstractEventLoop) -> None:
        self._simulator = simulator
        self._loop = loop
        self.base_url = simulator.base_url
        self.control_url = simulator.control_url

    def _call(self, act: Callable[[], Any]) -> Any:
        async def run() -> Any:
            return act()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result(_START_SECONDS)

    def rule(self, provider: str, text: str = "", **rule: Any) -> None:
        """See Simulator.rule."""
        self._call(lambda: self._simulator.rule(provider, text, **rule))

    def fault(self, provider: str, kind: str, **fault: Any) -> None:
        """See Simulator.fault."""
        self._call(lambda: self._simulator.fault(provider, kind, **fault))

    def extractions(self, extractions: Iterable[Json]) -> None:
        """See Simulator.extractions."""
        self._call(lambda: self._simulator.extractions(extractions))

    def odd_extraction(self, kind: str, times: int | None = 1, match: str | None = None, prompt: str | None = None) -> None:
        """See Simulator.odd_extraction."""
        self._call(lambda: self._simulator.odd_extraction(kind, times, match, prompt))

    def model(self, provider: str, model: str, **changes: Any) -> None:
        """See Simulator.model."""
        self._call(lambda: self._simulator.model(provider, model, **changes))

    def clear_faults(self, provider: str | None = None) -> None:
        """See Simulator.clear_faults."""
        self._call(lambda: self._simulator.clear_faults(provider))

    def reset(self, *parts: str) -> None:
        """See Simulator.reset."""
        self._call(lambda: self._simulator.reset(*parts))

    def revoke_tokens(self) -> None:
        """See Simulator.revoke_tokens."""
        self._call(self._simulator.revoke_tokens)

    def environment(self, folder: Path | str) -> dict[str, str]:
        """See Simulator.environment."""
        return self._simulator.environment(folder)

    @property
    def log(self) -> list[LogEntry]:
        """See Simulator.log."""
        return self._call(lambda: self._simulator.log)

    @property
    def state(self) -> Json:
        """See Simulator.state."""
        return self._call(lambda: self._simulator.state)

    def requests(self, provider: str) -> list[LogEntry]:
        """See Simulator.requests."""
        return self._call(lambda: self._simulator.requests(provider))

    def until(self, predicate: Callable[[list[LogEntry]], Any], timeout: float = 5.0) -> Any:
        """Blocks until `predicate(log)` is true; see Simulator.until."""
        return asyncio.run_coroutine_threadsafe(self._simulator.until(predicate, timeout), self._loop).result()

    async def auntil(self, predicate: Callable[[list[LogEntry]], Any], timeout: float = 5.0) -> Any:
        """Waits until `predicate(log)` is true; see Simulator.until."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._simulator.until(predicate, timeout), self._loop))


@contextmanager
def running(port: int = 0, control_port: int | None = None) -> Generator[ThreadedSimulator]:
    """A simulator on its own thread and loop until the block ends. Raises OSError when a port is taken."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="simulator", daemon=True)
    thread.start()
    simulator = Simulator(port, control_port)
    try:
        asyncio.run_coroutine_threadsafe(simulator.start(), loop).result(_START_SECONDS)
        try:
            yield ThreadedSimulator(simulator, loop)
        finally:
            asyncio.run_coroutine_threadsafe(simulator.stop(), loop).result(_START_SECONDS)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_START_SECONDS)
        loop.close()
