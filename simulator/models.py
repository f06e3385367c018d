"""The models the simulated upstreams know, with the limits and habits of the real ones.

A new model is one more line in MODELS. Sources, read 2026-11-23: windows, output limits and prices from the model map shipped with
litellm 1.106.2; GitHub's from its catalogue; which Claude models refuse sampling parameters, kinds of thinking or prefill
from that map and Anthropic's migration guide.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

ANTHROPIC = "anthropic"
GEMINI = "gemini"
GPT = "gpt"
OPEN_WEIGHTS = "open"


@dataclass(frozen=True, slots=True)
class Model:
    """One model at one provider. `context_window` and `max_output` are tokens, prices US dollars per million tokens."""

    provider: str
    id: str
    family: str
    context_window: int
    max_output: int
    name: str = ""
    input_usd: float = 0.0
    output_usd: float = 0.0
    reasoning: bool = False
    """GPT: refuses max_tokens and temperature. Gemini: may think. OpenRouter: takes `reasoning`."""
    adaptive: bool = False
    """Claude from 4.6 on: knows `thinking.type: adaptive` and `output_config.effort`, takes no prefill."""
    adaptive_only: bool = False
    """Claude from Opus 4.7 on: no sampling parameters, no `thinking.type: enabled`."""
    always_thinks: bool = False
    """Claude that refuses `thinking.type: disabled`."""
    vision: bool = True
    chat: bool = True
    """False for what a catalogue lists but chat refuses (embedding models)."""
    dimension: int = 0
    """Numbers in a vector of an embedding model."""

    @property
    def plain_name(self) -> str:
        """The model without publisher and without the @date of Vertex."""
        return self.id.rpartition("/")[2].partition("@")[0]


def _claude(model_id: str, window: int, output: int, prices: tuple[float, float], **more: Any) -> Model:
    return Model("vertex_claude", model_id, ANTHROPIC, window, output, "", *prices, reasoning=True, **more)


def _new_claude(model_id: str, prices: tuple[float, float], **more: Any) -> Model:
    return _claude(model_id, 1_000_000, 128_000, prices, adaptive=True, adaptive_only=True, **more)


def _gemini(model_id: str, prices: tuple[float, float], output: int = 65_535) -> Model:
    return Model("vertex_gemini", model_id, GEMINI, 1_048_576, output, "", *prices, reasoning=True)


def _github(model_id: str, family: str, window: int, output: int, name: str, **more: Any) -> Model:
    return Model("github_models", model_id, family, window, output, name, **more)


def _router(model_id: str, family: str, window: int, output: int, name: str, prices: tuple[float, float], **more: Any) -> Model:
    return Model("openrouter", model_id, family, window, output, name, *prices, **more)


def _embedding(provider: str, model_id: str, window: int, dimension: int, usd: float, name: str = "") -> Model:
    """`window` is what one text may have."""
    return Model(provider, model_id, GPT, window, 0, name, usd, vision=False, chat=False, dimension=dimension)


MODELS: tuple[Model, ...] = (
    _new_claude("claude-opus-4-8", (5, 25)),
    _new_claude("claude-sonnet-5", (2, 10)),
    _claude("claude-opus-4-5", 200_000, 64_000, (5, 25)),
    _claude("claude-sonnet-4-5", 200_000, 64_000, (3, 15)),
    _claude("claude-haiku-4-5", 200_000, 64_000, (1, 5)),
    _claude("claude-opus-4-6", 1_000_000, 128_000, (5, 25), adaptive=True),
    _claude("claude-sonnet-4-6", 1_000_000, 64_000, (3, 15), adaptive=True),
    _new_claude("claude-opus-4-7", (5, 25)),
    _new_claude("claude-opus-5", (5, 25)),
    _new_claude("claude-opus-5-5", (4, 20), always_thinks=True),
    _new_claude("claude-sonnet-5-5", (2, 10), always_thinks=True),
    _new_claude("claude-haiku-5-5", (0.1, 0.5)),
    _gemini("gemini-2.5-pro", (1.25, 10)),
    _gemini("gemini-2.5-flash", (0.3, 2.5)),
    _gemini("gemini-2.5-flash-lite", (0.1, 0.4)),
    _gemini("gemini-3-pro-preview", (2, 12)),
    _gemini("gemini-3-flash-preview", (0.5, 3)),
    _gemini("gemini-3.1-pro-preview", (2, 12), 65_536),
    _gemini("gemini-3.1-flash-lite", (0.25, 1.5), 65_536),
    _gemini("gemini-3.5-flash", (1.5, 9)),
    _gemini("gemini-3.8-flash", (0.75, 3.75), 65_536),
    _github("openai/gpt-4.1", GPT, 1_048_576, 32_768, "OpenAI GPT-4.1"),
    _github("openai/gpt-4.1-mini", GPT, 1_048_576, 32_768, "OpenAI GPT-4.1-mini"),
    _github("openai/gpt-4o", GPT, 131_072, 16_384, "OpenAI GPT-4o"),
    _github("openai/gpt-4o-mini", GPT, 131_072, 4_096, "OpenAI GPT-4o mini"),
    _github("openai/gpt-5", GPT, 200_000, 100_000, "OpenAI gpt-5", reasoning=True),
    _github("openai/gpt-5-mini", GPT, 200_000, 100_000, "OpenAI gpt-5-mini", reasoning=True),
    _github("openai/o3", GPT, 200_000, 100_000, "OpenAI o3", reasoning=True),
    _github("openai/o4-mini", GPT, 200_000, 100_000, "OpenAI o4-mini", reasoning=True),
    _github("meta/llama-3.3-70b-instruct", OPEN_WEIGHTS, 128_000, 4_096, "Llama-3.3-70B-Instruct", vision=False),
    _github("mistral-ai/mistral-medium-2505", OPEN_WEIGHTS, 128_000, 4_096, "Mistral Medium 3 (25.05)"),
    _github("deepseek/deepseek-v3-0324", OPEN_WEIGHTS, 128_000, 4_096, "DeepSeek-V3-0324", vision=False),
    _github("simulated/live-list-only-small", OPEN_WEIGHTS, 32_768, 4_096, "Simulated: in the live list only", vision=False),
    _github("simulated/live-list-only-large", OPEN_WEIGHTS, 262_144, 8_192, "Simulated: in the live list only, large"),
    _embedding("github_models", "openai/text-embedding-3-small", 8_191, 1_536, 0, "OpenAI Text Embedding 3 (small)"),
    _embedding("github_models", "openai/text-embedding-3-large", 8_191, 3_072, 0, "OpenAI Text Embedding 3 (large)"),
    _embedding("vertex_gemini", "text-embedding-005", 2_048, 768, 0.1),
    _embedding("vertex_gemini", "gemini-embedding-001", 2_048, 3_072, 0.15),
    _embedding("openrouter", "openai/text-embedding-3-small", 8_191, 1_536, 0.02, "OpenAI: Text Embedding 3 Small"),
    _router("anthropic/claude-sonnet-4.6", ANTHROPIC, 1_000_000, 64_000, "Anthropic: Claude Sonnet 4.6", (3, 15), adaptive=True),
    _router("anthropic/claude-sonnet-4.5", ANTHROPIC, 200_000, 64_000, "Anthropic: Claude Sonnet 4.5", (3, 15), reasoning=True),
    _router("anthropic/claude-opus-4.5", ANTHROPIC, 200_000, 64_000, "Anthropic: Claude Opus 4.5", (5, 25), reasoning=True),
    _router("anthropic/claude-haiku-4.5", ANTHROPIC, 200_000, 64_000, "Anthropic: Claude Haiku 4.5", (1, 5), reasoning=True),
    _router("openai/gpt-4o", GPT, 128_000, 16_384, "OpenAI: GPT-4o", (2.5, 10)),
    _router("openai/gpt-4o-mini", GPT, 128_000, 16_384, "OpenAI: GPT-4o-mini", (0.15, 0.6)),
    _router("openai/gpt-4.1", GPT, 1_047_576, 32_768, "OpenAI: GPT-4.1", (2, 8)),
    _router("openai/gpt-5", GPT, 400_000, 128_000, "OpenAI: GPT-5", (1.25, 10), reasoning=True),
    _router("google/gemini-3.1-pro-preview", GEMINI, 1_048_576, 65_536, "Google: Gemini 3.1 Pro Preview", (2, 12), reasoning=True),
    _router("google/gemini-2.5-pro", GEMINI, 1_048_576, 65_536, "Google: Gemini 2.5 Pro", (1.25, 10), reasoning=True),
    _router("google/gemini-2.5-flash", GEMINI, 1_048_576, 65_536, "Google: Gemini 2.5 Flash", (0.3, 2.5), reasoning=True),
    _router("deepseek/deepseek-chat", OPEN_WEIGHTS, 163_840, 65_536, "DeepSeek: DeepSeek V3", (0.28, 0.42), vision=False),
    _router("deepseek/deepseek-chat-v3.1", OPEN_WEIGHTS, 163_840, 65_536, "DeepSeek: DeepSeek V3.1", (0.25, 1), vision=False),
    _router("meta-llama/llama-3.3-70b-instruct", OPEN_WEIGHTS, 131_072, 16_384, "Meta: Llama 3.3 70B Instruct", (0.13, 0.39), vision=False),
    _router("simulated/live-list-only", OPEN_WEIGHTS, 65_536, 8_192, "Simulated: in the live list only", (0.5, 1.5), vision=False),
    _router("simulated/live-list-only:free", OPEN_WEIGHTS, 65_536, 8_192, "Simulated: in the live list only (free)", (0, 0), vision=False),
)

_DATE_SUFFIX = re.compile(r"@(\d{8}|default|latest)$")
_CHANGEABLE: dict[str, type | tuple[type, ...]] = {
    "context_window": int, "max_output": int, "name": str, "family": str, "input_usd": (int, float), "output_usd": (int, float),
    "reasoning": bool, "adaptive": bool, "adaptive_only": bool, "always_thinks": bool, "vision": bool, "chat": bool,
}


class ModelList:
    """The models of one simulator: MODELS, plus what a test added or changed."""

    def __init__(self) -> None:
        self._models: dict[tuple[str, str], Model] = {}
        self.reset()

    def reset(self) -> None:
        """Back to MODELS."""
        self._models = {(model.provider, model.id): model for model in MODELS}

    def find(self, provider: str, name: str) -> Model | None:
        """The model of that name, with or without Vertex's @date; None when this upstream does not serve it."""
        return self._models.get((provider, name)) or self._models.get((provider, _DATE_SUFFIX.sub("", name)))

    def of(self, provider: str) -> list[Model]:
        """Every model of one provider, in order."""
        return [model for model in self._models.values() if model.provider == provider]

    def change(self, provider: str, model_id: str, /, **changes: Any) -> Model:
        """Change a model's limits, or add a model. Raises ValueError for an unknown property or a wrong type."""
        for key, value in changes.items():
            kind = _CHANGEABLE.get(key)
            if kind is None:
                raise ValueError(f"unknown model property {key!r}; known: {', '.join(sorted(_CHANGEABLE))}")
            if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
                raise ValueError(f"{key} of a model cannot be {value!r}")
        known = self.find(provider, model_id)
        base = known or Model(provider, model_id, OPEN_WEIGHTS, 128_000, 8_192, model_id)
        model = replace(base, **changes)
        self._models[(provider, model.id)] = model
        return model
