"""The token request behind a proxy, over real sockets. The endpoint's name does not exist: only the proxy knows the way."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from providers._google import GoogleTokens, find_credentials
from providers._google_post import TokenAnswer, TokenFailed, TokenFailure, TokenPost
from providers.proxies import Proxies
from tests.providers.google_endpoint import GRANTED, Endpoint, endpoint, service_account, until, write
from tests.providers.loopback_proxy import CREDENTIALS, HOST, PLANTED, TOKEN, LoopbackProxy, certificate, running, server_tls

TLS_URL, PLAIN_URL = f"https://{HOST}/token", f"http://{HOST}/token?x=1"


def port(google: Endpoint) -> int:
    return urlsplit(google.url).port or 0


@pytest.fixture
async def google() -> AsyncIterator[Endpoint]:
    async with endpoint() as served:
        yield served


@pytest.fixture
async def proxy(google: Endpoint) -> AsyncIterator[LoopbackProxy]:
    async with running(port(google)) as proxy:
        yield proxy


async def posted(url: str, timeout: float = 5, **env: str) -> TokenAnswer:
    post = TokenPost(timeout, Proxies.from_env(env))
    return await asyncio.to_thread(post, url, "POST", b"secret=x", {"content-type": "text/plain"})


async def failed(url: str, timeout: float = 5, **env: str) -> TokenFailure:
    with pytest.raises(TokenFailed) as caught:
        await posted(url, timeout, **env)
    failure = caught.value.failure
    assert not [word for word in (*PLANTED, "127.0.0.1") if word in repr(failure)]
    return failure


async def test_a_token_comes_through_a_tunnel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    path = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    file = find_credentials({"GOOGLE_APPLICATION_CREDENTIALS": str(write(tmp_path, service_account(TLS_URL)))})
    assert file is not None
    async with endpoint(server_tls(path)) as google, running(port(google)) as proxy:
        proxy.credentials = True
        source = GoogleTokens(file, proxies=Proxies.from_env({"HTTPS_PROXY": proxy.address(CREDENTIALS)}))
        assert await source.token() == f"{GRANTED}1"
        await source.aclose()
    (asked,) = proxy.asked
    assert (asked.method, asked.target, asked.headers["host"]) == ("CONNECT", f"{HOST}:443", f"{HOST}:443")
    assert asked.headers["proxy-authorization"] == f"Basic {TOKEN}"
    assert not [word for word in PLANTED if word in caplog.text]


async def test_plain_http_is_forwarded_with_its_whole_address(google: Endpoint, proxy: LoopbackProxy) -> None:
    proxy.credentials = True
    assert GRANTED.encode() in (await posted(PLAIN_URL, HTTP_PROXY=proxy.address(CREDENTIALS))).data
    (asked,) = proxy.asked
    assert (asked.method, asked.target, asked.headers["host"]) == ("POST", PLAIN_URL, HOST)
    assert google.forms == [{"secret": "x"}]


async def test_this_machine_and_hosts_of_no_proxy_are_asked_directly(google: Endpoint, proxy: LoopbackProxy) -> None:
    assert (await posted(google.url, ALL_PROXY=proxy.address())).status == 200
    assert proxy.asked == []


@pytest.mark.parametrize("url", [TLS_URL, PLAIN_URL])
async def test_a_proxy_that_wants_credentials_or_others_says_so(proxy: LoopbackProxy, url: str) -> None:
    proxy.credentials = True
    none = await failed(url, ALL_PROXY=proxy.address())
    assert none.cause == "refused" and none.message == (
        "Google's token endpoint cannot be reached: the proxy of ALL_PROXY asks for a user name and password (HTTP 407)"
    )
    assert none.hint is not None and none.hint.startswith("Set ALL_PROXY to http://user:")
    assert "does not accept" in (await failed(url, ALL_PROXY=proxy.address("me:wrong"))).message


async def test_a_tunnel_that_is_not_opened_is_refused(proxy: LoopbackProxy) -> None:
    proxy.answer = f"HTTP/1.1 502 {PLANTED[0]}\r\n\r\n".encode()
    failure = await failed(TLS_URL, HTTPS_PROXY=proxy.address())
    assert failure.cause == "refused" and failure.message.endswith("the proxy of HTTPS_PROXY opened no tunnel (HTTP 502)")


@pytest.mark.parametrize("url", [TLS_URL, PLAIN_URL])
async def test_a_proxy_that_is_not_there_is_refused(url: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        failure = await failed(url, ALL_PROXY=f"http://{CREDENTIALS}@127.0.0.1:{taken.getsockname()[1]}")
    assert failure.cause == "refused"
    assert failure.message == "Google's token endpoint cannot be reached through the proxy of ALL_PROXY (connection refused)"
    assert failure.hint == "Check the proxy in ALL_PROXY, or name the host in NO_PROXY to ask it directly."


async def test_a_proxy_that_does_not_answer_is_a_timeout(proxy: LoopbackProxy) -> None:
    proxy.silent = True
    assert (await failed(TLS_URL, 0.2, HTTPS_PROXY=proxy.address())).cause == "timeout"


async def test_a_request_waiting_for_its_tunnel_can_be_broken_off(proxy: LoopbackProxy) -> None:
    proxy.silent = True
    post = TokenPost(300, Proxies.from_env({"HTTPS_PROXY": proxy.address()}))
    waiting = asyncio.create_task(asyncio.to_thread(post, TLS_URL, "POST", b"secret=x"))
    await until(lambda: len(proxy.asked) == 1)
    post.abort()
    with pytest.raises(TokenFailed):
        await waiting
    await until(lambda: proxy.left == 1)


async def test_the_certificate_in_the_tunnel_is_checked(tmp_path: Path) -> None:
    async with endpoint(server_tls(certificate(tmp_path))) as google, running(port(google)) as proxy:
        failure = await failed(TLS_URL, HTTPS_PROXY=proxy.address())
    assert failure.message == "The TLS connection to Google's token endpoint failed" and google.forms == []


async def test_a_proxy_behind_tls_is_told_to_be_none_for_tokens(proxy: LoopbackProxy) -> None:
    failure = await failed(TLS_URL, HTTPS_PROXY=proxy.address().replace("http:", "https:"))
    assert failure.cause == "refused" and "HTTPS_PROXY names an https:// proxy" in failure.message
    assert failure.hint is not None and failure.hint.startswith("Write http:// in HTTPS_PROXY")
    assert proxy.asked == []
