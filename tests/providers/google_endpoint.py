"""A Google token endpoint on loopback that does exactly what a test tells it, and credentials files that point at it."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

REFRESH_TOKEN = "1//planted-refresh-token"
CLIENT_SECRET = "GOCSPX-planted-client-secret"
PLANTED = "planted-secret-of-the-upstream"
GRANTED = "ya29.planted-access-token-"


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Return when the condition holds; fails after `seconds`."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.002)


@cache
def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def pem() -> str:
    return private_key().private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()).decode()


def service_account(token_uri: str, **changes: Any) -> dict[str, Any]:
    return {
        "type": "service_account",
        "project_id": "sim-project",
        "private_key_id": "k1",
        "private_key": pem(),
        "client_email": "parley@sim-project.iam.gserviceaccount.com",
        "token_uri": token_uri,
        "universe_domain": "googleapis.com",
    } | changes


def authorized_user(token_uri: str, **changes: Any) -> dict[str, Any]:
    return {
        "type": "authorized_user",
        "client_id": "client.apps.googleusercontent.com",
        "client_secret": CLIENT_SECRET,
        "refresh_token": REFRESH_TOKEN,
        "quota_project_id": "quota-project",
        "token_uri": token_uri,
    } | changes


def write(folder: Path, info: dict[str, Any], name: str = "key.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(info))
    return path


def secrets() -> list[str]:
    """Everything that may appear in no error, log or repr."""
    return [
        REFRESH_TOKEN,
        CLIENT_SECRET,
        PLANTED,
        GRANTED,
        *(line for line in pem().splitlines() if "-----" not in line and len(line) > 20),
    ]


def claims_of(assertion: str) -> dict[str, Any]:
    """Return the JWT's claims after checking its signature."""
    signed, _, signature = assertion.rpartition(".")

    def decode(part: str) -> bytes:
        return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))

    private_key().public_key().verify(decode(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
    return json.loads(decode(signed.split(".")[1]))


@dataclass
class Endpoint:
    """`answers` are used up in order, then every request gets a fresh token. A closed `gate` holds answers back."""

    url: str = ""
    lifetime: object = 3600
    answers: list[tuple[int, object]] = field(default_factory=list)
    raw: bytes | None = None
    forms: list[dict[str, str]] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    left: int = 0

    @property
    def requests(self) -> int:
        return len(self.forms)

    def _answer(self) -> bytes:
        status, body = (200, {"access_token": f"{GRANTED}{self.requests}", "expires_in": self.lifetime, "token_type": "Bearer"})
        if self.answers:
            status, body = self.answers.pop(0)
        raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        return f"HTTP/1.1 {status} X\r\nContent-Length: {len(raw)}\r\n\r\n".encode() + raw

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.split("content-length:")[1].split("\r\n")[0])
            form = parse_qs((await reader.readexactly(length)).decode())
            self.forms.append({key: values[0] for key, values in form.items()})
            gone = asyncio.ensure_future(reader.read())
            gate = asyncio.ensure_future(self.gate.wait())
            done, _ = await asyncio.wait({gone, gate}, return_when=asyncio.FIRST_COMPLETED)
            self.left += gone in done
            for waiting in (gone, gate):
                waiting.cancel()
            writer.write(self._answer() if self.raw is None else self.raw)
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def endpoint(tls: ssl.SSLContext | None = None) -> AsyncGenerator[Endpoint]:
    """Run an endpoint with its gate open."""
    served = Endpoint()
    served.gate.set()
    server = await asyncio.start_server(served.serve, "127.0.0.1", 0, ssl=tls)
    served.url = f"http{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}/token"
    try:
        yield served
    finally:
        served.gate.set()
        server.close()
        await server.wait_closed()
