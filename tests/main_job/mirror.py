"""An upstream that repeats in its errors whatever it is told to, and the credential it was sent."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

CREDENTIAL = "{authorization}"
"""Stands in a text for the Authorization header of the request."""


class Reply(NamedTuple):
    """One whole answer."""

    status: int
    content_type: str
    body: str
    headers: Mapping[str, str] = {}
    reason: str = "Simulated"


Shape = Callable[[str, str], Reply]
"""(provider, text) -> an answer that holds the text."""

SSE = "text/event-stream"
BEGUN: dict[str, list[Any]] = {
    "vertex_claude": [
        {"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "content": [], "usage": {}}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "so far"}},
    ],
    "vertex_gemini": [{"candidates": [{"content": {"role": "model", "parts": [{"text": "so far"}]}}]}],
    "github_models": [{"id": "c", "choices": [{"index": 0, "delta": {"role": "assistant", "content": "so far"}}]}],
    "openrouter": [{"id": "c", "choices": [{"index": 0, "delta": {"role": "assistant", "content": "so far"}}]}],
}
"""The beginning of an answer on each wire."""


def events(*payloads: Any) -> str:
    """Payloads as server-sent events; a string is sent as it is."""
    return "".join(f"data: {one if isinstance(one, str) else json.dumps(one)}\n\n" for one in payloads)


def as_json(status: int, value: Any) -> Reply:
    """A JSON answer."""
    return Reply(status, "application/json", json.dumps(value))


def error(status: int) -> Shape:
    """An error with its text in the usual place."""
    return lambda _, text: as_json(status, {"error": {"message": text, "code": status, "type": "api_error"}})


def behind(text: str) -> dict[str, Any]:
    """OpenRouter's way to say what the provider behind it said."""
    return {"error": {"message": "Provider returned error", "metadata": {"raw": json.dumps({"error": text})}}}


def strange_words(provider: str, text: str) -> Reply:
    """Text where the wires have words of a short list."""
    ending = {"candidates": [{"finishReason": text}], "choices": [{"index": 0, "delta": {}, "finish_reason": text}]}
    first = BEGUN[provider][:1] if provider == "vertex_claude" else []
    return Reply(200, SSE, events(*first, {"type": "message_delta", "delta": {"stop_reason": text}} | ending, {"type": "message_stop"}))


def in_headers(_: str, text: str) -> Reply:
    """Text in headers that are read, and in some that are not."""
    return as_json(429, {})._replace(headers=dict.fromkeys(("retry-after", "www-authenticate", "x-request-id", "set-cookie"), text))


SHAPES: dict[str, Shape] = {
    **{f"{status} in JSON": error(status) for status in (400, 404, 429, 500)},
    "in an array": lambda _, text: as_json(503, [{"error": {"message": text, "code": 503}}]),
    "error as a string": lambda _, text: as_json(500, {"error": text}),
    "message alone": lambda _, text: as_json(500, {"message": text}),
    "what the provider behind said": lambda _, text: as_json(502, behind(text)),
    "plain text": lambda _, text: Reply(500, "text/plain", f"proxy failed: {text}"),
    "a web page": lambda _, text: Reply(502, "text/html", f"<html><title>502</title><p>{text}</p></html>"),
    "a web page under 200": lambda _, text: Reply(200, "text/html", f"<html><p>{text}</p></html>"),
    "headers": in_headers,
    "a redirect": lambda _, text: Reply(302, "text/plain", text, {"location": f"http://127.0.0.1:9/?key={text}"}),
    "the reason phrase": lambda _, text: as_json(500, {})._replace(reason=text),
    "error under 200": lambda _, text: as_json(200, {"error": {"message": text, "code": 503}}),
    "JSON of the wrong shape": lambda _, text: as_json(200, {"type": text, "choices": text, "candidates": text}),
    "broken JSON": lambda _, text: Reply(200, "application/json", f'{{"choices": [{text}'),
    "error event": lambda provider, text: Reply(200, SSE, events(*BEGUN[provider], {"type": "error", "error": {"message": text}})),
    "broken event": lambda provider, text: Reply(200, SSE, events(*BEGUN[provider], f'{{"choices": [{{{text}')),
    "event of the wrong shape": lambda _, text: Reply(200, SSE, events({"type": text, "choices": [text], "candidates": [text]})),
    "strange words in an event": strange_words,
    "cut by the limit of a message": lambda _, text: Reply(500, "text/plain", "x" * (300 - len("HTTP 500: ") - 14) + " " + text),
}


class Mirror:
    """What is answered next; `url` is where."""

    def __init__(self) -> None:
        self.provider, self.text, self.shape = "", "", SHAPES["plain text"]
        self.requests = 0
        self.credential = ""
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["content-length"]))
                mirror.requests += 1
                mirror.credential = self.headers["authorization"]
                reply = mirror.shape(mirror.provider, mirror.text.replace(CREDENTIAL, mirror.credential))
                body = reply.body.encode()
                self.send_response_only(reply.status, _one_line(reply.reason))
                for name, value in {"content-type": reply.content_type, "content-length": str(len(body)), **reply.headers}.items():
                    self.send_header(name, _one_line(value))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self) -> None:
                self.send_error(404)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"


def _one_line(text: str) -> str:
    return " ".join(text.split())


@contextmanager
def mirroring() -> Generator[Mirror]:
    """A mirror on a free port of loopback until the block ends."""
    mirror = Mirror()
    thread = threading.Thread(target=mirror.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield mirror
    finally:
        mirror.server.shutdown()
        mirror.server.server_close()
        thread.join(5)
