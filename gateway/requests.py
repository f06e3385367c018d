"""What a client sends, checked as far as it does not depend on who answers; the rest is the upstream's to judge."""

from __future__ import annotations

from typing import Any, cast

from conversation.errors import InvalidInput
from gateway.bodies import Bodies

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_ROLES = ("user", "assistant", "system")


def parsed_body(content: bytes, bodies: Bodies, *, counting: bool = False) -> dict[str, Any]:
    """Return a Messages request, parsed by `bodies`. Raises InvalidInput, in the words of Anthropic's API, for what is none."""
    try:
        found = bodies.parsed(content.removeprefix(_BYTE_ORDER_MARK))
    except ValueError:
        raise _invalid("the body is not JSON") from None
    if not isinstance(found, dict):
        raise _invalid("the body is not a JSON object")
    body = cast("dict[str, Any]", found)
    _check_messages(body.get("messages"))
    _check(body, "model", str)
    _check(body, "stream", bool)
    most = body.get("max_tokens")
    if most is None and not counting:
        raise _invalid("max_tokens: Field required")
    if most is not None and (not isinstance(most, int) or isinstance(most, bool) or most < 1):
        raise _invalid("max_tokens: Input should be a whole number of at least 1")
    return body


def _check_messages(messages: Any) -> None:
    if messages is None:
        raise _invalid("messages: Field required")
    if not isinstance(messages, list) or not messages:
        raise _invalid("messages: at least one message is required")
    for index, message in enumerate(cast("list[Any]", messages)):
        if not isinstance(message, dict):
            raise _invalid(f"messages.{index}: Input should be an object")
        fields = cast("dict[str, Any]", message)
        if fields.get("role") not in _ROLES:
            raise _invalid(f"messages.{index}.role: Input should be 'user' or 'assistant'")
        if not isinstance(fields.get("content"), str | list):
            raise _invalid(f"messages.{index}.content: Input should be a string or a list of blocks")


def _check(body: dict[str, Any], key: str, kind: type) -> None:
    if body.get(key) is not None and not isinstance(body[key], kind):
        raise _invalid(f"{key}: Input should be a {'string' if kind is str else 'boolean'}")


def _invalid(message: str) -> InvalidInput:
    return InvalidInput(message, hint="")
