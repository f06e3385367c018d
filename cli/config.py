"""parley.toml: read, checked, and laid under the environment, which wins over it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cli.output import WrongUse, did_you_mean
from cli.reading import read_text
from providers.catalogue import AUTO

MAX_BYTES = 1_000_000
Seconds = Annotated[float, Field(gt=0, le=86_400)]


class Section(BaseModel):
    """A table of the file: unknown keys and wrong types are errors; what is absent is None or empty."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class ChainSection(Section):
    """The bounds are those of the variables, so that a value out of them is told with its place in the file."""

    order: list[str] | None = Field(default=None, min_length=1)
    connect_timeout: Seconds | None = None
    first_byte_timeout: Seconds | None = None
    idle_timeout: Seconds | None = None
    total_timeout: Seconds | None = None
    hedge_after: Seconds | None = None
    strategy: Literal["priority", "cost", "latency", "availability"] | None = None
    sticky_seconds: float | None = Field(default=None, ge=0)
    breaker_failures: int | None = Field(default=None, ge=1, le=1_000_000)
    breaker_open_seconds: Seconds | None = None


class ModelSection(Section):
    aliases: list[str] | None = None
    context_window: int | None = Field(default=None, ge=1)
    max_output: int | None = Field(default=None, ge=1)
    input_usd_per_mtok: float | None = Field(default=None, ge=0)
    output_usd_per_mtok: float | None = Field(default=None, ge=0)
    cached_usd_per_mtok: float | None = Field(default=None, ge=0)
    images: bool | None = None
    reasoning: bool | None = None
    drop: list[str] | None = None
    first_byte_timeout: Seconds | None = None
    idle_timeout: Seconds | None = None
    total_timeout: Seconds | None = None

    def fields(self) -> dict[str, Any]:
        """Return what is set, as ModelInfo has it."""
        given = {name: value for name, value in self.model_dump().items() if value is not None}
        given.update({name: kind(given[name]) for name, kind in (("aliases", tuple), ("drop", frozenset)) if name in given})
        return given


class BudgetSection(Section):
    daily_usd: float | None = Field(default=None, ge=0)


class ThreadsSection(Section):
    ttl_days: float | None = Field(default=None, gt=0)
    max_mb: float | None = Field(default=None, ge=1)
    max_tokens: int | None = Field(default=None, ge=1)


class MemorySection(Section):
    graph_url: str | None = None
    embedding_model: str | None = None
    extraction_model: str | None = None
    extraction_small_model: str | None = None
    remember_threads: bool | None = None


class RolesSection(Section):
    folders: list[str] = Field(default_factory=list)


class FileConfig(Section):
    """All of parley.toml."""

    chain: ChainSection = Field(default_factory=ChainSection)
    models: dict[str, ModelSection] = Field(default_factory=dict)
    aliases: dict[str, str | list[str]] = Field(default_factory=dict)
    budget: BudgetSection = Field(default_factory=BudgetSection)
    threads: ThreadsSection = Field(default_factory=ThreadsSection)
    memory: MemorySection = Field(default_factory=MemorySection)
    roles: RolesSection = Field(default_factory=RolesSection)

    def variables(self) -> dict[str, str]:
        """Return the settings that have an environment variable, under its name."""
        found: dict[str, str] = {}
        for (section, key), name in VARIABLE_OF.items():
            value = getattr(getattr(self, section), key)
            if value is not None:
                found[name] = ",".join(cast("list[str]", value)) if isinstance(value, list) else str(value)
        return found

    def alias_targets(self) -> dict[str, tuple[str, ...]]:
        """Return the user's aliases, each with the names it stands for."""
        return {name: (target,) if isinstance(target, str) else tuple(target) for name, target in self.aliases.items()}

    def overrides(self) -> dict[str, dict[str, Any]]:
        """Return provider/model -> the fields of ModelInfo set for it."""
        return {name: section.fields() for name, section in self.models.items()}


VARIABLE_OF: Mapping[tuple[str, str], str] = {
    ("chain", "order"): "PARLEY_CHAIN",
    ("chain", "connect_timeout"): "PARLEY_CONNECT_TIMEOUT",
    ("chain", "first_byte_timeout"): "PARLEY_FIRST_BYTE_TIMEOUT",
    ("chain", "idle_timeout"): "PARLEY_IDLE_TIMEOUT",
    ("chain", "total_timeout"): "PARLEY_TOTAL_TIMEOUT",
    ("chain", "hedge_after"): "PARLEY_HEDGE_AFTER",
    ("chain", "strategy"): "PARLEY_STRATEGY",
    ("chain", "sticky_seconds"): "PARLEY_STICKY_SECONDS",
    ("chain", "breaker_failures"): "PARLEY_BREAKER_FAILURES",
    ("chain", "breaker_open_seconds"): "PARLEY_BREAKER_OPEN_SECONDS",
    ("budget", "daily_usd"): "PARLEY_DAILY_BUDGET_USD",
    ("threads", "ttl_days"): "PARLEY_THREAD_TTL_DAYS",
    ("threads", "max_mb"): "PARLEY_THREADS_MAX_MB",
    ("memory", "graph_url"): "PARLEY_GRAPH_URL",
    ("memory", "embedding_model"): "PARLEY_EMBEDDING_MODEL",
    ("memory", "extraction_model"): "PARLEY_EXTRACTION_MODEL",
    ("memory", "extraction_small_model"): "PARLEY_EXTRACTION_SMALL_MODEL",
    ("memory", "remember_threads"): "PARLEY_REMEMBER_THREADS",
}


def load_file(path: Path, *, providers: Sequence[str]) -> FileConfig:
    """Return the checked contents of a parley.toml. Raises WrongUse naming file, key and line."""
    text = read_text(path, f"the configuration {path}", MAX_BYTES)
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise WrongUse(_syntax(path, text, str(error))) from None
    try:
        config = FileConfig.model_validate(document)
    except ValidationError as error:
        raise WrongUse(_complaint(path, text, document, cast("dict[str, Any]", error.errors(include_input=False)[0]))) from None
    _check_names(path, text, config, providers)
    return config


def _check_names(path: Path, text: str, config: FileConfig, providers: Sequence[str]) -> None:
    """Names of providers must be names of providers; other names may come with live lists and are checked at use."""
    for name in config.chain.order or ():
        if name not in providers:
            where = f"{path}:{_line(text, ('chain', 'order'))}"
            raise WrongUse(f"{where}: [chain] order: there is no provider {name!r}{did_you_mean(name, providers)}")
    for name in config.models:
        provider, slash, model = name.partition("/")
        if provider not in providers or not slash or not model:
            where = f"{path}:{_line(text, ('models', name))}"
            raise WrongUse(f'{where}: [models."{name}"] must be named provider/model{did_you_mean(provider, providers)}')
    for name, problem in _alias_problems(config.alias_targets(), {AUTO, *providers}):
        raise WrongUse(f"{path}:{_line(text, ('aliases', name))}: [aliases] {name} {problem}")


def _alias_problems(aliases: Mapping[str, Sequence[str]], taken: Collection[str]) -> Iterator[tuple[str, str]]:
    """Yield each alias that cannot work, and why. One may name itself beside others: then it adds to the family of that name."""
    targets = {name.lower(): [target.strip().lower() for target in named] for name, named in aliases.items()}
    for name in aliases:
        key = name.lower()
        others = [target for target in targets[key] if target != key]
        if key in taken:
            yield name, "is a name that is taken: call the alias something else"
        elif not targets[key] or "" in targets[key]:
            yield name, "should name a model, or several"
        elif not others or _comes_back(targets, key):
            yield name, "stands for itself in the end: an alias cannot go round in a circle"


def _comes_back(targets: Mapping[str, Sequence[str]], start: str) -> bool:
    """Tell whether the way from an alias to other aliases leads back to it."""
    seen = {start}
    ways = [target for target in targets[start] if target != start]
    while ways:
        here = ways.pop()
        onward = targets.get(here, ())
        if start in onward:
            return True
        ways += [target for target in onward if target not in seen]
        seen.update(onward)
    return False


def _complaint(path: Path, text: str, document: Mapping[str, Any], error: Mapping[str, Any]) -> str:
    keys = _existing(document, error["loc"])
    where = f"{path}:{_line(text, keys)}"
    if error["type"] == "extra_forbidden":
        *parent, key = keys
        known = _known_keys(parent)
        if not parent:
            return f"{where}: there is no section [{key}]{did_you_mean(key, known)}"
        return f"{where}: {_section(parent)} has no key {key!r}{did_you_mean(key, known)}"
    problem = str(error["msg"]).replace("Input should", "should")
    if error["type"] in {"model_type", "dict_type"}:
        problem = "should be a table"
    elif error["type"] == "too_short":
        problem = "should not be empty"
    elif keys[:1] == ("aliases",):
        problem = "should be a name or a list of names"
    return f"{where}: {_section(keys[:-1])} {keys[-1]} {problem}" if len(keys) > 1 else f"{where}: {_section(keys)} {problem}"


def _known_keys(parent: Sequence[str]) -> list[str]:
    if not parent:
        return list(FileConfig.model_fields)
    section = ModelSection if parent[0] == "models" else FileConfig.model_fields[parent[0]].annotation
    return list(cast("type[BaseModel]", section).model_fields)


def _existing(document: Mapping[str, Any], location: Sequence[Any]) -> tuple[str, ...]:
    """The part of an error's location that stands in the file; the rest names branches of the checker."""
    keys: list[str] = []
    here: Any = document
    for part in location:
        if not isinstance(here, dict) or part not in here:
            break
        keys.append(str(part))
        here = cast("dict[str, Any]", here)[part]
    return tuple(keys)


def _section(keys: Sequence[str]) -> str:
    return "[" + ".".join(key if key.replace("_", "").isalnum() else f'"{key}"' for key in keys) + "]"


def _line(text: str, keys: Sequence[str]) -> int:
    """The line that sets the key, or else the nearest thing around it."""
    lines = key_lines(text)
    return next((lines[tuple(keys[:depth])] for depth in range(len(keys), 0, -1) if tuple(keys[:depth]) in lines), 1)


def key_lines(text: str) -> dict[tuple[str, ...], int]:
    """Return the line number of every table and key of a valid TOML text; tomllib tells only values."""
    found: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip()
        if stripped.startswith("["):
            header = _path_of(stripped)
            table = header or table
            keys = header
        else:
            keys = _path_of(stripped.partition("=")[0] + "= 0") if "=" in stripped else ()
            keys = (*table, *keys) if keys else ()
        for depth in range(1, len(keys) + 1):
            found.setdefault(keys[:depth], number)
    return found


def _path_of(statement: str) -> tuple[str, ...]:
    """The key path of a one-line header or assignment; empty for a line that is neither."""
    try:
        here: Any = tomllib.loads(statement)
    except tomllib.TOMLDecodeError:
        return ()
    keys: list[str] = []
    while isinstance(here, dict) and here:
        key, here = next(iter(cast("dict[str, Any]", here).items()))
        keys.append(key)
    return tuple(keys)


def _syntax(path: Path, text: str, message: str) -> str:
    """tomllib ends its messages with '(at line 3, column 5)' or '(at end of document)'."""
    place = re.search(r"\(at line (\d+), .*\)$", message)
    line = place[1] if place else str(text.count("\n") + 1)
    return f"{path}:{line}: not valid TOML: {message.rpartition(' (at ')[0] or message}"
