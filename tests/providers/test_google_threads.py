"""What surrounds a refresh: files that change or break, TLS, proxies, closing, and a process that has to end."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
import subprocess
import sys
import threading
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from conversation.errors import AuthFailed, UpstreamError, UpstreamTimeout
from providers._google_post import TokenFailed, TokenPost
from tests.providers.google_endpoint import GRANTED, Endpoint, authorized_user, endpoint, pem, private_key, service_account, until, write
from tests.providers.test_google import Clock, failure, no_secret_in_the_logs, tokens

__all__ = ["no_secret_in_the_logs"]


@pytest.fixture
async def google() -> AsyncGenerator[Endpoint]:
    async with endpoint() as served:
        yield served


def refresh_threads() -> int:
    return sum(thread.name == "google-token" for thread in threading.enumerate())


async def test_a_replaced_key_file_is_used_without_a_restart(tmp_path: Path, google: Endpoint) -> None:
    clock = Clock()
    source = tokens(tmp_path, service_account(google.url), clock=clock)
    await source.token()
    write(tmp_path, authorized_user(google.url))
    clock.now += 4000
    assert await source.token() == f"{GRANTED}2"
    assert google.forms[1]["grant_type"] == "refresh_token"
    await source.aclose()


async def test_a_file_that_broke_since_is_an_authentication_error_that_names_it(tmp_path: Path, google: Endpoint) -> None:
    source = tokens(tmp_path, service_account(google.url))
    (tmp_path / "key.json").unlink()
    error = await failure(source)
    assert isinstance(error, AuthFailed)
    assert error.message == "key.json (from GOOGLE_APPLICATION_CREDENTIALS) does not exist"
    assert "GOOGLE_APPLICATION_CREDENTIALS" in error.hint
    await source.aclose()


def other_keys() -> dict[str, str]:
    elliptic = ec.generate_private_key(ec.SECP256R1())
    form, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    return {
        "cut": pem()[:200] + "\n-----END PRIVATE KEY-----\n",
        "escaped": pem().replace("\n", "\\n"),
        "elliptic": elliptic.private_bytes(form, pkcs8, serialization.NoEncryption()).decode(),
        "encrypted": private_key().private_bytes(form, pkcs8, serialization.BestAvailableEncryption(b"x")).decode(),
    }


@pytest.mark.parametrize("name", ["cut", "escaped", "elliptic", "encrypted"])
async def test_a_key_that_cannot_sign_is_an_authentication_error(tmp_path: Path, google: Endpoint, name: str) -> None:
    key = other_keys()[name]
    source = tokens(tmp_path, service_account(google.url, private_key=key))
    error = await failure(source)
    assert isinstance(error, AuthFailed)
    assert "hold a key that cannot be used" in error.message
    assert not [line for line in key.splitlines() if len(line) > 20 and "-----" not in line and line in str(error.as_dict())]
    assert google.requests == 0
    await source.aclose()


async def test_a_broken_installation_is_reported_and_not_waited_for(
    tmp_path: Path, google: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "google.oauth2", None)
    source = tokens(tmp_path, service_account(google.url))
    error = await failure(source)
    assert (type(error), error.message) == (UpstreamError, "No Google token could be made (ModuleNotFoundError)")
    await source.aclose()


async def test_proxies_of_the_environment_are_not_used(tmp_path: Path, google: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    source = tokens(tmp_path, service_account(google.url))
    assert await source.token() == f"{GRANTED}1"
    await source.aclose()


def certificate(folder: Path) -> Path:
    """Write a self-signed certificate for 127.0.0.1 with its key."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    now = datetime.datetime.now(datetime.UTC)
    key = private_key()
    built = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "loopback.pem"
    path.write_text(pem() + built.public_bytes(serialization.Encoding.PEM).decode())
    return path


@pytest.mark.parametrize("trusted", [True, False])
async def test_tls_is_checked(tmp_path: Path, trusted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    path = certificate(tmp_path)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
    async with endpoint(server) as google:
        source = tokens(tmp_path, service_account(google.url))
        if trusted:
            assert await source.token() == f"{GRANTED}1"
        else:
            error = await failure(source)
            assert (type(error), error.cause) == (UpstreamError, "refused")
            assert "TLS" in error.message
            assert google.requests == 0
        await source.aclose()


async def test_a_dripping_endpoint_leaves_no_thread_behind(tmp_path: Path) -> None:
    hung_up = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b" ")
            await asyncio.sleep(0.02)
        writer.close()
        hung_up.set()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    source = tokens(tmp_path, service_account(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/token"), timeout=0.4)
    before = refresh_threads()
    assert isinstance(await failure(source), UpstreamTimeout)
    await until(lambda: refresh_threads() <= before)
    async with asyncio.timeout(5):
        await hung_up.wait()
    server.close()
    await source.aclose()


async def test_closing_breaks_off_a_refresh_and_frees_its_waiters(tmp_path: Path, google: Endpoint) -> None:
    google.gate.clear()
    source = tokens(tmp_path, service_account(google.url))
    waiters = [asyncio.create_task(source.token()) for _ in range(3)]
    await until(lambda: google.requests == 1)
    await source.aclose()
    errors = await asyncio.gather(*waiters, return_exceptions=True)
    assert [type(error) for error in errors] == [UpstreamError] * 3
    await until(lambda: google.left == 1)
    await until(lambda: refresh_threads() == 0)


async def test_nothing_is_asked_after_closing(tmp_path: Path, google: Endpoint) -> None:
    clock = Clock()
    source = tokens(tmp_path, service_account(google.url), clock=clock)
    await source.aclose()
    assert isinstance(await failure(source), UpstreamError)
    await source.aclose()
    assert google.requests == 0


async def test_a_request_broken_off_before_its_connection_stands_sends_nothing(google: Endpoint) -> None:
    post = TokenPost(5)
    post.abort()
    with pytest.raises(TokenFailed, match="cannot be reached"):
        await asyncio.to_thread(post, google.url, "POST", b"secret=x")
    assert google.requests == 0


async def test_a_request_gives_up_by_itself_too(google: Endpoint) -> None:
    google.gate.clear()
    with pytest.raises(TokenFailed, match=r"within 0\.2 s"):
        await asyncio.to_thread(TokenPost(0.2), google.url, "POST", b"secret=x")


def python(code: str, *args: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[2]
    return subprocess.run([sys.executable, "-c", code, *args], cwd=root, capture_output=True, text=True, timeout=20, check=False)


def test_nothing_of_google_is_imported_before_the_first_token(tmp_path: Path) -> None:
    path = write(tmp_path, service_account("http://127.0.0.1:1/token"))
    code = """
import sys
from providers._google import GoogleTokens, find_credentials
GoogleTokens(find_credentials({"GOOGLE_APPLICATION_CREDENTIALS": sys.argv[1]}))
print([name for name in sys.modules if name.startswith(("google", "cryptography", "requests", "aiohttp"))])
"""
    ran = python(code, str(path))
    assert (ran.stdout, ran.stderr) == ("[]\n", "")


async def test_a_silent_endpoint_does_not_keep_the_process(tmp_path: Path, google: Endpoint) -> None:
    google.gate.clear()
    path = write(tmp_path, service_account(google.url))
    code = """
import asyncio, sys, time
from providers._google import GoogleTokens, find_credentials
async def main():
    source = GoogleTokens(find_credentials({"GOOGLE_APPLICATION_CREDENTIALS": sys.argv[1]}), timeout=300)
    try:
        await asyncio.wait_for(source.token(), 2)
    except TimeoutError:
        print("gave up")
started = time.monotonic()
asyncio.run(main())
print("left the loop", time.monotonic() - started < 5)
"""
    ran = await asyncio.to_thread(python, code, str(path))
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "gave up\nleft the loop True\n", "")
    assert google.requests == 1


async def test_a_refresh_that_outlives_its_loop_ends_quietly(tmp_path: Path, google: Endpoint, capfd: pytest.CaptureFixture[str]) -> None:
    google.gate.clear()
    source = tokens(tmp_path, service_account(google.url))

    def start_and_leave() -> None:
        async def start() -> None:
            waiter = asyncio.create_task(source.token())
            await asyncio.sleep(0)
            waiter.cancel()

        asyncio.run(start())

    await asyncio.to_thread(start_and_leave)
    await until(lambda: google.requests == 1)
    google.gate.set()
    await until(lambda: refresh_threads() == 0)
    assert capfd.readouterr().err == ""
