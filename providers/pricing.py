"""What an answer cost."""

from __future__ import annotations

from conversation.messages import Answer, Usage
from providers.base import ModelInfo

WRITTEN, WRITTEN_FOR_AN_HOUR = 1.25, 2.0
"""What a token written to a cache costs, in tokens of input; only Anthropic's models tell of any:
https://docs.anthropic.com/en/docs/build-with-claude/prompt-caching#pricing"""


def usage_of(answer: Answer, model: ModelInfo, *, partly: bool = False) -> Usage:
    """Return the answer's usage; the cost is the provider's own figure, or the model's prices times the tokens when both were counted.

    `partly` is an answer that was broken off: what was counted until then has its price.
    """
    cost, counted = answer.cost_usd, answer.input_tokens > 0 and (partly or answer.output_tokens > 0)
    if cost is None and counted and model.input_usd_per_mtok is not None and model.output_usd_per_mtok is not None:
        cached_price = model.input_usd_per_mtok if model.cached_usd_per_mtok is None else model.cached_usd_per_mtok
        hour = min(answer.written_for_an_hour, answer.written_tokens)
        more = (answer.written_tokens - hour) * (WRITTEN - 1) + hour * (WRITTEN_FOR_AN_HOUR - 1)
        read = (answer.input_tokens - answer.cached_tokens + more) * model.input_usd_per_mtok
        cost = (read + answer.cached_tokens * cached_price + answer.output_tokens * model.output_usd_per_mtok) / 1e6
    return Usage(input_tokens=answer.input_tokens, output_tokens=answer.output_tokens, cached_tokens=answer.cached_tokens, cost_usd=cost)
