"""The composition root of the tools: from an environment to an App, with everything slow left for its first use."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from pydantic import SecretStr

from cli.context import parley_version
from cli.environment import secrets
from cli.memory import MemoryDoor
from cli.output import WrongUse
from conversation.errors import InvalidInput, ParleyError
from conversation.scrub import scrub
from conversation.threads import ThreadStore
from memory.config import MemoryConfig
from memory.health import HealthRecord, Keeper
from memory.health_file import HealthFile
from memory.ledger import SpendLedger
from memory.sqlite import SqliteThreadStore
from providers import SPECS
from providers._live import LiveLists, LiveSource, github_source, openrouter_source
from providers.base import Provider, ProviderSpec
from providers.budget import Budget
from providers.catalogue import Catalogue
from providers.chain import Chain
from providers.config import LITELLM_ENVIRONMENT, ProviderSettings, why_not_configured
from providers.health import Health
from providers.signatures import SignatureBook
from tools.app import App
from tools.files import FileReader
from tools.limits import Limits
from tools.reviewing.git import ENVIRONMENT as GIT_ENVIRONMENT
from tools.roles import WORKSPACE_FOLDER, RoleBook

if TYPE_CHECKING:
    from cli.config import FileConfig
    from memory.shared import SharedLedger
    from providers._embeddings import Embeddings
    from providers._google import GoogleTokens
    from providers._http import HttpClient

_T = TypeVar("_T")

CLOSE_SECONDS = 2.0
QUIET_ENVIRONMENT: Mapping[str, str] = {
    **LITELLM_ENVIRONMENT,
    "DO_NOT_TRACK": "1",
    "OTEL_SDK_DISABLED": "true",
    "ANONYMIZED_TELEMETRY": "False",
}
"""Set for this process before any library is used that would look for it."""


class Upstreams:
    """The adapters by provider name, over one pool of connections. Nothing is imported or opened before the first is asked for.

    From then on the paths of all other configured providers are warmed in the background.
    """

    def __init__(self, settings: ProviderSettings, configured: Sequence[str], *, native: bool = False) -> None:
        self._settings, self._native = settings, native
        self._configured = tuple(configured)
        self._specs = {spec.name: spec for spec in SPECS}
        self._made: dict[str, Provider] = {}
        self._http: HttpClient | None = None
        self._tokens: GoogleTokens | None = None
        self._warming: asyncio.Task[None] | None = None
        self._is_warm = False
        self._signatures = SignatureBook()

    def __call__(self, name: str) -> Provider:
        """Return the adapter of one provider."""
        provider = self._adapter(name)
        if self._warming is None:
            others = [other for other in self._configured if other != name]
            self._warming = asyncio.get_running_loop().create_task(self._warm([name, *others]), name="warm the providers")
        return provider

    async def warm(self) -> None:
        """Do the slow first things of every configured provider now."""
        await self._warm(self._configured)

    def is_warm(self) -> bool:
        """Tell whether they are done."""
        return self._is_warm

    def embeddings(self, name: str, *, health: Health, budget: Budget) -> Embeddings:
        """Return the embedding model of a name. Raises UnknownModel and NotConfigured."""
        from providers._embeddings import Embeddings

        specs = tuple(self._specs.values())
        return Embeddings(name, specs, self._settings, self._client(), self._google_tokens(), health=health, budget=budget)

    async def fetch(self, url: str, headers: Mapping[str, str], most_bytes: int) -> bytes:
        """Return the body of a 200, for model lists. Raises ParleyError."""
        return await self._client().fetch(url, headers, most_bytes)

    async def aclose(self) -> None:
        """Stop warming and close all connections."""
        if self._warming is not None:
            self._warming.cancel()
            await asyncio.gather(self._warming, return_exceptions=True)
        if self._tokens is not None:
            await self._tokens.aclose()
        if self._http is not None:
            await self._http.aclose()

    def _adapter(self, name: str) -> Provider:
        if name not in self._made:
            from providers._litellm import LiteLLMProvider

            spec = self._specs[name]
            tokens = self._google_tokens() if spec.auth == "google" else None
            made: Provider = LiteLLMProvider(spec, self._settings, self._client(), tokens)
            if self._native and spec.messages_path is not None:
                made = self._relay(spec, tokens, made)
            self._made[name] = made
        return self._made[name]

    def _relay(self, spec: ProviderSpec, tokens: GoogleTokens | None, others: Provider) -> Provider:
        from providers._native import NativeProvider

        needed = "" not in spec.messages_prefixes
        return NativeProvider(spec, self._settings, self._client(), tokens, others=others if needed else None, signatures=self._signatures)

    def _client(self) -> HttpClient:
        if self._http is None:
            from providers._http import HttpClient

            self._http = HttpClient(connect_timeout=self._settings.timeouts.connect, proxies=self._settings.proxies)
        return self._http

    def _google_tokens(self) -> GoogleTokens | None:
        if self._tokens is None and self._settings.google is not None:
            from providers._google import GoogleTokens

            self._tokens = GoogleTokens(self._settings.google, proxies=self._settings.proxies)
        return self._tokens

    async def _warm(self, names: Sequence[str]) -> None:
        for name in names:
            await self._adapter(name).warm()
        self._is_warm = True


def build_app(env: Mapping[str, str], *, workspace: Path, adapter: str = "litellm") -> App:
    """Return the parts of one process, wired as `env` and parley.toml say. Raises WrongUse for a wrong setting.

    `adapter` is what PARLEY_ADAPTER is where it is not set.
    Writes QUIET_ENVIRONMENT into the process's environment, since LiteLLM reads it there.
    """
    os.environ.update(QUIET_ENVIRONMENT)
    home = _checked(lambda: MemoryConfig.from_env(env)).home
    path = config_path(env, home)
    file = None if path is None else _load(path)
    env = {**(file.variables() if file else {}), **env}
    settings = _checked(lambda: ProviderSettings.from_env(env))
    # The providers cut messages, and half a secret is not found any more: so they have to know them all.
    settings = settings.model_copy(update={"other_secrets": tuple(map(SecretStr, secrets(env)))})
    memory = _checked(lambda: MemoryConfig.from_env(env))
    catalogue, upstreams, live = _models(settings, file, home, native=(settings.adapter or adapter) == "native")
    realms = {spec.name: settings.realm(spec) for spec in SPECS}
    stores = _stores(memory)
    health = HealthRecord(settings.breaker_failures, settings.breaker_open_seconds, keeper=stores.keeper, realms=realms)
    budget = Budget(stores.ledger, settings.daily_budget_usd)
    embedder = partial(upstreams.embeddings, health=health, budget=budget)
    door = _checked(lambda: MemoryDoor(env, home, str(workspace), lambda: _unread(catalogue), stores.threads, embedder))
    limits = Limits(max_window_tokens=file.threads.max_tokens if file else None)
    files = FileReader(workspace, workspace_roots(env), limits=limits)
    return App(
        catalogue=catalogue,
        chain=Chain(upstreams, health, timeouts=settings.timeouts, hedge_after=settings.hedge_after, budget=budget),
        store=stores.threads,
        files=files,
        health=health,
        workspace=str(workspace),
        home=str(home),
        version=parley_version(),
        git_env={name: env[name] for name in GIT_ENVIRONMENT if name in env},
        budget=budget,
        strategy=settings.strategy,
        sticky_seconds=settings.sticky_seconds,
        limits=limits,
        roles=_role_book(home, _role_folders(path, file), workspace, files),
        scrub=partial(scrub, secrets=settings.secrets(), home=env.get("HOME", "")),
        warm=upstreams.warm,
        is_warm=upstreams.is_warm,
        memory=door,
        attend=door.attend,
        on_close=(door.aclose, budget.aclose, live.aclose, upstreams.aclose, stores.ledger.aclose),
    )


def _unread(catalogue: Catalogue) -> str:
    """Return why nothing that is told can be read by a model; nothing when it can."""
    if any(catalogue.configured(spec.name) for spec in SPECS):
        return ""
    return "No provider is configured that could read them: `parley doctor` tells how to configure one."


class _Stores(NamedTuple):
    threads: ThreadStore
    ledger: SpendLedger | SharedLedger
    keeper: Keeper


def _stores(memory: MemoryConfig) -> _Stores:
    """Return where threads, spending and the providers' health are kept: on this machine, or in Redis for many."""
    ledger, keeper = SpendLedger(memory.database), HealthFile(memory.health)
    if memory.redis_url is None:
        return _Stores(SqliteThreadStore(memory.database, ttl_days=memory.ttl_days, max_mb=memory.max_mb), ledger, keeper)
    from memory.redis_stores import stores

    return _Stores(*stores(memory.redis_url.get_secret_value(), memory, ledger, keeper))


async def close_app(app: App) -> None:
    """Close what is open, within two seconds whatever hangs."""
    with suppress(TimeoutError, ParleyError):
        await asyncio.wait_for(app.aclose(), CLOSE_SECONDS)


def run_with_app(env: Mapping[str, str], use: Callable[[App], Awaitable[int]], *, workspace: Path | None = None) -> int:
    """Build an App, return what `use` makes of it, and close it."""
    app = build_app(env, workspace=workspace or working_folder(env))

    async def used() -> int:
        try:
            return await use(app)
        finally:
            await close_app(app)

    return asyncio.run(used())


def config_path(env: Mapping[str, str], home: Path) -> Path | None:
    """Return the parley.toml that counts, None when there is none."""
    named = env.get("PARLEY_CONFIG")
    if named:
        return _expanded(named)
    path = home / "parley.toml"
    return path if os.path.isfile(path) else None  # Path.is_file raises where a folder is closed


def working_folder(env: Mapping[str, str]) -> Path:
    """Return the working directory; when that is gone, the first of PARLEY_WORKSPACE_ROOTS. Raises WrongUse."""
    try:
        return Path.cwd()
    except OSError:
        roots = workspace_roots(env)
    if not roots or not all(root.is_absolute() for root in roots):
        raise WrongUse("the working directory does not exist any more: change to another, or set PARLEY_WORKSPACE_ROOTS to a whole path")
    return roots[0]


def workspace_roots(env: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the folders of PARLEY_WORKSPACE_ROOTS; none means the working directory. Raises WrongUse."""
    roots = tuple(_expanded(part) for part in env.get("PARLEY_WORKSPACE_ROOTS", "").split(os.pathsep) if part.strip())
    for root in roots:
        if not os.path.isdir(root):
            raise WrongUse(f"PARLEY_WORKSPACE_ROOTS: {root} is not a folder")
    return roots


def _expanded(text: str) -> Path:
    """Return the path with a leading ~ resolved. Raises WrongUse for the home of a user there is not."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise WrongUse(f"{text}: there is no such user") from None


def _load(path: Path) -> FileConfig:
    from cli.config import load_file

    return load_file(path, providers=[spec.name for spec in SPECS])


def _models(settings: ProviderSettings, file: FileConfig | None, home: Path, *, native: bool) -> tuple[Catalogue, Upstreams, LiveLists]:
    problems = {spec.name: why_not_configured(spec, settings) for spec in SPECS}
    upstreams = Upstreams(settings, [name for name, problem in problems.items() if problem is None], native=native)
    live = LiveLists(_live_sources(settings), home / "cache", upstreams.fetch)
    catalogue = Catalogue(
        [spec.model_copy(update={"port": settings.ports[spec.name]}) for spec in SPECS],
        problems=problems,
        order=settings.chain,
        overrides=file.overrides() if file else None,
        aliases=file.alias_targets() if file else None,
        live=live,
    )
    return catalogue, upstreams, live


def _live_sources(settings: ProviderSettings) -> list[LiveSource]:
    made = {"github_models": github_source, "openrouter": openrouter_source}
    keys = {name: key.get_secret_value() for name, key in settings.keys.items()}
    return [source(settings.endpoints[name], keys[name]) for name, source in made.items() if name in keys]


def _role_folders(path: Path | None, file: FileConfig | None) -> tuple[Path, ...]:
    """The folders of [roles], relative to the file that names them."""
    if path is None or file is None:
        return ()
    return tuple(path.parent / _expanded(folder) for folder in file.roles.folders)


def _role_book(home: Path, folders: Sequence[Path], workspace: Path, files: FileReader) -> RoleBook:
    """Return the roles of the user and of the workspace, which may be one: in a home folder of which PARLEY_HOME is .parley."""
    own = {os.path.realpath(folder) for folder in (home / "roles", *folders)}
    shared = os.path.realpath(workspace / WORKSPACE_FOLDER) in own
    return RoleBook(folders, home=home / "roles", workspace=None if shared else files)


def _checked(read: Callable[[], _T]) -> _T:
    """Return what `read` returns; a setting it cannot read is wrong use."""
    try:
        return read()
    except InvalidInput as error:
        raise WrongUse(f"{error.message} {error.hint}") from None
    except ValueError as error:
        raise WrongUse(str(error)) from None
