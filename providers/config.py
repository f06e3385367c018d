"""Everything about providers that the environment says, read once and frozen.

Placeholders of the env templates ("your_token_here") count as unset. A wrong value raises ValueError with one line that names
the variable; values of credentials are never part of it.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar
from urllib.parse import urlsplit

from pydantic import Field, SecretStr

from conversation.messages import Frozen
from providers import SPECS
from providers._google_file import DEFAULT_UNIVERSE, CredentialsFile, find_credentials
from providers.base import ProviderSpec, Timeouts
from providers.proxies import DIRECT, Proxies
from providers.proxies import VARIABLES as PROXY_VARIABLES
from providers.strategies import DEFAULT_STRATEGY, STICKY_SECONDS, STRATEGIES

LITELLM_ENVIRONMENT: Mapping[str, str] = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_LOCAL_BLOG_POSTS": "True",
    "LITELLM_TELEMETRY": "False",
    "LITELLM_LOG": "CRITICAL",
    # Its default, DEV, loads the .env file of the working directory into the environment.
    "LITELLM_MODE": "PRODUCTION",
}
"""What must stand in the process's environment before LiteLLM is imported, so that it asks no network and logs nothing."""

ROUTER_PORT = 8080
_PLACEHOLDER = re.compile(r"your[_-].*[_-]here", re.IGNORECASE)
_REFERENCE = re.compile(r"\$\{[A-Za-z_][A-Za-z0-9_]*(?::-[^}]*)?\}")
_LOCATION = re.compile(r"[a-z][a-z0-9-]{0,40}")
_PROJECT = re.compile(r"(?:[a-z0-9.-]{1,80}:)?[a-z0-9][a-z0-9-]{0,62}")
_T = TypeVar("_T")


class ProviderSettings(Frozen):
    """How the providers are reached. Endpoints have no trailing slash; times are in seconds."""

    vertex_project: str | None = None
    vertex_location: str = "us-east5"
    google: CredentialsFile | None = None
    endpoints: Mapping[str, str] = Field(default_factory=dict)
    """By provider name."""
    keys: Mapping[str, SecretStr] = Field(default_factory=dict)
    """By provider name; only providers that take a key, and have one."""
    unfilled: Mapping[str, str] = Field(default_factory=dict)
    """What the variables of providers hold that count as unset and are not empty."""
    other_secrets: tuple[SecretStr, ...] = ()
    """Credentials of the environment that are no provider's, and must not get out all the same."""
    chain: tuple[str, ...] = tuple(spec.name for spec in SPECS)
    adapter: str | None = None
    """litellm or native; None for what the command prefers."""
    strategy: str = DEFAULT_STRATEGY
    sticky_seconds: float = STICKY_SECONDS
    timeouts: Timeouts = Timeouts()
    hedge_after: float | None = None
    breaker_failures: int = 5
    breaker_open_seconds: float = 10.0
    daily_budget_usd: float | None = None
    ports: Mapping[str, int] = Field(default_factory=dict)
    """By provider name, and `router`."""
    proxies: Proxies = DIRECT

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> ProviderSettings:
        """Return the settings `env` holds. Raises ValueError."""
        read = _Reader(env)
        google = find_credentials(read.usable("GOOGLE_APPLICATION_CREDENTIALS", "CLOUDSDK_CONFIG", "HOME"))
        location = read.matching("VERTEX_AI_LOCATION", _LOCATION, "a region such as us-east5") or "us-east5"
        sticky = read.amount("PARLEY_STICKY_SECONDS", "a number of seconds, 0 or more")
        keys = {"github_models": read.secret("GITHUB_TOKEN"), "openrouter": read.secret("OPENROUTER_API_KEY")}
        return cls(
            vertex_project=read.matching("GOOGLE_CLOUD_PROJECT", _PROJECT, "a project id") or (google.project_id if google else None),
            vertex_location=location,
            google=google,
            endpoints=_endpoints(read, location, google),
            unfilled=read.unfilled(*dict.fromkeys(name for spec in SPECS for name in spec.variables)),
            keys={name: key for name, key in keys.items() if key is not None},
            chain=read.names("PARLEY_CHAIN", tuple(spec.name for spec in SPECS)),
            adapter=read.choice("PARLEY_ADAPTER", ("litellm", "native")),
            strategy=read.choice("PARLEY_STRATEGY", tuple(STRATEGIES)) or DEFAULT_STRATEGY,
            sticky_seconds=STICKY_SECONDS if sticky is None else sticky,
            timeouts=_timeouts(read),
            hedge_after=read.seconds("PARLEY_HEDGE_AFTER"),
            breaker_failures=read.whole("PARLEY_BREAKER_FAILURES", 1, 1_000_000) or 5,
            breaker_open_seconds=read.seconds("PARLEY_BREAKER_OPEN_SECONDS") or 10.0,
            daily_budget_usd=read.amount("PARLEY_DAILY_BUDGET_USD", "an amount of US dollars, 0 or more"),
            ports=_ports(read),
            proxies=Proxies.from_env(read.usable(*PROXY_VARIABLES)),
        )

    def endpoint(self, provider: str, location: str | None = None) -> str:
        """Return a provider's endpoint; for a model that only `location` serves, that location's unless the endpoint was set."""
        endpoint = self.endpoints[provider]
        universe = self.google.universe_domain if self.google else DEFAULT_UNIVERSE
        if location is not None and endpoint == vertex_host(self.vertex_location, universe):
            return vertex_host(location, universe)
        return endpoint

    def realm(self, spec: ProviderSpec) -> str:
        """Return what tells this account and address of a provider from another; nothing of a key can be found from it."""
        google = (self.vertex_project, self.vertex_location, self.google and self.google.path) if spec.auth == "google" else ()
        key = self.keys[spec.name].get_secret_value() if spec.name in self.keys else ""
        told = "\0".join(str(part) for part in (self.endpoints.get(spec.name), *google, key))
        return hashlib.blake2b(told.encode(), digest_size=6, person=b"parley realm").hexdigest()

    def secrets(self) -> tuple[str, ...]:
        """Return the credentials there are, for scrubbing."""
        known = (*self.keys.values(), *self.other_secrets)
        return (*(secret.get_secret_value() for secret in known), *self.proxies.secrets())


def why_not_configured(spec: ProviderSpec, settings: ProviderSettings) -> str | None:
    """Return what a provider lacks, in one sentence that names the variable, or None when it can be asked."""
    if spec.auth == "bearer":
        return None if spec.name in settings.keys else f"{_lack(spec.variables[0], settings)}."
    if settings.google is not None and settings.google.problem is not None:
        return f"{settings.google.problem}."
    lacks: list[str] = []
    if not settings.vertex_project:
        lacks.append(_lack("GOOGLE_CLOUD_PROJECT", settings))
    if settings.google is None:
        lacks.append(f"{_lack('GOOGLE_APPLICATION_CREDENTIALS', settings)} and gcloud has no application default credentials")
    return f"{'; '.join(lacks)}." if lacks else None


def _lack(name: str, settings: ProviderSettings) -> str:
    held = settings.unfilled.get(name)
    return f"{name} is not set" if held is None else f"{name} holds {held}, that is, it is not set"


def vertex_host(location: str, universe: str = DEFAULT_UNIVERSE) -> str:
    """Return Vertex AI's public address for a location: https://cloud.google.com/vertex-ai/docs/reference/rest#rest_endpoints"""
    if location == "global":
        return f"https://aiplatform.{universe}"
    if "-" not in location:  # the multi-regions us and eu
        return f"https://aiplatform.{location}.rep.{universe}"
    return f"https://{location}-aiplatform.{universe}"


def _endpoints(read: _Reader, location: str, google: CredentialsFile | None) -> dict[str, str]:
    vertex = read.endpoint("VERTEX_AI_ENDPOINT", host_only=True)
    public = vertex or vertex_host(location, google.universe_domain if google else DEFAULT_UNIVERSE)
    return {
        "vertex_claude": read.endpoint("VERTEX_CLAUDE_ENDPOINT", host_only=True) or public,
        "vertex_gemini": read.endpoint("VERTEX_GEMINI_ENDPOINT", host_only=True) or public,
        "github_models": read.endpoint("GITHUB_MODELS_ENDPOINT") or "https://models.github.ai/inference",
        "openrouter": read.endpoint("OPENROUTER_ENDPOINT") or "https://openrouter.ai/api/v1",
    }


def _timeouts(read: _Reader) -> Timeouts:
    given = {field: read.seconds(f"PARLEY_{field.upper()}_TIMEOUT") for field in Timeouts.model_fields}
    return Timeouts(**{field: value for field, value in given.items() if value is not None})


def _ports(read: _Reader) -> dict[str, int]:
    defaults = {"router": ROUTER_PORT, **{spec.name: spec.port for spec in SPECS}}
    ports = {name: read.whole(f"PARLEY_PORT_{name.upper()}", 1, 65_535) or port for name, port in defaults.items()}
    taken: dict[int, str] = {}
    # Those set last, so that it is one of them the error asks to change.
    for name, port in sorted(ports.items(), key=lambda item: read.text(f"PARLEY_PORT_{item[0].upper()}") is not None):
        if port in taken:
            raise ValueError(f"PARLEY_PORT_{name.upper()} must differ from PARLEY_PORT_{taken[port].upper()}: both are {port}.")
        taken[port] = name
    return ports


class _Reader:
    """Reads one variable at a time; unset, blank and placeholder values are None."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env

    def text(self, name: str) -> str | None:
        value = self._env.get(name, "").strip()
        return None if not value or self._stands_for_nothing(value) else value

    def unfilled(self, *names: str) -> dict[str, str]:
        return {name: what for name in names if (what := self._stands_for_nothing(self._env.get(name, "").strip()))}

    @staticmethod
    def _stands_for_nothing(value: str) -> str | None:
        """Return what a value is that only holds a place."""
        if _PLACEHOLDER.fullmatch(value):
            return "a placeholder"
        return "a ${reference} that nobody resolved" if _REFERENCE.fullmatch(value) else None

    def usable(self, *names: str) -> dict[str, str]:
        return {name: value for name in names if (value := self.text(name)) is not None}

    def secret(self, name: str) -> SecretStr | None:
        value = self.text(name)
        if value is not None and not (value.isascii() and value.isprintable() and " " not in value):
            raise ValueError(f"{name} must be one word of printable ASCII characters.")
        return None if value is None else SecretStr(value)

    def matching(self, name: str, pattern: re.Pattern[str], what: str) -> str | None:
        value = self.text(name)
        if value is not None and not pattern.fullmatch(value):
            raise ValueError(f"{name} must be {what}, not {value[:40]!r}.")
        return value

    def endpoint(self, name: str, *, host_only: bool = False) -> str | None:
        """Return an address without trailing slash. Its value is not repeated in errors: some carry a password."""
        value = self.text(name)
        if value is None:
            return None
        wrong = ValueError(f"{name} must be an address such as {'http://127.0.0.1:9000' if host_only else 'https://host/path'}.")
        try:
            parts = urlsplit(value)
            _ = parts.port  # raises for a port that is not one
        except ValueError:
            raise wrong from None
        bad_path = host_only and parts.path not in {"", "/"}
        if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc or parts.query or parts.fragment or bad_path:
            raise wrong
        return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"

    def names(self, name: str, default: tuple[str, ...]) -> tuple[str, ...]:
        value = self.text(name)
        if value is None:
            return default
        chosen = tuple(dict.fromkeys(part.strip() for part in value.split(",") if part.strip()))
        unknown = [part for part in chosen if part not in default]
        if unknown or not chosen:
            raise ValueError(f"{name} must list providers among {', '.join(default)}, not {', '.join(unknown)[:80] or 'nothing'}.")
        return chosen

    def choice(self, name: str, values: Sequence[str]) -> str | None:
        value = self.text(name)
        if value is not None and value not in values:
            raise ValueError(f"{name} must be {', '.join(values[:-1])} or {values[-1]}, not {value[:40]!r}.")
        return value

    def seconds(self, name: str) -> float | None:
        return self._number(name, float, lambda number: 0 < number <= 86_400, "a number of seconds above 0 and up to 86400")

    def amount(self, name: str, what: str) -> float | None:
        return self._number(name, float, lambda number: number >= 0, what)

    def whole(self, name: str, low: int, high: int) -> int | None:
        return self._number(name, int, lambda number: low <= number <= high, f"a whole number from {low} to {high}")

    def _number(self, name: str, kind: Callable[[str], _T], good: Callable[[_T], bool], what: str) -> _T | None:
        value = self.text(name)
        if value is None:
            return None
        wrong = ValueError(f"{name} must be {what}, not {value[:40]!r}.")
        try:
            number = kind(value)
        except ValueError:
            raise wrong from None
        if not math.isfinite(number) or not good(number):  # type: ignore[arg-type]
            raise wrong
        return number
