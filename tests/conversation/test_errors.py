"""The error tree."""

from __future__ import annotations

import re

import pytest

from conversation import errors
from conversation.errors import AllProvidersFailed, ContextTooLong, InvalidInput, ParleyError, ProviderError, RateLimited, UpstreamTimeout
from conversation.messages import Attempt

CODES = {
    "invalid_input", "unknown_model", "not_configured", "thread_not_found", "thread_expired", "invalid_continuation_id", "thread_conflict",
    "store_busy", "store_unavailable", "file_refused", "too_large", "context_too_long", "rate_limited", "overloaded", "auth_failed",
    "upstream_error", "timeout", "budget_exceeded", "all_providers_failed", "memory_unavailable", "internal",
}  # fmt: skip


def classes(root: type[ParleyError] = ParleyError) -> list[type[ParleyError]]:
    return [root, *(found for child in root.__subclasses__() for found in classes(child))]


def test_every_documented_code_has_an_error_and_every_error_a_documented_code() -> None:
    assert {found.code for found in classes() if found.__module__ == errors.__name__} == CODES


def test_the_tree_drawn_at_the_top_is_the_tree_that_is_there() -> None:
    drawn = dict(re.findall(r"(?:\|-|`-) (\w+) +([a-z_]+)$", errors.__doc__ or "", re.MULTILINE))
    for name, code in drawn.items():
        assert getattr(errors, name).code == code
    assert set(drawn.values()) == CODES


def test_every_error_a_caller_sees_says_what_to_do_next() -> None:
    parents = {"ParleyError", "CallerError", "StoreError", "ProviderError"}
    assert [found.__name__ for found in classes() if not found.default_hint and found.__name__ not in parents] == []


def test_an_error_is_told_in_one_shape() -> None:
    attempt = Attempt(provider="p", model="m", outcome="refused", ms=3)
    error = AllProvidersFailed("All failed.", attempts=[attempt], retry_after=2.0)
    assert error.as_dict() == {
        "code": "all_providers_failed",
        "message": "All failed.",
        "hint": AllProvidersFailed.default_hint,
        "retryable": True,
        "attempts": [{"provider": "p", "model": "m", "outcome": "refused", "status": None, "ms": 3}],
    }
    assert (str(error), error.retry_after) == ("All failed.", 2.0)


@pytest.mark.parametrize(("retryable", "expected"), [(None, False), (True, True), (False, False)])
def test_hint_and_retryable_can_be_given_for_one_error(retryable: bool | None, expected: bool) -> None:
    error = InvalidInput("no", hint="", retryable=retryable)
    assert (error.hint, error.retryable, error.attempts) == ("", expected, ())


def test_an_upstreams_error_names_provider_model_and_cause() -> None:
    error = RateLimited("slow down", provider="p", model="m", status=429, retry_after=7)
    assert (error.provider, error.model, error.cause, error.status, error.retry_after) == ("p", "m", "rate_limited", 429, 7)
    assert ProviderError("x", cause="malformed").cause == "malformed"
    assert UpstreamTimeout("x").cause == "timeout"
    assert ContextTooLong("x").cause == "context_too_long"
