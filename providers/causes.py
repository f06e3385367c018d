"""Why an attempt failed, as data: which error it is, whether another provider is asked, and what the health record learns.

Statuses and texts are those the four upstreams were seen to send; see the table in the tests.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Literal, cast

from conversation.errors import (
    AuthFailed,
    BadRequest,
    ContextTooLong,
    ModelNotServed,
    Overloaded,
    ProviderDefect,
    ProviderError,
    RateLimited,
    UpstreamError,
    UpstreamTimeout,
)
from conversation.json_text import whole, written
from conversation.messages import Frozen, object_of
from conversation.scrub import scrub

Effect = Literal["none", "counts", "parks", "aside"]


class Cause(Frozen):
    """One row: `effect` is what it means for the provider's health (counts: towards the breaker)."""

    error: type[ProviderError]
    fails_over: bool
    effect: Effect = "none"


CAUSES: Mapping[str, Cause] = {
    "refused": Cause(error=UpstreamError, fails_over=True, effect="counts"),
    "timeout": Cause(error=UpstreamTimeout, fails_over=True, effect="counts"),
    "overloaded": Cause(error=Overloaded, fails_over=True, effect="counts"),
    "upstream_error": Cause(error=UpstreamError, fails_over=True, effect="counts"),
    "malformed": Cause(error=UpstreamError, fails_over=True, effect="counts"),
    "truncated": Cause(error=UpstreamError, fails_over=True, effect="counts"),
    "empty": Cause(error=UpstreamError, fails_over=True),
    "rate_limited": Cause(error=RateLimited, fails_over=True, effect="parks"),
    "auth_failed": Cause(error=AuthFailed, fails_over=True, effect="aside"),
    "quota": Cause(error=AuthFailed, fails_over=True, effect="aside"),
    "not_found": Cause(error=ModelNotServed, fails_over=True),
    "context_too_long": Cause(error=ContextTooLong, fails_over=True),
    "invalid_request": Cause(error=BadRequest, fails_over=False),
    "unsupported": Cause(error=BadRequest, fails_over=True),  # this provider cannot, another may
    "defect": Cause(error=ProviderDefect, fails_over=True),
    "cancelled": Cause(error=UpstreamError, fails_over=False),  # Parley is closing
    # Not asked at all: the health record said no.
    "breaker_open": Cause(error=Overloaded, fails_over=True),
    "parked": Cause(error=RateLimited, fails_over=True),
    "set_aside": Cause(error=AuthFailed, fails_over=True),
}

_STATUSES: Mapping[int, str] = {
    401: "auth_failed",
    402: "quota",
    403: "auth_failed",
    404: "not_found",
    408: "timeout",
    409: "upstream_error",
    413: "context_too_long",
    425: "upstream_error",
    429: "rate_limited",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",
}

_TEXTS: tuple[tuple[frozenset[int], re.Pattern[str], str], ...] = (
    (
        frozenset({400, 413, 422}),
        re.compile(
            r"prompt is too long|maximum context length|context[_ ]length[_ ]exceeded|context window|tokens_limit_reached"
            r"|input token count.{0,40}exceeds|exceeds the maximum number of tokens|too many (?:input )?tokens"
            r"|request body too large|input length and `?max_tokens`? exceed",
            re.IGNORECASE | re.DOTALL,
        ),
        "context_too_long",
    ),
    # OpenRouter says 400 when the provider behind it failed: https://openrouter.ai/docs/api-reference/errors
    (frozenset({400}), re.compile(r"provider returned error", re.IGNORECASE), "upstream_error"),
    (frozenset({400}), re.compile(r"api[_ ]key[_ ](?:not valid|invalid)|API_KEY_INVALID|invalid_grant", re.IGNORECASE), "auth_failed"),
    (frozenset({400, 403}), re.compile(r"quota|billing|insufficient (?:credit|fund)|credit balance", re.IGNORECASE), "quota"),
)

# Anthropic's error types, for errors that come under 200 or in mid-stream: https://docs.anthropic.com/en/api/errors
ERROR_TYPES: Mapping[str, int] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}

_HINTS: Mapping[str, str] = {
    "quota": "The provider's account is out of credit or quota; add some, or name another provider's model.",
    "refused": "The provider could not be reached; check the network and its endpoint setting.",
}

_LIMIT = re.compile(
    r"(?:max(?:imum)? size:|maximum context length is|maximum number of tokens allowed \(|tokens >) ?(\d[\d,]*)", re.IGNORECASE
)
"""What GitHub Models ("Max size: 8000 tokens"), OpenAI's wire, Gemini and Claude call their limit."""
_SECONDS = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?", re.ASCII)
LONGEST_WAIT = 86_400.0
"""Seconds; a Retry-After beyond a day is a mistake, and would have a client wait for ever."""
MESSAGE_LIMIT = 300


def parse_retry_after(value: str | None, *, now: float | None = None) -> float | None:
    """Return the seconds a Retry-After header asks for, whatever stands in it; None when it says nothing usable.

    The header is a number of seconds or an HTTP date (RFC 9110, section 10.2.3).
    """
    if value is None or not value.strip():
        return None
    if _SECONDS.fullmatch(value.strip()):
        seconds = float(value)
    else:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - (time.time() if now is None else now)
        except (ValueError, TypeError, OverflowError):
            return None
    return min(max(0.0, seconds), LONGEST_WAIT)


def failure(
    cause: str,
    message: str,
    *,
    provider: str,
    model: str,
    status: int | None = None,
    retry_after: float | None = None,
    hint: str | None = None,
    secrets: Iterable[str] = (),
) -> ProviderError:
    """Return the error for a cause, its message scrubbed and cut; `hint` is said in place of the cause's own."""
    text = whole(scrub(message, secrets))
    text = text if len(text) <= MESSAGE_LIMIT else text[: MESSAGE_LIMIT - 1] + "\u2026"
    return CAUSES[cause].error(
        f"{provider}/{model}: {text}",
        provider=provider,
        model=model,
        cause=cause,
        status=status,
        retry_after=retry_after,
        hint=hint or _HINTS.get(cause),
    )


def error_for_status(
    provider: str, model: str, status: int, headers: Mapping[str, str], body_text: str, *, secrets: Iterable[str] = ()
) -> ProviderError:
    """Return the error an HTTP status and body stand for."""
    message = message_of(body_text) or "no message"
    retry_after = parse_retry_after(_header(headers, "retry-after"))
    if retry_after is None:
        milliseconds = parse_retry_after(_header(headers, "retry-after-ms"))
        retry_after = None if milliseconds is None else milliseconds / 1000
    error = failure(
        cause_of(status, body_text),
        f"HTTP {status}: {message}",
        provider=provider,
        model=model,
        status=status,
        retry_after=retry_after,
        secrets=secrets,
    )
    if isinstance(error, ContextTooLong):
        error.limit = _limit_in(message)
    return error


def error_in_body(provider: str, model: str, error: Any, *, secrets: Iterable[str] = ()) -> ProviderError:
    """Return the error an `error` object stands for that came under 200 or in mid-stream."""
    fields: Mapping[str, Any] = cast("Mapping[str, Any]", error) if isinstance(error, Mapping) else {"message": str(error or "")}
    status = _status_in(fields.get("code")) or ERROR_TYPES.get(str(fields.get("type")), 500)
    try:
        text = written({"error": dict(fields)}).decode()
    except ValueError:
        text = ""  # nested too deeply to say anything to anybody
    cause = cause_of(status, text)
    message = message_of(text) or "an error without a message"
    return failure(cause, message, provider=provider, model=model, status=status, secrets=secrets)


def _status_in(code: Any) -> int | None:
    """Return the status in an error's code, which some write as text, and OpenAI as a word for the commonest."""
    if code == "rate_limit_exceeded":
        return 429
    status = int(code) if isinstance(code, str) and re.fullmatch("[0-9]{3}", code) else code
    return status if isinstance(status, int) and 400 <= status <= 599 else None


def _limit_in(message: str) -> int | None:
    """Return the tokens a provider says it takes, None when it names no number."""
    found = _LIMIT.search(message)
    return int(found[1].replace(",", "")) if found else None


def cause_of(status: int, body_text: str = "") -> str:
    """Return the cause for a status, looking at the text where the status alone misleads."""
    for statuses, pattern, cause in _TEXTS:
        if status in statuses and pattern.search(body_text):
            return cause
    if status in _STATUSES:
        return _STATUSES[status]
    if 400 <= status < 500:
        return "invalid_request"
    return "upstream_error" if status >= 500 else "malformed"


def message_of(body_text: str) -> str:
    """Return the human message in an error body of any upstream, without markup; empty when there is none."""
    try:
        found: Any = json.loads(body_text)
    except (ValueError, RecursionError):
        found = re.sub(r"<[^>]*>", " ", body_text)
    if isinstance(found, list):
        found = next(iter(cast("list[Any]", found)), None)  # Google wraps a stream's error in an array
    inner = object_of(found).get("error", found)
    text = inner if isinstance(inner, str) else _message_field(object_of(inner))
    return " ".join(text.split())


def _message_field(error: Mapping[str, Any]) -> str:
    message = str(error.get("message") or "")
    raw = object_of(error.get("metadata")).get("raw")  # OpenRouter: what the provider behind it said
    return f"{message}: {raw}" if raw else message


def _header(headers: Mapping[str, str], name: str) -> str | None:
    return next((value for key, value in headers.items() if key.lower() == name), None)
