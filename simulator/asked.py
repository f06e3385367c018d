"""What a request asked for, whatever wire it came on: what rules match on and answers are made from."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field

import orjson

from .jsonish import Json
from .models import ANTHROPIC, Model
from .refusals import Refusal

_IMAGE_TOKENS = 1_000
_MAGIC = {
    "image/png": (b"\x89PNG",),
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/gif": (b"GIF8",),
    "image/webp": (b"RIFF",),
}


@dataclass(slots=True)
class Asked:
    """One valid request: its texts in order, the last thing the user said, and what shape of answer it wants."""

    provider: str
    model: Model
    model_name: str
    stream: bool = False
    sse: bool = True
    """Gemini without alt=sse streams a JSON array instead."""
    texts: list[str] = field(default_factory=list[str])
    last_user: str = ""
    images: int = 0
    turns: int = 0
    tool_chars: int = 0
    tools: list[str] = field(default_factory=list[str])
    thinking: bool = False
    hide_thinking: bool = False
    include_usage: bool = False
    max_tokens: int | None = None
    ignored: list[str] = field(default_factory=list[str])
    """Body keys the real service would silently drop."""

    @property
    def input_tokens(self) -> int:
        """The prompt's size, at four characters a token and a thousand tokens an image."""
        chars = sum(map(len, self.texts)) + self.tool_chars
        return max(1, chars // 4) + self.images * _IMAGE_TOKENS

    def refusal(self, message: str, *, code: str | None = None) -> Refusal:
        """A 400 by the model's own maker; OpenRouter wraps it in 'Provider returned error'."""
        if self.provider != "openrouter":
            return Refusal(400, message, code=code)
        kind = {"type": "invalid_request_error", "message": message}
        raw: Json = {"type": "error", "error": kind} if self.model.family == ANTHROPIC else {"error": {**kind, "param": None, "code": code}}
        metadata = {"raw": orjson.dumps(raw).decode(), "provider_name": "Simulated"}
        return Refusal(400, "Provider returned error", metadata=metadata)

    def add_tools(self, names: list[str], definitions: Json | list[Json]) -> None:
        """Note the tools on offer; they count towards the prompt."""
        self.tools.extend(names)
        self.tool_chars += len(orjson.dumps(definitions))


def check_image(data: object, media_type: object, where: str) -> None:
    """Refuses an image whose media type, base64 or first bytes are wrong."""
    if media_type not in _MAGIC:
        raise Refusal(400, f"{where}.media_type: Input should be 'image/jpeg', 'image/png', 'image/gif' or 'image/webp'")
    if not isinstance(data, str) or not data:
        raise Refusal(400, f"{where}.data: Input should be a valid string")
    try:
        raw = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refusal(400, f"{where}.data: Invalid base64 data") from error
    if not raw.startswith(_MAGIC[str(media_type)]):
        raise Refusal(400, f"{where}: The image does not match the provided media type {media_type}")
