"""A plain HTTP client of the simulated upstreams, and valid requests to vary."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from simulator import Simulator

VERTEX = "/v1/projects/sim-project/locations/us-east5/publishers"
HELLO = [{"role": "user", "content": "hello"}]
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PROVIDERS = ("vertex_claude", "vertex_gemini", "github_models", "openrouter", "openrouter_messages")
"""The four upstreams; OpenRouter on both of its wires."""


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def text(self) -> str:
        return self.raw.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.raw)

    @property
    def message(self) -> str:
        """The error's message, whichever provider's shape it has."""
        body = self.json[0] if isinstance(self.json, list) else self.json
        error = body["error"]
        return str(body.get("error_description") if isinstance(error, str) else error.get("metadata", {}).get("raw", error["message"]))

    @property
    def events(self) -> list[tuple[str, Any]]:
        """Server-sent events as (name, data); data that is no JSON stays text. Comments are ("comment", text)."""
        out: list[tuple[str, Any]] = []
        for block in self.text.replace("\r\n", "\n").split("\n\n"):
            name, data = "", None
            for line in block.split("\n"):
                if line.startswith(":"):
                    out.append(("comment", line[1:].strip()))
                elif line.startswith("event: "):
                    name = line[7:]
                elif line.startswith("data: "):
                    data = line[6:]
            if data is not None:
                out.append((name, _maybe_json(data)))
        return out

    @property
    def data(self) -> list[Any]:
        """The parsed data of every event."""
        return [data for name, data in self.events if name != "comment"]


def _maybe_json(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def claude_body(**more: Any) -> dict[str, Any]:
    return {"anthropic_version": "vertex-2023-10-16", "max_tokens": 4000, "messages": HELLO, **more}


def gemini_body(text: str = "hello", **more: Any) -> dict[str, Any]:
    return {"contents": [{"role": "user", "parts": [{"text": text}]}], **more}


def chat_body(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": HELLO, **more}


class Client:
    """Sends requests with the right credentials, unless told otherwise."""

    def __init__(self, sim: Simulator, session: aiohttp.ClientSession, token: str, env: dict[str, str]) -> None:
        self.sim, self.session, self.token, self.env = sim, session, token, env

    async def send(self, path: str, body: Any, token: str | None, method: str = "POST", **headers: str) -> Reply:
        given = {"authorization": f"Bearer {token}"} if token is not None else {}
        data = body if isinstance(body, (bytes, str)) else json.dumps(body)
        if "Content_Type" not in headers:
            given["content-type"] = "application/json"
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        async with self.session.request(method, self.sim.base_url + path, headers={**given, **named}, data=data) as reply:
            return Reply(reply.status, {key.lower(): value for key, value in reply.headers.items()}, await reply.read())

    async def claude(self, body: Any = None, model: str = "claude-sonnet-4-5", verb: str | None = None, **headers: str) -> Reply:
        body = claude_body() if body is None else body
        stream = isinstance(body, dict) and body.get("stream") is True
        verb = verb or ("streamRawPredict" if stream else "rawPredict")
        return await self.send(f"{VERTEX}/anthropic/models/{model}:{verb}", body, self.token, **headers)

    async def gemini(
        self, body: Any = None, model: str = "gemini-2.5-pro", *, stream: bool = False, sse: bool = True, version: str = "v1"
    ) -> Reply:
        verb = ("streamGenerateContent" + ("?alt=sse" if sse else "")) if stream else "generateContent"
        path = f"{VERTEX}/google/models/{model}:{verb}".replace("/v1/", f"/{version}/")
        return await self.send(path, gemini_body() if body is None else body, self.token)

    async def github(self, body: Any = None, model: str = "openai/gpt-4.1", **more: Any) -> Reply:
        return await self.send("/inference/chat/completions", body or chat_body(model, **more), self.env["GITHUB_TOKEN"])

    async def openrouter(self, body: Any = None, model: str = "anthropic/claude-sonnet-4.5", **more: Any) -> Reply:
        return await self.send("/api/v1/chat/completions", body or chat_body(model, **more), self.env["OPENROUTER_API_KEY"])

    async def messages(self, model: str = "anthropic/claude-sonnet-4.5", **more: Any) -> Reply:
        body = {"model": model, "max_tokens": 4000, "messages": HELLO, **more}
        return await self.send("/api/v1/messages", body, self.env["OPENROUTER_API_KEY"])

    async def ask(self, route: str, text: str = "hello", *, stream: bool = False) -> Reply:
        """The same simple question to any upstream."""
        return await self.send(*self.question(route, text, stream=stream))

    def question(self, route: str, text: str = "hello", *, stream: bool = False) -> tuple[str, Any, str]:
        """Path, body and token of a simple question to any upstream."""
        turn = [{"role": "user", "content": text}]
        match route:
            case "vertex_claude":
                verb = "streamRawPredict" if stream else "rawPredict"
                return f"{VERTEX}/anthropic/models/claude-sonnet-4-5:{verb}", claude_body(messages=turn, stream=stream), self.token
            case "vertex_gemini":
                verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
                return f"{VERTEX}/google/models/gemini-2.5-pro:{verb}", gemini_body(text), self.token
            case "github_models":
                body = chat_body("openai/gpt-4.1", messages=turn, stream=stream)
                return "/inference/chat/completions", body, self.env["GITHUB_TOKEN"]
            case "openrouter":
                body = chat_body("anthropic/claude-sonnet-4.5", messages=turn, stream=stream)
                return "/api/v1/chat/completions", body, self.env["OPENROUTER_API_KEY"]
            case _:
                body = {"model": "anthropic/claude-sonnet-4.5", "max_tokens": 4000, "messages": turn, "stream": stream}
                return "/api/v1/messages", body, self.env["OPENROUTER_API_KEY"]

    async def dial(self, path: str, body: Any, token: str) -> Line:
        """The same over a bare socket, for answers that are no proper HTTP."""
        url = urlsplit(self.sim.base_url)
        reader, writer = await asyncio.open_connection(url.hostname, url.port)
        raw = json.dumps(body).encode()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {url.netloc}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(raw)}\r\nConnection: close\r\n\r\n"
        )
        writer.write(head.encode() + raw)
        return Line(reader, writer)


class Line:
    """One connection with one request on it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.reset = False

    async def rest(self) -> bytes:
        """All bytes until the connection ends; notes whether it was reset."""
        got = b""
        try:
            while chunk := await asyncio.wait_for(self.reader.read(65_536), 5):
                got += chunk
        except ConnectionResetError:
            self.reset = True
        await self.close()
        return got

    async def headers(self) -> str:
        """Status line and headers."""
        return (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 5)).decode()

    async def close(self) -> None:
        """The client goes away."""
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


def ended_properly(raw: bytes) -> bool:
    """True when a chunked answer has its last chunk."""
    return raw.endswith(b"0\r\n\r\n")


def said(provider: str, reply: Reply, *, stream: bool) -> str:
    """The text of an answer, whatever the wire."""
    if provider == "vertex_gemini":
        chunks = reply.data if stream else [reply.json]
        parts = [part for chunk in chunks for part in chunk["candidates"][0]["content"].get("parts", [])]
        return "".join(part.get("text", "") for part in parts if not part.get("thought"))
    if provider in ("vertex_claude", "openrouter_messages"):
        if not stream:
            return "".join(block.get("text", "") for block in reply.json["content"])
        return "".join(event["delta"].get("text", "") for event in reply.data if event["type"] == "content_block_delta")
    if not stream:
        return str(reply.json["choices"][0]["message"]["content"])
    chunks = [chunk for chunk in reply.data if chunk != "[DONE]" and chunk["choices"]]
    return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)


def provider_of(route: str) -> str:
    """The provider behind one of PROVIDERS."""
    return "openrouter" if route == "openrouter_messages" else route
