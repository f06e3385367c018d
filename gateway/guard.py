"""What every HTTP request passes before anything else: Host, Origin, token and the size of its body.

A browser page may send requests to loopback, and after DNS rebinding read the answers too; exact Host and Origin checks on every route are
what keeps it out (MCP 2025-11-25, "Transports", security warning). The token keeps out other users of the machine.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
_WILDCARDS = frozenset({"0.0.0.0", "[::]"})  # noqa: S104 - recognised, not bound

Headers = tuple[tuple[bytes, bytes], ...]
ErrorShape = Callable[[int, str, str], tuple[Mapping[str, object], Headers]]
"""(status, type, message) -> the JSON body of an error answer, and headers that go with it."""


def error_body(kind: str, message: str) -> Mapping[str, object]:
    """The JSON body of an error answer where clients expect no more than that."""
    return {"error": {"type": kind, "message": message}}


def plain_error(_: int, kind: str, message: str) -> tuple[Mapping[str, object], Headers]:
    """Return an error as it is told there; a shim hands the guard a shape of its own."""
    return error_body(kind, message), ()


def check_bind(host: str, token: str | None, *, setting: str = "PARLEY_HOST") -> None:
    """Pass a loopback host, and any other that a token protects.

    Raises ValueError with one line for the user, which names the `setting` the host is from.
    """
    if token or _is_loopback(host):
        return
    raise ValueError(f"{setting}={host or '(empty)'} can be reached from other machines: set PARLEY_TOKEN as well, or use 127.0.0.1")


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def url_host(host: str) -> str:
    """A host as it stands in a URL or a Host header: lower case, IPv6 in brackets."""
    return f"[{host.lower()}]" if ":" in host and not host.startswith("[") else host.lower()


@dataclass(frozen=True, slots=True)
class _Refusal:
    status: int
    kind: str
    message: str
    headers: Headers = ()


_NO_HOST = _Refusal(400, "invalid_request_error", "exactly one Host header is needed")
_WRONG_HOST = _Refusal(421, "invalid_request_error", "this server does not answer to that Host")
_WRONG_ORIGIN = _Refusal(403, "permission_error", "requests from that Origin are refused")
_NO_TOKEN = _Refusal(
    401, "authentication_error", "a valid token is needed, as Bearer or x-api-key", ((b"www-authenticate", b'Bearer realm="parley"'),)
)


class Guard:
    """ASGI middleware that answers what may not pass, and hands the rest to `app` with a body of bounded size.

    Args:
        hosts: Names the server answers to besides loopback ones: the host it is bound to. For a wildcard such as 0.0.0.0 the address
            that a connection came in on counts as well; a rebound name never looks like that.
        ports: The ports it is served on.
        token: What requests must carry as `Authorization: Bearer` or `x-api-key`; None or empty asks for nothing.
        max_body_bytes: Largest request body. One that announces its length passes through as it comes; one that does not is collected
            up to this size first, so that `app` never begins on a body that will be refused.
        open_paths: Paths that need no token. Host and Origin are checked there too.
        shape: How an error is told.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: Iterable[str] = (),
        ports: Collection[int],
        token: str | None,
        max_body_bytes: int,
        open_paths: Collection[str] = (),
        shape: ErrorShape = plain_error,
    ) -> None:
        self._app = app
        names = {*LOOPBACK_NAMES, *(url_host(host) for host in hosts)}
        self._any_address = bool(names & _WILDCARDS)
        self._ports = frozenset(ports)
        self._authorities = frozenset(authority for name in names for port in ports for authority in _authorities(name, port))
        self._token = _digest(token.encode()) if token else None
        self._max_body_bytes = max_body_bytes
        self._open_paths = frozenset(open_paths)
        self._shape = shape

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
        elif refusal := self._refusal(scope):
            await self._answer(refusal, send)
        else:
            await self._bounded(scope, receive, send)

    def _refusal(self, scope: Scope) -> _Refusal | None:
        hosts = _values(scope, b"host")
        if len(hosts) != 1 or not hosts[0]:
            return _NO_HOST
        if not self._is_ours(hosts[0].lower(), scope):
            return _WRONG_HOST
        for origin in _values(scope, b"origin"):
            scheme, _, authority = origin.lower().partition(b"://")
            if scheme != b"http" or not self._is_ours(authority, scope):
                return _WRONG_ORIGIN
        if self._token is not None and scope["path"] not in self._open_paths and not self._has_token(scope):
            return _NO_TOKEN
        length = _values(scope, b"content-length")
        if length and (not length[0].isdigit() or len(length[0]) > 18 or int(length[0]) > self._max_body_bytes):
            return self._too_large()
        return None

    def _is_ours(self, authority: bytes, scope: Scope) -> bool:
        if authority in self._authorities:
            return True
        local = scope.get("server")
        if not self._any_address or not local or local[1] not in self._ports:
            return False
        return authority in _authorities(url_host(local[0]), local[1])

    def _has_token(self, scope: Scope) -> bool:
        offered = _values(scope, b"x-api-key")
        for value in _values(scope, b"authorization"):
            scheme, _, credential = value.partition(b" ")
            if scheme.lower() == b"bearer":
                offered.append(credential.strip())
        # Digests are of one length, so that the time a comparison takes tells nothing about the token's.
        return any(hmac.compare_digest(_digest(value), self._token or b"") for value in offered)

    def _too_large(self) -> _Refusal:
        return _Refusal(413, "request_too_large", f"a request body may have at most {self._max_body_bytes} bytes")

    async def _bounded(self, scope: Scope, receive: Receive, send: Send) -> None:
        # A server reads no more of a body than its content-length announced; only one without can surprise.
        if _values(scope, b"content-length"):
            await self._app(scope, receive, send)
            return
        body = bytearray()
        more = True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return
            body += message.get("body", b"")
            if len(body) > self._max_body_bytes:
                await self._answer(self._too_large(), send)
                return
            more = message.get("more_body", False)
        await self._app(scope, replay(bytes(body), receive), send)

    async def _answer(self, refusal: _Refusal, send: Send) -> None:
        # The connection stays open: closing it under a client that still sends would reset it before it has read why.
        body, headers = self._shape(refusal.status, refusal.kind, refusal.message)
        await send_json(send, refusal.status, body, (*refusal.headers, *headers))


async def send_json(send: Send, status: int, body: Mapping[str, object], headers: Iterable[tuple[bytes, bytes]] = ()) -> None:
    """Answer a request with a JSON body."""
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    fixed = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": [*fixed, *headers]})
    await send({"type": "http.response.body", "body": content})


def replay(body: bytes, receive: Receive) -> Receive:
    """A receive that gives a body already read, and after it whatever `receive` gives."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay


def _authorities(name: str, port: int) -> tuple[bytes, ...]:
    """How a client may write the server's name and port; port 80 goes without saying in http."""
    full = f"{name}:{port}".encode()
    return (full, name.encode()) if port == 80 else (full,)


def _values(scope: Scope, name: bytes) -> list[bytes]:
    return [value for key, value in scope["headers"] if key == name]


def _digest(value: bytes) -> bytes:
    return hashlib.sha256(value).digest()
