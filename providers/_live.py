"""Live model lists: what GitHub Models and OpenRouter say they serve, fetched in the background and kept on disk.

A list is fresh for a day. An older one is used until a new one has come, and for as long as none comes.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

from conversation.errors import ParleyError
from providers.base import ModelInfo

FRESH_SECONDS = 24 * 3600.0
RETRY_SECONDS = 600.0
MAX_BYTES = 8 * 1024 * 1024
MAX_MODELS = 2000

Fetch = Callable[[str, Mapping[str, str], int], Awaitable[bytes]]
"""fetch(url, headers, most bytes) returns the body of a 200; raises ParleyError or OSError for anything else."""

_log = logging.getLogger(__name__)
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@/+~-]{0,199}")


@dataclass(frozen=True)
class LiveSource:
    """Where a provider lists its models, and how a row of the list reads."""

    provider: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    rows: Callable[[Any], Sequence[Any]]
    read: Callable[[Mapping[str, Any]], dict[str, Any] | None]


def github_source(endpoint: str, token: str) -> LiveSource:
    """GitHub's catalogue, on the origin of the inference endpoint: https://docs.github.com/rest/models/catalog"""
    parts = urlsplit(endpoint)
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
    return LiveSource("github_models", f"{parts.scheme}://{parts.netloc}/catalog/models", headers, _list_itself, _github_row)


def openrouter_source(endpoint: str, key: str) -> LiveSource:
    """OpenRouter's list: https://openrouter.ai/docs/api-reference/list-available-models"""
    return LiveSource("openrouter", f"{endpoint.rstrip('/')}/models", {"Authorization": f"Bearer {key}"}, _list_under_data, _openrouter_row)


class LiveLists:
    """The live lists of the configured providers: in memory, on disk under `folder`, fetched again when a day old."""

    def __init__(self, sources: Sequence[LiveSource], folder: Path, fetch: Fetch, *, clock: Callable[[], float] = time.time) -> None:
        self._sources = {source.provider: source for source in sources}
        self._folder = folder
        self._fetch = fetch
        self._clock = clock
        self._models: dict[str, tuple[ModelInfo, ...]] = {}
        self._due: dict[str, float] = {}
        self._version = 0
        self._task: asyncio.Task[None] | None = None

    @property
    def version(self) -> int:
        """A number that grows with every change."""
        return self._version

    def models(self, provider: str) -> Sequence[ModelInfo]:
        """Return the listed models of one provider; empty when nothing is known."""
        return self._models.get(provider, ())

    def awaited(self) -> bool:
        """Tell whether a list is being fetched and none is known yet."""
        running = self._task is not None and not self._task.done()
        return running and any(provider not in self._models for provider in self._sources)

    def use(self) -> None:
        """Read the lists on disk at the first use; start fetching those that are due, when an event loop runs."""
        if not self._due and self._sources:
            self._read_all()
        if not self._due_now() or (self._task is not None and not self._task.done()):
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        self._task = loop.create_task(self._refresh_due(), name="live model lists")

    async def refresh(self) -> None:
        """Fetch the lists that are due and return when they are in or have failed."""
        self.use()
        if self._task is not None:
            await asyncio.shield(self._task)

    async def aclose(self) -> None:
        """Stop fetching."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def _due_now(self) -> list[str]:
        now = self._clock()
        return [provider for provider, due in self._due.items() if due <= now]

    async def _refresh_due(self) -> None:
        await asyncio.gather(*(self._refresh_one(self._sources[provider]) for provider in self._due_now()))

    async def _refresh_one(self, source: LiveSource) -> None:
        self._due[source.provider] = self._clock() + RETRY_SECONDS
        try:
            body = await self._fetch(source.url, source.headers, MAX_BYTES)
            models = tuple(read_models(source, json.loads(body)))
        except (ParleyError, OSError, ValueError, RecursionError, TimeoutError) as error:
            _log.info("no new model list from %s: %s", source.provider, type(error).__name__)
            return
        if not models:
            _log.info("the model list of %s has no row that can be read", source.provider)
            return
        self._set(source.provider, models, self._clock())
        await asyncio.to_thread(self._write, source, models)

    def _set(self, provider: str, models: tuple[ModelInfo, ...], fetched: float) -> None:
        self._models[provider] = models
        self._due[provider] = fetched + FRESH_SECONDS
        self._version += 1

    def _path(self, provider: str) -> Path:
        return self._folder / f"models-{provider}.json"

    def _read_all(self) -> None:
        for source in self._sources.values():
            self._due[source.provider] = 0.0
            try:
                with self._path(source.provider).open("rb") as file:
                    stored = json.loads(file.read(MAX_BYTES))
                if stored["url"] != source.url:
                    continue
                named = {"provider": source.provider, "source": "live"}
                models = tuple(ModelInfo.model_validate({**row, **named}) for row in stored["models"][:MAX_MODELS])
                # A clock that was set back must not make a list fresh for years.
                self._set(source.provider, models, min(float(stored["fetched"]), self._clock()))
            except (OSError, ValueError, KeyError, TypeError, RecursionError):
                continue

    def _write(self, source: LiveSource, models: Sequence[ModelInfo]) -> None:
        """Replace the list on disk in one step; a disk that cannot take it costs nothing but the next start."""
        rows = [model.model_dump(mode="json", exclude_defaults=True, exclude={"provider", "source"}) for model in models]
        text = json.dumps({"url": source.url, "fetched": self._clock(), "models": rows})
        try:
            for folder in (self._folder.parent, self._folder):  # the mode of mkdir is not that of the parents it makes
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=self._folder, prefix=".models-")
        except OSError:
            return
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            os.replace(name, self._path(source.provider))
        except OSError:
            Path(name).unlink(missing_ok=True)


def read_models(source: LiveSource, document: Any) -> Iterator[ModelInfo]:
    """Yield the chat models a list names; rows that cannot be read are passed over.

    Raises ValueError when the document is not a list of that provider's kind at all.
    """
    seen: set[str] = set()
    for row in source.rows(document)[:MAX_MODELS]:
        fields = source.read(cast("Mapping[str, Any]", row)) if isinstance(row, dict) else None
        if fields is None or fields["id"].lower() in seen:
            continue
        seen.add(fields["id"].lower())
        known = {key: value for key, value in fields.items() if value is not None}
        yield ModelInfo.model_validate({**known, "provider": source.provider, "source": "live"})


def _list_itself(document: Any) -> Sequence[Any]:
    if not isinstance(document, list):
        raise ValueError("not a list")
    return cast("list[Any]", document)


def _list_under_data(document: Any) -> Sequence[Any]:
    return _list_itself(cast("dict[str, Any]", document).get("data") if isinstance(document, dict) else None)


def _github_row(row: Mapping[str, Any]) -> dict[str, Any] | None:
    limits = _mapping(row.get("limits"))
    if not _is_id(row.get("id")) or "text" not in _words(row.get("supported_output_modalities"), "text"):
        return None
    capabilities = _words(row.get("capabilities"), "")
    return {
        "id": row["id"],
        "context_window": _count(limits.get("max_input_tokens")),
        "max_output": _count(limits.get("max_output_tokens")),
        "images": "image" in _words(row.get("supported_input_modalities"), "text"),
        "reasoning": "reasoning" in capabilities or "reasoning" in _words(row.get("tags"), ""),
    }


def _openrouter_row(row: Mapping[str, Any]) -> dict[str, Any] | None:
    architecture, prices, top = (_mapping(row.get(key)) for key in ("architecture", "pricing", "top_provider"))
    if not _is_id(row.get("id")) or "text" not in _words(architecture.get("output_modalities"), "text"):
        return None
    parameters = _words(row.get("supported_parameters"), "temperature")
    return {
        "id": row["id"],
        "context_window": _count(row.get("context_length")) or _count(top.get("context_length")),
        "max_output": _count(top.get("max_completion_tokens")),
        "input_usd_per_mtok": _per_mtok(prices.get("prompt")),
        "output_usd_per_mtok": _per_mtok(prices.get("completion")),
        "cached_usd_per_mtok": _per_mtok(prices.get("input_cache_read")),
        "images": "image" in _words(architecture.get("input_modalities"), "text"),
        "reasoning": "reasoning" in parameters,
        "drop": frozenset() if "temperature" in parameters else frozenset({"temperature"}),
    }


def _is_id(value: Any) -> bool:
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def _mapping(value: Any) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def _words(value: Any, default: str) -> frozenset[str]:
    """The strings of a list; `default` when there is no list."""
    if not isinstance(value, list):
        return frozenset({default})
    return frozenset(word.lower() for word in cast("list[Any]", value) if isinstance(word, str))


def _count(value: Any) -> int | None:
    """A number of tokens that makes sense, else None."""
    usable = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1e9
    return int(value) if usable else None


def _per_mtok(value: Any) -> float | None:
    """USD a million tokens, from the USD a token that the list gives as text; None for what is no price."""
    try:
        price = float(value)
    except (TypeError, ValueError):
        return None
    return round(price * 1e6, 6) if 0 <= price < 1 else None
