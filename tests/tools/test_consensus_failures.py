"""Consensus when not everybody answers: models that fail, are late, have nothing to say, or are not waited for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from conversation.messages import Event
from providers.base import Call
from providers.causes import failure
from tests.tools.house import House, answer, silence
from tests.tools.panels import CLAUDE, EVERYONE, GEMINI, GPT, QUESTION, SAID, panelist, seated, thread_of
from tools.limits import Limits


async def test_a_model_that_fails_is_listed_and_the_rest_go_on(house: House) -> None:
    seated(house).upstreams["github_models"].plays = ["!rate_limited"]
    got = await house.call("consensus", {"prompt": QUESTION, "models": [CLAUDE, GEMINI, GPT]})
    assert [one["provider"] for one in got["answers"]] == ["vertex_claude", "vertex_gemini"]
    assert [(one["provider"], one["model"], one["code"]) for one in got["failed"]] == [("github_models", "openai/gpt-4o", "rate_limited")]
    assert got["agreements"] and got["synthesizer"] == CLAUDE


@pytest.mark.parametrize("nothing", ["  ", "\u200b", " \ufeff\u2060\n", "\u3164"])
async def test_an_answer_without_text_is_a_failure(house: House, nothing: str) -> None:
    seated(house).upstreams["github_models"].plays = [panelist(nothing)]
    got = await house.call("consensus", {"prompt": QUESTION, "models": [CLAUDE, GEMINI, GPT]})
    assert [(one["model"], one["code"]) for one in got["failed"]] == [("openai/gpt-4o", "upstream_error")]


async def test_a_single_answer_is_returned_with_a_warning_and_nobody_compares(house: House) -> None:
    for name in ("vertex_gemini", "github_models"):
        house.upstreams[name].plays = ["!overloaded"]
    got = await house.call("consensus", {"prompt": QUESTION, "models": [CLAUDE, GEMINI, GPT]})
    assert len(got["answers"]) == 1 and len(got["failed"]) == 2
    assert [one["code"] for one in got["warnings"]] == ["single_answer"]
    assert got["confidence"] == "low" and "synthesizer" not in got and got["recommendation"]
    assert len(house.upstreams["vertex_claude"].calls) == 1


async def test_no_answer_at_all_is_an_error_with_every_attempt_and_the_thread_shows_the_question(house: House) -> None:
    for upstream in house.upstreams.values():
        upstream.plays = ["!overloaded"]
    error = await house.error("consensus", {"prompt": QUESTION, "models": EVERYONE})
    assert (error["code"], error["retryable"], len(error["attempts"])) == ("all_providers_failed", True, 4)
    (listed,) = await house.store.list(workspace=None)
    assert [(turn.content, turn.state) for turn in (await house.store.load(listed.id)).turns] == [(QUESTION, "interrupted")]


async def test_a_panel_of_one_that_fails_is_that_models_error(house: House) -> None:
    house.upstreams["github_models"].plays = ["!auth_failed"]
    assert (await house.error("consensus", {"prompt": QUESTION, "models": [GPT]}))["code"] == "auth_failed"


async def test_a_model_over_the_deadline_fails_alone_and_a_family_fails_over(house: House) -> None:
    seated(house).upstreams["vertex_gemini"].plays = [silence]
    house.upstreams["vertex_claude"].plays = ["!overloaded"]
    got = await house.call("consensus", {"prompt": QUESTION, "models": ["sonnet", GEMINI], "deadline_s": 0.2, "synthesizer": GPT})
    assert [one["provider"] for one in got["answers"]] == ["openrouter"]
    assert [(one["provider"], one["code"]) for one in got["failed"]] == [("vertex_gemini", "timeout")]


async def test_a_family_of_which_all_fail_names_the_one_tried_last(house: House) -> None:
    seated(house).upstreams["vertex_claude"].plays = ["!overloaded"]
    house.upstreams["openrouter"].plays = ["!rate_limited"]
    got = await house.call("consensus", {"prompt": QUESTION, "models": ["sonnet", GEMINI], "synthesizer": GPT})
    assert [(one["provider"], one["code"]) for one in got["failed"]] == [("openrouter", "all_providers_failed")]


async def test_a_model_that_fails_in_a_later_round_keeps_its_earlier_answer(house: House) -> None:
    seated(house).upstreams["vertex_gemini"].plays = [panelist("first words"), "!overloaded"]
    got = await house.call("consensus", {"prompt": QUESTION, "models": [CLAUDE, GEMINI], "rounds": 2})
    assert [one["content"] for one in got["answers"]] == [SAID["vertex_claude"], "first words"]
    assert "in round 2, so its answer of round 1 stands" in got["failed"][0]["message"]
    assert "No answer" not in (await thread_of(house, got)).turns[-1].content


async def test_a_model_that_fails_in_two_rounds_is_listed_once(house: House) -> None:
    seated(house).upstreams["vertex_gemini"].plays = [panelist("first words"), "!overloaded"]
    got = await house.call("consensus", {"prompt": QUESTION, "models": [CLAUDE, GEMINI], "rounds": 3})
    assert [(one["provider"], one["round"]) for one in got["failed"]] == [("vertex_gemini", 2)]


async def test_a_failure_before_a_later_answer_says_which_answer_stands(house: House) -> None:
    seated(house).upstreams["vertex_gemini"].plays = [panelist("first words"), "!overloaded", panelist("third words")]
    got = await house.call("consensus", {"prompt": QUESTION, "models": [CLAUDE, GEMINI], "rounds": 3})
    assert [one["content"] for one in got["answers"]] == [SAID["vertex_claude"], "third words"]
    assert [one["seat"] for one in got["failed"]] == ["B"]
    assert got["failed"][0]["message"].startswith("in round 2, so its answer of round 3 stands: ")


async def test_a_failure_in_a_later_round_is_told_though_the_model_failed_before_in_another_seat(house: House) -> None:
    async def against_fails(call: Call) -> AsyncGenerator[Event, None]:
        if "argue AGAINST" in str(call.body["system"]) or "have answered it before" in str(call.body["system"]):
            raise failure("overloaded", "busy", provider="vertex_gemini", model="gemini-2.5-pro")
        for event in answer("words"):
            yield event

    seated(house).upstreams["vertex_gemini"].plays = [against_fails]
    models = [CLAUDE, {"model": GEMINI, "stance": "against"}, {"model": GEMINI, "stance": "for"}]
    got = await house.call("consensus", {"prompt": QUESTION, "models": models, "rounds": 2})
    assert [(one["seat"], one["provider"], one["round"]) for one in got["failed"]] == [("B", "vertex_gemini", 1), ("C", "vertex_gemini", 2)]


async def test_rounds_end_when_one_model_is_left(house: House) -> None:
    house.upstreams["vertex_gemini"].plays = ["!overloaded"]
    got = await house.call("consensus", {"prompt": QUESTION, "models": [CLAUDE, GEMINI], "rounds": 3})
    assert len(got["answers"]) == 1 and len(house.upstreams["vertex_claude"].calls) == 1


async def test_a_defect_in_asking_one_model_is_its_failure_and_nobody_elses(house: House) -> None:
    async def broken(call: Call) -> AsyncGenerator[Event, None]:
        yield {"type": "message_start", "message": {}}
        raise RuntimeError("a defect")

    house.upstreams["vertex_gemini"].plays = [broken]
    got = await house.call("consensus", {"prompt": QUESTION, "models": [CLAUDE, GEMINI]})
    assert [(one["provider"], one["code"]) for one in got["failed"]] == [("vertex_gemini", "internal")]
    assert [one["provider"] for one in got["answers"]] == ["vertex_claude"]


async def test_cancelling_stops_every_upstream_call(house: House) -> None:
    for upstream in house.upstreams.values():
        upstream.plays = [silence]
    async with house.client() as client:
        task = asyncio.create_task(client.call_tool("consensus", {"prompt": QUESTION, "models": EVERYONE}))
        for upstream in house.upstreams.values():
            await asyncio.wait_for(upstream.asked.wait(), 5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        while any(one.open for one in house.upstreams.values()):
            await asyncio.sleep(0)


async def test_progress_says_who_has_answered(workspace: Path) -> None:
    house = seated(House(workspace, limits=Limits(progress_seconds=0.02)))
    house.upstreams["vertex_gemini"].plays = [silence]
    heard: list[str] = []
    enough = asyncio.Event()

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append(str(message))
        if "1 of 2 answered" in heard[-1]:
            enough.set()

    async with house.client() as client:
        arguments = {"prompt": QUESTION, "models": [CLAUDE, GEMINI]}
        task = asyncio.create_task(client.call_tool("consensus", arguments, progress_callback=hear))
        await asyncio.wait_for(enough.wait(), 10)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert f"round 1: 1 of 2 answered ({CLAUDE}); waiting for {GEMINI}" in heard[-1]
