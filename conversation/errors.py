"""Every error a caller of Parley can see.

    ParleyError                      code, hint, retryable, attempts
    |- CallerError                   the caller can mend it; no upstream was asked
    |  |- InvalidInput               invalid_input
    |  |- UnknownModel               unknown_model
    |  |- InvalidContinuationId      invalid_continuation_id
    |  |- ThreadNotFound             thread_not_found
    |  |- ThreadExpired              thread_expired
    |  |- ThreadConflict             thread_conflict
    |  |- FileRefused                file_refused
    |  |- TooLarge                   too_large
    |  `- NotConfigured              not_configured
    |- BudgetExceeded                budget_exceeded
    |- StoreError
    |  |- StoreBusy                  store_busy
    |  `- StoreUnavailable           store_unavailable
    |     `- NotSavedYet             store_unavailable
    |- ProviderError                 one upstream failed; has provider, model, cause, status, retry_after
    |  |- BadRequest                 invalid_input
    |  |- ModelNotServed             unknown_model
    |  |- ContextTooLong             context_too_long
    |  |- RateLimited                rate_limited
    |  |- Overloaded                 overloaded
    |  |- AuthFailed                 auth_failed
    |  |- UpstreamTimeout            timeout
    |  |- ProviderDefect             internal
    |  `- UpstreamError              upstream_error
    |- AllProvidersFailed            all_providers_failed
    |- MemoryUnavailable             memory_unavailable
    `- InternalError                 internal

Messages and hints reach users and models: they carry no key, traceback or home path.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from conversation.messages import Attempt


class ParleyError(Exception):
    """An error with a stable code, a next step for the caller, and whether trying again can help."""

    code: ClassVar[str] = "internal"
    default_hint: ClassVar[str] = ""
    retryable: bool = False

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        retryable: bool | None = None,
        attempts: Sequence[Attempt] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = self.default_hint if hint is None else hint
        self.attempts: tuple[Attempt, ...] = tuple(attempts)
        self.retry_after = retry_after
        if retryable is not None:
            self.retryable = retryable

    def as_dict(self) -> dict[str, Any]:
        """Return {code, message, hint, retryable, attempts}, the shape every face shows."""
        return {
            "code": self.code,
            "message": self.message,
            "hint": self.hint,
            "retryable": self.retryable,
            "attempts": [attempt.model_dump() for attempt in self.attempts],
        }


class CallerError(ParleyError):
    """The call itself is wrong; nothing was sent upstream."""


class InvalidInput(CallerError):
    code = "invalid_input"
    default_hint = "Correct the argument and call again."


class UnknownModel(CallerError):
    code = "unknown_model"
    default_hint = "Call listmodels for the names that work."


class InvalidContinuationId(CallerError):
    code = "invalid_continuation_id"
    default_hint = "A continuation_id is the UUID an earlier answer returned. Leave it out to start a new thread."


class ThreadNotFound(CallerError):
    code = "thread_not_found"
    default_hint = "Call threads with action=list for the threads there are, or leave continuation_id out to start a new one."


class ThreadExpired(CallerError):
    code = "thread_expired"
    default_hint = "Leave continuation_id out to start a new thread; ttl_days and max_mb in parley.toml say what is kept."


class ThreadConflict(CallerError):
    code = "thread_conflict"
    default_hint = "Another writer added to the thread first. Read it again and retry."
    retryable = True


class FileRefused(CallerError):
    code = "file_refused"
    default_hint = "Name a readable text or image file inside the workspace."


class TooLarge(CallerError):
    code = "too_large"
    default_hint = "Send less text, or put it in a file and name the file."


class NotConfigured(CallerError):
    code = "not_configured"
    default_hint = "Set the provider's credentials in the environment; listmodels says which variables it needs."


class BudgetExceeded(ParleyError):
    code = "budget_exceeded"
    default_hint = "Raise PARLEY_DAILY_BUDGET_USD or wait for the next day (UTC)."


class StoreError(ParleyError):
    """The thread store failed."""


class StoreBusy(StoreError):
    code = "store_busy"
    default_hint = "Another process holds the store; try again in a moment."
    retryable = True


class StoreUnavailable(StoreError):
    code = "store_unavailable"
    default_hint = "Check that PARLEY_HOME is writable and the disk has room."


class NotSavedYet(StoreUnavailable):
    """The store is away; what it was to save is kept beside it and saved once it is back."""


class ProviderError(ParleyError):
    """One upstream failed. `cause` is the row of providers.causes that decides what happens next."""

    default_cause: ClassVar[str] = "upstream_error"

    def __init__(
        self,
        message: str,
        *,
        provider: str = "",
        model: str = "",
        cause: str | None = None,
        status: int | None = None,
        hint: str | None = None,
        retryable: bool | None = None,
        attempts: Sequence[Attempt] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message, hint=hint, retryable=retryable, attempts=attempts, retry_after=retry_after)
        self.provider = provider
        self.model = model
        self.cause = cause or self.default_cause
        self.status = status


class BadRequest(ProviderError):
    """The upstream rejected the request itself; another provider would too."""

    code = "invalid_input"
    default_cause = "invalid_request"
    default_hint = "The provider rejected the request; correct it and call again."


class ModelNotServed(ProviderError):
    code = "unknown_model"
    default_cause = "not_found"
    default_hint = "The provider does not serve this model to you; call listmodels for the names that work."


class ContextTooLong(ProviderError):
    code = "context_too_long"
    default_cause = "context_too_long"
    default_hint = "Send fewer or smaller files, start a new thread, or name a model with a larger context window."
    limit: int | None = None
    """The tokens the provider says it takes, which may be far fewer than the model's window; None when it names no number."""


class RateLimited(ProviderError):
    code = "rate_limited"
    default_cause = "rate_limited"
    default_hint = "Wait, or name another provider's model."
    retryable = True


class Overloaded(ProviderError):
    code = "overloaded"
    default_cause = "overloaded"
    default_hint = "The provider is overloaded; try again soon, or name another provider's model."
    retryable = True


class AuthFailed(ProviderError):
    code = "auth_failed"
    default_cause = "auth_failed"
    default_hint = "Check the provider's credentials and what they may use."


class UpstreamTimeout(ProviderError):
    code = "timeout"
    default_cause = "timeout"
    default_hint = "Try again, name another provider's model, or raise the PARLEY_*_TIMEOUT settings."
    retryable = True


class UpstreamError(ProviderError):
    code = "upstream_error"
    default_hint = "Try again, or name another provider's model."
    retryable = True


class ProviderDefect(ProviderError):
    """Something of ours failed while this provider was asked; another may be asked in another way."""

    code = "internal"
    default_cause = "defect"
    default_hint = "This is a defect in Parley; the server's log on stderr has the details. Name another provider's model meanwhile."


class AllProvidersFailed(ParleyError):
    code = "all_providers_failed"
    default_hint = "attempts says how each provider failed."
    retryable = True
    errors: tuple[ProviderError, ...] = ()
    """What each said, in the order they were asked."""


class MemoryUnavailable(ParleyError):
    code = "memory_unavailable"
    default_hint = "Call again with use_memory=false."


class InternalError(ParleyError):
    code = "internal"
    default_hint = "This is a defect in Parley; the server's log on stderr has the details."
