"""Access tokens for Vertex: warm in microseconds, refreshed off the event loop and ahead of expiry.

google.auth signs and speaks the grant. It is imported on first use, in the thread that refreshes, because its import (130 ms)
and its refresh (as long as the endpoint likes) would stop every other conversation if they ran on the loop.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

from conversation.errors import AuthFailed, UpstreamError
from providers._google_file import DEFAULT_UNIVERSE, CredentialsFile, FileProblem, find_credentials, read_credentials
from providers._google_post import TokenFailed, TokenFailure, TokenPost, timed_out
from providers.proxies import DIRECT, Proxies

__all__ = ["SCOPE", "CredentialsFile", "GoogleTokens", "find_credentials"]

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
MARGIN = 10.0
"""Seconds before its end at which a token is not handed out any more: the request it is for still has to arrive."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Minted:
    value: str = field(repr=False)
    lifetime: float


@dataclass(frozen=True, slots=True)
class _Held:
    value: str = field(repr=False)
    refresh_at: float
    ends_at: float


@dataclass(frozen=True, slots=True)
class _Flight:
    """A refresh under way. Its future never holds an exception: with no waiter left, that would be logged with its traceback."""

    done: asyncio.Future[_Minted | TokenFailure]
    post: TokenPost


class GoogleTokens:
    """Hands out the access token of one credentials file, on one event loop.

    Every refresh reads the file anew, so a replaced key or a new gcloud sign-in needs no restart.
    """

    def __init__(
        self,
        file: CredentialsFile,
        *,
        timeout: float = 10.0,
        retry_after: float = 5.0,
        refresh_ahead: float = 300.0,
        proxies: Proxies = DIRECT,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Times are in seconds. `timeout` bounds one refresh, `retry_after` is how long a failure stands before the next try.

        `clock` is wall time, which, unlike the monotonic clock, goes on while a laptop sleeps.
        """
        self._file = file
        self._timeout = timeout
        self._retry_after = retry_after
        self._refresh_ahead = refresh_ahead
        self._proxies = proxies
        self._clock = clock
        self._held: _Held | None = None
        self._failure: TokenFailure | None = None
        self._failed_at = 0.0
        self._forced_at = float("-inf")
        self._flight: _Flight | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._used = False
        self._closed = False

    def __repr__(self) -> str:
        return f"GoogleTokens({self._file.kind}, {'warm' if self._held else 'cold'})"

    async def token(self) -> str:
        """Return an access token that is good for at least some seconds.

        Raises AuthFailed (the credentials are refused or the file is broken), UpstreamTimeout, RateLimited or UpstreamError
        (the token endpoint). A caller that is cancelled leaves the refresh to the others.
        """
        held, now = self._held, self._clock()
        self._used = True
        if held is not None and now < held.refresh_at:
            return held.value
        failure = self._failure if 0 <= now - self._failed_at < self._retry_after else None
        if held is not None and now < held.ends_at:
            if failure is None:
                self._refresh()
            return held.value
        outcome = failure or await asyncio.shield(self._refresh())
        if isinstance(outcome, TokenFailure):
            raise outcome.error()
        return outcome.value

    def invalidate(self, token: str) -> bool:
        """Drop a token that Vertex answered 401 to. Return whether a retry is worth it: False when it was just renewed for that."""
        held, now = self._held, self._clock()
        if held is None or held.value != token:
            return True
        if 0 <= now - self._forced_at < self._retry_after:
            return False
        self._forced_at = now
        self._held = None
        return True

    async def aclose(self) -> None:
        """Stop refreshing, and break off a refresh under way: its waiters get an UpstreamError."""
        self._closed = True
        self._held = None
        self._stop_timer()
        if self._flight is not None:
            self._settle(self._flight, _CLOSED)

    def _refresh(self) -> asyncio.Future[_Minted | TokenFailure]:
        """Return the outcome of the refresh under way, having started one when there was none."""
        if self._flight is not None:
            return self._flight.done
        loop = asyncio.get_running_loop()
        flight = _Flight(loop.create_future(), TokenPost(self._timeout, self._proxies))
        if self._closed:
            flight.done.set_result(_CLOSED)
            return flight.done
        self._flight = flight
        self._restart_timer(self._timeout, lambda: self._settle(flight, timed_out(self._timeout)))

        def work() -> None:
            outcome = _outcome(self._file, flight.post)
            with suppress(RuntimeError):  # the loop is gone: nobody waits any more
                loop.call_soon_threadsafe(self._settle, flight, outcome)

        # A thread of its own, not the loop's executor: leaving the loop waits for the executor's threads.
        threading.Thread(target=work, name="google-token", daemon=True).start()
        return flight.done

    def _settle(self, flight: _Flight, outcome: _Minted | TokenFailure) -> None:
        """Take a refresh's outcome; the first one counts (its own, the time limit, or aclose)."""
        if flight.done.done():
            return
        flight.post.abort()
        self._flight = None
        self._stop_timer()
        if isinstance(outcome, _Minted):
            self._hold(outcome)
        else:
            self._failure, self._failed_at = outcome, self._clock()
            _log.log(logging.DEBUG if self._closed else logging.WARNING, "google token refresh failed: %s", outcome.message)
        flight.done.set_result(outcome)

    def _hold(self, minted: _Minted) -> None:
        now, lifetime = self._clock(), minted.lifetime
        # A short-lived token is renewed at half its life, not on every call.
        ahead = min(self._refresh_ahead, lifetime / 2)
        self._held = _Held(minted.value, now + lifetime - ahead, now + lifetime - min(MARGIN, lifetime / 10))
        self._failure = None
        self._used = False
        self._restart_timer(lifetime - ahead, self._refresh_if_used)
        _log.debug("google token refreshed, good for %d s", lifetime)

    def _refresh_if_used(self) -> None:
        """Renew in time what is in use. An idle process lets its token go, so that it makes no traffic for ever."""
        if self._used:
            self._refresh()

    def _restart_timer(self, delay: float, action: Callable[[], object]) -> None:
        self._stop_timer()
        self._timer = asyncio.get_running_loop().call_later(delay, action)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()


_CLOSED = TokenFailure(UpstreamError, "cancelled", "Parley is shutting down", "")


def _outcome(file: CredentialsFile, post: TokenPost) -> _Minted | TokenFailure:
    """Return a new token or why there is none. Runs in a thread; raises nothing."""
    try:
        return _mint(file, post)
    except TokenFailed as failed:
        return failed.failure
    except FileProblem as error:
        return TokenFailure(AuthFailed, "auth_failed", error.problem, error.hint)
    except Exception as error:  # the thread's boundary: waiters must hear of it; the text may quote the key, so only the type is told
        _log.error("google token refresh broke: %s", type(error).__name__)
        return TokenFailure(UpstreamError, "upstream_error", f"No Google token could be made ({type(error).__name__})")


def _mint(file: CredentialsFile, post: TokenPost) -> _Minted:
    info = read_credentials(file)
    from cryptography.exceptions import UnsupportedAlgorithm
    from google.auth.exceptions import GoogleAuthError

    try:
        credentials = _credentials(info)
        credentials.refresh(post)
    except (ValueError, TypeError, UnsupportedAlgorithm, GoogleAuthError):  # from None: the error may quote the key
        message = f"The {info['type']} credentials from {file.variable} hold a key that cannot be used"
        raise TokenFailed(TokenFailure(AuthFailed, "auth_failed", message, "Create a new JSON key for the service account.")) from None
    # google-auth's expiry is UTC without a time zone.
    return _Minted(credentials.token, (credentials.expiry.replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds())


def _credentials(info: dict[str, Any]) -> Any:
    """Return google-auth's object. A service account outside googleapis.com signs its token itself, without a request."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from google.auth import crypt
    from google.oauth2 import credentials, service_account

    if info["type"] == "service_account":
        # from_service_account_info tests the key's primes, 90 ms in C that let no other thread run: the loop would stand still.
        # The test guards against keys made to harm; this one is the operator's own, and Google refuses what it signs if it is broken.
        key = load_pem_private_key(info["private_key"].encode(), None, unsafe_skip_rsa_key_validation=True)
        return cast(Any, service_account).Credentials(
            cast(Any, crypt).RSASigner(key, info.get("private_key_id")),
            service_account_email=info["client_email"],
            token_uri=info["token_uri"],
            scopes=[SCOPE],
            universe_domain=info.get("universe_domain") or DEFAULT_UNIVERSE,
        )
    # from_authorized_user_info would put Google's own address in place of the file's token_uri.
    return cast(Any, credentials).Credentials(
        None,
        refresh_token=info["refresh_token"],
        token_uri=info["token_uri"],
        client_id=info["client_id"],
        client_secret=info["client_secret"],
        scopes=[SCOPE],
        rapt_token=info.get("rapt_token"),
    )
