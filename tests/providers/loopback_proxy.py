"""A forward proxy on loopback, to which every host is one and the same server, and a certificate for that server."""

from __future__ import annotations

import asyncio
import base64
import datetime
import ipaddress
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from tests.providers.google_endpoint import pem, private_key

HOST = "upstream.test"
USER, PASSWORD = "me", "planted-word/of the proxy"
CREDENTIALS = "me:planted-word%2Fof%20the%20proxy"
TOKEN = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
PLANTED = (PASSWORD, CREDENTIALS.partition(":")[2], TOKEN)


@dataclass
class Asked:
    """The head of one request as the proxy saw it."""

    method: str
    target: str
    headers: dict[str, str]


@dataclass
class LoopbackProxy:
    """`answer` is what it says itself, in place of passing anything on; b"" is hanging up, and None passing on."""

    upstream: int
    port: int = 0
    scheme: str = "http"
    credentials: bool = False
    answer: bytes | None = None
    silent: bool = False
    asked: list[Asked] = field(default_factory=list)
    left: int = 0
    serving: set[asyncio.Task[None]] = field(default_factory=set)

    def address(self, credentials: str = "") -> str:
        return f"{self.scheme}://{credentials}{'@' if credentials else ''}127.0.0.1:{self.port}"

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.serving.add(asyncio.create_task(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._answer(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass  # the client left
        finally:
            await closed(writer)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode().strip().split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        self.asked.append(Asked(method, target, headers))
        if self.silent:
            await reader.read()
            self.left += 1
        elif self.credentials and headers.get("proxy-authorization") != f"Basic {TOKEN}":
            writer.write(
                b'HTTP/1.1 407 Authenticate\r\nProxy-Authenticate: Basic realm="x"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'
            )
            await reader.read()  # closing with a body unread could take the answer back
        elif self.answer is not None:
            writer.write(self.answer)
            await writer.drain()
        else:
            await self._pass_on(b"" if method == "CONNECT" else head, reader, writer)

    async def _pass_on(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await asyncio.open_connection("127.0.0.1", self.upstream)
        if head:
            ours.write(head)
        else:
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            await asyncio.gather(pump(reader, ours), pump(theirs, writer))
        finally:
            await closed(ours)


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(65536):
        writer.write(chunk)
        await writer.drain()
    writer.close()


async def closed(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with suppress(ConnectionError, ssl.SSLError):
        await writer.wait_closed()


@asynccontextmanager
async def running(upstream: int, tls: ssl.SSLContext | None = None) -> AsyncGenerator[LoopbackProxy]:
    """Run a proxy before the server at port `upstream`."""
    proxy = LoopbackProxy(upstream, scheme="https" if tls else "http")
    server = await asyncio.start_server(proxy.accept, "127.0.0.1", 0, ssl=tls)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        for task in proxy.serving:
            task.cancel()
        await asyncio.gather(*proxy.serving, return_exceptions=True)
        await server.wait_closed()


def certificate(folder: Path) -> Path:
    """Write a self-signed certificate for HOST and 127.0.0.1 with its key."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName(HOST), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    built = (
        x509.CertificateBuilder(name, name, private_key().public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(private_key(), hashes.SHA256())
    )
    path = folder / "loopback.pem"
    path.write_text(pem() + built.public_bytes(serialization.Encoding.PEM).decode())
    return path


def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context
