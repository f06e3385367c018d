"""The pooled client behind a proxy, over real sockets. The upstream's name does not exist: only the proxy knows the way."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp.connector
import pytest
from aiohttp import web

from conversation.errors import ProviderError
from providers._http import HttpClient
from providers.proxies import Proxies
from tests.providers.loopback_proxy import CREDENTIALS, HOST, PLANTED, TOKEN, LoopbackProxy, certificate, running, server_tls

PATH = "/v1/models/claude@1:rawPredict?alt=sse"


@asynccontextmanager
async def upstream(tls: ssl.SSLContext | None = None) -> AsyncGenerator[int]:
    async def handle(request: web.Request) -> web.Response:
        if request.path == "/407":
            return web.Response(status=407)
        seen = request.headers.get("proxy-authorization", "no")
        return web.Response(text=f"{request.headers['host']} {request.headers.get('authorization')} {seen} {await request.text()}")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    yield runner.addresses[0][1]
    await runner.cleanup()


@pytest.fixture
async def proxy() -> AsyncIterator[LoopbackProxy]:
    async with upstream() as port, running(port) as proxy:
        yield proxy


@pytest.fixture(autouse=True)
def no_planted_word_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    yield
    assert not [word for word in PLANTED if word in caplog.text]


def trust(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Let aiohttp, which makes its context at import, trust one more certificate."""
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", ssl.create_default_context(cafile=path))


@asynccontextmanager
async def client(**env: str) -> AsyncGenerator[HttpClient]:
    http = HttpClient(connect_timeout=0.5, proxies=Proxies.from_env(env))
    yield http
    await http.aclose()


async def posted(http: HttpClient, url: str) -> str:
    async with http.post(url, {"authorization": "Bearer key"}, b"{}", provider="p", model="m") as reply:
        assert reply.status == 200
        return await reply.text()


async def failed(url: str, **env: str) -> ProviderError:
    """Return the error of a post, after checking that fetch gives the same and that neither repeats the proxy or its credentials."""
    async with client(**env) as http:
        with pytest.raises(ProviderError) as one:
            await posted(http, url)
        with pytest.raises(ProviderError) as other:
            await http.fetch(url, {}, 1000, provider="p", model="m")
    assert other.value.as_dict() == one.value.as_dict() and other.value.cause == one.value.cause
    assert not [word for word in (*PLANTED, "127.0.0.1") if word in f"{one.value.as_dict()} {one.value!r} {one.value.__cause__}"]
    return one.value


async def test_plain_http_is_forwarded_with_its_whole_address_and_the_credentials(proxy: LoopbackProxy) -> None:
    proxy.credentials = True
    async with client(HTTP_PROXY=proxy.address(CREDENTIALS)) as http:
        assert await posted(http, f"http://{HOST}{PATH}") == f"{HOST} Bearer key Basic {TOKEN} {{}}"
        assert await http.fetch(f"http://{HOST}/list", {}, 1000)
    assert (proxy.asked[0].method, proxy.asked[0].target) == ("POST", f"http://{HOST}{PATH}")


@pytest.mark.parametrize("proxy_speaks_tls", [False, True])
async def test_https_goes_through_a_tunnel_that_hides_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy_speaks_tls: bool) -> None:
    path = certificate(tmp_path)
    trust(monkeypatch, path)
    async with upstream(server_tls(path)) as port, running(port, server_tls(path) if proxy_speaks_tls else None) as proxy:
        proxy.credentials = True
        async with client(HTTPS_PROXY=proxy.address(CREDENTIALS)) as http:
            assert await posted(http, f"https://{HOST}{PATH}") == f"{HOST} Bearer key no {{}}"
            assert await posted(http, f"https://{HOST}/again") == f"{HOST} Bearer key no {{}}"
    (asked,) = proxy.asked  # the tunnel is kept
    assert (asked.method, asked.target) == ("CONNECT", f"{HOST}:443")
    assert asked.headers["proxy-authorization"] == f"Basic {TOKEN}" and "authorization" not in asked.headers


async def test_a_certificate_in_the_tunnel_is_checked(tmp_path: Path) -> None:
    async with upstream(server_tls(certificate(tmp_path))) as port, running(port) as proxy:
        error = await failed(f"https://{HOST}{PATH}", ALL_PROXY=proxy.address())
    assert (error.cause, error.message) == ("refused", "p/m: cannot connect (TLS)") and "ALL_PROXY" in error.hint


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_wants_credentials_or_others_says_so(proxy: LoopbackProxy, scheme: str) -> None:
    proxy.credentials = True
    none = await failed(f"{scheme}://{HOST}{PATH}", all_proxy=proxy.address())
    assert none.cause == "refused" and none.status is None
    assert none.message == "p/m: the proxy of all_proxy asks for a user name and password (HTTP 407)"
    assert "Set all_proxy to http://user:password@host:port" in none.hint
    wrong = await failed(f"{scheme}://{HOST}{PATH}", all_proxy=proxy.address("me:wrong"))
    assert wrong.cause == "refused" and "does not accept the user name and password" in wrong.message


@pytest.mark.parametrize("status", [403, 502])
async def test_a_tunnel_that_is_not_opened_is_refused(proxy: LoopbackProxy, status: int) -> None:
    proxy.answer = f"HTTP/1.1 {status} {PLANTED[0]}\r\nContent-Length: 0\r\n\r\n".encode()
    error = await failed(f"https://{HOST}{PATH}", HTTPS_PROXY=proxy.address())
    assert (error.cause, error.message) == ("refused", f"p/m: the proxy of HTTPS_PROXY opened no tunnel (HTTP {status})")
    assert error.hint == "Check the proxy in HTTPS_PROXY, or name the host in NO_PROXY to ask it directly."


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_is_not_there_is_refused(scheme: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        error = await failed(f"{scheme}://{HOST}{PATH}", ALL_PROXY=f"http://{CREDENTIALS}@127.0.0.1:{taken.getsockname()[1]}")
    assert error.cause == "refused" and error.message == "p/m: cannot connect to the proxy of ALL_PROXY (ConnectionRefusedError)"
    assert "ALL_PROXY" in error.hint


async def test_a_proxy_that_opens_its_tunnel_too_late_is_a_timeout(proxy: LoopbackProxy) -> None:
    proxy.silent = True
    error = await failed(f"https://{HOST}{PATH}", HTTPS_PROXY=proxy.address(CREDENTIALS))
    assert error.cause == "timeout" and "HTTPS_PROXY" in error.hint


@pytest.mark.parametrize(("answer", "cause"), [(b"", "refused"), (b"SSH-2.0-OpenSSH\r\n\r\n", "malformed")])
async def test_what_hangs_up_or_is_no_proxy_is_told_with_the_variable(proxy: LoopbackProxy, answer: bytes, cause: str) -> None:
    proxy.answer = answer
    error = await failed(f"https://{HOST}{PATH}", HTTPS_PROXY=proxy.address(CREDENTIALS))
    assert error.cause == cause and "HTTPS_PROXY" in error.hint


async def test_this_machine_is_asked_directly_and_a_407_of_its_own_is_the_upstreams(proxy: LoopbackProxy) -> None:
    async with client(HTTP_PROXY=proxy.address(), HTTPS_PROXY=proxy.address()) as http:
        assert "Bearer key" in await posted(http, f"http://127.0.0.1:{proxy.upstream}{PATH}")
        async with http.post(f"http://127.0.0.1:{proxy.upstream}/407", {}, b"", provider="p", model="m") as reply:
            assert reply.status == 407
    assert proxy.asked == []
