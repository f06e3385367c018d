"""The composition root of the memory: opened on first use, and drained by a process of its own."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from conversation.errors import InvalidInput, MemoryUnavailable, ParleyError

if TYPE_CHECKING:
    from conversation.threads import ThreadStore
    from graph.config import GraphConfig
    from graph.drainer import Remembering
    from graph.embedding import Embedder
    from graph.inbox import Inbox
    from graph.memory import Memory
    from tools.app import App

_TAKEN_SECONDS = 3.0
"""How long a drainer waits for the lock: others look for a moment whether it is held."""
_FIRST_LOOK_SECONDS = 3.0
_THREADS_SECONDS = 60.0
"""How often it is looked for threads that have come to rest."""
_AWAY_SECONDS, _PATIENCE_SECONDS = 15.0, 900.0
"""How often a drainer in the background asks a graph database that is away, and for how long before it ends; another is started then."""


class MemoryDoor:
    """Opens the memory on first use: until then nothing of it is imported, and no file is made."""

    def __init__(
        self,
        env: Mapping[str, str],
        home: Path,
        workspace: str,
        unread: Callable[[], str],
        threads: ThreadStore,
        embedder: Callable[[str], Embedder],
    ) -> None:
        """`embedder` makes the embedding model of a name. Raises InvalidInput for a setting that makes no sense."""
        self._env, self._home, self._workspace, self._unread, self._threads = env, home, workspace, unread, threads
        self._embedder = embedder
        self._remembers_threads = _is_true(env, "PARLEY_REMEMBER_THREADS")
        self._memory: Memory | None = None
        if env.get("PARLEY_GRAPH_URL") or env.get("PARLEY_EMBEDDING_MODEL"):
            graph_config(env, home)

    def __call__(self) -> Memory:
        """Return the memory."""
        if self._memory is None:
            from graph.config import QUIET_ENVIRONMENT
            from graph.embedding import Meaning
            from graph.episodes import group_of
            from graph.inbox import Inbox
            from graph.memory import Memory
            from graph.ownership import Watch, start
            from graph.read_model import ReadModel
            from graph.server_knowledge import ServerKnowledge

            config = graph_config(self._env, self._home)
            inbox = Inbox(config.database)
            start_one = partial(start, _drainer(), self._env, Path(self._workspace), config.log)
            watch = Watch(inbox, config.database, config.lock, start_one)
            name, group = config.embedding_model, group_of(self._workspace)
            meaning = Meaning(name, partial(self._embedder, name)) if name else None
            local = ReadModel(inbox.database, meaning=meaning)
            if config.server is not None:
                os.environ.update(QUIET_ENVIRONMENT)
            knowledge = local if config.server is None else ServerKnowledge(config, local, meaning=meaning)
            self._memory = Memory(config, inbox, knowledge, group=group, watch=watch, unread=self._unread, meaning=meaning)
        return self._memory

    async def attend(self) -> None:
        """Look, once this process has begun its work, whether something was left behind; for whoever has no memory that costs nothing."""
        await asyncio.sleep(_FIRST_LOOK_SECONDS)
        if os.path.exists(self._home / "memory.db"):
            self().watch()
        if self._remembers_threads:
            await self._remember_threads()

    async def _remember_threads(self) -> None:
        from graph.finished import Finished

        finished = Finished(self._threads, self(), self._workspace)
        while True:
            with suppress(ParleyError):  # a store that is away for now; what is wrong with it is told to those who use it
                await finished.tell()
            await asyncio.sleep(_THREADS_SECONDS)

    async def aclose(self) -> None:
        """Close what is open."""
        if self._memory is not None:
            await self._memory.aclose()


def _is_true(env: Mapping[str, str], name: str) -> bool:
    """Return a switch. Raises InvalidInput for what is neither on nor off."""
    text = env.get(name, "").strip().lower()
    if text not in ("", "0", "1", "true", "false", "yes", "no", "on", "off"):
        raise InvalidInput(f"{name} is neither true nor false.", hint="Set it to true, or leave it out.")
    return text in ("1", "true", "yes", "on")


def graph_config(env: Mapping[str, str], home: Path) -> GraphConfig:
    """Return the settings of the memory. Raises InvalidInput."""
    from graph.config import GraphConfig

    return GraphConfig.from_env(env, home)


async def drain(app: App, env: Mapping[str, str], *, idle_s: float | None = None, unless_running: bool = False) -> int:
    """Read what is queued until nothing has been for a while. Raises MemoryUnavailable.

    While another process does, wait until it has read everything; `unless_running`, leave it to that one.
    """
    from graph.inbox import Inbox
    from graph.ownership import alone

    config = graph_config(env, Path(app.home))
    inbox = Inbox(config.database)
    clock = asyncio.get_running_loop().time
    until = clock() + _TAKEN_SECONDS
    try:
        while True:
            with alone(config.lock) as is_alone:
                if is_alone:
                    patience = _PATIENCE_SECONDS if unless_running else 0.0
                    return await _drain_alone(app, config, inbox, idle_s, clock() + patience)
            if clock() > until and (unless_running or await inbox.waiting() is None):
                return 0
            await asyncio.sleep(0.1)
    finally:
        await inbox.aclose()


async def _drain_alone(app: App, config: GraphConfig, inbox: Inbox, idle_s: float | None, patient_until: float) -> int:
    from graph.config import QUIET_ENVIRONMENT
    from graph.drainer import IDLE_SECONDS, Drainer
    from graph.extraction import Extraction
    from graph.memory import PROBLEM
    from graph.opening import Opener

    os.environ.update(QUIET_ENVIRONMENT)
    extraction = Extraction(app.chain, app.catalogue, config.extraction_model, config.extraction_small_model)
    opener = Opener(config, inbox, extraction, app.memory().meaning)

    async def opened(generation: int) -> Remembering:
        graph = await opener(generation)
        await inbox.set(PROBLEM, "")
        return graph

    async def patiently() -> None:
        while True:
            try:
                return await Drainer(inbox, opened, idle_s=IDLE_SECONDS if idle_s is None else idle_s, scrub=app.scrub).run()
            except MemoryUnavailable as error:
                if not error.retryable or asyncio.get_running_loop().time() > patient_until:
                    raise
                await inbox.set(PROBLEM, f"{error.message} {error.hint}")
                await inbox.recover()
                await asyncio.sleep(_AWAY_SECONDS)

    try:
        await inbox.set(PROBLEM, "")
        await inbox.recover(crashed=_has_crashed(config.crash))
        await _until_told(patiently())
        _tidy(config, await inbox.target())
    except MemoryUnavailable as error:
        await inbox.set(PROBLEM, f"{error.message} {error.hint}")
        raise
    return 0


async def _until_told(work: Coroutine[Any, Any, None]) -> None:
    """Do the work, or what of it is done when the process is told to end: the graph is closed as it should be either way."""
    task = asyncio.create_task(work, name="drain the memory")
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)
    with suppress(asyncio.CancelledError):
        await task


def _has_crashed(file: Path) -> bool:
    """Tell whether the last process crashed, which is not to be killed; from now on it is noted if this one does."""
    crashed = file.exists() and file.stat().st_size > 0
    faulthandler.enable(file.open("wb", buffering=0))  # open for as long as the process is there
    return crashed


def _tidy(config: GraphConfig, generation: int) -> None:
    """Remove the files of embedded graphs that others have taken the place of."""
    with suppress(OSError):
        for path in config.graph(generation).parent.iterdir():
            number = path.name.partition(".")[0]
            if number.isdecimal() and int(number) < generation:
                path.unlink(missing_ok=True)


def _drainer() -> list[str]:
    """Return the command that drains. It is this very Parley, wherever it was started from, and no folder of the user's is looked into."""
    root = str(Path(__file__).parents[1])
    code = "import sys; sys.path.insert(0, sys.argv[1]); from cli.main import main; sys.exit(main(sys.argv[3:]))"
    return [sys.executable, "-P", "-c", code, root, "parley", "memory", "drain", "--unless-running"]
