"""HTTP to the upstreams: one pooled client for all of them, and the only importer of aiohttp.

aiohttp is imported on first use, in a thread, since its import takes a quarter of a second. Foreign exceptions end here.
Deadlines for content are the chain's; this client bounds only the connecting. Nothing is retried or redirected, there are no
cookies, proxies are those handed in, and a response that is left early has its connection closed, not drained.
"""

from __future__ import annotations

import asyncio
import importlib
import io
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from conversation.errors import ProviderError, UpstreamError
from providers.causes import failure
from providers.proxies import DIRECT, Proxies, Proxy

if TYPE_CHECKING:
    import aiohttp

KEEPALIVE_SECONDS = 15.0
"""How long an idle connection is kept: shorter than upstreams keep theirs, so that none is used as they close it."""


_TEXT_SECONDS = 2.0
"""How long the text of an error may take: the status and the headers have said the most of it."""
_LARGE = 1024 * 1024


class HttpReply:
    """An answer whose status and headers have arrived. Header names are lower-case."""

    def __init__(self, response: aiohttp.ClientResponse, provider: str, model: str) -> None:
        self._response = response
        self._provider, self._model = provider, model
        self.status = response.status
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in response.headers.items()}

    @property
    def is_here(self) -> bool:
        """Whether all of the body has arrived, so that reading the rest of it waits for nothing."""
        return self._response.content.is_eof()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives. Raises ProviderError: truncated when it breaks off, malformed when it is compressed."""
        self._check_encoding()
        with _translated(self._provider, self._model, "truncated"):
            async for chunk in self._response.content.iter_any():
                yield chunk

    def _check_encoding(self) -> None:
        encoding = self.headers.get("content-encoding", "").strip().lower()
        if encoding not in ("", "identity"):
            message = f"a compressed answer ({encoding[:20]}), though none was asked for"
            raise failure("malformed", message, provider=self._provider, model=self._model)

    async def text(self, limit: int = 64 * 1024, within: float = _TEXT_SECONDS) -> str:
        """Return the body's first `limit` bytes as text; what was read when it breaks off, or is not whole `within` so many seconds."""
        body = bytearray()
        # What the text adds is for the message only.
        with suppress(UpstreamError, TimeoutError):
            async with asyncio.timeout(within):
                async for chunk in self.chunks():
                    body += chunk
                    if len(body) >= limit:
                        break
        return bytes(body[:limit]).decode(errors="replace")


class HttpClient:
    """A pool of connections on one event loop. Close it with `aclose`; it opens itself on first use."""

    def __init__(self, *, connect_timeout: float = 3.0, proxies: Proxies = DIRECT) -> None:
        self._connect_timeout = connect_timeout
        self._proxies = proxies
        self._session: aiohttp.ClientSession | None = None
        self._opening: asyncio.Lock | None = None

    async def open(self) -> None:
        """Import aiohttp and make the pool, without connecting anywhere."""
        await self._ready()

    @asynccontextmanager
    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, *, provider: str, model: str
    ) -> AsyncGenerator[HttpReply, None]:
        """Send `body` and give the reply. Raises ProviderError: refused, or timeout when no connection came about in time."""
        session, via = await self._ready(), self._proxies.of(url)
        with _translated(provider, model, "refused", via):
            response = await session.post(_exact(url), data=_in_pieces(body), allow_redirects=False, **self._through(via, url, headers))
        try:
            _check_proxy(via, response.status, provider, model)
            yield HttpReply(response, provider, model)
        finally:
            response.close()  # after the last byte the connection is back in the pool already and this does nothing

    async def fetch(self, url: str, headers: Mapping[str, str], most_bytes: int, *, provider: str = "http", model: str = "list") -> bytes:
        """Return the body of a 200 of at most `most_bytes`. Raises UpstreamError for anything else, UpstreamTimeout after 30 s."""
        session, via = await self._ready(), self._proxies.of(url)
        asked = self._through(via, url, headers)
        with _translated(provider, model, "refused", via):
            async with asyncio.timeout(30), session.get(_exact(url), allow_redirects=False, **asked) as response:
                _check_proxy(via, response.status, provider, model)
                if response.status != 200:
                    raise failure("upstream_error", f"HTTP {response.status}", provider=provider, model=model, status=response.status)
                body = bytearray()
                async for chunk in HttpReply(response, provider, model).chunks():
                    body += chunk
                    if len(body) > most_bytes:
                        raise failure("malformed", f"a body of more than {most_bytes} bytes", provider=provider, model=model)
                return bytes(body)

    async def aclose(self) -> None:
        """Close every connection."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _through(self, via: Proxy | None, url: str, headers: Mapping[str, str]) -> dict[str, Any]:
        """Return how aiohttp is to send a request. Credentials go as a header and not in the proxy's address, which errors repeat."""
        if via is None:
            return {"headers": headers}
        import aiohttp

        # Twice the time: the proxy has to be reached, and has to reach the upstream.
        timeout = aiohttp.ClientTimeout(total=None, connect=2 * self._connect_timeout, sock_connect=self._connect_timeout)
        if url.startswith("https:"):
            return {"headers": headers, "proxy": via.address, "proxy_headers": via.headers, "timeout": timeout}
        return {"headers": {**headers, **via.headers}, "proxy": via.address, "timeout": timeout}

    async def _ready(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._opening = self._opening or asyncio.Lock()
            async with self._opening:
                if self._session is None:
                    await asyncio.to_thread(importlib.import_module, "aiohttp")
                    self._session = self._new_session()
        return self._session

    def _new_session(self) -> aiohttp.ClientSession:
        import aiohttp

        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEPALIVE_SECONDS, socket_factory=_kept_alive)
        return aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_timeout),
            cookie_jar=aiohttp.DummyCookieJar(),
            # Compressed event streams are held back by the compressor, and a few bytes may unpack to any number.
            headers={"accept-encoding": "identity", "user-agent": "parley"},
            auto_decompress=False,
        )


def _in_pieces(body: bytes) -> bytes | io.BytesIO:
    """Return a body as it is sent: a large one piece by piece, so that others get their turn in between."""
    return body if len(body) < _LARGE else io.BytesIO(body)


def _exact(url: str) -> Any:
    """Return the address as it stands: yarl would else decode the @ and : of Vertex paths."""
    from yarl import URL

    return URL(url, encoded=True)


def _kept_alive(info: tuple[Any, ...]) -> socket.socket:
    """Make a socket that notices, within about a minute, a peer that is gone while a model thinks."""
    family, kind, protocol, *_ = info
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, option):
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
    return made


def _check_proxy(via: Proxy | None, status: int, provider: str, model: str) -> None:
    """Raise when `status` is the proxy's own and not the upstream's."""
    if via is not None and status == 407:
        raise _turned_away(via, status, provider, model)


def _turned_away(via: Proxy, status: int, provider: str, model: str) -> ProviderError:
    message, hint = via.refusal(status)
    return failure("refused", message, provider=provider, model=model, hint=hint)


@contextmanager
def _translated(provider: str, model: str, cut_cause: str, via: Proxy | None = None) -> Generator[None, None, None]:
    """Turn aiohttp's exceptions into ours; `cut_cause` is what a connection that ends here means."""
    import aiohttp
    from aiohttp.http_exceptions import HttpProcessingError

    failed = partial(failure, provider=provider, model=model, hint=via.hint if via else None)
    try:
        yield
    except (aiohttp.ServerTimeoutError, TimeoutError):
        raise failed("timeout", "no connection in time") from None
    except aiohttp.ClientConnectorError as error:
        to = f" to the proxy of {via.variable}" if via and isinstance(error, aiohttp.ClientProxyConnectionError) else ""
        raise failed("refused", f"cannot connect{to} ({_reason(error)})") from None
    except (aiohttp.ClientPayloadError, aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, ConnectionError):
        text = "the connection was closed before an answer" if cut_cause == "refused" else "the answer broke off"
        raise failed(cut_cause, text) from None
    except (aiohttp.ClientResponseError, aiohttp.InvalidURL, HttpProcessingError) as error:
        if via and isinstance(error, aiohttp.ClientHttpProxyError):
            raise _turned_away(via, error.status, provider, model) from None
        raise failed("malformed", f"not an HTTP answer ({type(error).__name__})") from None
    except aiohttp.ClientError as error:
        raise failed("upstream_error", f"HTTP failed ({type(error).__name__})") from None


def _reason(error: aiohttp.ClientConnectorError) -> str:
    cause = error.os_error
    if isinstance(cause, ssl.SSLError):
        return "TLS"
    if isinstance(cause, socket.gaierror):
        return "host name not found"
    return type(cause).__name__ if type(cause) is not OSError else "network unreachable"
