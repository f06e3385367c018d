"""The pooled client: its errors, its limits, and what it does not do."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.client_reqrep import ConnectionKey

from conversation.errors import ProviderError
from providers._http import HttpClient, _kept_alive, _translated  # pyright: ignore[reportPrivateUsage]


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    client = HttpClient(connect_timeout=0.3)
    yield client
    await client.aclose()


@pytest.fixture
async def server() -> AsyncIterator[str]:
    async def handle(request: web.Request) -> web.StreamResponse:
        match request.path:
            case "/moved":
                return web.Response(status=302, headers={"location": "/ok"})
            case "/long":
                return web.Response(body=b"x" * 1000)
            case "/half":
                response = web.StreamResponse(status=int(request.query.get("status", "200")), headers={"content-length": "1000"})
                await response.prepare(request)
                await response.write(b"some text")
                assert request.transport is not None
                request.transport.close()
                return response
            case "/packed":
                headers = {"content-encoding": request.query["by"]}
                return web.Response(status=int(request.query.get("status", "200")), body=b"some bytes", headers=headers)
            case "/hangs":
                response = web.StreamResponse(status=429, headers={"content-length": "1000", "retry-after": "7"})
                await response.prepare(request)
                await response.write(b"some text")
                await asyncio.Event().wait()
                return response
            case _:
                return web.Response(text="ok", headers={"X-Seen": request.raw_path})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def status_and_text(http: HttpClient, url: str) -> tuple[int, str]:
    async with http.post(url, {}, b"{}", provider="p", model="m") as reply:
        return reply.status, await reply.text(limit=10)


async def failure(http: HttpClient, url: str) -> ProviderError:
    with pytest.raises(ProviderError) as caught:
        async with http.post(url, {}, b"{}", provider="p", model="m") as reply:
            async for _ in reply.chunks():
                pass
    return caught.value


async def test_the_address_is_sent_as_it_stands(http: HttpClient, server: str) -> None:
    async with http.post(f"{server}/v1/models/claude@1:streamRawPredict?alt=sse", {}, b"", provider="p", model="m") as reply:
        assert reply.headers["x-seen"] == "/v1/models/claude@1:streamRawPredict?alt=sse"


async def test_redirects_are_not_followed(http: HttpClient, server: str) -> None:
    assert (await status_and_text(http, f"{server}/moved"))[0] == 302


async def test_an_error_text_is_read_to_a_limit_and_as_far_as_it_goes(http: HttpClient, server: str) -> None:
    assert await status_and_text(http, f"{server}/long") == (200, "x" * 10)
    assert await status_and_text(http, f"{server}/half?status=500") == (500, "some text")


async def test_an_error_text_that_does_not_come_is_not_waited_for(http: HttpClient, server: str) -> None:
    async with http.post(f"{server}/hangs", {}, b"{}", provider="p", model="m") as reply:
        assert (reply.status, reply.headers["retry-after"], await reply.text(within=0.1)) == (429, "7", "some text")


async def test_a_compressed_answer_is_refused_and_its_status_stands(http: HttpClient, server: str) -> None:
    error = await failure(http, f"{server}/packed?by=GZIP")
    assert error.cause == "malformed" and "compressed answer (gzip)" in error.message
    assert await status_and_text(http, f"{server}/packed?by=br&status=500") == (500, "")
    assert await status_and_text(http, f"{server}/packed?by=identity") == (200, "some bytes")
    with pytest.raises(ProviderError, match="compressed"):
        await http.fetch(f"{server}/packed?by=deflate", {}, 100)


async def test_a_body_that_breaks_off_is_truncated(http: HttpClient, server: str) -> None:
    assert (await failure(http, f"{server}/half")).cause == "truncated"


async def test_a_port_where_no_one_listens_is_refused(http: HttpClient) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        error = await failure(http, f"http://127.0.0.1:{taken.getsockname()[1]}")
    assert error.cause == "refused" and "ConnectionRefused" in error.message


async def test_a_host_that_does_not_accept_in_time_is_a_timeout(http: HttpClient) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):  # the backlog is full now
            assert (await failure(http, f"http://127.0.0.1:{port}")).cause == "timeout"


async def test_what_does_not_speak_http_is_malformed(http: HttpClient) -> None:
    async def speak(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(speak, "127.0.0.1", 0) as other:
        assert (await failure(http, f"http://127.0.0.1:{other.sockets[0].getsockname()[1]}")).cause == "malformed"


@pytest.mark.parametrize(
    ("error", "words"),
    [(ssl.SSLError(), "TLS"), (socket.gaierror(), "host name not found"), (OSError(), "network unreachable")],
)
def test_why_a_connection_failed_is_told(error: OSError, words: str) -> None:
    key: Any = ConnectionKey("h", 1, False, True, None, None, None)
    with pytest.raises(ProviderError, match=words), _translated("p", "m", "refused"):
        raise aiohttp.ClientConnectorError(key, error)


def test_any_other_error_of_the_client_is_an_upstream_error() -> None:
    with pytest.raises(ProviderError, match="ClientError") as caught, _translated("p", "m", "refused"):
        raise aiohttp.ClientError
    assert caught.value.cause == "upstream_error"


async def test_fetch_gives_a_whole_body_within_its_bound(http: HttpClient, server: str) -> None:
    assert await http.fetch(f"{server}/ok", {}, 100) == b"ok"
    with pytest.raises(ProviderError, match="more than 100 bytes"):
        await http.fetch(f"{server}/long", {}, 100)
    with pytest.raises(ProviderError, match="302"):
        await http.fetch(f"{server}/moved", {}, 100)


async def test_many_first_callers_open_one_pool(http: HttpClient, server: str) -> None:
    assert {text for _, text in await asyncio.gather(*(status_and_text(http, f"{server}/ok") for _ in range(10)))} == {"ok"}
    await http.open()


def test_sockets_notice_a_peer_that_is_gone_where_the_platform_can(monkeypatch: pytest.MonkeyPatch) -> None:
    with _kept_alive((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 1))) as made:
        assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    monkeypatch.delattr(socket, "TCP_KEEPIDLE", raising=False)
    _kept_alive((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("127.0.0.1", 1))).close()
