"""A call while it runs: it tells how long it has been, and it can be called off."""

from __future__ import annotations

import pytest

from simulator import ThreadedSimulator
from tests.main_job.conftest import Start
from tests.main_job.process import Parley
from tests.main_job.wires import PROVIDERS, asked, text_of

HANGS = {"vertex_claude": "pings_only", "vertex_gemini": "hang_after_headers", "github_models": "hang_before_headers", "openrouter": "drip"}
"""Everywhere a call can wait: for headers, for content, between pings, between words."""


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_cancelled_call_closes_its_upstream_socket_and_shows_as_interrupted(
    parley: Parley, sim: ThreadedSimulator, provider: str
) -> None:
    thread = parley.chat("first", model=provider)["continuation_id"]
    sim.reset("log")
    sim.fault(provider, HANGS[provider], seconds=0.3 if HANGS[provider] == "pings_only" else 30)
    pending = parley.begin("chat", prompt="called-off", model=provider, continuation_id=thread)
    sim.until(lambda _log: [entry for entry in _log if entry["provider"] == provider and entry["fault"]])
    parley.cancel(pending)
    sim.until(lambda log: [entry for entry in log if entry["provider"] == provider and entry["disconnected"]])
    while (last := parley.turns(thread)[-1])["state"] == "pending":
        pass
    assert (last["content"], last["state"]) == ("called-off", "interrupted")
    answer = parley.chat("go on", model=provider, continuation_id=thread)
    assert answer["turn"] == 5 and "called-off" not in text_of(asked(sim, provider)[-1])
    assert not pending.reply.done(), "a cancelled request is not answered"
    assert parley.pings() and len(asked(sim, provider)) == 2


def test_a_call_cancelled_in_mid_answer_leaves_nothing_of_it(parley: Parley, sim: ThreadedSimulator) -> None:
    sim.rule("github_models", "half an answer", chunks=2, chunk_delay_s=30)
    pending = parley.begin("fallback", prompt="called-off-late", chain=["github_models", "openrouter"])
    sim.until(lambda log: [entry for entry in log if entry["provider"] == "github_models" and entry["status"] == 200])
    parley.cancel(pending)
    sim.until(lambda log: [entry for entry in log if entry["provider"] == "github_models" and entry["disconnected"]])
    assert not asked(sim, "openrouter"), "nobody else is asked for it"
    while (found := parley.call("threads", action="search", query="called-off-late").answer["threads"]) == []:
        pass
    assert [(turn["role"], turn["state"]) for turn in parley.turns(found[0]["continuation_id"])] == [("user", "interrupted")]


def test_progress_tells_the_elapsed_time_while_a_model_thinks(parley: Parley, sim: ThreadedSimulator) -> None:
    sim.rule("vertex_gemini", "at last", delay_s=2.5)
    asked_for = parley.begin("chat", progress="token-7", prompt="x", model="vertex_gemini")
    unasked = parley.begin("chat", prompt="x", model="vertex_gemini")
    assert asked_for.outcome().answer["content"] == unasked.outcome().answer["content"] == "at last"
    told = [note["params"] for note in parley.notes if note["method"] == "notifications/progress"]
    assert {one["progressToken"] for one in told} == {"token-7"} and len(told) == 2
    assert 1 <= told[0]["progress"] < told[1]["progress"] < 4
    assert told[0]["message"].startswith("vertex_gemini/") and told[0]["message"].endswith("is thinking (1 s)")


@pytest.mark.parametrize("provider", ["github_models", "vertex_claude"])
def test_a_client_that_leaves_while_libraries_are_still_loading_takes_the_process_with_it(
    start: Start, sim: ThreadedSimulator, provider: str
) -> None:
    parley = start()
    sim.fault(provider, "hang_before_headers")
    parley.begin("chat", prompt="x", model=provider)
    sim.until(lambda log: [entry for entry in log if entry["provider"] == provider], timeout=30)  # the others' paths are being warmed
    parley.close()
    assert parley.process.returncode == 0
    sim.until(lambda log: [entry for entry in log if entry["provider"] == provider and entry["disconnected"]])
