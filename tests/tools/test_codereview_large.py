"""Code review of much code: in parts, at once, within limits, and stopped when nobody waits for it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncGenerator
from pathlib import Path

from conversation.messages import Event
from conversation.tokens import estimate_tokens
from providers.base import Call, ModelInfo
from tests.tools.house import MODELS, House, answer, silence
from tests.tools.reviews import CLAUDE, GEMINI, GPT, OFF_BY_ONE, many, prompt_of, review, reviewed
from tools.limits import Limits


async def test_large_input_is_parted_reviewed_at_once_and_joined(workspace: Path) -> None:
    house = House(workspace, limits=Limits(review_part_tokens=1_500, review_parallel=3))
    many(workspace, 12)
    open_at_once: list[int] = []
    three = asyncio.Event()

    async def play(call: Call) -> AsyncGenerator[Event, None]:
        open_at_once.append(house.upstreams["vertex_claude"].open)
        if open_at_once[-1] == 3:
            three.set()
        await asyncio.wait_for(three.wait(), 10)
        shown = reviewed(call)
        issues = [{**OFF_BY_ONE, "file": path, "line": 1, "quote": f"value_{int(path[1:4])}_7 = 7", "title": path} for path in shown]
        for event in answer(review(*issues)):
            yield event

    house.upstreams["vertex_claude"].plays = [play]
    got = await house.call("codereview", {"paths": ["*.py"]})
    assert [(one["file"], one["line"]) for one in got["issues"]] == [(f"m{n:03}.py", 8) for n in range(12)]
    assert got["files_reviewed"] == [f"m{n:03}.py" for n in range(12)] and got["skipped"] == []
    calls = house.upstreams["vertex_claude"].calls
    assert len(calls) > 3 and max(open_at_once) == 3
    assert sorted(path for call in calls for path in reviewed(call)) == [f"m{n:03}.py" for n in range(12)]


async def test_what_reviewers_say_in_words_is_kept_of_each_part(workspace: Path) -> None:
    house = House(workspace, limits=Limits(review_part_tokens=500))
    many(workspace, 30)
    house.upstreams["vertex_claude"].plays = [review(summary="I could not read the code. " * 50)]
    got = await house.call("codereview", {"paths": ["."]})
    said = got["summary"].split("\n\n")[1:]
    assert len(said) == 21 and said[0].startswith("Of m000.py: I could not read the code.") and len(said[0]) < 400
    assert said[-1] == "10 more parts were summed up."


async def test_what_is_over_the_limit_of_a_review_is_named_not_dropped(workspace: Path) -> None:
    house = House(workspace, limits=Limits(review_part_tokens=1_000, max_review_tokens=3_000))
    many(workspace, 12)
    house.upstreams["vertex_claude"].plays = [review()]
    got = await house.call("codereview", {"paths": ["."]})
    assert 0 < len(got["files_reviewed"]) < 12
    assert sorted([*got["files_reviewed"], *(one["file"] for one in got["skipped"])]) == [f"m{n:03}.py" for n in range(12)]
    assert {one["reason"] for one in got["skipped"]} == {"is beyond what one review takes; review it by itself"}
    assert "left out, see skipped." in got["summary"]


async def test_one_file_larger_than_a_review_is_reviewed_as_far_as_it_goes_and_said_to_be(workspace: Path) -> None:
    house = House(workspace, limits=Limits(review_part_tokens=1_000, max_review_tokens=3_000))
    added = "".join(f"+value_{n} = {n}\n" for n in range(5_000))
    house.upstreams["vertex_claude"].plays = [review()]
    got = await house.call("codereview", {"diff": f"--- a/big.py\n+++ b/big.py\n@@ -0,0 +1,5000 @@\n{added}"})
    assert len(house.upstreams["vertex_claude"].calls) <= 4
    assert got["files_reviewed"] == []
    assert [(one["file"], one["reason"]) for one in got["skipped"]] == [("big.py", "was reviewed in part: the rest is beyond one review")]


async def test_a_line_too_long_to_be_sent_is_told(workspace: Path) -> None:
    house = House(workspace)
    (workspace / "long.py").write_text(f"A = '{'x y ' * 60_000}'\nB = 2\n")
    house.upstreams["vertex_claude"].plays = [review()]
    got = await house.call("codereview", {"paths": ["long.py"]})
    assert got["files_reviewed"] == [] and "too long to be sent whole" in got["skipped"][0]["reason"]


async def test_parts_fit_the_smallest_reviewer(workspace: Path) -> None:
    small = ModelInfo(provider="github_models", id="openai/gpt-4o", context_window=8_000, max_output=1_000)
    house = House(workspace, models={"github_models": [small]})
    many(workspace, 12, lines=120)
    for name in ("vertex_claude", "github_models"):
        house.upstreams[name].plays = [review()]
    got = await house.call("codereview", {"paths": ["."], "models": [CLAUDE, GPT]})
    assert len(got["files_reviewed"]) == 12 and got["warnings"] == []
    to_small, to_large = (house.upstreams[name].calls for name in ("github_models", "vertex_claude"))
    sizes = [estimate_tokens(json.dumps(call.body)) for call in to_small]
    assert max(sizes) <= small.context_window - small.max_output, "each request leaves the small one room to answer"
    assert max(sizes) > (small.context_window - small.max_output) // 2, "and takes most of the room there is"
    assert sorted(map(prompt_of, to_small)) == sorted(map(prompt_of, to_large)), "both see the same parts"
    shown = [text for call in to_small for text in reviewed(call).values()]
    code = sum(len(path.read_bytes()) for path in workspace.glob("*.py"))
    assert sum(len(re.sub(r"^\d+\t", "", text, flags=re.MULTILINE)) + 1 for text in shown) == code, "every byte of the code, once"


async def test_a_long_focus_leaves_the_smallest_reviewer_room(workspace: Path) -> None:
    small = ModelInfo(provider="github_models", id="openai/gpt-4o", context_window=8_000, max_output=1_000)
    house = House(workspace, models={"github_models": [small]})
    many(workspace, 6, lines=120)
    house.upstreams["github_models"].plays = [review()]
    got = await house.call("codereview", {"paths": ["."], "models": [GPT], "focus": "\u4e2d" * 2_000})
    assert len(got["files_reviewed"]) == 6 and got["warnings"] == []


async def test_a_part_nobody_reviewed_names_its_files(workspace: Path) -> None:
    house = House(workspace, limits=Limits(review_part_tokens=1_000, review_parallel=1))
    many(workspace, 6)
    house.upstreams["vertex_claude"].plays = [review(), "!invalid_request", review()]
    got = await house.call("codereview", {"paths": ["."], "models": [CLAUDE]})
    assert got["skipped"] and {one["reason"] for one in got["skipped"]} == {"was not reviewed, or not all of it: invalid_input"}
    assert sorted([*got["files_reviewed"], *(one["file"] for one in got["skipped"])]) == [f"m{n:03}.py" for n in range(6)]
    assert [one["code"] for one in got["warnings"]] == ["incomplete"]


async def test_a_long_answer_is_cut_names_first_and_whole_in_the_thread(workspace: Path) -> None:
    house = House(workspace, limits=Limits(max_answer_tokens=6_000))
    many(workspace, 300, lines=1)

    async def play(call: Call) -> AsyncGenerator[Event, None]:
        issues = [
            {**OFF_BY_ONE, "file": path, "quote": f"value_{int(path[1:4])}_0 = 0", "title": path, "detail": "why " * 30}
            for path in list(reviewed(call))[:80]
        ]
        for event in answer(review(*issues, summary="sum " * 3_000)):
            yield event

    house.upstreams["vertex_claude"].plays = [play]
    got = await house.call("codereview", {"paths": ["."]})
    assert len(json.dumps(got)) < 24_000
    assert len(got["files_reviewed"]) == 5 and 0 < len(got["issues"]) < 80
    (warning,) = got["warnings"]
    assert "295 of files_reviewed" in warning["message"] and f"turn={got['turn']}" in warning["message"]
    told = (await house.store.load(got["continuation_id"])).turns[-1].content
    assert told.count("Index") == 0 and "m079.py:1" in told
    assert "\nm299.py" in told, "what was reviewed is in the thread"


async def test_reviews_at_once_never_mix(workspace: Path) -> None:
    house = House(workspace)
    for name in ("red", "blue"):
        (workspace / f"{name}.py").write_text(f"{name}_value = 1\n")

    async def play(call: Call) -> AsyncGenerator[Event, None]:
        await asyncio.sleep(0)
        (path,) = reviewed(call)
        issue = {**OFF_BY_ONE, "file": path, "quote": f"{path[:-3]}_value = 1", "title": path}
        for event in answer(review(issue, summary=f"about {path}")):
            yield event

    house.upstreams["vertex_claude"].plays = [play]
    got = await asyncio.gather(*(house.call("codereview", {"paths": [f"{name}.py"]}) for name in ("red", "blue", "red")))
    for one, name, other in zip(got, ("red", "blue", "red"), ("blue", "red", "blue"), strict=True):
        assert [issue["file"] for issue in one["issues"]] == [f"{name}.py"] and other not in json.dumps(one)
    assert len({one["continuation_id"] for one in got}) == 3


async def test_cancelling_stops_every_reviewer(workspace: Path) -> None:
    house = House(workspace, limits=Limits(review_part_tokens=600, review_parallel=4))
    many(workspace, 20)
    house.upstreams["vertex_claude"].plays = [silence]
    async with house.client() as client:
        task = asyncio.create_task(client.call_tool("codereview", {"paths": ["."]}))
        while house.upstreams["vertex_claude"].open < 4:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        while house.upstreams["vertex_claude"].open:
            await asyncio.sleep(0)
    assert len(house.upstreams["vertex_claude"].calls) == 4


async def test_a_reviewer_that_fails_on_every_part_is_one_error(workspace: Path) -> None:
    house = House(workspace, limits=Limits(review_part_tokens=1_000))
    many(workspace, 12)
    for cause, code in (("auth_failed", "auth_failed"), ("rate_limited", "rate_limited"), ("invalid_request", "invalid_input")):
        house.upstreams["vertex_claude"].plays = [f"!{cause}"]
        house.health.__init__()
        error = await house.error("codereview", {"paths": ["."], "models": [CLAUDE]})
        assert (error["code"], error["message"].count("scripted")) == (code, 1)
        assert len(error["attempts"]) > 1


async def test_a_range_too_large_for_every_reviewer_is_context_too_long(workspace: Path, users: Path) -> None:
    tiny = {name: [one.model_copy(update={"context_window": 700, "max_output": 100})] for name, one in MODELS.items()}
    house = House(workspace, models=tiny)
    error = await house.error("codereview", {"paths": ["users.py"], "models": [CLAUDE, GEMINI]})
    assert error["code"] == "context_too_long"
