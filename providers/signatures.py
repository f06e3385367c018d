"""Who signed what. Thinking goes back to the provider that signed it, byte for byte, and to no other.

Kept in memory, for as many signatures as fit: what is not known any more (after a restart, or from a conversation begun elsewhere)
is sent, since signatures hold on all of Anthropic's platforms, and is left out when the upstream refuses it. Gemini signs calls of
tools, in a field Anthropic's API has no place for: those signatures stay here too, and go back with the call's id.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any, cast

from conversation.messages import Event

_MOST = 20_000
_FIELD = "provider_specific_fields"
"""Where LiteLLM keeps a thought signature in a tool_use block."""


class SignatureBook:
    """Remembers the provider behind each signature, the newest ones."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._signers: OrderedDict[bytes, str] = OrderedDict()

    def note(self, provider: str, event: Event) -> None:
        """Take note of the signatures in an event."""
        if event["type"] == "content_block_delta" and event["delta"].get("type") == "signature_delta":
            self._add(event["delta"].get("signature"), provider)
        elif event["type"] == "content_block_start":
            block = event["content_block"]
            self._add(block.get("signature") or block.get("data"), provider)

    def signer(self, signature: str) -> str | None:
        """Return who signed it, None when that is not known."""
        return self._signers.get(_digest(signature))

    def kept(self, provider: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the body without the thinking that others are known to have signed."""
        messages: Any = body.get("messages")
        if not isinstance(messages, list):
            return body
        foreign = [block for block in _thinking(cast("list[Any]", messages)) if self.signer(_signature(block)) not in (None, provider)]
        if not foreign:
            return body
        out = {id(block) for block in foreign}
        return {**body, "messages": [_without(message, out) for message in cast("list[Any]", messages)]}

    def _add(self, signature: Any, provider: str) -> None:
        if not isinstance(signature, str) or not signature:
            return
        self._signers[_digest(signature)] = provider
        while len(self._signers) > self._most:
            self._signers.popitem(last=False)


class ThoughtBook:
    """Keeps the thought signature of each of Gemini's tool calls, by the call's id, the newest ones."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._by_id: OrderedDict[str, Any] = OrderedDict()

    def noted(self, event: Event) -> Event:
        """Return the event without the field a signature came in, which is kept."""
        block = event.get("content_block")
        if not isinstance(block, dict) or _FIELD not in block:
            return event
        rest = dict(cast("dict[str, Any]", block))
        self._by_id[str(rest.get("id"))] = rest.pop(_FIELD)
        while len(self._by_id) > self._most:
            self._by_id.popitem(last=False)
        return {**event, "content_block": rest}

    def restore(self, messages: list[dict[str, Any]]) -> None:
        """Put the signatures back into the calls of messages."""
        for message in messages:
            content: Any = message["content"]
            for block in cast("list[dict[str, Any]]", content) if isinstance(content, list) else ():
                if block.get("type") == "tool_use" and block.get("id") in self._by_id:
                    block[_FIELD] = self._by_id[block["id"]]


def _digest(signature: str) -> bytes:
    return hashlib.blake2b(signature.encode(errors="surrogatepass"), digest_size=16).digest()


def _signature(block: Mapping[str, Any]) -> str:
    return str(block.get("signature") or block.get("data") or "")


def _thinking(messages: list[Any]) -> Iterator[Mapping[str, Any]]:
    for message in messages:
        content: Any = cast("dict[str, Any]", message).get("content") if isinstance(message, dict) else None
        for block in cast("list[Any]", content) if isinstance(content, list) else ():
            if isinstance(block, dict) and cast("dict[str, Any]", block).get("type") in ("thinking", "redacted_thinking"):
                yield cast("dict[str, Any]", block)


def _without(message: Any, out: set[int]) -> Any:
    if not isinstance(message, dict):
        return message
    fields = cast("dict[str, Any]", message)
    content: Any = fields.get("content")
    if not isinstance(content, list):
        return fields
    return {**fields, "content": [block for block in cast("list[Any]", content) if id(block) not in out]}
