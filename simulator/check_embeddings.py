"""What embedding models refuse, as GitHub Models, OpenRouter and Vertex AI serve them, and what they answer.

Sources, read November 2026: https://platform.openai.com/docs/api-reference/embeddings/create (2,048 texts, 300,000 tokens a request),
https://openrouter.ai/docs/api-reference/embeddings and
https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/text-embeddings-api (250 texts, one for gemini-embedding-001;
20,000 tokens a request).
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from .jsonish import Json, as_dict, as_list, is_whole
from .meaning import vector
from .models import Model
from .refusals import Refusal

_KEYS = frozenset({"model", "input", "encoding_format", "dimensions", "user"})
_ROUTER_KEYS = _KEYS | {"provider", "input_type"}
_MOST_TEXTS, _MOST_TOKENS = 2_048, 300_000
_VERTEX_MOST_TEXTS, _VERTEX_MOST_TOKENS = 250, 20_000
_TASKS = frozenset({
    "RETRIEVAL_QUERY", "RETRIEVAL_DOCUMENT", "SEMANTIC_SIMILARITY", "CLASSIFICATION", "CLUSTERING", "QUESTION_ANSWERING",
    "FACT_VERIFICATION", "CODE_RETRIEVAL_QUERY",
})


@dataclass(frozen=True, slots=True)
class Embedding:
    """One valid request: its texts in order, and how many numbers of each vector are wanted."""

    model: Model
    texts: tuple[str, ...]
    dimension: int
    base64: bool = False
    ignored: tuple[str, ...] = ()

    @property
    def tokens(self) -> int:
        """The size of all texts, at four characters a token."""
        return sum(map(_tokens, self.texts))


def check_openai(body: Json, model: Model, *, provider: str) -> Embedding:
    """The request's digest. Raises Refusal for what the real API rejects."""
    if not model.dimension:
        raise Refusal(400, "The embeddings operation does not work with the specified model, please choose different model and try again.")
    known = _ROUTER_KEYS if provider == "openrouter" else _KEYS
    others = tuple(key for key in body if key not in known)
    if others and provider != "openrouter":
        raise Refusal(400, f"Unrecognized request argument supplied: {others[0]}")
    texts = _inputs(body, model)
    kind = body.get("encoding_format", "float")
    if kind not in ("float", "base64"):
        raise Refusal(400, f"Invalid value: '{kind}'. Supported values are: 'float' and 'base64'.", code="invalid_value")
    return Embedding(model, texts, _dimension(body.get("dimensions"), model, "dimensions"), kind == "base64", others)


def _inputs(body: Json, model: Model) -> tuple[str, ...]:
    given = body.get("input")
    if given is None:
        raise Refusal(400, "Missing required parameter: 'input'.", code="missing_required_parameter")
    listed = [given] if isinstance(given, str) else as_list(given)
    if not listed or not all(isinstance(text, str) and text for text in listed):
        raise Refusal(400, "'$.input' is invalid. Please check the API reference: https://platform.openai.com/docs/api-reference.")
    if len(listed) > _MOST_TEXTS:
        raise Refusal(
            400, f"Invalid 'input': array too long. Expected an array with maximum length {_MOST_TEXTS}, but got {len(listed)} instead."
        )
    for text in listed:
        if _tokens(text) > model.context_window:
            raise Refusal(
                400,
                f"This model's maximum context length is {model.context_window} tokens, however you requested {_tokens(text)} tokens "
                f"({_tokens(text)} in your prompt; 0 for the completion). Please reduce your prompt; or completion length.",
            )
    total = sum(map(_tokens, listed))
    if total > _MOST_TOKENS:
        raise Refusal(400, f"Requested {total} tokens, max {_MOST_TOKENS} tokens per request", code="max_tokens_per_request")
    return tuple(listed)


def check_vertex(body: Json, model: Model) -> Embedding:
    """The request's digest. Raises Refusal for what the real API rejects."""
    instances = as_list(body.get("instances"))
    if not instances:
        raise Refusal(400, "Empty instances.")
    most = 1 if model.id.startswith("gemini-") else _VERTEX_MOST_TEXTS
    if len(instances) > most:
        raise Refusal(400, f"{len(instances)} instance(s) is given. However, the model {model.id} supports up to {most} instance(s).")
    texts = tuple(_content(as_dict(instance)) for instance in instances)
    parameters = as_dict(body.get("parameters", {}))
    if parameters is None or not isinstance(parameters.get("autoTruncate", True), bool):
        raise Refusal(400, "Invalid parameters: autoTruncate must be a boolean.")
    whole = not parameters.get("autoTruncate", True)
    if any(whole and _tokens(text) > model.context_window for text in texts) or sum(map(_tokens, texts)) > _VERTEX_MOST_TOKENS:
        most_tokens = model.context_window if whole else _VERTEX_MOST_TOKENS
        total = sum(map(_tokens, texts))
        raise Refusal(400, f"Unable to submit request because the input token count is {total} but the model supports up to {most_tokens}.")
    return Embedding(model, texts, _dimension(parameters.get("outputDimensionality"), model, "outputDimensionality"))


def _content(instance: Json | None) -> str:
    text = (instance or {}).get("content")
    if not isinstance(text, str):
        raise Refusal(400, "Invalid instance: content is required and must be a string.")
    if not text:
        raise Refusal(400, "The text content is empty.")
    task = (instance or {}).get("task_type", "RETRIEVAL_QUERY")
    if task not in _TASKS:
        raise Refusal(400, f"Unable to submit request because the task type {task} is not supported.")
    return text


def _dimension(given: object, model: Model, name: str) -> int:
    if given is None:
        return model.dimension
    if not is_whole(given) or not 1 <= given <= model.dimension:
        raise Refusal(400, f"Invalid value for '{name}' = {given}. Must be from 1 to {model.dimension}.")
    return given


def openai_body(asked: Embedding, *, provider: str) -> Json:
    """The answer of GitHub Models and OpenRouter."""
    vectors = [vector(text, asked.dimension) for text in asked.texts]
    data = [
        {"object": "embedding", "index": index, "embedding": _packed(numbers) if asked.base64 else numbers}
        for index, numbers in enumerate(vectors)
    ]
    usage: Json = {"prompt_tokens": asked.tokens, "total_tokens": asked.tokens}
    if provider == "openrouter":
        usage["cost"] = asked.tokens * asked.model.input_usd / 1e6
    return {"object": "list", "data": data, "model": asked.model.id, "usage": usage}


def vertex_body(asked: Embedding) -> Json:
    """The answer of Vertex AI, which cuts what is too long."""
    predictions: list[Json] = []
    for text in asked.texts:
        kept = text[: 4 * asked.model.context_window]
        statistics = {"token_count": _tokens(kept), "truncated": len(kept) < len(text)}
        predictions.append({"embeddings": {"values": vector(kept, asked.dimension), "statistics": statistics}})
    return {"predictions": predictions, "metadata": {"billableCharacterCount": sum(map(len, asked.texts))}}


def _packed(numbers: Sequence[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()


def _tokens(text: str) -> int:
    return max(1, len(text) // 4)
