"""What an answer cost."""

from __future__ import annotations

from conversation.messages import Answer, Usage
from providers.base import ModelInfo


def usage_of(answer: Answer, model: ModelInfo) -> Usage:
    """Return the answer's usage; the cost is the provider's own figure, or the model's prices times the tokens when both were counted."""
    cost, counted = answer.cost_usd, answer.input_tokens > 0 and answer.output_tokens > 0
    if cost is None and counted and model.input_usd_per_mtok is not None and model.output_usd_per_mtok is not None:
        cached_price = model.input_usd_per_mtok if model.cached_usd_per_mtok is None else model.cached_usd_per_mtok
        fresh = answer.input_tokens - answer.cached_tokens
        cost = (
            fresh * model.input_usd_per_mtok + answer.cached_tokens * cached_price + answer.output_tokens * model.output_usd_per_mtok
        ) / 1e6
    return Usage(input_tokens=answer.input_tokens, output_tokens=answer.output_tokens, cached_tokens=answer.cached_tokens, cost_usd=cost)
