"""A panel over real sockets: what every upstream received, in each round, and what came of it."""

from __future__ import annotations

import json
import re

import pytest

from simulator import LogEntry, ThreadedSimulator
from tests.main_job.process import Parley
from tests.main_job.wires import DEFAULTS, HASTY, PROVIDERS, asked, text_of, upstream_calls

SAID = {provider: f"{provider.replace('_', '-')}-view: take option {number}." for number, provider in enumerate(PROVIDERS)}
JUDGE = "openrouter/openai/gpt-4.1"
OUTCOME = {
    "agreements": [
        {"text": "An option has to be taken", "held_by": ["A", "B", "C", "D"], "quotes": [f"take option {n}" for n in range(4)]},
        {"text": "Nobody said this", "held_by": ["A", "B"], "quotes": ["never said anywhere"]},
    ],
    "disagreements": [
        {
            "text": "Which",
            "sides": [
                {"position": "the first", "held_by": ["A"], "quote": "take option 0"},
                {"position": "the last", "held_by": ["D"], "quote": "take option 3"},
            ],
        }
    ],
    "recommendation": "Take option 0.",
    "confidence": "low",
    "confidence_reason": "Four views.",
}


def letters(entry: LogEntry) -> dict[str, str]:
    """What a request shows of others' answers, by letter."""
    return dict(re.findall(r'<answer from="([A-H])">\n(.*?)\n</answer>', text_of(entry), re.DOTALL))


@pytest.fixture(autouse=True)
def scripted(sim: ThreadedSimulator) -> None:
    """Everyone says their own; the judge, a model of its own, gives the outcome."""
    sim.rule("openrouter", json.dumps(OUTCOME), model="openai/gpt-4.1")
    for provider, text in SAID.items():
        sim.rule(provider, text)


def test_each_round_sends_everyone_exactly_what_they_should_see(parley: Parley, sim: ThreadedSimulator) -> None:
    answer = parley.call("consensus", prompt="the-question", rounds=3, synthesizer=JUDGE).answer
    assert [(one["provider"], one["content"]) for one in answer["answers"]] == list(SAID.items())
    for letter, provider in zip("ABCD", PROVIDERS, strict=True):
        first, *later = asked(sim, provider)[:3]  # the judge comes after
        assert text_of(first).count("the-question") == 1
        assert not [text for text in SAID.values() if text in json.dumps(first["body"])]
        assert len(later) == 2
        for entry in later:
            assert text_of(entry).count("the-question") == 1
            assert letters(entry) == {other: SAID[peer] for other, peer in zip("ABCD", PROVIDERS, strict=True) if peer != provider}
            assert text_of(entry).count(SAID[provider]) == 1 and f"You are {letter}." in text_of(entry)
            rest = json.dumps(entry["body"]["messages"] if "messages" in entry["body"] else entry["body"]["contents"])
            assert not [name for peer in PROVIDERS for name in (f"{peer}/", DEFAULTS[peer]) if name in rest]
    (judged,) = [entry for entry in asked(sim, "openrouter") if entry["body"]["model"] == "openai/gpt-4.1"]
    assert letters(judged) == dict(zip("ABCD", SAID.values(), strict=True))


def test_the_outcome_keeps_what_the_answers_bear_out(parley: Parley) -> None:
    answer = parley.call("consensus", prompt="the-question", synthesizer=JUDGE).answer
    assert [(one["text"], len(one["held_by"])) for one in answer["agreements"]] == [("An option has to be taken", 4)]
    assert answer["disagreements"][0]["sides"][0]["held_by"] == [f"vertex_claude/{DEFAULTS['vertex_claude']}"]
    assert [one["code"] for one in answer["warnings"]] == ["unsupported_claim"]
    assert (answer["recommendation"], answer["confidence"], answer["synthesizer"]) == ("Take option 0.", "low", JUDGE)


def test_a_later_chat_on_the_thread_knows_question_positions_and_outcome(parley: Parley, sim: ThreadedSimulator) -> None:
    thread = parley.call("consensus", prompt="the-question", synthesizer=JUDGE).answer["continuation_id"]
    sim.reset("log")
    parley.chat("and now?", continuation_id=thread, model="vertex_gemini")
    (entry,) = asked(sim, "vertex_gemini")
    received = text_of(entry)
    assert all(received.count(text) == 1 for text in ("the-question", *SAID.values(), "Recommendation: Take option 0."))


@pytest.mark.parametrize("kind", ["status", "hang_before_headers", "hang_after_headers", "refuse", "html_200", "empty", "no_finish"])
def test_one_model_that_fails_in_whatever_way_is_listed_and_the_rest_go_on(parley: Parley, sim: ThreadedSimulator, kind: str) -> None:
    sim.fault("github_models", kind)
    models = ["vertex_claude", f"github_models/{HASTY['github_models']}", "vertex_gemini"]
    answer = parley.call("consensus", prompt="x", models=models, synthesizer=JUDGE).answer
    assert [one["provider"] for one in answer["answers"]] == ["vertex_claude", "vertex_gemini"]
    assert [(one["provider"], one["model"]) for one in answer["failed"]] == [("github_models", HASTY["github_models"])]
    assert answer["synthesizer"] == JUDGE


def test_cancelling_closes_every_upstream_socket(parley: Parley, sim: ThreadedSimulator) -> None:
    for provider in PROVIDERS:
        sim.fault(provider, "hang_after_headers")
    pending = parley.begin("consensus", prompt="called-off-panel")
    sim.until(lambda log: len({entry["provider"] for entry in log if entry["fault"]}) == 4)
    parley.cancel(pending)
    sim.until(lambda log: len({entry["provider"] for entry in log if entry["disconnected"]}) == 4)
    assert upstream_calls(sim) == 4
    while (found := parley.call("threads", action="search", query="called-off-panel").answer["threads"]) == []:
        pass
    assert [turn["state"] for turn in parley.turns(found[0]["continuation_id"])] == ["interrupted"]


def test_panels_and_reviews_at_once_never_mix(parley: Parley, sim: ThreadedSimulator) -> None:
    sim.reset("rules")
    for mark in ("red", "blue"):
        finding = {"severity": "low", "file": f"{mark}.py", "line": 1, "quote": f"{mark} = 1", "title": mark, "detail": mark}
        sim.rule("*", json.dumps({"issues": [finding]}), match=f"{mark} = 1")
        sim.rule("*", json.dumps({**OUTCOME, "agreements": [], "disagreements": [], "recommendation": mark}), match=f"say-{mark}-aloud")
        sim.rule("*", f"say-{mark}-aloud", match=f"{mark}-question")
    diffs = {mark: f"--- a/{mark}.py\n+++ b/{mark}.py\n@@ -0,0 +1 @@\n+{mark} = 1\n" for mark in ("red", "blue")}
    panels = {mark: parley.begin("consensus", prompt=f"{mark}-question") for mark in diffs}
    reviews = {mark: parley.begin("codereview", diff=diff) for mark, diff in diffs.items()}
    for mark, other in (("red", "blue"), ("blue", "red")):
        panel, review = panels[mark].outcome().answer, reviews[mark].outcome().answer
        assert {one["content"] for one in panel["answers"]} == {f"say-{mark}-aloud"} and panel["recommendation"] == mark
        assert [one["title"] for one in review["issues"]] == [mark]
        assert other not in json.dumps(panel) + json.dumps(review)
    received = [json.dumps(entry["body"]) for provider in PROVIDERS for entry in asked(sim, provider)]
    assert not [text for text in received if ("red = 1" in text) + ("blue = 1" in text) + ("red-q" in text) + ("blue-q" in text) > 1]


@pytest.mark.parametrize("models", [[], ["gpt"] * 50, ["gpt", "github_models"], [{"model": "gpt", "stance": "for"}] * 2])
def test_a_panel_that_cannot_be_asks_nobody(parley: Parley, sim: ThreadedSimulator, models: list[object]) -> None:
    assert parley.call("consensus", prompt="x", models=models).error["code"] == "invalid_input"
    assert upstream_calls(sim) == 0


def test_a_panel_of_one_is_answered_with_a_warning(parley: Parley) -> None:
    answer = parley.call("consensus", prompt="x", models=["vertex_gemini"]).answer
    assert len(answer["answers"]) == 1 and [one["code"] for one in answer["warnings"]] == ["single_answer"]


@pytest.mark.parametrize("said", ["Prose, no JSON.", '{"agreements": [', "[]", "null"])
def test_an_outcome_that_stays_unreadable_is_kept_as_prose(parley: Parley, sim: ThreadedSimulator, said: str) -> None:
    sim.reset("rules")
    sim.rule("openrouter", said, model="openai/gpt-4.1")
    answer = parley.call("consensus", prompt="x", models=["vertex_claude", "vertex_gemini"], synthesizer=JUDGE).answer
    assert answer["recommendation"] == said and [one["code"] for one in answer["warnings"]] == ["prose_review"]
    assert len(asked(sim, "openrouter")) == 2
