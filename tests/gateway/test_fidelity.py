"""What arrives at each upstream of what a client sends, and at the client of what the upstream sends: feature by shim, streamed or whole.

The simulator is strict: a 200 says that the upstream would have taken the request.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.gateway.client import PROVIDERS, Client
from tests.providers.pdfs import document, pdf

CLAUDE = ("vertex_claude", "openrouter")
BOTH = pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
EACH = pytest.mark.parametrize("shim", PROVIDERS)
PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x02\x00\x00\x00\x02\x08\x02\x00\x00\x00").decode()
SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "additionalProperties": False,
    "required": ["at"],
    "properties": {
        "at": {"anyOf": [{"type": "string", "minLength": 1, "pattern": "^a"}, {"type": "integer", "exclusiveMinimum": 0}]},
        "kind": {"const": "file", "type": "string"},
        "tags": {"type": "array", "items": {"type": "string", "format": "uri"}, "maxItems": 3, "default": []},
        "map": {"type": "object", "propertyNames": {"pattern": "^x"}, "additionalProperties": {"type": "number"}},
    },
}
LOOK = {"name": "look", "description": "Looks.", "input_schema": SCHEMA}
PUT = {"name": "put", "description": "Puts.", "input_schema": {"type": "object", "properties": {}}}


def user(*content: Any) -> dict[str, Any]:
    return {"role": "user", "content": [{"type": "text", "text": one} if isinstance(one, str) else one for one in content]}


def assistant(*content: Any) -> dict[str, Any]:
    return {**user(*content), "role": "assistant"}


def everything(client: Client, shim: str) -> str:
    return json.dumps(client.sent(shim), ensure_ascii=False)


@EACH
@BOTH
async def test_the_system_prompt_in_every_form_and_no_billing_line(client: Client, shim: str, stream: bool) -> None:
    billing = {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.197; cc_entrypoint=sdk-cli;"}
    marked = {"type": "text", "text": "Be HERON.", "cache_control": {"type": "ephemeral"}}
    blocks = [billing, {"type": "text", "text": "Be MARMOT."}, marked]
    for system in ("Be MARMOT. Be HERON.", blocks):
        turns = [user("one"), {"role": "system", "content": "Available agents: OTTER."}, assistant("two"), user("three")]
        assert (await client.ask(shim, stream=stream, system=system, messages=turns)).answer.text
        sent = everything(client, shim)
        assert all(word in sent for word in ("MARMOT", "HERON", "OTTER")) and "billing" not in sent
        found = client.sent(shim)
        where = {"vertex_gemini": found.get("system_instruction") or found.get("systemInstruction"), "github_models": found.get("messages")}
        assert "MARMOT" in json.dumps(where.get(shim) or found.get("system"))


@EACH
@BOTH
async def test_images_and_documents(client: Client, shim: str, stream: bool) -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    got = await client.ask(shim, stream=stream, messages=[user("What is this?", image)])
    assert got.answer.text and PNG in everything(client, shim)
    paper = document(pdf("About a HERON"), title="a.pdf")
    got = await client.ask(shim, stream=stream, messages=[user(paper, "What is this?")])
    assert got.answer.text
    sent = everything(client, shim)
    as_text = shim == "github_models"  # its models read no documents
    assert (paper["source"]["data"] in sent, "a.pdf" in sent and "About a HERON" in sent) == (not as_text, as_text)
    plain: dict[str, Any] = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "a plain OTTER"}}
    got = await client.ask(shim, stream=stream, messages=[user(plain, "What is this?")])
    assert got.answer.text and "a plain OTTER" in everything(client, shim)


@BOTH
async def test_where_no_documents_are_read_a_session_with_some_goes_on(client: Client, stream: bool) -> None:
    """Beside a tool's result and in it, of several kinds, and again with every turn; one that cannot be read here is refused as before."""
    use = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": "a"}}
    seen = [{"type": "text", "text": "Read it."}, document(pdf("one OTTER"))]
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": seen}
    turns = [user("go"), assistant(use), user(result, document(pdf("two HERON")), document(b"%PDF-1.4 torn", title="torn.pdf"))]
    for _ in range(2):
        got = await client.ask("github_models", stream=stream, messages=turns, tools=[LOOK])
        assert got.answer.text
        messages = client.sent("github_models")["messages"]
        (answer,) = [json.dumps(message["content"]) for message in messages if message["role"] == "tool"]
        assert "Read it." in answer and "one OTTER" in answer
        assert all(word in everything(client, "github_models") for word in ("two HERON", "torn.pdf", "damaged"))
        turns += [assistant(*got.answer.blocks), user("and?")]
    far = {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}}
    got = await client.ask("github_models", stream=stream, messages=[user(far)])
    assert (got.status, "document" in got.body["error"]["message"]) == (400, True)


@EACH
async def test_tools_that_come_again_and_again_arrive_as_the_first_time(client: Client, shim: str) -> None:
    tools = [{**LOOK, "name": f"look_{n}", "description": "Looks \u4e16. " * 200, "cache_control": {"type": "ephemeral"}} for n in range(8)]
    arrived: list[Any] = []
    for turn in ("one", "two", "three", "four"):
        assert (await client.ask(shim, messages=[user(turn)], tools=tools)).answer.text
        arrived.append({key: value for key, value in client.sent(shim).items() if key not in ("messages", "contents")})
    assert len(json.dumps(arrived[0])) > 8_000 and arrived[1:] == arrived[:1] * 3
    changed = [*tools[:-1], {**tools[-1], "description": "Looks elsewhere."}]
    assert (await client.ask(shim, messages=[user("five")], tools=changed)).answer.text
    assert "Looks elsewhere." in everything(client, shim)


@EACH
@BOTH
async def test_tools_parallel_calls_and_their_results(client: Client, shim: str, stream: bool) -> None:
    inputs: list[tuple[str, Any]] = [("look", {"at": "a"}), ("look", {"at": "b", "tags": ["\u4e16"]}), ("put", {})]
    calls = [{"name": name, "input": given} for name, given in inputs]
    client.sim.rule("*", "I look.", tool_use=calls, times=1)
    turns = [user("go")]
    got = await client.ask(shim, stream=stream, messages=turns, tools=[LOOK, PUT], tool_choice={"type": "auto"})
    uses = [block for block in got.answer.blocks if block["type"] == "tool_use"]
    assert [(block["name"], block["input"]) for block in uses] == [(call["name"], call["input"]) for call in calls]
    assert got.answer.stop_reason == "tool_use" and len({block["id"] for block in uses}) == 3
    assert all(set(block) <= {"type", "id", "name", "input", "caller"} for block in uses)
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    results = [
        {"type": "tool_result", "tool_use_id": uses[0]["id"], "content": "saw OTTER"},
        {"tool_use_id": uses[1]["id"], "type": "tool_result", "is_error": True, "content": [{"type": "text", "text": "no MARMOT"}, image]},
        {"type": "tool_result", "tool_use_id": uses[2]["id"]},
    ]
    turns += [assistant(*got.answer.blocks), user(*results, "go on")]
    client.sim.rule("*", "Done.")
    got = await client.ask(shim, stream=stream, messages=turns, tools=[LOOK, PUT])
    assert got.answer.text == "Done."
    sent = everything(client, shim)
    assert all(one in sent for one in ("saw OTTER", "no MARMOT", PNG, "go on"))
    assert "\u4e16" in sent or "\\u4e16" in sent  # arguments are JSON inside of JSON for some
    assert ("is_error" in sent) if shim in CLAUDE else ("Error" in sent)
    if shim in CLAUDE:
        assert client.sent(shim)["messages"][-1]["content"][:2] == results[:2]


@EACH
@BOTH
async def test_tool_choice(client: Client, shim: str, stream: bool) -> None:
    client.sim.rule("*", "", tool_use=[{"name": "look", "input": {"at": "a"}}])
    choices = ({"type": "any"}, {"type": "tool", "name": "look"}, {"type": "auto", "disable_parallel_tool_use": True})
    for choice in choices:
        asked = {"messages": [user("go")], "tools": [LOOK, PUT], "thinking": {"type": "adaptive"}}
        got = await client.ask(shim, stream=stream, tool_choice=choice, **asked)
        assert got.answer.blocks[-1]["name"] == "look"
        assert "choice" in everything(client, shim).lower() or shim == "vertex_gemini"
    none = await client.ask(shim, stream=stream, messages=[user("go")], tools=[LOOK], tool_choice={"type": "none"})
    assert none.status == 200


@EACH
@BOTH
async def test_thinking_goes_back_to_who_signed_it_and_to_nobody_else(client: Client, shim: str, stream: bool) -> None:
    """One conversation: thought at Vertex's Claude, continued at each shim, and taken back."""
    client.sim.rule("vertex_claude", "So it is.", thinking="Let me see.")
    asked: dict[str, Any] = {"thinking": {"type": "enabled", "budget_tokens": 2_000}, "max_tokens": 4_000}
    first = await client.ask("vertex_claude", stream=stream, messages=[user("why?")], **asked)
    thought = first.answer.blocks[0]
    assert thought["type"] == "thinking" and thought["signature"]
    turns = [user("why?"), assistant(*first.answer.blocks), user("and?")]
    there = await client.ask(shim, stream=stream, messages=turns, **asked)
    assert there.answer.text and ("signature" in everything(client, shim)) == (shim == "vertex_claude")
    turns += [assistant(*there.answer.blocks), user("back?")]
    assert (await client.ask("vertex_claude", stream=stream, messages=turns, **asked)).answer.text
    blocks = [block for message in client.sent("vertex_claude")["messages"] for block in message["content"] if block["type"] == "thinking"]
    assert blocks[0] == thought
    assert len(client.sim.requests("vertex_claude")) == (3 if shim == "vertex_claude" else 2)  # nothing was refused on the way


@BOTH
async def test_a_task_goes_round_all_providers_and_back_with_its_calls_thoughts_and_results(client: Client, stream: bool) -> None:
    """Each is asked in turn to go on with what the others began, twice round; the strict upstreams take all of it."""
    turns = [user("begin OTTER")]
    asked: dict[str, Any] = {"tools": [LOOK], "thinking": {"type": "enabled", "budget_tokens": 2_000}, "max_tokens": 4_000}
    for number, shim in enumerate((*PROVIDERS, *PROVIDERS)):
        client.sim.rule(shim, f"step {number}", thinking="Hm.", tool_use=[{"name": "look", "input": {"at": f"place-{number}"}}], times=1)
        got = await client.ask(shim, stream=stream, messages=turns, **asked)
        call = got.answer.blocks[-1]
        assert (got.status, call["name"], call["input"]) == (200, "look", {"at": f"place-{number}"})
        sent = everything(client, shim)
        assert all(f"place-{before}" in sent and f"saw-{before}" in sent for before in range(number)) and "OTTER" in sent
        result = {"type": "tool_result", "tool_use_id": call["id"], "content": f"saw-{number}"}
        turns += [assistant(*got.answer.blocks), user(result)]
    assert len(client.sim.log) == 2 * len(PROVIDERS), "nothing was refused on the way"
    assert len({block["id"] for turn in turns for block in turn["content"] if block["type"] == "tool_use"}) == 8


@EACH
@BOTH
async def test_thinking_from_elsewhere_and_thinking_in_a_tool_turn_is_never_a_400(client: Client, shim: str, stream: bool) -> None:
    use = {"type": "tool_use", "id": "call_function.1", "name": "look", "input": {"at": "a"}}
    result = {"type": "tool_result", "tool_use_id": "call_function.1", "content": "seen"}
    thoughts = [{"type": "thinking", "thinking": "hm", "signature": signature} for signature in ("Zm9yZWlnbg==", "")]
    for thought in (*thoughts, {"type": "redacted_thinking", "data": "Zm9yZWlnbg=="}):
        turns = [user("go"), assistant(thought, "I look.", use), user(result)]
        got = await client.ask(shim, stream=stream, messages=turns, tools=[LOOK], thinking={"type": "adaptive"}, max_tokens=4_000)
        assert got.answer.text


@EACH
@BOTH
async def test_white_space_that_another_provider_wrote_stays_in_no_ones_way(client: Client, shim: str, stream: bool) -> None:
    use = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": "a"}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "\n"}]}
    begun = [user(" "), assistant("\n"), user("go"), assistant("\n\n", use), user(result), assistant(" \n"), user("on", " ")]
    for turns in (begun, [*begun, assistant("Yes."), user("\n")], [{"role": "user", "content": "\n"}, assistant("Hm."), user("go")]):
        system = [{"type": "text", "text": "\n"}, {"type": "text", "text": "Be brief."}]
        assert (await client.ask(shim, stream=stream, system=system, messages=turns, tools=[LOOK])).answer.text


@EACH
@BOTH
async def test_ids_of_tools_in_every_form_and_used_again(client: Client, shim: str, stream: bool) -> None:
    turns = [user("go")]
    for names in (("a.b", "a:b"), ("toolu_1",), ("toolu_1", "toolu_2"), ("toolu_1", "toolu_1"), ("x" * 60 + "1", "x" * 60 + "2")):
        uses = [{"type": "tool_use", "id": name, "name": "look", "input": {"at": name}} for name in names]
        results = [{"type": "tool_result", "tool_use_id": name, "content": "seen"} for name in names]
        turns += [assistant(*uses), user(*results)]
        assert (await client.ask(shim, stream=stream, messages=turns, tools=[LOOK])).answer.text


@EACH
async def test_legal_schemas_of_every_kind(client: Client, shim: str) -> None:
    """One tool with such a schema would otherwise fail every turn, for as long as its server is connected."""
    string = {"type": "string"}
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}, "self": {"$ref": "#"}}}
    properties = {
        "any": True,
        "none": False,
        "tuple": {"type": "array", "items": [string, {"type": "number"}]},
        "places": {"type": "array", "prefixItems": [string], "items": False},
        "all": {"type": "array", "items": True},
        "maybe": {"anyOf": [True, {"type": "null"}]},
        "node": {"$ref": "#/$defs/Node"},
        "old": {"$ref": "#/definitions/Old"},
        "$ref": string,
    }
    defs = {"$defs": {"Node": node}, "definitions": {"Old": string}}
    schema = {"type": "object", "properties": properties, "required": ["any", "zzz"], **defs}
    assert (await client.ask(shim, tools=[{**LOOK, "input_schema": schema}])).answer.text
    if shim == "vertex_gemini":
        assert '"tuple"' in everything(client, shim)


@EACH
@BOTH
async def test_blocks_that_not_everyone_knows(client: Client, shim: str, stream: bool) -> None:
    found = {"type": "search_result", "source": "s", "title": "OTTER", "content": [{"type": "text", "text": "swims"}]}
    served = [
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [{"type": "web_search_result", "title": "MARMOT"}]},
    ]
    use = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": "a"}}
    parts = [found, {"type": "tool_reference", "tool_name": "HERON"}, {"type": "hologram"}]
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": parts}
    future = [{"type": "hologram", "x": 1}, {"type": "note", "text": "LYNX"}]
    turns = [user(found, *future, "go"), assistant(*served, "I look.", use), user(result, {"type": "hologram"})]
    for betas in ("", "tool-search-tool-2025-10-19"):
        assert (await client.ask(shim, stream=stream, messages=turns, tools=[LOOK], betas=betas)).answer.text
        assert all(word in everything(client, shim) for word in ("OTTER", "swims", "MARMOT", "HERON", "LYNX"))
    assert (await client.ask(shim, stream=stream, messages=[user({"type": "hologram"}), user("go")])).answer.text


@EACH
@BOTH
async def test_cache_marks_go_where_they_are_understood(client: Client, shim: str, stream: bool) -> None:
    mark = {"cache_control": {"type": "ephemeral"}}
    client.sim.rule("*", "ok", usage={"input_tokens": 100, "output_tokens": 5, "cache_read_input_tokens": 40})
    got = await client.ask(
        shim,
        stream=stream,
        system=[{"type": "text", "text": "Be brief.", **mark}],
        tools=[{**LOOK, **mark}],
        messages=[user({"type": "text", "text": "hello", **mark})],
    )
    assert got.answer.cached_tokens == 40 and got.answer.output_tokens == 5
    assert ("cache_control" in everything(client, shim)) == (shim in CLAUDE)
    assert not [entry for entry in client.sim.log if "cachedContents" in entry["path"]]


@EACH
@BOTH
async def test_stop_sequences_and_stop_reasons(client: Client, shim: str, stream: bool) -> None:
    client.sim.rule("*", "half an ans", finish="max_tokens", times=1)
    assert (await client.ask(shim, stream=stream)).answer.stop_reason == "max_tokens"
    got = await client.ask(shim, stream=stream, stop_sequences=["OTTER", *"abcdef"], temperature=0.5)
    assert got.answer.stop_reason == "end_turn" and "OTTER" in everything(client, shim)


@EACH
@BOTH
async def test_what_claude_code_sends_besides_is_taken_and_nothing_about_the_user_leaves(client: Client, shim: str, stream: bool) -> None:
    betas = (
        "claude-code-20250219,interleaved-thinking-2025-05-14,thinking-token-count-2026-05-13,context-management-2025-06-27,"
        "prompt-caching-scope-2026-01-05,mid-conversation-system-2026-04-07,effort-2025-11-24,context-1m-2025-08-07"
    )
    body = {
        "max_tokens": 64_000,
        "metadata": {"user_id": json.dumps({"device_id": "SECRET-DEVICE", "session_id": "SECRET-SESSION"})},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        "output_config": {"effort": "high"},
        "tools": [LOOK],
    }
    for model in ("claude-opus-4-8", "claude-sonnet-5", "claude-haiku-4-5-20251001", "claude-sonnet-4-5", "gemini-2.5-pro"):
        for thinking in ({"type": "adaptive"}, {"type": "enabled", "budget_tokens": 31_999}):
            got = await client.ask(shim, stream=stream, model=model, thinking=thinking, betas=betas, **body)
            assert got.answer.text, (model, thinking, got.content)
            told = json.dumps({**client.sim.requests(shim)[-1]})
            assert not [word for word in ("SECRET", "user_id", "claude-code-20250219") if word in told]


@EACH
@pytest.mark.parametrize("effort", ["max", "ultra", 5])
async def test_an_effort_of_the_future_counts_as_the_highest(client: Client, shim: str, effort: Any) -> None:
    for model in ("claude-sonnet-4-5", "claude-opus-4-8", "openai/gpt-5", "gemini-2.5-pro", "google/gemini-2.5-pro"):
        asked: dict[str, Any] = {"thinking": {"type": "adaptive"}, "output_config": {"effort": effort}, "max_tokens": 9_000}
        assert (await client.ask(shim, model=model, **asked)).answer.text


@EACH
async def test_more_output_than_a_model_gives_is_cut_to_what_it_gives(client: Client, shim: str) -> None:
    assert (await client.ask(shim, max_tokens=1_000_000)).answer.text


@EACH
@BOTH
async def test_fields_no_one_knows_are_ignored_and_odd_ones_left_out(client: Client, shim: str, stream: bool) -> None:
    tool = {**LOOK, "input_examples": [{"at": "a"}], "allowed_callers": ["direct"]}
    future = {"zzz": {"a": 1}, "cache_control": {"type": "ephemeral"}, "anthropic_beta": ["zzz"], "tools": [tool]}
    assert (await client.ask(shim, stream=stream, **future)).answer.text
    form = {"type": "json_schema", "schema": {"type": "object", "properties": {"a": {"type": "string"}}}}
    assert (await client.ask(shim, stream=stream, output_format=form)).answer.text
    for odd in ("adaptive", [1], 5):
        assert (await client.ask(shim, stream=stream, thinking=odd, output_config=odd, context_management=odd)).answer.text
        assert (await client.ask(shim, stream=stream, thinking={"type": "adaptive"}, output_config=odd, max_tokens=9_000)).answer.text


@EACH
async def test_nothing_in_a_request_chooses_an_address_a_key_or_a_header(client: Client, shim: str) -> None:
    more = {"api_base": "http://127.0.0.1:1", "api_key": "mine", "extra_headers": {"x-evil": "1"}, "vertex_project": "mine"}
    more |= {"user": "mine", "provider": {"order": ["mine"]}, "models": ["mine"], "plugins": [{"id": "mine"}], "transforms": ["mine"]}
    sent = {"authorization": "Bearer client-token", "x-api-key": "client-key", "x-evil": "1", "content-type": "application/json"}
    asked = {"model": "m", "max_tokens": 100, "messages": [user("hello")], **more}
    got = await client.post(shim, "/v1/messages", json.dumps(asked).encode(), sent)
    told = json.dumps({**client.sim.requests(shim)[-1]})
    assert got.status == 200
    assert not [word for word in ("client-token", "client-key", "evil", "mine") if word in told]
