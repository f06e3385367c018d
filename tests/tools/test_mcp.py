"""The server as an MCP client sees it: what is listed, how errors look, progress, and what never gets out."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from mcp import Client, MCPError
from mcp.types import GetPromptResult, TextContent

from conversation.errors import InternalError
from memory.in_process import InProcessThreadStore
from providers.base import Call
from tests.tools.house import ROLES, House, answer, text_of
from tools import TOOLS
from tools.files import FileReader
from tools.limits import Limits
from tools.mcp import INSTRUCTIONS, build_server
from tools.progress import Watch, reporting
from tools.roles import RoleBook


async def test_the_server_says_who_it_is(house: House) -> None:
    async with house.client() as client:
        info = client.server_info
        assert info is not None
        assert (info.name, info.title, info.version) == ("parley", "Parley", "1.2.3")
        assert client.instructions == INSTRUCTIONS
    assert len(INSTRUCTIONS) < 2048


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_every_tool_has_a_description_both_schemas_and_all_hints(house: House, mode: str) -> None:
    async with house.client(mode) as client:
        tools = (await client.list_tools()).tools
    assert [one.name for one in tools] == [function.__name__ for function in TOOLS]
    for one in tools:
        assert one.title and one.description and len(one.description) < 2048
        assert one.input_schema["additionalProperties"] is False
        assert one.output_schema and one.output_schema["type"] == "object"
        assert one.annotations is not None
        hints = one.annotations.model_dump(exclude_none=True)
        assert set(hints) == {"title", "read_only_hint", "destructive_hint", "idempotent_hint", "open_world_hint"}
    by_name = {one.name: one.annotations for one in tools}
    assert [name for name, hints in by_name.items() if hints and hints.read_only_hint] == [
        "chat", "fallback", "consensus", "codereview", "listmodels", "version",
        "search_memory_facts", "search_nodes", "get_episodes", "get_status", "get_entity_edge",
    ]  # fmt: skip
    assert [name for name, hints in by_name.items() if hints and hints.destructive_hint] == [
        "threads", "delete_episode", "delete_entity_edge", "clear_graph",
    ]  # fmt: skip
    assert [name for name, hints in by_name.items() if hints and hints.open_world_hint] == ["chat", "fallback", "consensus", "codereview"]


async def test_names_descriptions_and_input_schemas_are_short(house: House) -> None:
    async with house.client() as client:
        tools = (await client.list_tools()).tools
    size = sum(len(json.dumps([one.name, one.description, one.input_schema])) for one in tools)
    assert size < 12_000  # of the 16 KB there are


async def test_input_schemas_hold_no_noise(house: House) -> None:
    async with house.client() as client:
        schemas = [one.input_schema for one in (await client.list_tools()).tools]
    text = json.dumps(schemas)
    for noise in ('"title"', '"$defs"', '"$ref"', '"null"'):
        assert noise not in text
    assert text.count('"anyOf"') == 1  # a panel's members are names, or objects with a stance
    assert schemas[0]["required"] == ["prompt"]


def test_the_server_knows_the_schema_of_each_tool_without_listing(house: House) -> None:
    lookup = house.server.get_tool_input_schema
    assert lookup is not None
    assert lookup("nothing") is None
    assert (lookup("version") or {})["type"] == "object"


async def test_the_parameters_are_those_that_are_promised(house: House) -> None:
    async with house.client() as client:
        found = {one.name: set(one.input_schema["properties"]) for one in (await client.list_tools()).tools}
    chat = {
        "prompt", "model", "continuation_id", "branch_from", "files", "images", "role", "temperature", "max_output_tokens", "use_memory",
    }  # fmt: skip
    assert found["chat"] == chat
    assert found["fallback"] == chat | {"chain", "deadline_s"}
    assert found["consensus"] == {"prompt", "models", "rounds", "synthesizer", "files", "continuation_id", "deadline_s"}
    assert found["codereview"] == {
        "paths", "diff", "git_range", "review_type", "focus", "severity_filter", "models", "verify", "continuation_id",
    }  # fmt: skip
    assert found["threads"] >= {"action", "continuation_id", "query", "limit", "other_workspaces"}
    assert found["version"] == set()


async def test_only_enabled_tools_are_there(house: House) -> None:
    async with Client(build_server(house.app, ["version", "chat"]), mode="legacy") as client:
        assert [one.name for one in (await client.list_tools()).tools] == ["chat", "version"]
        result = await client.call_tool("threads", {"action": "list"})
    assert json.loads(text_of(result))["code"] == "invalid_input"


@pytest.mark.parametrize(("name", "near"), [("caht", "chat"), ("list_models", "listmodels"), ("zzz", "chat, fallback")])
async def test_an_unknown_tool_is_an_error_with_near_names(house: House, name: str, near: str) -> None:
    error = await house.error(name)
    assert error["code"] == "invalid_input"
    assert near in error["hint"]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({}, "prompt is required"),
        ({"prompt": None}, "prompt is required"),
        ({"prompt": 7}, "prompt: expected text"),
        ({"prompt": "x", "modle": "gpt"}, "unknown argument 'modle', did you mean 'model'?"),
        ({"prompt": "x", "wibble": "planted-secret"}, "unknown argument 'wibble'"),
        ({"prompt": "x", "files": "a.py"}, "files: expected a list"),
        ({"prompt": "x", "files": ["a", 7]}, "files[1]: expected text"),
        ({"prompt": "x", "temperature": "warm"}, "temperature: expected a number"),
        ({"prompt": "x", "temperature": -1}, "temperature: expected at least 0"),
        ({"prompt": "x", "temperature": 3}, "temperature: expected at most 2"),
        ({"prompt": "x", "max_output_tokens": 1.5}, "max_output_tokens: expected a whole number"),
        ({"prompt": "x", "use_memory": "perhaps"}, "use_memory: expected true or false"),
        ({"prompt": "x", "branch_from": [1]}, "branch_from: expected a whole number"),
        ({"prompt": 7, "model": 7}, "prompt: expected text; model: expected text"),
    ],
)
async def test_a_wrong_argument_is_named_with_what_is_expected(house: House, arguments: dict[str, Any], complaint: str) -> None:
    error = await house.error("chat", arguments)
    assert error["code"] == "invalid_input"
    assert error["message"] == complaint + ("" if complaint.endswith("?") else ".")
    assert error["hint"].startswith("chat takes prompt (required), model, continuation_id,")
    assert "planted-secret" not in json.dumps(error)
    assert house.calls == 0


async def test_text_cut_in_the_middle_of_an_emoji_is_taken(house: House) -> None:
    async with house.client("auto") as client:  # no wire in between that would mend it
        result = await client.call_tool("chat", {"prompt": "a\ud83d", "files": ["b\ud83d"], "model": "gemini"})
    assert not result.is_error
    assert "a\ufffd" in house.received("vertex_gemini")


async def test_an_object_where_none_belongs_is_an_error(house: House) -> None:
    assert (await house.error("chat", {"prompt": {"text": "x"}}))["message"] == "prompt: expected text."


async def test_null_arguments_count_as_left_out(house: House) -> None:
    answer = await house.call("chat", {"prompt": "x", "model": None, "files": None, "temperature": None, "continuation_id": None})
    assert answer["content"] == "I am vertex_claude"


async def test_a_tool_without_arguments_says_so(house: House) -> None:
    assert (await house.error("version", {"x": 1}))["hint"] == "version takes no arguments."


async def test_a_defect_is_an_internal_error_that_tells_nothing(
    house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("planted-secret")

    monkeypatch.setattr(house.store, "begin", broken)
    with caplog.at_level(logging.DEBUG, "tools"):
        error = await house.error("chat", {"prompt": "another planted-secret"})
    assert (error["code"], error["retryable"]) == ("internal", False)
    assert error["message"] == "chat failed unexpectedly (RuntimeError)."
    assert error["hint"] == InternalError.default_hint
    (record,) = [record for record in caplog.records if record.name == "tools.mcp"]
    assert "RuntimeError at test_mcp.py:" in record.getMessage()
    assert "planted-secret" not in json.dumps(error) + caplog.text


async def test_errors_tell_no_secret_and_no_home_path(house: House) -> None:
    async def leaking(call: Call):
        raise InternalError("key sk-ant-REDACTED in /home/someone/x", hint="see /Users/someone/y")
        yield {}

    house.upstreams["vertex_claude"].plays = [leaking]
    error = await house.error("chat", {"prompt": "x"})
    assert error["message"] == "key [secret] in ~/x"
    assert error["hint"] == "see ~/y"


# --- progress ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["legacy", "auto"])
async def test_a_call_that_takes_time_reports_who_is_thinking_and_for_how_long(workspace: Path, mode: str) -> None:
    house = House(workspace, limits=Limits(progress_seconds=0.01))
    enough = asyncio.Event()
    reports: list[tuple[float, str | None]] = []

    async def slow(call: Call):
        await enough.wait()
        for event in answer("done"):
            yield event

    async def heard(progress: float, total: float | None, message: str | None) -> None:
        reports.append((progress, message))
        if len(reports) == 7:
            enough.set()

    house.upstreams["vertex_claude"].plays = [slow]
    async with house.client(mode) as client:
        result = await asyncio.wait_for(client.call_tool("chat", {"prompt": "x"}, progress_callback=heard), 5)
    assert not result.is_error
    elapsed = [progress for progress, _ in reports]
    assert elapsed == sorted(elapsed)
    assert {message for _, message in reports} == {"vertex_claude/claude-sonnet-4-5 is thinking (0 s)"}


async def test_progress_that_cannot_be_sent_breaks_no_call() -> None:
    failed = asyncio.Event()

    async def send(elapsed: float, message: str) -> None:
        failed.set()
        raise ConnectionResetError

    async with reporting(Watch("working"), send, every=0.001):
        await asyncio.wait_for(failed.wait(), 5)


async def test_progress_ends_with_the_call() -> None:
    sent: list[str] = []
    first = asyncio.Event()

    async def send(elapsed: float, message: str) -> None:
        sent.append(message)
        first.set()

    watch = Watch("working")
    before = asyncio.all_tasks()
    async with reporting(watch, send, every=0.001):
        await asyncio.wait_for(first.wait(), 5)
        (reporter,) = asyncio.all_tasks() - before
    with pytest.raises(asyncio.CancelledError):
        await reporter
    assert sent[0] == "working (0 s)"


async def test_a_slow_call_does_not_keep_another_waiting(house: House) -> None:
    release = asyncio.Event()

    async def slow(call: Call):
        await release.wait()
        for event in answer("done"):
            yield event

    house.upstreams["vertex_claude"].plays = [slow]
    async with house.client() as client:
        slow_call = asyncio.create_task(client.call_tool("chat", {"prompt": "x"}))
        await house.upstreams["vertex_claude"].asked.wait()
        assert not (await asyncio.wait_for(client.call_tool("version"), 5)).is_error
        release.set()
        assert not (await slow_call).is_error


# --- prompts -----------------------------------------------------------------------------------------------------------


async def test_roles_are_prompts(workspace: Path) -> None:
    folder = workspace / "roles"
    folder.mkdir()
    (folder / "challenge.md").write_text("---\ntitle: Challenge\ndescription: Doubt a claim\n---\nDoubt what you are told.\n")
    house = House(workspace, roles=RoleBook([folder]))
    async with house.client() as client:
        names = {one.name: one for one in (await client.list_prompts()).prompts}
        assert (names["challenge"].title, names["challenge"].description) == ("Challenge", "Doubt a claim")
        text = said(await client.get_prompt("challenge", {"request": "the earth is flat"}))
        assert 'role="challenge"' in text and "the earth is flat" in text
        assert "what we are working on" in said(await client.get_prompt("challenge"))
        with pytest.raises(MCPError, match="no role 'chalenge'"):
            await client.get_prompt("chalenge")


async def test_every_built_in_role_is_a_prompt_that_may_be_called_without_a_word(house: House) -> None:
    async with house.client() as client:
        prompts = (await client.list_prompts()).prompts
        assert [one.name for one in prompts] == sorted(ROLES)
        for one in prompts:
            assert one.title and one.description and "\n" not in one.description
            assert [(argument.name, argument.required) for argument in one.arguments or ()] == [("request", False)]
            text = said(await client.get_prompt(one.name, {"request": "so that it works"}))
            assert f'role="{one.name}"' in text and text.endswith("The request: so that it works")
            assert "{" not in text
    assert all(role in INSTRUCTIONS for role in ROLES)


async def test_one_word_of_a_client_that_splits_at_spaces_points_to_where_the_rest_is(house: House) -> None:
    async with house.client() as client:
        text = said(await client.get_prompt("debug", {"request": "why"}))
    assert "The request: why\n" in text and "<command-args>" in text
    async with house.client() as client:
        assert "<command-args>" in said(await client.get_prompt("debug", {"request": " "}))


async def test_precommit_has_the_diff_put_into_the_prompt(house: House) -> None:
    async with house.client() as client:
        assert "git diff HEAD" in said(await client.get_prompt("precommit", {"request": "Close the store last"}))


async def test_a_prompt_with_arguments_of_its_own_shows_each_and_says_which_is_missing(workspace: Path) -> None:
    folder = workspace / "roles"
    folder.mkdir()
    head = "arguments: [{name: language, description: Into what, required: true}, {name: text}]"
    (folder / "translate.md").write_text(f"---\n{head}\n---\nTranslate.\n")
    async with House(workspace, roles=RoleBook([folder])).client() as client:
        text = said(await client.get_prompt("translate", {"language": "Welsh", "text": "good morning", "other": "passed over"}))
        assert text.endswith("The request:\n- language: Welsh\n- text: good morning")
        with pytest.raises(MCPError, match="translate needs language"):
            await client.get_prompt("translate", {"text": "good morning"})


async def test_a_role_of_the_workspace_says_so_in_the_list(workspace: Path) -> None:
    (workspace / ".parley" / "roles").mkdir(parents=True)
    (workspace / ".parley" / "roles" / "local.md").write_text("Be local.")
    async with House(workspace, roles=RoleBook(workspace=FileReader(workspace))).client() as client:
        listed = {one.name: one.description for one in (await client.list_prompts()).prompts}
    assert listed["local"] == "Be local. (from the workspace)"


def said(prompt: GetPromptResult) -> str:
    (message,) = prompt.messages
    assert isinstance(message.content, TextContent)
    return message.content.text


# --- the app -----------------------------------------------------------------------------------------------------------


async def test_closing_the_app_closes_its_parts_even_when_one_fails(workspace: Path) -> None:
    closed: list[str] = []

    class Store(InProcessThreadStore):
        async def aclose(self) -> None:
            raise InternalError("cannot")

    async def close() -> None:
        closed.append("pool")

    app = House(workspace, store=Store()).app
    await type(app)(**{**vars(app), "on_close": (close,)}).aclose()
    assert closed == ["pool"]
