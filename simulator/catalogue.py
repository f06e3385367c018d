"""The live model lists, in the shapes of GitHub's catalogue and of OpenRouter's /models."""

from __future__ import annotations

from .jsonish import Json
from .models import OPEN_WEIGHTS, Model, ModelList


def github(models: ModelList) -> list[Json]:
    """GET /catalog/models."""
    return [_github(model) for model in models.of("github_models")]


def _github(model: Model) -> Json:
    publisher, _, name = model.id.partition("/")
    registry = "azure-openai" if publisher == "openai" else f"azureml-{publisher}"
    return {
        "id": model.id,
        "name": model.name,
        "publisher": publisher,
        "registry": registry,
        "summary": f"Simulated catalogue entry for {model.name}",
        "html_url": f"https://github.com/marketplace/models/{registry}/{name.replace('.', '-')}",
        "version": "1",
        "capabilities": [] if not model.chat else ["streaming", "tool-calling", *(["reasoning"] if model.reasoning else [])],
        "limits": {"max_input_tokens": model.context_window, "max_output_tokens": model.max_output or None},
        "rate_limit_tier": "embeddings" if not model.chat else "low" if model.family == OPEN_WEIGHTS else "high",
        "supported_input_modalities": ["text", "image"] if model.vision else ["text"],
        "supported_output_modalities": ["text"] if model.chat else ["embeddings"],
        "tags": ["simulated"],
    }


def openrouter(models: ModelList) -> Json:
    """GET /api/v1/models, which lists no embedding models."""
    return {"data": [_openrouter(model) for model in models.of("openrouter") if model.chat]}


def _price(usd_per_million: float) -> str:
    return f"{usd_per_million / 1e6:.12f}".rstrip("0").rstrip(".")


def _openrouter(model: Model) -> Json:
    parameters = ["max_tokens", "response_format", "stop", "temperature", "tool_choice", "tools", "top_p"]
    inputs = ["text", "image"] if model.vision else ["text"]
    return {
        "id": model.id,
        "canonical_slug": model.id,
        "hugging_face_id": "",
        "name": model.name,
        "created": 1_760_000_000,
        "description": f"Simulated catalogue entry for {model.name}",
        "context_length": model.context_window,
        "architecture": {
            "modality": f"{'+'.join(inputs)}->text", "input_modalities": inputs, "output_modalities": ["text"], "tokenizer": "Other",
            "instruct_type": None,
        },
        "pricing": {
            "prompt": _price(model.input_usd), "completion": _price(model.output_usd), "request": "0", "image": "0", "web_search": "0",
            "internal_reasoning": "0",
        },
        "top_provider": {"context_length": model.context_window, "max_completion_tokens": model.max_output, "is_moderated": False},
        "per_request_limits": None,
        "supported_parameters": [*parameters, *(["include_reasoning", "reasoning"] if model.reasoning else [])],
    }
