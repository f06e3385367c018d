"""Bodies whose tools come again: the same value as any parser gives, whatever else the body holds."""

from __future__ import annotations

import json
from typing import Any

import pytest

from conversation.repeated import Repeated
from gateway.bodies import Bodies

TOOLS = [{"name": f"t{n}", "description": 'says "tools": [1] \\ \u4e16 ' * 40, "input_schema": {"type": "object"}} for n in range(12)]


def written(body: Any, *, spaced: bool = True, plain: bool = True) -> bytes:
    return json.dumps(body, ensure_ascii=plain, separators=None if spaced else (",", ":")).encode()


def body(said: str, tools: Any = TOOLS, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": said}], **more, "tools": tools, "max_tokens": 5}


@pytest.mark.parametrize("spaced", [False, True])
@pytest.mark.parametrize("plain", [False, True])
def test_tools_are_recognised_from_the_third_time_on(spaced: bool, plain: bool) -> None:
    bodies = Bodies()
    seen: list[Any] = []
    for said in ("one", "two", "three", "four"):
        found = bodies.parsed(written(body(said), spaced=spaced, plain=plain))
        assert found == body(said) and list(found) == list(body(said))
        seen.append(found["tools"])
    assert seen[2] is seen[3] and isinstance(seen[2], Repeated) and not isinstance(seen[1], Repeated)


def test_sessions_with_tools_of_their_own_take_turns() -> None:
    bodies = Bodies()
    sets = [[*TOOLS, {"name": f"more_{n}"}] for n in range(4)]
    for _ in range(2):
        for tools in sets:
            assert bodies.parsed(written(body("x", tools))) == body("x", tools)
    again = [bodies.parsed(written(body("y", tools)))["tools"] for tools in sets]
    assert again == sets and all(isinstance(tools, Repeated) for tools in again)


CALL = {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "t", "input": {"tools": TOOLS}}]}
ODD: dict[str, bytes] = {
    "the same tools first inside a call": written({"messages": [CALL], "tools": TOOLS}),
    "the same tools inside a call only": written({"messages": [CALL]}),
    "other tools after the same ones inside a call": written({"messages": [CALL], "tools": [{"name": "other"}]}),
    "more tools after them": written(body("x", [*TOOLS, {"name": "one more"}])),
    "the key twice, the other value last": written(body("x"))[:-1] + b', "tools": [1]}',
    "the key twice, the same value last": b'{"tools": [1], ' + written(body("x"))[1:],
    "a key that ends like it": written(body("x")).replace(b'"tools":', b'"x\\"tools":'),
    "in a text": written({"messages": written(body("x")).decode()}),
    "no tools": written({"messages": ["x" * 10_000]}),
    "a list": written([body("x")]),
    "no list of tools": written(body("x", {"tools": TOOLS})),
    "half an emoji": written(body("\ud83d cut")),
    "deep": b'{"tools": ' + b"[" * 300 + b'"' + b"x" * 9_000 + b'"' + b"]" * 300 + b"}",
    "a key with a blank after it": written(body("x")).replace(b'"tools":', b'"tools" :'),
}


@pytest.mark.parametrize("odd", ODD.values(), ids=list(ODD))
def test_what_looks_like_known_tools_is_read_as_it_is(odd: bytes) -> None:
    bodies = Bodies()
    for _ in range(2):
        bodies.parsed(written(body("x")))
    expected = json.loads(odd.replace(b"\\ud83d", b"\\ufffd"))
    for _ in range(3):
        assert bodies.parsed(odd) == expected


@pytest.mark.parametrize("broken", [written(body("x"))[:-1], written(body("x")) + b"x", written(body("x"))[:-40]])
def test_what_is_no_json_is_none_with_known_tools_in_it_either(broken: bytes) -> None:
    bodies = Bodies()
    for _ in range(3):
        bodies.parsed(written(body("x")))
    with pytest.raises(ValueError, match=r"JSON|unexpected|expected"):
        bodies.parsed(broken)


def test_tools_so_deep_that_they_cannot_be_compared_are_parsed_each_time() -> None:
    deep = b'{"tools": [' + b"[" * 990 + b'"' + b"x" * 9_000 + b'"' + b"]" * 990 + b"]}"
    bodies = Bodies()
    for _ in range(3):
        assert not isinstance(bodies.parsed(deep)["tools"], Repeated)
