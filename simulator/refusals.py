"""Errors in the exact shapes of the four upstreams."""

from __future__ import annotations

from typing import Any

from .jsonish import Json

_ANTHROPIC_TYPES = {
    400: "invalid_request_error", 401: "authentication_error", 402: "billing_error", 403: "permission_error", 404: "not_found_error",
    408: "timeout_error", 413: "request_too_large", 429: "rate_limit_error", 500: "api_error", 504: "timeout_error",
    529: "overloaded_error",
}
_GOOGLE_STATUS = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 408: "DEADLINE_EXCEEDED", 409: "ABORTED",
    429: "RESOURCE_EXHAUSTED", 499: "CANCELLED", 500: "INTERNAL", 501: "UNIMPLEMENTED", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
}
_GITHUB_CODES = {
    400: "bad_request", 401: "unauthorized", 403: "no_access", 404: "unknown_model", 408: "timeout", 413: "tokens_limit_reached",
    429: "RateLimitReached", 500: "internal_server_error", 502: "bad_gateway", 503: "service_unavailable",
}
_MESSAGES = {
    400: "Bad request", 401: "Invalid credentials", 402: "Insufficient credits. Add more using your account's credits page.",
    403: "Permission denied", 404: "Not found", 408: "Request timed out", 413: "Request body too large", 429: "Rate limit exceeded",
    500: "Internal server error", 502: "Bad gateway", 503: "The service is currently unavailable.", 504: "Deadline exceeded",
    529: "Overloaded",
}
_GOOGLE_MADE = frozenset({401, 403, 404, 429, 503})
"""Statuses that Vertex answers itself, in Google's shape, before Claude is reached."""


class Refusal(Exception):
    """The request is refused, as the real service would refuse it."""

    def __init__(
        self, status: int, message: str, *, code: str | None = None, google: bool | None = None, metadata: Json | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.google = google
        self.metadata = metadata


def default_message(provider: str, status: int) -> str:
    """What that provider says with that status, roughly, when a script gives no words of its own."""
    if provider.startswith("vertex") and status == 429:
        return "Resource exhausted. Please try again later. Please refer to the Vertex AI documentation on error code 429 for more details."
    if provider == "github_models" and status == 429:
        return "Rate limit of 10 per 60s exceeded for UserByModelByMinute. Please wait 42 seconds before retrying."
    return _MESSAGES.get(status, "Simulated error")


def _google(status: int, message: str, code: str | None) -> Json:
    return {"error": {"code": status, "message": message, "status": code or _GOOGLE_STATUS.get(status, "UNKNOWN")}}


def _anthropic(status: int, message: str, code: str | None) -> Json:
    kind = code or _ANTHROPIC_TYPES.get(status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_vrtx_simulated"}


def _openrouter(refusal: Refusal) -> Json:
    error: dict[str, Any] = {"message": refusal.message, "code": refusal.status}
    if refusal.metadata is not None:
        error["metadata"] = refusal.metadata
    return {"error": error, "user_id": "user_simulated"}


def error_body(provider: str, refusal: Refusal, *, messages_route: bool = False, stream: bool = False) -> Any:
    """The JSON that provider sends with this error. Gemini puts it in an array when a stream was asked for."""
    status, message, code = refusal.status, refusal.message, refusal.code
    if provider.startswith("vertex_claude"):
        google = refusal.google if refusal.google is not None else status in _GOOGLE_MADE
        return _google(status, message, code) if google else _anthropic(status, message, code)
    if provider.startswith("vertex_gemini"):
        body = _google(status, message, code)
        return [body] if stream else body
    if provider in ("github_models", "github_catalog"):
        return {"error": {"code": code or _GITHUB_CODES.get(status, "error"), "message": message, "details": message}}
    if provider == "google_token":
        return {"error": code or ("invalid_grant" if status < 500 else "internal_failure"), "error_description": message}
    if messages_route:
        return {**_anthropic(status, message, code), "request_id": "gen-simulated"}
    return _openrouter(refusal)
