"""The guard, driven as the ASGI application it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from gateway.guard import Guard, Headers, check_bind

PORT = 8094
TOKEN = "a-secret-token"


@dataclass
class Inner:
    """The application behind: notes what reaches it, and answers 200 with the size of the body."""

    reached: int = 0
    bodies: list[bytes] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.reached += 1
        body, more = b"", scope["type"] == "http"
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        self.bodies.append(body)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})


@dataclass
class Answer:
    status: int
    headers: dict[bytes, bytes]
    body: dict[str, Any]


async def ask(
    guard: Guard,
    *headers: tuple[str, str],
    path: str = "/mcp",
    chunks: tuple[bytes, ...] = (b"",),
    local: tuple[str, int] = ("127.0.0.1", PORT),
) -> Answer:
    scope = {
        "type": "http", "method": "POST", "path": path, "server": local,
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
    }  # fmt: skip
    incoming = [{"type": "http.request", "body": chunk, "more_body": index + 1 < len(chunks)} for index, chunk in enumerate(chunks)]
    sent: list[Message] = []

    async def receive() -> Message:
        return incoming.pop(0) if incoming else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await guard(scope, receive, send)
    start, body = sent
    return Answer(start["status"], dict(start["headers"]), json.loads(body["body"]))


def guarded(app: Inner | None = None, **options: Any) -> Guard:
    settings: dict[str, Any] = {"ports": [PORT], "token": None, "max_body_bytes": 100, **options}
    return Guard(app or Inner(), **settings)


HOST = ("host", f"127.0.0.1:{PORT}")

# --- Host -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1:8094", "localhost:8094", "LocalHost:8094", "[::1]:8094"])
async def test_loopback_names_with_the_served_port_pass(host: str) -> None:
    assert (await ask(guarded(), ("host", host))).status == 200


@pytest.mark.parametrize("host", [
    "evil.example", "evil.example:8094", "localhost", "127.0.0.1", "localhost:8095", "localhost:08094", "localhost.:8094", "127.1:8094",
    "2130706433:8094", "localhost:8094.evil.example", "evil.example#localhost:8094", "user@localhost:8094", "::1:8094", "[::]:8094",
    "127.0.0.2:8094", "0.0.0.0:8094", "localhost:8094 ", "localhost:8094,evil.example", "\xff:8094",
])  # fmt: skip
async def test_any_other_host_is_misdirected(host: str) -> None:
    inner = Inner()
    answer = await ask(guarded(inner), ("host", host))
    assert (answer.status, answer.body["error"]["type"], inner.reached) == (421, "invalid_request_error", 0)


@pytest.mark.parametrize("headers", [(), (("host", ""),), (HOST, HOST), (HOST, ("host", "evil.example"))])
async def test_a_missing_empty_or_doubled_host_is_a_bad_request(headers: tuple[tuple[str, str], ...]) -> None:
    assert (await ask(guarded(), *headers)).status == 400


async def test_the_configured_host_passes_beside_the_loopback_names() -> None:
    guard = guarded(hosts=["Parley.lan", "fe80::1"])
    for host, status in {"parley.lan:8094": 200, "[fe80::1]:8094": 200, "localhost:8094": 200, "other.lan:8094": 421}.items():
        assert (await ask(guard, ("host", host))).status == status, host


async def test_port_80_may_be_left_out() -> None:
    guard = guarded(ports=[80])
    for host, status in {"localhost": 200, "localhost:80": 200, "localhost:8094": 421}.items():
        assert (await ask(guard, ("host", host), ("origin", f"http://{host}"))).status == status, host


async def test_several_ports_may_be_served() -> None:
    guard = guarded(ports=[8090, 8091])
    for host, status in {"localhost:8090": 200, "localhost:8091": 200, "localhost:8092": 421}.items():
        assert (await ask(guard, ("host", host))).status == status, host


@pytest.mark.parametrize("wildcard", ["0.0.0.0", "::"])
async def test_bound_to_every_address_the_one_a_connection_came_in_on_passes_and_a_name_does_not(wildcard: str) -> None:
    guard = guarded(hosts=[wildcard], token=TOKEN)
    key = ("x-api-key", TOKEN)
    local = ("192.0.2.7", PORT)
    assert (await ask(guard, ("host", "192.0.2.7:8094"), key, local=local)).status == 200
    assert (await ask(guard, ("host", "192.0.2.8:8094"), key, local=local)).status == 421
    assert (await ask(guard, ("host", "evil.example:8094"), key, local=local)).status == 421


async def test_bound_to_one_address_only_its_name_counts() -> None:
    assert (await ask(guarded(hosts=["127.0.0.1"]), ("host", "192.0.2.7:8094"), local=("192.0.2.7", PORT))).status == 421


# --- Origin ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", ["http://127.0.0.1:8094", "http://localhost:8094", "http://[::1]:8094", "HTTP://LOCALHOST:8094"])
async def test_pages_of_the_server_itself_pass(origin: str) -> None:
    assert (await ask(guarded(), HOST, ("origin", origin))).status == 200


@pytest.mark.parametrize("origin", [
    "null", "", "http://evil.example", "http://evil.example:8094", "https://localhost:8094", "http://localhost", "http://localhost:3000",
    "http://localhost:8094.evil.example", "http://localhost:8094/", "file://", "localhost:8094", "chrome-extension://abc", "http://",
])  # fmt: skip
@pytest.mark.parametrize("path", ["/mcp", "/sse", "/messages/", "/health", "/"])
async def test_every_other_origin_is_forbidden_on_every_route(origin: str, path: str) -> None:
    inner = Inner()
    answer = await ask(guarded(inner, open_paths=["/health"]), HOST, ("origin", origin), path=path)
    assert (answer.status, answer.body["error"]["type"], inner.reached) == (403, "permission_error", 0)


async def test_a_second_origin_cannot_hide_behind_a_good_one() -> None:
    assert (await ask(guarded(), HOST, ("origin", "http://localhost:8094"), ("origin", "http://evil.example"))).status == 403


# --- token ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", [
    ("authorization", f"Bearer {TOKEN}"), ("authorization", f"bearer  {TOKEN}"), ("x-api-key", TOKEN),
])  # fmt: skip
async def test_the_token_passes_as_bearer_or_api_key(header: tuple[str, str]) -> None:
    assert (await ask(guarded(token=TOKEN), HOST, header)).status == 200


async def test_one_right_credential_beside_a_wrong_one_passes() -> None:
    assert (await ask(guarded(token=TOKEN), HOST, ("x-api-key", "dummy"), ("authorization", f"Bearer {TOKEN}"))).status == 200


@pytest.mark.parametrize("header", [
    ("accept", "*/*"), ("authorization", TOKEN), ("authorization", f"Basic {TOKEN}"), ("authorization", "Bearer"),
    ("authorization", "Bearer "), ("authorization", f"Bearer {TOKEN}x"), ("authorization", f"Bearer {TOKEN[:-1]}"),
    ("authorization", f"Bearer {TOKEN.upper()}"),
    ("x-api-key", ""), ("x-api-key", "\xff"), ("cookie", f"token={TOKEN}"),
])  # fmt: skip
async def test_without_the_exact_token_the_answer_is_401_and_tells_how_to_authenticate(header: tuple[str, str]) -> None:
    inner = Inner()
    answer = await ask(guarded(inner, token=TOKEN), HOST, header)
    assert (answer.status, inner.reached) == (401, 0)
    assert answer.headers[b"www-authenticate"] == b'Bearer realm="parley"'
    assert answer.body["error"]["type"] == "authentication_error"
    assert TOKEN not in str(answer)


async def test_open_paths_need_no_token_but_the_right_host() -> None:
    guard = guarded(token=TOKEN, open_paths=["/health"])
    assert (await ask(guard, HOST, path="/health")).status == 200
    assert (await ask(guard, HOST, path="/health/x")).status == 401
    assert (await ask(guard, ("host", "evil.example"), path="/health")).status == 421


async def test_an_empty_token_asks_for_nothing() -> None:
    assert (await ask(guarded(token=""), HOST)).status == 200


# --- body -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", ["101", "99999999999", "9" * 4000, "-1", "1e9", "0x10"])
async def test_a_body_that_announces_too_much_is_refused_unread(length: str) -> None:
    inner = Inner()
    answer = await ask(guarded(inner), HOST, ("content-length", length), chunks=(b"x",) * 200)
    assert (answer.status, answer.body["error"]["type"], inner.reached) == (413, "request_too_large", 0)


@pytest.mark.parametrize("headers", [(), (("transfer-encoding", "chunked"),)])
async def test_a_body_of_unknown_length_is_refused_once_it_is_too_long_and_never_reaches_the_application(headers: Any) -> None:
    inner = Inner()
    answer = await ask(guarded(inner), HOST, *headers, chunks=(b"x" * 30,) * 1000)
    assert (answer.status, inner.reached) == (413, 0)


@pytest.mark.parametrize("headers", [(("content-length", "100"),), (("transfer-encoding", "chunked"),)])
async def test_a_body_of_exactly_the_limit_arrives_whole(headers: Any) -> None:
    inner = Inner()
    assert (await ask(guarded(inner), HOST, *headers, chunks=(b"a" * 50, b"b" * 50))).status == 200
    assert inner.bodies == [b"a" * 50 + b"b" * 50]


async def test_a_client_that_leaves_in_the_middle_of_its_body_reaches_nothing() -> None:
    inner = Inner()
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/", "server": None, "headers": [(b"host", b"localhost:8094")]}
    await guarded(inner)(scope, receive, send)
    assert (inner.reached, sent) == (0, [])


# --- the rest -------------------------------------------------------------------------------------------------------


async def test_a_shim_gives_errors_the_shape_its_clients_expect() -> None:
    def shape(status: int, kind: str, message: str) -> tuple[Mapping[str, object], Headers]:
        return {"type": "error", "error": {"type": kind, "message": message}}, ((b"request-id", b"req_%d" % status),)

    answer = await ask(guarded(shape=shape), ("host", "evil.example"))
    assert answer.body["type"] == "error"
    assert (answer.headers[b"content-type"], answer.headers[b"request-id"]) == (b"application/json", b"req_421")


async def test_websockets_are_closed_and_the_lifespan_passes() -> None:
    sent: list[Message] = []
    inner = Inner()

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await guarded(inner)({"type": "websocket", "path": "/mcp", "headers": []}, receive, send)
    assert (sent, inner.reached) == ([{"type": "websocket.close", "code": 1008}], 0)
    await guarded(inner)({"type": "lifespan"}, receive, send)
    assert inner.reached == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost", "LOCALHOST", "::1", "[::1]"])
def test_a_loopback_host_needs_no_token(host: str) -> None:
    check_bind(host, None)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "192.168.1.5", "parley.lan", "localhost.evil.example", "10.0.0.1"])
@pytest.mark.parametrize("token", [None, ""])
def test_any_other_host_needs_one_and_the_refusal_is_one_line_that_says_so(host: str, token: str | None) -> None:
    with pytest.raises(ValueError, match="PARLEY_TOKEN") as refused:
        check_bind(host, token)
    assert "\n" not in str(refused.value) and str(refused.value).startswith("PARLEY_HOST=")
    with pytest.raises(ValueError, match=r"^--host="):
        check_bind(host, token, setting="--host")
    check_bind(host, TOKEN)
