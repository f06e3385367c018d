"""How an answer ended, which a reviewer's own words do not say."""

from __future__ import annotations

from typing import Any

from providers.chain import Chain, Reply

_UNFINISHED = {
    "max_tokens": "the answer was cut off at its limit",
    "model_context_window_exceeded": "the answer was cut off at the end of the window",
    "refusal": "the model declined to answer",
}


class Heard(Chain):
    """A chain that remembers how its last answer ended, for a single questioner."""

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._stopped: str | None = None

    async def ask(self, *args: Any, **options: Any) -> Reply:
        """Ask as the chain does."""
        reply = await self._chain.ask(*args, **options)
        self._stopped = reply.answer.stop_reason
        return reply

    @property
    def unfinished(self) -> str | None:
        """Why the last answer cannot be whole, None when it may be."""
        return _UNFINISHED.get(self._stopped or "")
