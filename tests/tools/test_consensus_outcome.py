"""Consensus: what the answers come to, held against the answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from tests.tools.house import House, Play
from tests.tools.panels import CLAUDE, EVERYONE, GEMINI, GPT, OUTCOME, QUESTION, ROUTER, SAID, SQL, outcome, panelist, prompt_of, seated
from tools.bounds import json_tokens


async def test_what_has_no_quote_in_the_answers_is_dropped_with_a_warning(house: House) -> None:
    made_up = {"text": "They all love MongoDB", "held_by": ["A", "B", "C"], "quotes": ["MongoDB is best"]}
    nobody = {"text": "Whether to wait", "sides": [{"position": "wait", "held_by": ["Z"]}]}
    told = outcome(agreements=[*OUTCOME["agreements"], made_up], disagreements=[nobody])
    got = await seated(house, told).call("consensus", {"prompt": QUESTION})
    assert [one["text"] for one in got["agreements"]] == ["PostgreSQL will do"] and got["disagreements"] == []
    (warning,) = got["warnings"]
    assert warning["code"] == "unsupported_claim" and warning["message"].startswith("2 of what ")


async def test_a_holder_without_a_quote_is_not_named(house: House) -> None:
    told = outcome(agreements=[{"text": "x", "held_by": ["A", "B", "C"], "quotes": ["Watch vacuum"]}], disagreements=[])
    got = await seated(house, told).call("consensus", {"prompt": QUESTION})
    assert got["agreements"][0]["held_by"] == [CLAUDE, GEMINI]


@pytest.mark.parametrize(
    ("held_by", "quotes", "names"),
    [
        ([], ["watch  VACUUM"], [CLAUDE, GEMINI]),
        (["A", "B"], "Watch vacuum", [CLAUDE, GEMINI]),
        (["Answer B", "claude-sonnet-4-5"], [{"from": "A", "text": "Watch vacuum."}], [CLAUDE, GEMINI]),
        (["vertex_gemini", "a"], ["\u201cWatch vacuum\u2026\u201d"], [CLAUDE, GEMINI]),
        ([{"model": GEMINI}, {"name": CLAUDE}], ["**Watch** vacuum"], [CLAUDE, GEMINI]),
    ],
)
async def test_quotes_and_holders_are_read_as_models_write_them(house: House, held_by: Any, quotes: Any, names: Sequence[str]) -> None:
    told = outcome(agreements=[{"text": "x", "held_by": held_by, "quotes": quotes}], disagreements=[])
    got = await seated(house, told).call("consensus", {"prompt": QUESTION})
    assert got["agreements"][0]["held_by"] == names and got["warnings"] == []


@pytest.mark.parametrize(
    ("sides", "read"),
    [
        (["A, B: PostgreSQL", "C: Redis"], [("PostgreSQL", [CLAUDE, GEMINI]), ("Redis", [GPT])]),
        ([{"view": "Redis", "held_by": "C"}, {"claim": "SQL", "held_by": "A"}], [("Redis", [GPT]), ("SQL", [CLAUDE])]),
        (["A: SQL", {"position": "Redis", "quote": ["Take Redis"]}, "nobody holds this: at all"], [("SQL", [CLAUDE]), ("Redis", [GPT])]),
        (["B: SQL", {"position": "Redis", "held_by": ["A", "C"], "quote": "Take Redis"}], [("SQL", [GEMINI]), ("Redis", [GPT])]),
        (["B: SQL", {"position": ["Redis"], "held_by": ["C"], "quote": None}], [("SQL", [GEMINI]), ("Redis", [GPT])]),
        ([SQL, {"position": "Redis", "held_by": ["C"], "quote": "Take the Redis"}], [("SQL", [CLAUDE]), ("Redis", [GPT])]),
        ([SQL, {"position": "Redis", "held_by": ["B"], "quote": "Take Redis"}], [("SQL", [CLAUDE]), ("Redis", [GEMINI])]),
    ],
)
async def test_sides_are_read_as_models_write_them_and_need_a_holder(house: House, sides: list[Any], read: list[Any]) -> None:
    told = outcome(disagreements=[{"text": "x", "sides": sides}])
    got = await seated(house, told).call("consensus", {"prompt": QUESTION})
    assert [(one["position"], one["held_by"]) for one in got["disagreements"][0]["sides"]] == read
    unquoted = sum(not one["quote"] for one in got["disagreements"][0]["sides"])
    assert unquoted and f"{unquoted} sides of disagreements have no quote that stands" in str(got["warnings"])


@pytest.mark.parametrize(
    ("agreements", "sides", "dropped"),
    [
        ([{"text": "Both want to delete production.", "held_by": ["A", "B"], "quotes": ["e"]}], [], 1),
        ([{"text": "Both want MongoDB.", "held_by": ["A", "B"], "quotes": ["use", "because"]}], [], 1),
        ([{"text": "Inside a word.", "held_by": ["A", "B"], "quotes": ["ostgreSQL", "atch vacuu"]}], [], 1),
        ([{"text": "Both want Redis.", "held_by": ["A", "C"], "quotes": ["Take Redis"]}], [], 1),
        ([{"text": "Nobody said it.", "held_by": ["A", "B"], "quotes": []}], [], 1),
        ([{"text": "Echoed.", "held_by": ["A", "B"], "quotes": ["holds our job queue"]}], [], 1),
        ([], [SQL, {"position": "x", "held_by": ["Z"], "quote": "made up"}], 1),
        ([], [SQL], 1),
    ],
)
async def test_what_the_answers_do_not_bear_out_is_dropped_and_counted(house: House, agreements: Any, sides: Any, dropped: int) -> None:
    told = outcome(agreements=agreements, disagreements=[{"text": "x", "sides": sides}] if sides else [])
    got = await seated(house, told).call("consensus", {"prompt": QUESTION})
    assert (got["agreements"], got["disagreements"]) == ([], [])
    assert [one["message"].split()[0] for one in got["warnings"] if one["code"] == "unsupported_claim"] == [str(dropped)]


async def test_an_invented_quote_among_true_ones_goes_and_is_counted(house: House) -> None:
    told = outcome(agreements=[{**OUTCOME["agreements"][0], "quotes": [*OUTCOME["agreements"][0]["quotes"], "never said"]}])
    got = await seated(house, told).call("consensus", {"prompt": QUESTION})
    assert got["agreements"] == [{**OUTCOME["agreements"][0], "held_by": [CLAUDE, GEMINI]}]
    assert got["warnings"][0]["message"].startswith("1 of what ")


async def test_words_cut_out_of_a_negation_make_no_agreement(house: House) -> None:
    told = outcome(agreements=[{"text": "Both", "held_by": ["A", "B"], "quotes": ["take PostgreSQL here"]}], disagreements=[])
    said = {"vertex_claude": "Do not take PostgreSQL here.", "vertex_gemini": "Please take PostgreSQL here."}
    got = await seated(house, told, said).call("consensus", {"prompt": QUESTION, "models": [CLAUDE, GEMINI]})
    assert got["agreements"] == [] and [one["code"] for one in got["warnings"]] == ["unsupported_claim"]


async def test_of_many_quotes_names_and_sides_a_bounded_number_is_looked_at(house: House) -> None:
    flood = [f"never said {number}" for number in range(5_000)]
    agreement = {"text": "x", "held_by": ["Z" * 90] * 5_000 + ["A", "B"], "quotes": [*flood, "Watch vacuum"]}
    dispute = {"text": "y", "sides": [SQL, {**SQL, "held_by": ["B"]}] * 2_000}
    got = await seated(house, outcome(agreements=[agreement], disagreements=[dispute])).call("consensus", {"prompt": QUESTION})
    assert got["agreements"] == [] and len(got["disagreements"][0]["sides"]) == 16
    assert next(one for one in got["warnings"] if one["code"] == "unsupported_claim")["message"].startswith("3985 of what ")


async def test_a_short_answer_may_be_quoted_whole(house: House) -> None:
    told = outcome(agreements=[{"text": "Both agree", "held_by": ["A", "B"], "quotes": ["Yes"]}], disagreements=[])
    got = await seated(house, told, {"vertex_claude": "Yes.", "vertex_gemini": "yes"}).call(
        "consensus", {"prompt": QUESTION, "models": [CLAUDE, GEMINI]}
    )
    assert len(got["agreements"]) == 1 and got["warnings"] == []


async def test_an_outcome_of_too_many_and_too_long_statements_stays_within_bounds(house: House) -> None:
    agreement = {**OUTCOME["agreements"][0], "text": "so " * 700}
    sides = [{**SQL, "position": "p " * 700}, {"position": "q", "held_by": ["C"], "quote": "Take Redis"}] * 5
    disputes = [{"text": "t " * 700, "sides": sides}] * 60
    told = outcome(agreements=[agreement] * 50, disagreements=disputes, confidence_reason="r " * 9_000)
    got = await seated(house, told).call("consensus", {"prompt": QUESTION, "models": EVERYONE})
    assert json_tokens(got) <= 20_000
    assert [one["content"] for one in got["answers"]] == list(SAID.values())
    assert "truncated" in [one["code"] for one in got["warnings"]]


@pytest.mark.parametrize(("written", "read"), [("HIGH ", "high"), (0.8, "high"), (50, "medium"), (0.1, "low")])
async def test_confidence_is_read_as_models_write_it(house: House, written: Any, read: str) -> None:
    got = await seated(house, outcome(confidence=written)).call("consensus", {"prompt": QUESTION})
    assert got["confidence"] == read


@pytest.mark.parametrize("wrapped", ["```json\n{}\n```", "Here it is:\n\n{}\n\nHope it helps {{}}.", "[1] First, {}"])
async def test_json_is_found_in_what_stands_around_it(house: House, wrapped: str) -> None:
    told = wrapped.replace("{}", json.dumps(OUTCOME, indent=1), 1)
    got = await seated(house, told).call("consensus", {"prompt": QUESTION})
    assert got["recommendation"] == "Use PostgreSQL." and got["warnings"] == []


@pytest.mark.parametrize(
    ("first", "problem"),
    [
        ("I would take PostgreSQL.", "There is no JSON object in it."),
        ('{"agreements": [', "Its JSON does not parse"),
        ('{"agreements": [], "recommendation": "x", "confidence": "sure"}', "confidence: Input should be 'low', 'medium' or 'high'."),
        ('{"agreements": [], "recommendation": "x", "confidence": null}', "confidence: "),
        ("[" * 100_000, "Its JSON does not parse"),
    ],
)
async def test_an_outcome_that_cannot_be_read_is_asked_for_once_more(house: House, first: str, problem: str) -> None:
    seated(house).upstreams["openrouter"].plays = [panelist("x", first), panelist("x", OUTCOME)]
    got = await house.call("consensus", {"prompt": QUESTION, "models": [CLAUDE, GEMINI, GPT], "synthesizer": ROUTER})
    assert got["recommendation"] == "Use PostgreSQL." and got["warnings"] == []
    again = house.upstreams["openrouter"].calls[1]
    assert [message["role"] for message in again.body["messages"]][-2:] == ["assistant", "user"]
    assert problem in prompt_of(again)
    assert got["usage"]["input_tokens"] == 50


@pytest.mark.parametrize("second", ["!overloaded", panelist("x", "Still prose.")])
async def test_what_stays_prose_is_kept_as_prose(house: House, second: str | Play) -> None:
    seated(house).upstreams["vertex_gemini"].plays = [panelist("x", "I would take PostgreSQL."), second]
    got = await house.call("consensus", {"prompt": QUESTION, "models": [CLAUDE, GPT], "synthesizer": GEMINI})
    assert got["recommendation"] == "I would take PostgreSQL."
    assert (got["confidence"], got["agreements"]) == ("low", [])
    assert [one["code"] for one in got["warnings"]] == ["prose_review"]


async def test_answers_stand_without_anybody_to_compare_them(house: House) -> None:
    seated(house).upstreams["vertex_gemini"].plays = ["!overloaded"]
    got = await house.call("consensus", {"prompt": QUESTION, "models": [CLAUDE, GPT], "synthesizer": GEMINI})
    assert len(got["answers"]) == 2 and got["recommendation"] and "synthesizer" not in got
    assert [one["code"] for one in got["warnings"]] == ["no_synthesis"]


async def test_letters_in_what_the_judge_writes_become_the_holders_names_and_stay_in_quotes(house: House) -> None:
    told = outcome(
        agreements=[{**OUTCOME["agreements"][0], "text": "A and B agree"}],
        disagreements=[{"text": "Unlike C, A argues for it", "sides": [SQL, {**SQL, "position": "by C", "held_by": ["C"]}]}],
        recommendation='Follow B; "follow C" is what answer C says.',
        confidence_reason="C's objection stands.",
    )
    got = await seated(house, told).call("consensus", {"prompt": QUESTION, "models": [CLAUDE, GEMINI, GPT]})
    assert [one["seat"] for one in got["answers"]] == ["A", "B", "C"]
    assert got["recommendation"] == f'Follow {GEMINI}; "follow C" is what {GPT} says.'
    assert got["confidence_reason"] == f"{GPT}'s objection stands."
    assert got["agreements"][0]["text"] == f"{CLAUDE} and {GEMINI} agree"
    assert got["disagreements"][0]["text"] == f"Unlike {GPT}, {CLAUDE} argues for it"
    assert got["disagreements"][0]["sides"][1]["position"] == f"by {GPT}"


async def test_letters_that_the_panel_itself_used_of_each_other_are_replaced_too(house: House) -> None:
    seated(house, outcome(recommendation="Follow B.")).upstreams["vertex_claude"].plays = [
        panelist("Redis."), panelist("As B says."), panelist("x", outcome(recommendation="Follow B."))
    ]  # fmt: skip
    got = await house.call("consensus", {"prompt": QUESTION, "models": [CLAUDE, GEMINI], "rounds": 2})
    assert got["recommendation"] == f"Follow {GEMINI}."
