"""Vectors of texts: OpenAI's shape at GitHub Models and OpenRouter, `:predict` at Vertex AI.

https://platform.openai.com/docs/api-reference/embeddings, https://openrouter.ai/docs/api-reference/embeddings and
https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api

Not through LiteLLM, which has no provider github for this, and whose import would cost a process that only searches 170 MB.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any, cast

from conversation.errors import ProviderError, UnknownModel
from conversation.json_text import parsed
from conversation.messages import Answer, object_of, objects_of
from conversation.tokens import estimate_tokens
from providers._admission import refusal_of
from providers._google import GoogleTokens
from providers._http import HttpClient, HttpReply
from providers._upstream import Upstream
from providers.base import EmbeddingRoute, ModelInfo, ProviderSpec
from providers.budget import Budget
from providers.causes import CAUSES, error_in_body, failure
from providers.config import ProviderSettings
from providers.health import Health
from providers.pricing import usage_of

SESSION = "memory"
"""Under which spending counts what vectors cost."""
_AT_ONCE = 4
_CHARACTERS = 2
"""Of a text for each token that a model takes: what reads like no language has no more of them."""
_MOST_BYTES = 64 * 1024 * 1024
_UNKNOWN_WINDOW = 2_048
"""Tokens of one text for a model whose limit is not known: the least that those listed take."""

Vectors = list[list[float]]


def known(name: str, specs: Sequence[ProviderSpec]) -> tuple[ProviderSpec, EmbeddingRoute, ModelInfo]:
    """Return whom a name as provider/model is for. Raises UnknownModel for a provider that makes no vectors."""
    provider, _, wanted = name.partition("/")
    for spec in specs:
        if spec.name == provider.lower() and spec.embeddings is not None:
            listed = {model.id.lower(): model for model in spec.embeddings.models}
            other = ModelInfo(provider=spec.name, id=wanted, context_window=_UNKNOWN_WINDOW, max_output=0)
            return spec, spec.embeddings, listed.get(wanted.lower(), other)
    able = [f"{spec.name}/{spec.embeddings.models[0].id}" for spec in specs if spec.embeddings is not None]
    there_is = any(spec.name == provider.lower() for spec in specs)
    message = f"{provider[:40]} has no embedding models." if there_is else f"There is no provider {provider[:40]!r}."
    raise UnknownModel(message, hint=f"PARLEY_EMBEDDING_MODEL takes names such as {', '.join(able)}.")


class Embeddings:
    """One embedding model at one provider. Safe for many calls at once on one event loop.

    It asks only when the health record would have the model asked. What fails counts for this model alone: a provider whose vectors
    cannot be had may chat all the same.
    """

    def __init__(
        self,
        name: str,
        specs: Sequence[ProviderSpec],
        settings: ProviderSettings,
        http: HttpClient,
        tokens: GoogleTokens | None = None,
        *,
        health: Health,
        budget: Budget | None = None,
    ) -> None:
        """Raises UnknownModel, and NotConfigured for a provider that lacks something."""
        self._spec, self._route, self._model = known(name, specs)
        self._upstream = Upstream(self._spec, settings, tokens)
        self._http, self._timeouts = http, settings.timeouts
        self._health, self._budget = health, budget
        one_by_one = self._model.id.startswith(self._route.one_by_one) if self._route.one_by_one else False
        self._most_texts = 1 if one_by_one else self._route.most_texts

    @property
    def name(self) -> str:
        """provider/model, the exact name."""
        return self._model.name

    async def embed(self, texts: Sequence[str], *, is_query: bool = False, within_s: float | None = None) -> Vectors:
        """Return a vector for each text, in order; a text too long for the model is cut. Raises ProviderError, BudgetExceeded, StoreError.

        `is_query` tells models that make a difference of it that these are questions; `within_s` is all the time there is.
        """
        if self._budget is not None:
            await self._budget.check()
        refusal = refusal_of(self._health, self._model)
        if refusal is not None:
            raise refusal
        limit = min(self._timeouts.total, within_s or self._timeouts.total)
        settled = False
        try:
            found = await _in_time(self._all(list(self._batches(texts)), is_query), limit, self._failed)
            self._health.succeeded(self._model.provider, self._model.id)
            settled = True
        except ProviderError as error:
            if settled := CAUSES[error.cause].effect == "counts":
                self._health.failed(self._model.provider, self._model.id)
            raise
        finally:
            if not settled:
                self._health.released(self._model.provider, self._model.id)
        if self._budget is not None:
            await self._budget.settle()
        return found

    def _batches(self, texts: Sequence[str]) -> Iterator[list[str]]:
        """Yield the texts, cut to what the model takes, in requests that the provider takes."""
        batch: list[str] = []
        left = self._route.most_tokens
        for text in texts:
            kept, tokens = _cut(text, self._model.context_window)
            if batch and (len(batch) >= self._most_texts or tokens > left):
                yield batch
                batch, left = [], self._route.most_tokens
            batch.append(kept)
            left -= tokens
        if batch:
            yield batch

    async def _all(self, batches: Sequence[list[str]], is_query: bool) -> Vectors:
        gate = asyncio.Semaphore(_AT_ONCE)

        async def asked(batch: list[str]) -> Vectors:
            async with gate:
                return await _in_time(self._asked(batch, is_query), self._timeouts.first_byte, self._failed)

        tasks = [asyncio.create_task(asked(batch)) for batch in batches]
        try:
            found = [vector for vectors in await asyncio.gather(*tasks) for vector in vectors]
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if len(set(map(len, found))) > 1:
            raise self._failed("malformed", "vectors of different lengths")
        return found

    async def _asked(self, batch: list[str], is_query: bool) -> Vectors:
        """Return the vectors of one request. A 401 is answered once with a new token, where there is one to be had."""
        url = self._upstream.embeddings_url(self._route, self._model)
        body = self._upstream.content(self._model, self._body(batch, is_query))
        renewed = False
        while True:
            headers = await self._upstream.headers()
            async with self._http.post(url, headers, body, provider=self._model.provider, model=self._model.id) as reply:
                if reply.status == 200:
                    return await self._read(reply, len(batch))
                if reply.status != 401 or renewed or not self._upstream.renew(headers):
                    raise await self._upstream.error(self._model, reply)
            renewed = True

    def _body(self, batch: list[str], is_query: bool) -> Mapping[str, Any]:
        if self._spec.wire == "gemini":
            task = "RETRIEVAL_QUERY" if is_query else "RETRIEVAL_DOCUMENT"
            return {"instances": [{"content": text, "task_type": task} for text in batch]}
        return {"model": self._model.id, "input": batch, "encoding_format": "float"}

    async def _read(self, reply: HttpReply, count: int) -> Vectors:
        """Return the vectors that a good reply holds, and count what they cost. Raises ProviderError when it is none."""
        data = bytearray()
        async for chunk in reply.chunks():
            data += chunk
            if len(data) > _MOST_BYTES:
                raise self._failed("malformed", f"an answer of more than {_MOST_BYTES} bytes")
        try:
            told: Mapping[str, Any] = object_of(parsed(data))
        except ValueError:
            raise self._failed("malformed", "an answer whose JSON is broken") from None
        if told.get("error"):
            secrets = await self._upstream.secrets()
            raise error_in_body(self._model.provider, self._model.id, told["error"], secrets=secrets)
        rows = _predictions(told) if self._spec.wire == "gemini" else _data(told)
        self._count(*(_vertex_usage(told) if self._spec.wire == "gemini" else _usage(told)))
        vectors = [cast("list[float]", row) for row in rows if _is_vector(row)]
        if len(vectors) != count:
            raise self._failed("malformed", f"{len(vectors)} vectors for {count} texts")
        return vectors

    def _count(self, tokens: int, cost: float | None) -> None:
        if self._budget is not None and tokens:
            answer = Answer(text="", input_tokens=tokens, cost_usd=cost)
            self._budget.note(self._model, usage_of(answer, self._model, partly=True), SESSION)

    def _failed(self, cause: str, message: str) -> ProviderError:
        return failure(cause, message, provider=self._model.provider, model=self._model.id)


async def _in_time(work: Coroutine[Any, Any, Vectors], seconds: float, failed: Callable[[str, str], ProviderError]) -> Vectors:
    try:
        async with asyncio.timeout(seconds):
            return await work
    except TimeoutError:
        raise failed("timeout", f"no vectors within {seconds:g} s") from None


def _cut(text: str, tokens: int) -> tuple[str, int]:
    """Return as much of a text as so many tokens hold, and how many it has. One without any word is a full stop: none takes nothing."""
    kept = text[: _CHARACTERS * tokens].strip() or "."
    while (size := estimate_tokens(kept)) > tokens:
        kept = kept[: min(len(kept) - 1, len(kept) * tokens // size)]
    return kept, size


def _data(told: Mapping[str, Any]) -> list[Any]:
    """Return the vectors of an answer of OpenAI's shape, in the order of the texts."""
    rows = objects_of(told.get("data"))
    places = [place for row in rows if isinstance(place := row.get("index"), int)]
    if sorted(places) == list(range(len(rows))):
        rows.sort(key=lambda row: row["index"])
    return [row.get("embedding") for row in rows]


def _predictions(told: Mapping[str, Any]) -> list[Any]:
    return [object_of(row.get("embeddings")).get("values") for row in objects_of(told.get("predictions"))]


def _usage(told: Mapping[str, Any]) -> tuple[int, float | None]:
    """Return the tokens of the texts, and what they cost in USD where the provider tells."""
    usage = object_of(told.get("usage"))
    tokens, cost = usage.get("prompt_tokens"), usage.get("cost")
    return _whole(tokens), float(cost) if isinstance(cost, (int, float)) and not isinstance(cost, bool) else None


def _vertex_usage(told: Mapping[str, Any]) -> tuple[int, None]:
    rows = (object_of(row.get("embeddings")) for row in objects_of(told.get("predictions")))
    return sum(_whole(object_of(row.get("statistics")).get("token_count")) for row in rows), None


def _whole(value: object) -> int:
    """Return a count of tokens; Vertex AI writes it as 4.0 at times."""
    return int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0 else 0


def _is_vector(value: object) -> bool:
    numbers = cast("list[object]", value) if isinstance(value, list) else []
    return bool(numbers) and all(isinstance(number, (int, float)) for number in numbers)
