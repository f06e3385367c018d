"""`parley doctor`: what works, what does not, and what to do about it."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from cli.backups import told
from cli.commands.config import console_script
from cli.commands.version import PACKAGES, packages
from cli.context import Context, parley_version
from cli.environment import NAMES, unknown_names
from cli.log import configure_logging
from cli.output import Failed, WrongUse, did_you_mean, put, put_json, table
from conversation.errors import ParleyError
from memory.checkup import SECONDS, examine
from memory.config import MemoryConfig

if TYPE_CHECKING:
    from tools.app import App

PING_SECONDS = 10.0
_DAMAGED = (
    "Put a backup in its place: `parley threads restore FILE --force` keeps the damaged one beside. "
    "Without a backup, save what can still be read: `parley threads export ID --json`, then move the file away and import."
)
_OTHER_HOME = "Set PARLEY_HOME to a folder that can be written."
Status = Literal["ok", "warning", "broken"]


@dataclass(frozen=True)
class Check:
    """One finding. `broken` makes the command fail; `warning` does not."""

    name: str
    status: Status
    detail: str
    hint: str = ""


def run(context: Context, arguments: list[str]) -> int:
    """Check everything that can be checked without asking a model; 1 when something is broken."""
    parser = context.parser("doctor", "Check the installation and the configuration. No provider is asked.")
    parser.add_argument("--json", action="store_true", help="as JSON")
    options = parser.parse_args(arguments)
    env = context.environment(options)
    checks = [*_installation(), *_environment(env), *_configured(env)]
    broken = any(check.status == "broken" for check in checks)
    if options.json:
        put_json({"ok": not broken, "checks": [asdict(check) for check in checks]})
    else:
        rows = [(check.status, check.name, check.detail + (f" ({check.hint})" if check.hint else "")) for check in checks]
        put(table(rows))
    return 1 if broken else 0


def _installation() -> Iterator[Check]:
    version = ".".join(map(str, sys.version_info[:3]))
    good = sys.version_info >= (3, 11)
    yield Check("python", "ok" if good else "broken", version, "" if good else "Parley needs Python 3.11 or newer.")
    yield Check("parley", "ok", parley_version())
    found = packages()
    missing = [name for name in PACKAGES if name not in found]
    if missing:
        yield Check("packages", "broken", f"{', '.join(missing)} missing", "Install Parley anew: pipx install --force .")
    else:
        yield Check("packages", "ok", ", ".join(f"{name} {number}" for name, number in found.items()))
    try:
        yield Check("command", "ok", console_script())
    except Failed as error:
        yield Check("command", "warning", str(error))


def _environment(env: Mapping[str, str]) -> Iterator[Check]:
    for name in unknown_names(env):
        yield Check("environment", "warning", f"{name} is set, but nothing reads it{did_you_mean(name, NAMES)}")


def _configured(env: Mapping[str, str]) -> Iterator[Check]:
    """What depends on the settings; a wrong one is the only finding then."""
    from cli.commands.serve import check_serving
    from cli.wire import build_app, close_app, config_path, working_folder
    from providers.proxies import Proxies

    try:
        configure_logging(env)
        check_serving(env)
        app = build_app(env, workspace=working_folder(env))
    except WrongUse as error:
        yield Check("configuration", "broken", str(error))
        return
    file = config_path(env, Path(app.home))
    yield Check("configuration", "ok", f"{file} and the environment" if file else "the environment; there is no parley.toml")
    for line in Proxies.from_env(env).ignored:
        yield Check("proxy", "warning", line)

    async def ping() -> list[Check]:
        try:
            return await _store(app)
        finally:
            await close_app(app)

    yield from asyncio.run(ping())
    yield from asyncio.run(_memory(app))
    yield from check_threads(MemoryConfig(home=Path(app.home)).database)
    yield from check_home(Path(app.home))
    yield from _roles(app)
    yield from _providers(app)


async def _memory(app: App) -> list[Check]:
    """Return how the memory does; nothing where nobody has told it anything."""
    if not os.path.exists(Path(app.home) / "memory.db"):  # Path.exists raises where a folder is closed
        return []
    memory = app.memory()
    try:
        status = await memory.status()
    except ParleyError as error:
        return [Check("memory", "broken", error.message, error.hint)]
    finally:
        await memory.aclose()
    told = status.queue.model_dump()
    if status.queue.failed or status.problem:
        return [Check("memory", "warning", status.message)]
    waiting = told["queued"] + told["running"]
    read = "all read" if not waiting else f"of which {waiting} wait to be read"
    return [Check("memory", "ok", f"{sum(told.values())} episodes, {read}. {status.message}")]


async def _store(app: App) -> list[Check]:
    try:
        async with asyncio.timeout(PING_SECONDS):
            await app.store.ping()
            risks = await app.store.risks()
    except ParleyError as error:
        return [Check("store", "broken", error.message, error.hint)]
    except TimeoutError:
        return [Check("store", "broken", f"no answer within {PING_SECONDS:g} s", "Another process may hold the store.")]
    return [Check("store", "ok", "can be read and written"), *(Check("store", "warning", risk) for risk in risks)]


def check_threads(database: Path) -> Iterator[Check]:
    """Yield whether the database of threads is whole; nothing when it cannot be opened, for that is the finding of the store."""
    try:
        found = examine(database)
    except ParleyError:
        return
    if found.damage:
        first, *others = found.damage
        more = f", and {len(others)} more problems" if others else ""
        yield Check("threads", "broken", f"{database} is damaged: {first}{more}", _DAMAGED)
    elif found.index:
        yield Check("threads", "broken", f"what was said is whole, its search is not: {found.index}", "Run `parley threads reindex`.")
    elif found.cut:
        unfinished = f"{told(found)}; nothing wrong as far as could be looked in {SECONDS:g} s"
        yield Check("threads", "ok", unfinished, "`parley threads backup FILE` makes a copy and looks at all of that.")
    else:
        yield Check("threads", "ok", told(found))


def check_home(home: Path) -> Iterator[Check]:
    """Yield what is to be said of the state folder."""
    try:
        found = home.stat().st_mode
    except OSError as error:
        yield Check("home", "broken", f"{home}: {error.strerror}", _OTHER_HOME)
        return
    mode = stat.S_IMODE(found)
    if not stat.S_ISDIR(found):
        yield Check("home", "broken", f"{home} is not a folder", _OTHER_HOME)
    elif mode & 0o077:
        yield Check("home", "broken", f"{home} has mode {mode:04o}: others can read your conversations", f"chmod 700 {home}")
    elif not os.access(home, os.W_OK | os.X_OK):
        yield Check("home", "broken", f"{home} cannot be written", _OTHER_HOME)
    else:
        yield Check("home", "ok", f"{home}, mode {mode:04o}")


def _roles(app: App) -> Iterator[Check]:
    found = app.roles.look()
    yield Check("roles", "ok", f"{len(found.roles)}: {', '.join(sorted(found.roles))}")
    for _, problem in found.skipped:
        yield Check("roles", "warning", problem)


def _providers(app: App) -> Iterator[Check]:
    catalogue = app.catalogue
    for spec in catalogue.providers:
        problem = catalogue.problem(spec.name)
        if problem is None:
            models = catalogue.models(spec.name)
            in_chain = "" if spec.name in catalogue.chain else ", not in the chain"
            yield Check(spec.name, "ok", f"configured, {len(models)} models, default {models[0].id}{in_chain}")
        elif "not set" in problem:
            yield Check(spec.name, "warning", f"not configured: {problem}", catalogue.hint(spec.name))
        else:
            yield Check(spec.name, "broken", problem, catalogue.hint(spec.name))
    if not catalogue.chain:
        # No defect: so is every new installation, and keys may stand where Claude Code has them and this shell does not.
        detail = "no model can be asked with the environment of this shell"
        yield Check("providers", "warning", detail, "Configure at least one; `parley config env` prints what to fill in.")
