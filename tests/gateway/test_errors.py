"""How errors look to an HTTP client: status, type, Retry-After, and whether trying again can help."""

from __future__ import annotations

import pytest

from conversation.errors import AllProvidersFailed, BudgetExceeded, InternalError, InvalidInput, NotConfigured, ParleyError, ProviderError
from gateway.errors import refusal, shaped
from providers.causes import failure


def failed(cause: str, status: int | None = None, wait: float | None = None) -> ProviderError:
    return failure(cause, "scripted", provider="p", model="m", status=status, retry_after=wait)


def told(error: ParleyError) -> tuple[int, str, str | None, bool]:
    """Return status, type, Retry-After, and whether it says not to retry."""
    given = shaped(error)
    headers = dict(given.headers)
    wait = headers.get(b"retry-after")
    return given.status, given.kind, wait.decode() if wait else None, headers.get(b"x-should-retry") == b"false"


@pytest.mark.parametrize(
    ("errors", "expected"),
    [
        ([failed("rate_limited", 429, 30), failed("overloaded", 503, 2)], (503, "overloaded_error", "2", False)),
        ([failed("upstream_error", 500), failed("overloaded", 529), failed("rate_limited", 429, 9)], (429, "rate_limit_error", "9", False)),
        ([failed("upstream_error", 500), failed("overloaded", 529)], (529, "overloaded_error", None, False)),
        ([failed("auth_failed", 403), failed("upstream_error", 500, 5)], (403, "permission_error", None, True)),
        ([failed("refused"), failed("auth_failed", 401)], (502, "api_error", None, False)),
        ([failed("parked", wait=3.2), failed("breaker_open", wait=8)], (429, "rate_limit_error", "4", False)),
    ],
)
def test_a_chain_of_which_all_failed_tells_the_most_hopeful(
    errors: list[ProviderError], expected: tuple[int, str, str | None, bool]
) -> None:
    error = AllProvidersFailed("None answered.", retry_after=1)
    error.errors = tuple(errors)
    assert told(error) == expected


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (AllProvidersFailed("None answered."), (503, "overloaded_error", None, False)),
        (BudgetExceeded("Spent."), (429, "rate_limit_error", None, True)),
        (NotConfigured("No key."), (401, "authentication_error", None, True)),
        (InvalidInput("Wrong."), (400, "invalid_request_error", None, True)),
        (failed("timeout"), (504, "timeout_error", None, False)),
        (failed("unsupported"), (400, "invalid_request_error", None, True)),
        (failed("context_too_long", 413), (400, "invalid_request_error", None, True)),
    ],
)
def test_each_error_has_its_status_and_type(error: ParleyError, expected: tuple[int, str, str | None, bool]) -> None:
    assert told(error) == expected


def test_a_defect_is_no_fault_of_the_clients() -> None:
    assert told(InternalError("Oops."))[:2] == (500, "api_error")


def test_a_prompt_that_is_too_long_is_told_with_the_upstreams_numbers_where_it_gave_them() -> None:
    numbered = failure("context_too_long", "the input is 213,000 tokens, at most 200000 are taken", provider="p", model="m", status=400)
    assert shaped(numbered).message == "prompt is too long: 213000 tokens > 200000 maximum"
    assert shaped(failed("context_too_long", 413)).message.startswith("prompt is too long: ")


def test_refusals_of_the_shims_own_say_that_retrying_is_in_vain() -> None:
    given = refusal(405, "no", (b"allow", b"GET"))
    assert (given.kind, dict(given.headers)) == ("invalid_request_error", {b"allow": b"GET", b"x-should-retry": b"false"})
