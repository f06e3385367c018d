"""Input tokens as the upstream itself counts them, where it has a route for that.

https://docs.anthropic.com/en/api/messages-count-tokens and
https://cloud.google.com/vertex-ai/generative-ai/docs/multimodal/get-token-count
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import orjson

from conversation.errors import ProviderError
from providers._http import HttpClient
from providers._upstream import Upstream
from providers.base import ModelInfo
from providers.causes import failure

CLAUDE_KEYS = ("system", "messages", "tools", "tool_choice", "thinking")
GEMINI_KEYS = ("systemInstruction", "system_instruction", "contents", "tools")
"""What of a request's body the count routes take."""
_MOST_BYTES = 64 * 1024
_FIELDS = ("input_tokens", "totalTokens")


async def counted(
    http: HttpClient, upstream: Upstream, model: ModelInfo, wire: str, body: Mapping[str, Any], headers: Mapping[str, str]
) -> int:
    """Return what the upstream's count route says of a request's body. Raises ProviderError."""
    kept = {key: body[key] for key in (GEMINI_KEYS if wire == "gemini" else CLAUDE_KEYS) if key in body}
    content = upstream.content(model, kept if wire == "gemini" else {**kept, "model": model.id})
    sent = {**await upstream.headers(), **headers}
    async with http.post(upstream.count_url(model), sent, content, provider=model.provider, model=model.id) as reply:
        if reply.status != 200:
            raise await upstream.error(model, reply)
        text = await reply.text(_MOST_BYTES)
    try:
        told: object = orjson.loads(text)
    except orjson.JSONDecodeError:
        told = None
    fields = cast("dict[str, Any]", told) if isinstance(told, dict) else {}
    number = next((fields[key] for key in _FIELDS if isinstance(fields.get(key), int)), None)
    if number is None:
        raise _malformed(model)
    return number


def _malformed(model: ModelInfo) -> ProviderError:
    return failure("malformed", "a count of tokens without a number", provider=model.provider, model=model.id)
