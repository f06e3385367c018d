"""Whether the health record lets a model be asked now."""

from __future__ import annotations

from conversation.errors import ProviderError
from providers.base import ModelInfo
from providers.causes import failure
from providers.health import Health


def refusal_of(health: Health, model: ModelInfo) -> ProviderError | None:
    """Return why a model is not to be asked now, None when it may be: whoever asks then has to tell how that ended."""
    refusal = health.admit(model.provider, model.id)
    if refusal is None:
        return None
    message = f"not asked ({refusal.reason}); it will be again in {refusal.seconds:.0f} s"
    return failure(refusal.cause, message, provider=model.provider, model=model.id, retry_after=refusal.seconds)
