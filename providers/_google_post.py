"""The one HTTP request a token takes, in the form google-auth asks of a transport, and what its failures mean.

google-auth's own transports retry (three times, sleeping in between), read proxies and .netrc from the environment and
cannot be broken off. This one asks once, through the proxies it is handed, can be aborted from another thread, and raises
before google-auth would retry.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import ssl
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import SplitResult, urlsplit

from conversation.errors import AuthFailed, ProviderError, RateLimited, UpstreamError, UpstreamTimeout
from providers._google_file import LOGIN
from providers.proxies import DIRECT, Proxies, Proxy

MAX_ANSWER = 64 * 1024
MAX_LIFETIME = 366 * 24 * 3600
_ENDPOINT = "Google's token endpoint"
_RENEW = f"{LOGIN} again, or create a new key for the service account."
_REASONS = {
    "gaierror": "its name cannot be resolved",
    "UnicodeError": "its name is not a host's",
    "ConnectionRefusedError": "connection refused",
    "ConnectionResetError": "connection reset",
    "RemoteDisconnected": "it hung up without an answer",
    "IncompleteRead": "it broke off",
    "BadStatusLine": "it does not speak HTTP",
}
_REACH = "Check the network, and token_uri in the credentials file."
# http.client tells in this text only with what status a proxy answered CONNECT.
_NO_TUNNEL = re.compile(r"Tunnel connection failed: (\d{3})")

# What Google says under 400 and 401 (error, error_subtype or error_description) -> what it means, what to do.
_REFUSALS: tuple[tuple[str, str, str], ...] = (
    ("rapt", "the user's sign-in has to be renewed", f"{LOGIN} again."),
    ("expired or revoked", "the sign-in has expired or was revoked", _RENEW),
    ("invalid jwt signature", "the key does not belong to the service account any more", "Create a new JSON key for the service account."),
    ("short-lived token", "the time in the request is off", "Set this machine's clock; the key itself may be fine."),
    ("account not found", "the service account does not exist", "Create a service account and a JSON key for it."),
    ("disabled", "the account is disabled", "Enable the account, or use another one."),
    ("invalid_client", "the OAuth client is not accepted", _RENEW),
    ("unauthorized_client", "the account may not ask for tokens", _RENEW),
    ("invalid_scope", "the account may not use Google Cloud (scope cloud-platform)", _RENEW),
    ("invalid_grant", "the credentials are not accepted", _RENEW),
)


@dataclass(frozen=True, slots=True)
class TokenFailure:
    """Why there is no token. Holds the error's parts, not an exception: every waiter gets one of its own."""

    kind: type[ProviderError]
    cause: str
    message: str
    hint: str | None = None

    def error(self) -> ProviderError:
        """Return the error to raise."""
        return self.kind(self.message, cause=self.cause, hint=self.hint)


class TokenFailed(Exception):
    """A refresh failed for a known reason."""

    def __init__(self, failure: TokenFailure) -> None:
        super().__init__(failure.message)
        self.failure = failure


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """What google-auth reads of an answer."""

    status: int
    headers: Mapping[str, str]
    data: bytes


class TokenPost:
    """A callable transport for one token request; `abort` may come from any thread, at any time."""

    def __init__(self, timeout: float, proxies: Proxies = DIRECT) -> None:
        self._timeout = timeout
        self._proxies = proxies
        self._connection: http.client.HTTPConnection | None = None
        self._aborted = False

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_ignored: object,
    ) -> TokenAnswer:
        """Return a checked answer that holds access_token and expires_in and nothing else. Raises TokenFailed."""
        via = self._proxies.of(url)
        try:
            status, raw = self._exchange(url, method, body, dict(headers or {}), via)
        except TimeoutError:
            raise TokenFailed(timed_out(self._timeout)) from None
        except ssl.SSLError:
            message = f"The TLS connection to {_ENDPOINT} failed"
            raise TokenFailed(TokenFailure(UpstreamError, "refused", message, "Check this machine's certificates and clock.")) from None
        except (OSError, http.client.HTTPException, UnicodeError) as error:  # UnicodeError: a host name no resolver would take
            raise TokenFailed(_unreached(error, via)) from None
        if via is not None and status == 407:
            raise TokenFailed(_turned_away(via, status))
        return TokenAnswer(200, {}, _checked(status, raw))

    def abort(self) -> None:
        """Break the request off: the thread that waits for it fails at once."""
        self._aborted = True
        if (connection := self._connection) is not None and (sock := connection.sock) is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _exchange(self, url: str, method: str, body: bytes | None, headers: dict[str, str], via: Proxy | None) -> tuple[int, bytes]:
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        if via is not None and parts.scheme == "http":
            target = url
            headers |= via.headers
        self._connection = connection = self._connection_to(parts, via)
        opened: list[http.client.HTTPResponse] = []

        def kept(*args: Any, **settings: Any) -> http.client.HTTPResponse:
            opened.append(http.client.HTTPResponse(*args, **settings))
            return opened[-1]

        cast(Any, connection).response_class = kept
        try:
            connection.connect()
            if self._aborted:
                raise ConnectionAbortedError
            connection.request(method, target, body=body, headers=headers)
            response = connection.getresponse()
            return response.status, response.read(MAX_ANSWER + 1)
        finally:
            # A proxy's refusal is a response too, which keeps the socket open and which Python before 3.11.4 leaves to the collector.
            for one in opened:
                one.close()
            connection.close()

    def _connection_to(self, parts: SplitResult, via: Proxy | None) -> http.client.HTTPConnection:
        """Return a connection to the host or its proxy that is not open yet."""
        if via is not None and via.address.startswith("https:"):
            message = f"{_ENDPOINT} cannot be reached: {via.variable} names an https:// proxy, which serves model calls only"
            hint = f"Write http:// in {via.variable} if the proxy takes plain connections, as most do."
            raise TokenFailed(TokenFailure(UpstreamError, "refused", message, hint))
        host, port = parts.hostname or "", parts.port
        first = parts if via is None else urlsplit(via.address)
        if parts.scheme != "https":
            return http.client.HTTPConnection(first.hostname or "", first.port, timeout=self._timeout)
        made = http.client.HTTPSConnection(first.hostname or "", first.port, timeout=self._timeout, context=ssl.create_default_context())
        if via is not None:
            made.set_tunnel(host, port or 443, {"Host": f"{host}:{port or 443}", **via.headers})
        return made


def timed_out(seconds: float) -> TokenFailure:
    """Return the failure of a token endpoint that did not answer in time."""
    return TokenFailure(UpstreamTimeout, "timeout", f"{_ENDPOINT} did not answer within {seconds:g} s", _REACH)


def _unreached(error: Exception, via: Proxy | None) -> TokenFailure:
    kinds = [kind.__name__ for kind in type(error).__mro__]
    reason = next((_REASONS[kind] for kind in kinds if kind in _REASONS), kinds[0])
    if via is None:
        return TokenFailure(UpstreamError, "refused", f"{_ENDPOINT} cannot be reached ({reason})", _REACH)
    if answered := _NO_TUNNEL.match(str(error)):
        return _turned_away(via, int(answered[1]))
    message = f"{_ENDPOINT} cannot be reached through the proxy of {via.variable} ({reason})"
    return TokenFailure(UpstreamError, "refused", message, via.hint)


def _turned_away(via: Proxy, status: int) -> TokenFailure:
    message, hint = via.refusal(status)
    return TokenFailure(UpstreamError, "refused", f"{_ENDPOINT} cannot be reached: {message}", hint)


def _checked(status: int, raw: bytes) -> bytes:
    answer = _json_object(raw)
    if status != 200 or "error" in answer:
        raise TokenFailed(_refusal(status, answer))
    token, lifetime = answer.get("access_token"), _seconds(answer.get("expires_in", 3600))
    # A token goes into a header: anything but visible ASCII there would be an injection.
    usable = isinstance(token, str) and token.isascii() and token.isprintable() and " " not in token and token != ""
    if not usable or lifetime is None:
        message = f"{_ENDPOINT} answered 200 without a usable token"
        raise TokenFailed(TokenFailure(UpstreamError, "malformed", message, "Check token_uri in the credentials file."))
    return json.dumps({"access_token": token, "expires_in": lifetime}).encode()


def _json_object(raw: bytes) -> dict[str, Any]:
    if len(raw) > MAX_ANSWER:
        return {}
    try:
        answer: object = json.loads(raw)
    except (ValueError, RecursionError):
        return {}
    return cast(dict[str, Any], answer) if isinstance(answer, dict) else {}


def _seconds(value: object) -> int | None:
    """Return a lifetime in whole seconds (some endpoints send it as a string), None when it makes no sense."""
    if isinstance(value, str) and value.isdecimal() and len(value) <= 10:
        value = int(value)
    if isinstance(value, int | float) and 1 <= value <= MAX_LIFETIME:
        return int(value)
    return None


def _refusal(status: int, answer: Mapping[str, Any]) -> TokenFailure:
    if status == 429:
        return TokenFailure(RateLimited, "rate_limited", f"{_ENDPOINT} answered 429: too many token requests")
    if status == 408 or status >= 500:
        return TokenFailure(UpstreamError, "upstream_error", f"{_ENDPOINT} answered {status}")
    said = " ".join(str(answer.get(key, "")) for key in ("error", "error_subtype", "error_description")).lower()
    for needle, meaning, hint in _REFUSALS:
        if needle in said:
            return TokenFailure(AuthFailed, "auth_failed", f"{_ENDPOINT} answered {status}: {meaning}", hint)
    if status in (400, 401, 403) or answer:
        return TokenFailure(AuthFailed, "auth_failed", f"{_ENDPOINT} refused the credentials ({status})", _RENEW)
    return TokenFailure(UpstreamError, "malformed", f"{_ENDPOINT} answered {status}", "Check token_uri in the credentials file.")
