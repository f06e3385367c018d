"""The tool chat, called by a real MCP client over an in-memory connection."""

from __future__ import annotations

import base64
import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from providers.base import ModelInfo
from tests.tools.house import House
from tools.limits import Limits
from tools.roles import RoleBook

UNKNOWN = "6f1c0c1e-0000-4000-8000-000000000000"


async def test_an_answer_says_who_gave_it_what_it_took_and_how_to_go_on(house: House) -> None:
    answer = await house.call("chat", {"prompt": "Hello?"})
    uuid.UUID(answer["continuation_id"])
    assert answer == {
        "content": "I am vertex_claude",
        "continuation_id": answer["continuation_id"],
        "turn": 2,
        "model": "claude-sonnet-4-5",
        "provider": "vertex_claude",
        "usage": {"input_tokens": 10, "output_tokens": 5, "cached_tokens": 0, "cost_usd": pytest.approx(0.000105)},
        "warnings": [],
    }


async def test_an_unknown_price_is_null(house: House) -> None:
    answer = await house.call("chat", {"prompt": "Hello?", "model": "gemini"})
    assert answer["usage"]["cost_usd"] is None


async def test_a_thread_goes_on_with_another_model_which_is_told_who_said_what(house: House) -> None:
    first = await house.call("chat", {"prompt": "Name a colour", "model": "vertex_claude"})
    second = await house.call("chat", {"prompt": "And you?", "model": "gemini", "continuation_id": first["continuation_id"]})
    assert second["continuation_id"] == first["continuation_id"]
    assert (second["turn"], second["provider"]) == (4, "vertex_gemini")
    received = house.received("vertex_gemini")
    for text in ("Name a colour", "I am vertex_claude", "And you?"):
        assert received.count(text) == 1
    assert "vertex_claude/claude-sonnet-4-5" in received


async def test_a_continuation_id_may_be_written_in_capitals(house: House) -> None:
    first = await house.call("chat", {"prompt": "1"})
    second = await house.call("chat", {"prompt": "2", "continuation_id": f" {first['continuation_id'].upper()} "})
    assert second["continuation_id"] == first["continuation_id"]


async def test_auto_asks_the_model_that_answered_last_on_the_thread(house: House) -> None:
    first = await house.call("chat", {"prompt": "1", "model": "gemini"})
    second = await house.call("chat", {"prompt": "2", "continuation_id": first["continuation_id"]})
    assert second["provider"] == "vertex_gemini"


async def test_a_branch_goes_on_from_a_turn_with_the_model_that_answered_there(house: House) -> None:
    first = await house.call("chat", {"prompt": "one", "model": "gemini"})
    thread = first["continuation_id"]
    await house.call("chat", {"prompt": "two", "model": "vertex_claude", "continuation_id": thread})
    branch = await house.call("chat", {"prompt": "three", "continuation_id": thread, "branch_from": 2})
    assert branch["continuation_id"] != thread
    assert (branch["turn"], branch["provider"]) == (4, "vertex_gemini")
    assert "one" in house.received("vertex_gemini") and "two" not in house.received("vertex_gemini")


async def test_an_alias_fails_over_within_its_family_and_shows_the_attempts(house: House) -> None:
    house.upstreams["vertex_claude"].plays = ["!overloaded"]
    answer = await house.call("chat", {"prompt": "Hello?", "model": "sonnet"})
    assert answer["provider"] == "openrouter"
    assert [(one["provider"], one["outcome"]) for one in answer["attempts"]] == [("vertex_claude", "overloaded"), ("openrouter", "ok")]


async def test_an_exact_model_is_never_replaced(house: House) -> None:
    house.upstreams["vertex_claude"].plays = ["!overloaded"]
    error = await house.error("chat", {"prompt": "Hello?", "model": "vertex_claude/claude-sonnet-4-5"})
    assert error["code"] == "overloaded"
    assert error["retryable"] is True
    assert [one["outcome"] for one in error["attempts"]] == ["overloaded"]
    assert house.calls == 1


@pytest.mark.parametrize(
    ("cause", "code"),
    [
        ("refused", "upstream_error"), ("timeout", "timeout"), ("rate_limited", "rate_limited"), ("auth_failed", "auth_failed"),
        ("not_found", "unknown_model"), ("context_too_long", "context_too_long"), ("invalid_request", "invalid_input"),
    ],
)  # fmt: skip
async def test_what_an_upstream_fails_with_has_its_code(house: House, cause: str, code: str) -> None:
    house.upstreams["vertex_gemini"].plays = [f"!{cause}"]
    assert (await house.error("chat", {"prompt": "Hello?", "model": "vertex_gemini/gemini-2.5-pro"}))["code"] == code


async def test_when_all_providers_fail_the_error_has_every_attempt(house: House) -> None:
    for upstream in house.upstreams.values():
        upstream.plays = ["!upstream_error"]
    error = await house.error("chat", {"prompt": "Hello?"})
    assert error["code"] == "all_providers_failed"
    assert len(error["attempts"]) == 4


async def test_a_failed_question_stands_in_the_thread_as_interrupted_and_is_not_sent_again(house: House) -> None:
    first = await house.call("chat", {"prompt": "one", "model": "gemini"})
    house.upstreams["vertex_gemini"].plays = ["!overloaded", "back"]
    await house.error("chat", {"prompt": "two", "model": "gemini", "continuation_id": first["continuation_id"]})
    await house.call("chat", {"prompt": "three", "model": "gemini", "continuation_id": first["continuation_id"]})
    shown = await house.call("threads", {"action": "show", "continuation_id": first["continuation_id"]})
    assert [(turn["seq"], turn["state"], turn["content"]) for turn in shown["turns"]] == [
        (1, "done", "one"),
        (2, "done", "I am vertex_gemini"),
        (3, "interrupted", "two"),
        (4, "done", "three"),
        (5, "done", "back"),
    ]
    assert "two" not in house.received("vertex_gemini")


async def test_a_context_too_long_for_auto_goes_to_a_larger_model(workspace: Path) -> None:
    house = House(workspace, configured=["github_models", "vertex_gemini"])
    first = await house.call("chat", {"prompt": "Hello?", "model": "gpt"})
    answer = await house.call("chat", {"prompt": "word " * 20_000, "continuation_id": first["continuation_id"]})
    assert answer["provider"] == "vertex_gemini"
    assert [one["outcome"] for one in answer["attempts"]] == ["context_too_long", "ok"]


async def test_a_context_too_long_for_a_named_model_is_an_error(house: House) -> None:
    assert (await house.error("chat", {"prompt": "word " * 20_000, "model": "gpt"}))["code"] == "context_too_long"


# --- what is sent ------------------------------------------------------------------------------------------------------


async def test_the_body_has_what_the_caller_asked_for(house: House) -> None:
    await house.call("chat", {"prompt": "Hello?", "temperature": 0.5, "max_output_tokens": 100})
    body = house.body("vertex_claude")
    assert (body["temperature"], body["max_tokens"]) == (0.5, 100)
    assert "consulted through Parley" in body["system"]


@pytest.mark.parametrize(
    ("model", "asked", "sent"),
    [("sonnet", None, 32_768), ("gemini", None, 8_192), ("gpt", None, 4_000), ("gemini", 999_999, 8_192), ("sonnet", 50_000, 50_000)],
)
async def test_the_output_limit_is_held_to_what_the_model_gives(house: House, model: str, asked: int | None, sent: int) -> None:
    await house.call("chat", {"prompt": "Hello?", "model": model, "max_output_tokens": asked})
    body = house.body(MODELS_BY_ALIAS[model])
    assert body["max_tokens"] == sent
    assert "temperature" not in body


async def test_a_model_that_may_fill_its_whole_window_with_output_still_gets_the_prompt(workspace: Path) -> None:
    all_output = ModelInfo(provider="openrouter", id="vendor/all-output", context_window=8_000, max_output=8_000)
    house = House(workspace, models={"openrouter": [all_output]})
    await house.call("chat", {"prompt": "Hello?", "model": "openrouter", "max_output_tokens": 8_000})
    assert house.body("openrouter")["max_tokens"] == 4_000


MODELS_BY_ALIAS = {"sonnet": "vertex_claude", "gemini": "vertex_gemini", "gpt": "github_models"}


async def test_a_thread_is_held_to_the_configured_number_of_tokens(workspace: Path) -> None:
    house = House(workspace, limits=Limits(max_window_tokens=100))
    assert (await house.error("chat", {"prompt": "word " * 1000, "model": "gemini"}))["code"] == "context_too_long"
    assert house.calls == 0


async def test_files_and_images_go_to_the_model_and_refused_ones_are_named(house: House, workspace: Path) -> None:
    (workspace / "a.py").write_text("ANSWER = 42\n")
    (workspace / ".env").write_text("KEY=planted-secret\n")
    (workspace / "shot.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(24))
    url = "data:image/gif;base64," + base64.b64encode(b"GIF89a" + bytes(20)).decode()
    answer = await house.call("chat", {"prompt": "What is it?", "files": ["a.py", ".env"], "images": ["shot.png", url]})
    assert [warning["code"] for warning in answer["warnings"]] == ["file_refused"]
    assert "'.env' looks like keys" in answer["warnings"][0]["message"]
    assert "ANSWER = 42" in house.received("vertex_claude")
    assert "planted-secret" not in house.received("vertex_claude") + json.dumps(answer)
    shown = await house.call("threads", {"action": "show", "continuation_id": answer["continuation_id"]})
    assert shown["turns"][0]["content"] == "What is it?"


async def test_a_great_deal_of_text_is_prepared_beside_the_event_loop_and_sent_whole(house: House, workspace: Path) -> None:
    (workspace / "big.txt").write_text("word " * 60_000)
    answer = await house.call("chat", {"prompt": "x", "files": ["big.txt"], "model": "gemini"})
    assert answer["warnings"] == []
    assert house.received("vertex_gemini").count("word ") == 60_000


async def test_a_great_deal_of_text_that_does_not_fit_is_an_error(house: House) -> None:
    error = await house.error("chat", {"prompt": "word " * 60_000, "model": "gpt"})
    assert (error["code"], house.calls) == ("context_too_long", 0)


async def test_a_role_adds_its_text_to_the_system_prompt(workspace: Path) -> None:
    folder = workspace / "roles"
    folder.mkdir()
    (folder / "planner.md").write_text("---\ntitle: Planner\ndescription: Plans\n---\nPlan before you act.\n")
    house = House(workspace, roles=RoleBook([folder]))
    await house.call("chat", {"prompt": "Hello?", "role": "planner"})
    assert house.body("vertex_claude")["system"].endswith("\n\nPlan before you act.")
    error = await house.error("chat", {"prompt": "Hello?", "role": "planer"})
    assert error["code"] == "invalid_input"
    assert "planner" in error["hint"]


# --- refused before anything is sent -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({}, "invalid_input"),
        ({"prompt": ""}, "invalid_input"),
        ({"prompt": " \n"}, "invalid_input"),
        ({"prompt": "x" * 1_000_001}, "too_large"),
        ({"prompt": "x", "model": "gpt-99"}, "unknown_model"),
        ({"prompt": "x", "continuation_id": "not-a-uuid"}, "invalid_continuation_id"),
        ({"prompt": "", "continuation_id": "not-a-uuid"}, "invalid_continuation_id"),
        ({"prompt": "x", "continuation_id": UNKNOWN}, "thread_not_found"),
        ({"prompt": "x", "branch_from": 1}, "invalid_input"),
        ({"prompt": "x", "use_memory": True}, "memory_unavailable"),
        ({"prompt": "x", "role": "wizard"}, "invalid_input"),
        ({"prompt": "x", "temperature": 2.5}, "invalid_input"),
        ({"prompt": "x", "max_output_tokens": 0}, "invalid_input"),
    ],
)
async def test_a_wrong_call_is_an_error_and_asks_no_upstream(house: House, arguments: dict[str, Any], code: str) -> None:
    error = await house.error("chat", arguments)
    assert (error["code"], error["attempts"]) == (code, [])
    assert house.calls == 0
    assert await house.store.list(workspace=None) == []


async def test_a_branch_from_a_turn_that_is_not_there_is_an_error(house: House) -> None:
    first = await house.call("chat", {"prompt": "1"})
    error = await house.error("chat", {"prompt": "2", "continuation_id": first["continuation_id"], "branch_from": 9})
    assert error["code"] == "invalid_input"
    assert house.calls == 1


async def test_an_unknown_model_is_answered_with_near_names(house: House) -> None:
    error = await house.error("chat", {"prompt": "x", "model": "gemini-2.5-por"})
    assert "vertex_gemini/gemini-2.5-pro" in error["message"] + error["hint"]


async def test_a_provider_without_a_key_is_named_with_what_it_needs(workspace: Path) -> None:
    house = House(workspace, configured=["vertex_gemini"])
    error = await house.error("chat", {"prompt": "x", "model": "openrouter"})
    assert error["code"] == "not_configured"
    assert "OPENROUTER_KEY" in error["hint"]
    assert (await House(workspace, configured=[]).error("chat", {"prompt": "x"}))["code"] == "not_configured"


async def test_refusals_of_many_files_leave_the_answer_its_room(house: House) -> None:
    named = [f"services/payments/internal/adapters/provider_{n:04}/handlers/webhook_verification.go" for n in range(5_000)]
    got = await house.call("chat", {"prompt": "x", "files": named, "images": named})
    assert got["content"] == "I am vertex_claude"
    assert len(json.dumps(got)) < 20_000
    assert "4,949 more" in got["warnings"][50]["message"]
