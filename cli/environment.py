"""The environment: the variables there are, env files, and what counts as unset."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cli.output import WrongUse
from cli.reading import read_text

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PLACEHOLDER = re.compile(r"your[_-].*[_-]here|\$\{[A-Za-z_][A-Za-z0-9_]*(?::-[^}]*)?\}", re.IGNORECASE | re.DOTALL)
_SECRET_NAME = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL", re.IGNORECASE)
_SECRET_PART = re.compile(r"://[^/@\s:]*:([^/@\s]+)@")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\", "$": "$", "'": "'"}
MAX_FILE_BYTES = 1_000_000


@dataclass(frozen=True)
class Variable:
    """One environment variable: `example` is its default, or a placeholder that counts as unset."""

    name: str
    group: str
    meaning: str
    example: str = ""

    def document(self) -> dict[str, str | None]:
        """Return the variable for a JSON document; `default` is null where there is none."""
        default = None if is_unset(self.example) else self.example
        return {"name": self.name, "group": self.group, "meaning": self.meaning, "default": default}


def _rows(group: str, *rows: tuple[str, str, str]) -> tuple[Variable, ...]:
    return tuple(Variable(name, group, meaning, example) for name, example, meaning in rows)


VARIABLES: tuple[Variable, ...] = (
    *_rows(
        "vertex",
        ("GOOGLE_CLOUD_PROJECT", "your_project_here", "Vertex project"),
        ("VERTEX_AI_LOCATION", "us-east5", "Vertex region"),
        ("GOOGLE_APPLICATION_CREDENTIALS", "your_credentials_file_here", "service-account or authorized-user file; else gcloud's own"),
        ("CLOUDSDK_CONFIG", "", "folder of gcloud's own credentials (~/.config/gcloud)"),
        ("VERTEX_AI_ENDPOINT", "", "scheme and host in place of the region's public host"),
        ("VERTEX_CLAUDE_ENDPOINT", "", "the same for Claude alone"),
        ("VERTEX_GEMINI_ENDPOINT", "", "the same for Gemini alone"),
    ),
    *_rows(
        "github_models",
        ("GITHUB_TOKEN", "your_github_token_here", "token with the permission models: read"),
        ("GITHUB_MODELS_ENDPOINT", "https://models.github.ai/inference", "base; the catalogue is on the same origin"),
    ),
    *_rows(
        "openrouter",
        ("OPENROUTER_API_KEY", "your_openrouter_key_here", "key"),
        ("OPENROUTER_ENDPOINT", "https://openrouter.ai/api/v1", "base"),
    ),
    *_rows(
        "parley",
        ("PARLEY_HOME", "", "state folder, mode 0700: a whole path, or ~/... (the platform's user data folder)"),
        ("PARLEY_CONFIG", "", "TOML file (parley.toml in PARLEY_HOME when it exists)"),
        ("PARLEY_CHAIN", "vertex_claude,vertex_gemini,github_models,openrouter", "failover order"),
        ("PARLEY_CONNECT_TIMEOUT", "3", "seconds"),
        ("PARLEY_FIRST_BYTE_TIMEOUT", "60", "seconds until the first content"),
        ("PARLEY_IDLE_TIMEOUT", "60", "seconds of silence after that"),
        ("PARLEY_TOTAL_TIMEOUT", "600", "seconds"),
        ("PARLEY_HEDGE_AFTER", "", "seconds of silence after which the next provider is asked as well (never)"),
        ("PARLEY_STRATEGY", "priority", "whom the router asks first: priority (the chain), cost, latency or availability"),
        ("PARLEY_STICKY_SECONDS", "3600", "seconds a conversation stays with its provider on the router; 0: every request by the strategy"),
        ("PARLEY_BREAKER_FAILURES", "5", "failures in a row that open a breaker"),
        ("PARLEY_BREAKER_OPEN_SECONDS", "10", "seconds it stays open"),
        ("PARLEY_TOOLS", "", "tools that are registered, comma-separated (all)"),
        ("PARLEY_DISABLED_TOOLS", "", "tools that are not, comma-separated (none)"),
        ("PARLEY_WORKSPACE_ROOTS", "", "folders whose files tools may read, separated by colons (the working directory)"),
        ("PARLEY_HOST", "127.0.0.1", "bind address of HTTP ports"),
        ("PARLEY_TOKEN", "", "token every HTTP port asks for; a host that is not loopback needs one"),
        ("PARLEY_DAILY_BUDGET_USD", "", "spending limit a day, UTC (none)"),
        ("PARLEY_THREAD_TTL_DAYS", "", "days a thread is kept after its last turn (for ever)"),
        ("PARLEY_THREADS_MAX_MB", "", "MB of threads that are kept; beyond it those used longest ago go (any number)"),
        ("REDIS_URL", "", "redis://, rediss://, redis+sentinel:// or redis+cluster://: threads of many machines (SQLite in PARLEY_HOME)"),
        ("PARLEY_LOG_LEVEL", "warning", "debug, info, warning or error"),
    ),
    *_rows(
        "shims",
        ("PARLEY_PORT_ROUTER", "8080", "port of the router (parley up)"),
        ("PARLEY_PORT_VERTEX_CLAUDE", "8090", "port of Claude on Vertex AI"),
        ("PARLEY_PORT_VERTEX_GEMINI", "8091", "port of Gemini on Vertex AI"),
        ("PARLEY_PORT_GITHUB_MODELS", "8092", "port of GitHub Models"),
        ("PARLEY_PORT_OPENROUTER", "8093", "port of OpenRouter"),
        ("PARLEY_ADAPTER", "", "native relays where an upstream speaks Messages; litellm translates always (serve: litellm, up: native)"),
    ),
    *_rows(
        "memory",
        ("PARLEY_GRAPH_URL", "", "neo4j://... or falkor://...: the graph of what is remembered (embedded, in PARLEY_HOME)"),
        ("PARLEY_EMBEDDING_MODEL", "", "provider/model that makes vectors, to search by meaning too (by words alone)"),
        ("PARLEY_EXTRACTION_MODEL", "", "model that finds facts in what is told (the chain's cheap ones)"),
        ("PARLEY_EXTRACTION_SMALL_MODEL", "", "model for what asks less of one (PARLEY_EXTRACTION_MODEL)"),
        ("PARLEY_REMEMBER_THREADS", "", "true: threads that nobody went on with for half an hour are remembered (false)"),
    ),
    *_rows(
        "network",
        ("HTTPS_PROXY", "", "http://[user:password@]host:port for https addresses; these four may be in lower case as well"),
        ("HTTP_PROXY", "", "the same for http addresses"),
        ("ALL_PROXY", "", "the same for those of the two that are not set"),
        ("NO_PROXY", "", "hosts asked directly: names, endings of names, host:port, separated by commas; * alone is every host"),
    ),
)
NAMES = frozenset(variable.name for variable in VARIABLES)
_OF_PROVIDERS = frozenset(variable.name for variable in VARIABLES if variable.group in ("vertex", "github_models", "openrouter"))


def is_unset(value: str) -> bool:
    """Tell whether a value stands for nothing: empty, a template's placeholder, or a ${REFERENCE} no one resolved."""
    stripped = value.strip()
    return not stripped or _PLACEHOLDER.fullmatch(stripped) is not None


def load_environment(environ: Mapping[str, str], env_files: Sequence[str | Path] = ()) -> dict[str, str]:
    """Return the variables that are set: of the real environment first, then of the last file that has them.

    Blanks around a value of ours mean nothing. A placeholder stays where a provider's variable has nothing else, so that the
    provider can say so. Raises WrongUse naming file and line.
    """
    merged: dict[str, str] = {}
    unfilled: dict[str, str] = {}
    for pairs in (*map(read_env_file, env_files), environ):
        merged.update({name: value for name, value in pairs.items() if not is_unset(value)})
        unfilled.update({name: value for name, value in pairs.items() if name in _OF_PROVIDERS and value.strip()})
    merged = {**unfilled, **merged}
    return {name: value.strip() if name in NAMES else value for name, value in merged.items()}


def read_env_file(path: str | Path) -> dict[str, str]:
    """Return the KEY=VALUE pairs of a file; quotes, `export` and comments are understood. Raises WrongUse."""
    text = read_text(Path(path), f"the env file {path}", MAX_FILE_BYTES)
    pairs: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            pair = parse_line(line)
        except ValueError as error:
            raise WrongUse(f"{path}:{number}: {error}") from None
        if pair is not None:
            pairs[pair[0]] = pair[1]
    return pairs


def parse_line(line: str) -> tuple[str, str] | None:
    """Return the pair a line gives, None for a blank line or a comment. Raises ValueError, never naming the value."""
    stripped = line.strip()
    if not stripped or stripped.startswith("#"):
        return None
    if stripped.startswith(("export ", "export\t")):
        stripped = stripped[6:].lstrip()
    name, equals, rest = stripped.partition("=")
    name, rest = name.rstrip(), rest.lstrip()
    if not equals:
        raise ValueError("expected NAME=VALUE")
    if not _NAME.fullmatch(name):
        raise ValueError("the name before = may hold letters, digits and _ only, and not begin with a digit")
    if "\0" in rest:
        raise ValueError(f"the value of {name} holds a NUL byte")
    return name, _value(name, rest)


def _value(name: str, rest: str) -> str:
    if not rest or rest[0] not in "\"'":
        return re.split(r"(?:^|\s)#", rest, maxsplit=1)[0].rstrip()
    quote, value, position = rest[0], "", 1
    while position < len(rest) and rest[position] != quote:
        if quote == '"' and rest[position] == "\\" and position + 1 < len(rest):
            position += 1
            value += _ESCAPES.get(rest[position], "\\" + rest[position])
        else:
            value += rest[position]
        position += 1
    if position >= len(rest):
        raise ValueError(f"the value of {name} has no closing {quote}")
    after = rest[position + 1 :].strip()
    if after and not after.startswith("#"):
        raise ValueError(f"the value of {name} goes on after its closing {quote}")
    return value


def secrets(env: Mapping[str, str]) -> tuple[str, ...]:
    """Return the values that must not get out: those of variables named like secrets, and passwords inside URLs."""
    named = {value for name, value in env.items() if _SECRET_NAME.search(name) and _can_be_secret(value)}
    inside = {part for value in env.values() for part in _SECRET_PART.findall(value)}
    return tuple(sorted(named | inside, key=len, reverse=True))


def _can_be_secret(value: str) -> bool:
    """A file that holds a secret is no secret itself; its name helps to find what is wrong."""
    is_path = value.startswith(("/", "~", "./")) and "\n" not in value
    return len(value) >= 6 and not is_path and not is_unset(value)


def unknown_names(env: Mapping[str, str]) -> list[str]:
    """Return the PARLEY_ variables nothing reads: misspelt ones."""
    return sorted(name for name in env if name.startswith("PARLEY_") and name not in NAMES)


def template(groups: Iterable[str] = ("vertex", "github_models", "openrouter", "parley", "shims", "memory", "network")) -> str:
    """Return an env file to fill in; what is commented out shows the default or none."""
    blocks: list[str] = []
    for group in groups:
        lines = [f"# --- {group} ---"]
        for variable in (row for row in VARIABLES if row.group == group):
            comment = "" if _PLACEHOLDER.fullmatch(variable.example) else "# "
            lines += [f"# {variable.meaning}", f"{comment}{variable.name}={variable.example}"]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"
