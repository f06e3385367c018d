"""Errors as Anthropic's API has them: the one place that shapes them for HTTP.

https://docs.anthropic.com/en/api/errors. Claude Code retries 429 and 5xx up to ten times, waits as Retry-After says, and does not
retry what carries x-should-retry: false; it compacts on a 400 that says "prompt is too long: N tokens > M maximum".
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from conversation.errors import (
    AllProvidersFailed,
    BudgetExceeded,
    CallerError,
    ContextTooLong,
    NotConfigured,
    ParleyError,
    ProviderError,
)

TYPES: Mapping[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    413: "request_too_large",
    415: "invalid_request_error",
    429: "rate_limit_error",
    500: "api_error",
    502: "api_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_STATUS_OF_CAUSE: Mapping[str, int] = {
    "invalid_request": 400,
    "unsupported": 400,
    "context_too_long": 400,
    "auth_failed": 401,
    "set_aside": 401,
    "quota": 402,
    "not_found": 404,
    "rate_limited": 429,
    "parked": 429,
    "overloaded": 529,
    "breaker_open": 503,
    "timeout": 504,
    "refused": 502,
}
_HOPELESS = frozenset({400, 401, 402, 403, 404, 405, 413, 415})
"""Statuses that trying the same again does not heal."""
_HEADERS_OF_HOPELESS = ((b"x-should-retry", b"false"),)
_HOPEFUL = (429, 529, 503)
_NUMBERS = re.compile(r"(\d[\d,]{3,})\D+(\d[\d,]{3,})")


@dataclass(frozen=True, slots=True)
class Shaped:
    """An error on its way out: the status, the type and message of the body, the headers that go with it."""

    status: int
    kind: str
    message: str
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def body(self, request_id: str) -> dict[str, object]:
        """Return the JSON body."""
        return {"type": "error", "error": {"type": self.kind, "message": self.message}, "request_id": request_id}


def refusal(status: int, message: str, *headers: tuple[bytes, bytes]) -> Shaped:
    """Return an error of the shim's own, which trying again does not heal."""
    return Shaped(status, TYPES[status], message, (*headers, *_HEADERS_OF_HOPELESS))


def shaped(error: ParleyError) -> Shaped:
    """Return how an error looks to an HTTP client."""
    telling = most_hopeful(error.errors) if isinstance(error, AllProvidersFailed) and error.errors else error
    status = status_of(telling)
    headers: list[tuple[bytes, bytes]] = []
    if telling.retry_after is not None:
        headers.append((b"retry-after", str(max(1, math.ceil(telling.retry_after))).encode()))
    if status in _HOPELESS or not telling.retryable:
        headers.append((b"x-should-retry", b"false"))
    message = _too_long(error) if isinstance(error, ContextTooLong) else f"{error.message} {error.hint}".strip()
    return Shaped(status, TYPES.get(status, "api_error"), message, tuple(headers))


def status_of(error: ParleyError) -> int:
    """Return the HTTP status an error stands for: the upstream's own where it gave one."""
    if isinstance(error, AllProvidersFailed):
        return 503
    if isinstance(error, ContextTooLong):
        return 400
    if isinstance(error, ProviderError):
        upstream = error.status if error.status and 400 <= error.status <= 599 else None
        return upstream or _STATUS_OF_CAUSE.get(error.cause, 502)
    if isinstance(error, NotConfigured):
        return 401
    if isinstance(error, BudgetExceeded):
        return 429
    return 400 if isinstance(error, CallerError) else 500


def most_hopeful(errors: Sequence[ProviderError]) -> ProviderError:
    """Return the error that tells best of a chain of which all failed: the one that asks for the shortest wait, else the first."""
    hopeful = [error for error in errors if status_of(error) in _HOPEFUL]
    return min(hopeful, key=lambda error: math.inf if error.retry_after is None else error.retry_after, default=errors[0])


def _too_long(error: ContextTooLong) -> str:
    """Return the words that make Claude Code compact, with the upstream's numbers where it gave them."""
    found = _NUMBERS.search(error.message)
    numbers = sorted((int(number.replace(",", "")) for number in found.groups()), reverse=True) if found else []
    return f"prompt is too long: {numbers[0]} tokens > {numbers[1]} maximum" if numbers else f"prompt is too long: {error.message}"
