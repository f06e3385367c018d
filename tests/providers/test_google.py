"""Tokens are warm, shared and renewed in time; every way a token endpoint can fail is told apart, and no secret gets out."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any

import pytest

from conversation.errors import AuthFailed, ProviderError, RateLimited, UpstreamError, UpstreamTimeout
from providers._google import SCOPE, GoogleTokens, find_credentials
from tests.providers.google_endpoint import (
    CLIENT_SECRET,
    GRANTED,
    PLANTED,
    REFRESH_TOKEN,
    Endpoint,
    authorized_user,
    claims_of,
    endpoint,
    secrets,
    service_account,
    until,
    write,
)


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def google() -> AsyncGenerator[Endpoint]:
    async with endpoint() as served:
        yield served


@pytest.fixture(autouse=True)
def no_secret_in_the_logs(caplog: pytest.LogCaptureFixture) -> Generator[None]:
    caplog.set_level(logging.DEBUG)
    yield
    assert not leaked(*(f"{record.getMessage()} {record.__dict__}" for record in caplog.records))


def leaked(*texts: str) -> list[str]:
    return [secret for secret in secrets() if any(secret in text for text in texts)]


def tokens(folder: Path, info: dict[str, Any], **options: Any) -> GoogleTokens:
    file = find_credentials({"GOOGLE_APPLICATION_CREDENTIALS": str(write(folder, info))})
    assert file is not None
    return GoogleTokens(file, **options)


async def failure(source: GoogleTokens) -> ProviderError:
    """Return the error token() raises, having looked for secrets and the home path in all it shows."""
    with pytest.raises(ProviderError) as caught:
        await source.token()
    shown = "".join(traceback.format_exception(caught.value)) + repr(source) + str(caught.value.as_dict())
    assert not leaked(shown)
    assert "pytest-of" not in str(caught.value.as_dict())
    return caught.value


async def test_a_service_account_signs_for_a_token_of_the_cloud_platform_scope(tmp_path: Path, google: Endpoint) -> None:
    source = tokens(tmp_path, service_account(google.url))
    assert await source.token() == f"{GRANTED}1"
    (form,) = google.forms
    claims = claims_of(form["assertion"])
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    assert (claims["iss"], claims["scope"]) == ("parley@sim-project.iam.gserviceaccount.com", SCOPE)
    assert claims["aud"] == "https://oauth2.googleapis.com/token"
    await source.aclose()


async def test_an_authorized_user_refreshes_at_the_files_own_address(tmp_path: Path, google: Endpoint) -> None:
    source = tokens(tmp_path, authorized_user(google.url))
    assert await source.token() == f"{GRANTED}1"
    assert google.forms == [
        {
            "grant_type": "refresh_token",
            "client_id": "client.apps.googleusercontent.com",
            "client_secret": CLIENT_SECRET,
            "refresh_token": REFRESH_TOKEN,
            "scope": SCOPE,
        }
    ]
    await source.aclose()


async def test_a_service_account_of_another_universe_signs_its_token_itself(tmp_path: Path, google: Endpoint) -> None:
    source = tokens(tmp_path, service_account(google.url, universe_domain="example.goog"))
    assert claims_of(await source.token())["scope"] == SCOPE
    assert google.requests == 0
    await source.aclose()


async def test_a_warm_token_asks_nobody(tmp_path: Path, google: Endpoint) -> None:
    source = tokens(tmp_path, service_account(google.url))
    assert {await source.token() for _ in range(1000)} == {f"{GRANTED}1"}
    assert google.requests == 1
    assert repr(source) == "GoogleTokens(service_account, warm)"
    await source.aclose()


async def test_a_hundred_waiters_share_one_refresh_while_the_loop_runs_on(tmp_path: Path, google: Endpoint) -> None:
    google.gate.clear()
    source = tokens(tmp_path, service_account(google.url))
    waiters = [asyncio.create_task(source.token()) for _ in range(100)]
    ticks = 0
    await until(lambda: google.requests == 1)
    while ticks < 50:  # turns of the loop with the endpoint silent and a hundred waiting
        await asyncio.sleep(0.001)
        ticks += 1
    assert not any(waiter.done() for waiter in waiters)
    google.gate.set()
    assert set(await asyncio.gather(*waiters)) == {f"{GRANTED}1"}
    assert google.requests == 1
    await source.aclose()


async def test_a_cancelled_first_waiter_leaves_the_refresh_to_the_others(tmp_path: Path, google: Endpoint) -> None:
    google.gate.clear()
    source = tokens(tmp_path, service_account(google.url))
    first = asyncio.create_task(source.token())
    await until(lambda: google.requests == 1)
    second = asyncio.create_task(source.token())
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    google.gate.set()
    assert await second == f"{GRANTED}1"
    assert google.requests == 1
    await source.aclose()


async def test_a_refresh_nobody_waits_for_any_more_still_counts(tmp_path: Path, google: Endpoint) -> None:
    google.gate.clear()
    source = tokens(tmp_path, service_account(google.url))
    only = asyncio.create_task(source.token())
    await until(lambda: google.requests == 1)
    only.cancel()
    google.gate.set()
    await until(lambda: "warm" in repr(source))
    assert await source.token() == f"{GRANTED}1"
    assert google.requests == 1
    await source.aclose()


async def test_an_old_token_is_served_while_the_next_one_is_fetched(tmp_path: Path, google: Endpoint) -> None:
    clock = Clock()
    source = tokens(tmp_path, service_account(google.url), clock=clock)
    await source.token()
    clock.now += 3600 - 301
    assert await source.token() == f"{GRANTED}1"
    assert google.requests == 1
    clock.now += 2
    google.gate.clear()
    assert {await source.token() for _ in range(10)} == {f"{GRANTED}1"}
    await until(lambda: google.requests == 2)
    assert await source.token() == f"{GRANTED}1"
    google.gate.set()
    async with asyncio.timeout(5):
        while await source.token() != f"{GRANTED}2":
            await asyncio.sleep(0.002)
    assert google.requests == 2
    await source.aclose()


async def test_a_failing_refresh_ahead_does_not_spoil_the_token_that_is_still_good(tmp_path: Path, google: Endpoint) -> None:
    clock = Clock()
    source = tokens(tmp_path, service_account(google.url), clock=clock)
    await source.token()
    google.answers = [(500, PLANTED), (500, PLANTED)]
    clock.now += 3400
    assert await source.token() == f"{GRANTED}1"
    await until(lambda: source._flight is None)
    assert {await source.token() for _ in range(10)} == {f"{GRANTED}1"}
    assert google.requests == 2
    clock.now += 6
    assert await source.token() == f"{GRANTED}1"
    await until(lambda: source._flight is None)
    assert google.requests == 3
    clock.now += 3600
    assert await source.token() == f"{GRANTED}4"
    await source.aclose()


async def test_an_expired_token_is_never_served(tmp_path: Path, google: Endpoint) -> None:
    clock = Clock()
    source = tokens(tmp_path, service_account(google.url), clock=clock)
    await source.token()
    clock.now += 3600 - 9
    assert await source.token() == f"{GRANTED}2"
    await source.aclose()


async def test_a_short_lived_token_is_not_renewed_on_every_call(tmp_path: Path, google: Endpoint) -> None:
    google.lifetime = "100"
    clock = Clock()
    source = tokens(tmp_path, service_account(google.url), clock=clock)
    await source.token()
    clock.now += 49
    assert {await source.token() for _ in range(20)} == {f"{GRANTED}1"}
    assert google.requests == 1
    await source.aclose()


async def test_a_token_in_use_is_renewed_without_a_call(tmp_path: Path, google: Endpoint) -> None:
    google.lifetime = 1
    source = tokens(tmp_path, service_account(google.url))
    await source.token()
    await source.token()
    await until(lambda: google.requests == 2)
    await source.aclose()


async def test_an_idle_process_lets_its_token_go(tmp_path: Path, google: Endpoint) -> None:
    google.lifetime = 1
    source = tokens(tmp_path, service_account(google.url))
    await source.token()
    timer = source._timer
    assert timer is not None
    await until(lambda: asyncio.get_running_loop().time() > timer.when() + 0.05)
    assert google.requests == 1
    await source.aclose()


async def test_a_rejected_token_is_renewed_once_for_all_who_saw_the_rejection(tmp_path: Path, google: Endpoint) -> None:
    clock = Clock()
    source = tokens(tmp_path, service_account(google.url), clock=clock)
    old = await source.token()
    assert source.invalidate(old)
    assert source.invalidate(old)
    fresh = await asyncio.gather(*(source.token() for _ in range(10)))
    assert set(fresh) == {f"{GRANTED}2"}
    assert source.invalidate(old)
    assert await source.token() == f"{GRANTED}2"
    assert google.requests == 2
    await source.aclose()


async def test_a_token_renewed_a_moment_ago_is_not_renewed_again(tmp_path: Path, google: Endpoint) -> None:
    clock = Clock()
    source = tokens(tmp_path, service_account(google.url), clock=clock)
    source.invalidate(await source.token())
    second = await source.token()
    assert not source.invalidate(second)
    assert await source.token() == second
    clock.now += 6
    assert source.invalidate(second)
    assert await source.token() == f"{GRANTED}3"
    await source.aclose()


OAUTH = {"error": "invalid_grant", "error_description": f"{PLANTED} said no"}


@pytest.mark.parametrize(
    ("status", "body", "kind", "cause", "says"),
    [
        (400, OAUTH, AuthFailed, "auth_failed", "400: the credentials are not accepted"),
        (400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}, AuthFailed, "auth_failed", "does not belong"),
        (
            400,
            {"error": "invalid_grant", "error_description": "Token must be a short-lived token"},
            AuthFailed,
            "auth_failed",
            "time in the",
        ),
        (400, {"error": "invalid_grant", "error_subtype": "invalid_rapt"}, AuthFailed, "auth_failed", "has to be renewed"),
        (401, {"error": "invalid_client"}, AuthFailed, "auth_failed", "OAuth client"),
        (200, {"error": "invalid_grant"}, AuthFailed, "auth_failed", "not accepted"),
        (403, f"<html>{PLANTED}", AuthFailed, "auth_failed", "refused the credentials (403)"),
        (418, {"error": PLANTED}, AuthFailed, "auth_failed", "refused the credentials (418)"),
        (404, PLANTED, UpstreamError, "malformed", "answered 404"),
        (302, "", UpstreamError, "malformed", "answered 302"),
        (408, "", UpstreamError, "upstream_error", "answered 408"),
        (429, OAUTH, RateLimited, "rate_limited", "429"),
        (500, OAUTH, UpstreamError, "upstream_error", "answered 500"),
        (503, {"error": "temporarily_unavailable"}, UpstreamError, "upstream_error", "answered 503"),
        (200, f"<html>{PLANTED}", UpstreamError, "malformed", "without a usable token"),
        (200, [PLANTED], UpstreamError, "malformed", "without a usable token"),
        (200, {}, UpstreamError, "malformed", "without a usable token"),
        (200, {"access_token": 7}, UpstreamError, "malformed", "without a usable token"),
        (200, {"access_token": ""}, UpstreamError, "malformed", "without a usable token"),
        (200, {"access_token": f"{PLANTED}\r\nx: y"}, UpstreamError, "malformed", "without a usable token"),
        (200, {"access_token": f"{PLANTED} b"}, UpstreamError, "malformed", "without a usable token"),
        (200, {"access_token": PLANTED, "expires_in": 0}, UpstreamError, "malformed", "without a usable token"),
        (200, {"access_token": PLANTED, "expires_in": "soon"}, UpstreamError, "malformed", "without a usable token"),
        (200, {"access_token": PLANTED, "expires_in": 1e300}, UpstreamError, "malformed", "without a usable token"),
        (200, f'{{"access_token": "{"x" * 70_000}"}}', UpstreamError, "malformed", "without a usable token"),
        (200, "[" * 60_000, UpstreamError, "malformed", "without a usable token"),
    ],
)
@pytest.mark.parametrize("info", [service_account, authorized_user])
async def test_an_endpoint_that_fails_is_asked_once_and_told_apart(
    tmp_path: Path, google: Endpoint, info: Any, status: int, body: object, kind: type[ProviderError], cause: str, says: str
) -> None:
    google.answers = [(status, body)]
    source = tokens(tmp_path, info(google.url))
    error = await failure(source)
    assert (type(error), error.cause, error.retryable) == (kind, cause, kind is not AuthFailed)
    assert says in error.message
    assert error.hint
    assert google.requests == 1
    await source.aclose()


async def test_a_token_without_a_lifetime_is_taken_for_an_hours(tmp_path: Path, google: Endpoint) -> None:
    clock = Clock()
    google.answers = [(200, {"access_token": "t"})]
    source = tokens(tmp_path, service_account(google.url), clock=clock)
    assert await source.token() == "t"
    clock.now += 3595
    assert await source.token() == f"{GRANTED}2"
    await source.aclose()


async def test_a_failure_stands_for_a_moment_so_that_the_endpoint_is_not_hammered(tmp_path: Path, google: Endpoint) -> None:
    clock = Clock()
    google.answers = [(400, OAUTH)]
    source = tokens(tmp_path, service_account(google.url), clock=clock)
    results = await asyncio.gather(*(source.token() for _ in range(100)), return_exceptions=True)
    errors = [result for result in results if isinstance(result, AuthFailed)]
    assert len(errors) == len({id(error) for error in errors}) == 100
    await failure(source)
    assert google.requests == 1
    clock.now += 5
    assert await source.token() == f"{GRANTED}2"
    await source.aclose()


async def test_a_clock_set_back_does_not_prolong_a_failure(tmp_path: Path, google: Endpoint) -> None:
    clock = Clock()
    google.answers = [(400, OAUTH)]
    source = tokens(tmp_path, service_account(google.url), clock=clock)
    await failure(source)
    clock.now -= 3600
    assert await source.token() == f"{GRANTED}2"
    await source.aclose()


async def test_a_silent_endpoint_is_given_up_and_its_connection_closed(tmp_path: Path, google: Endpoint) -> None:
    google.gate.clear()
    source = tokens(tmp_path, service_account(google.url), timeout=0.3)
    error = await failure(source)
    assert (type(error), error.cause, error.retryable) == (UpstreamTimeout, "timeout", True)
    assert "within 0.3 s" in error.message
    await until(lambda: google.left == 1)
    await source.aclose()


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "it hung up"),
        (b"SSH-2.0-x\r\n\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{", "it broke off"),
    ],
)
async def test_an_endpoint_that_does_not_answer_in_http_cannot_be_reached(tmp_path: Path, google: Endpoint, raw: bytes, says: str) -> None:
    google.raw = raw
    source = tokens(tmp_path, service_account(google.url))
    error = await failure(source)
    assert (type(error), error.cause) == (UpstreamError, "refused")
    assert says in error.message
    await source.aclose()


@pytest.mark.parametrize(("uri", "says"), [("http://127.0.0.1:1/token", "connection refused"), ("https://a..b/token", "not a host's")])
async def test_an_endpoint_that_is_not_there_cannot_be_reached(tmp_path: Path, uri: str, says: str) -> None:
    source = tokens(tmp_path, service_account(uri))
    error = await failure(source)
    assert (type(error), error.cause) == (UpstreamError, "refused")
    assert says in error.message
    await source.aclose()
