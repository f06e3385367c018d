"""JSON found in what models write around it."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from pydantic import ValidationError

from tools.json_in_text import values
from tools.reviewing.verifying import WrittenVerdict
from tools.reviewing.written import WrittenReview, salvaged
from tools.structured import parse
from tools.synthesis import WrittenOutcome

ISSUE = {"severity": "high", "file": "a.py", "line": 4, "quote": "os.system(cmd)", "title": "Shell injection", "detail": "d"}
REVIEW = json.dumps({"issues": [ISSUE], "summary": "s"})


@pytest.mark.parametrize(
    "text",
    [
        "The default `items=[]` is shared between calls, and os.system(cmd) is a shell injection (critical).",
        "It calls f([]) and g({}) and that is wrong.",
        'I found {"summary": "nothing", "tags": []} hard to say.',
        '{"issues":[{"severity":"high","file":"a.py","title":"t","quote":"def read(path, items=[]):',
        "x[0] and [1, 2] and [[]]",
    ],
)
def test_brackets_in_prose_or_in_a_cut_answer_are_no_review(text: str) -> None:
    assert parse(WrittenReview, text)[0] is None


@pytest.mark.parametrize(
    "text",
    [
        f"The parameter `items=[]` is mutable. Here is my review: ```json\n{REVIEW}\n```",
        f'If nothing were wrong I would say {{"issues": []}}. But: {REVIEW}',
        f'<think>Could be {{"issues": [], "summary": "{"x" * 500}"}}? No.</think> {REVIEW}',
        f'{REVIEW}\nA clean one would be {{"issues": []}}.',
        f"{'x[i] ' * 400}{REVIEW}",
        ("{ return a[i]; }\n" * 200) + REVIEW,
        f'{{"review": {REVIEW}}}',
        REVIEW.replace("}]", "},]").replace(",]", "]").replace('"s"}', '"s", "tags": [],}'),
        f"[{json.dumps(ISSUE)}]",
    ],
)
def test_the_review_is_found_beside_drafts_examples_and_code(text: str) -> None:
    read, problem = parse(WrittenReview, text)
    assert read is not None and problem == ""
    assert [one.title for one in read.issues] == ["Shell injection"]


@pytest.mark.parametrize("text", ["[]", " ```json\n[]\n``` ", '{"issues": []}', 'Nothing is wrong: {"issues": [], "summary": "fine"}'])
def test_an_empty_list_is_a_clean_review_when_it_is_the_answer(text: str) -> None:
    read, _ = parse(WrittenReview, text)
    assert read is not None and read.issues == []


def test_the_complaint_is_about_the_object_that_was_meant() -> None:
    bad = json.dumps({"issues": [{**ISSUE, "severity": "P1"}], "summary": "s"})
    assert parse(WrittenReview, f"a[0]: {bad} {{}}")[1].startswith("issues.0.severity: ")


def test_a_verdict_is_the_answer_and_not_the_claim_it_speaks_of() -> None:
    text = 'The claim {"verdict": "confirmed"} would be wrong. My answer: {"verdict": "refuted", "reason": "it is checked above"}'
    read, _ = parse(WrittenVerdict, text)
    assert read is not None and read.verdict == "refuted"


def test_halves_of_surrogate_pairs_in_strings_and_names_are_replaced() -> None:
    assert list(values('{"a\\ud83d": ["\\ud83d\\ude00", "cut \\ud83d"]}')) == [{"a\ufffd": ["\U0001f600", "cut \ufffd"]}]
    read, _ = parse(WrittenReview, '{"issues": [], "summary": "fine \\ud83d"}')
    assert read is not None and read.summary == "fine \ufffd"


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 50_000, '{"' + "x" * 500_000, "[ " * 100_000 + "]"])
def test_a_hostile_text_takes_no_time_worth_mentioning(text: str) -> None:
    began = time.process_time()
    assert parse(WrittenReview, text)[0] is None
    assert time.process_time() - began < 5


def test_a_text_is_no_review() -> None:
    with pytest.raises(ValidationError):
        WrittenReview.model_validate("nothing")


def test_whole_findings_are_salvaged_from_a_cut_answer() -> None:
    cut = json.dumps({"issues": [ISSUE, {**ISSUE, "title": "Second"}]})[:-30]
    assert [one.title for one in salvaged(cut)] == ["Shell injection"]
    found: list[Any] = salvaged(json.dumps({"issues": [ISSUE, {"severity": "P1"}]}))
    assert [one.title for one in found] == ["Shell injection"]


@pytest.mark.parametrize(
    ("changes", "read"),
    [
        ({"severity": ["HIGH"]}, {}),
        ({"severity": "high-severity"}, {}),
        ({"detail": {"why": "x"}}, {"detail": '{"why": "x"}'}),
        ({"suggestion": None}, {"suggestion": ""}),
        ({"line": 8.0}, {"line": 8}),
        ({"line": [8, 9]}, {"line": 8}),
        ({"line": None, "lines": "8-9"}, {"line": 8}),
        ({"line": True}, {"line": None}),
        ({"title": 7}, {"title": "7"}),
    ],
)
def test_an_odd_field_does_not_lose_the_finding(changes: dict[str, Any], read: dict[str, Any]) -> None:
    found, problem = parse(WrittenReview, json.dumps({"issues": [{**ISSUE, **changes}], "summary": None}))
    assert found is not None, problem
    assert {name: getattr(found.issues[0], name) for name in ("severity", *read)} == {"severity": "high", **read}


@pytest.mark.parametrize("levels", [200, 450, 600, 990, 5_000])
@pytest.mark.parametrize(
    ("opening", "closing"), [("[", "]"), ('{"a": ', "}"), ('{"issues": [', "]}"), ('{"issues": [{"detail": [', "]}]}")]
)
def test_brackets_nested_without_end_are_no_review_and_lose_none_beside_them(levels: int, opening: str, closing: str) -> None:
    nested = f"{opening * levels}1{closing * levels}"
    assert salvaged(nested) == [] and parse(WrittenReview, nested)[0] in (None, WrittenReview(issues=[]))
    assert [one.title for one in salvaged(f"{nested} {REVIEW}")] == ["Shell injection"]


@pytest.mark.parametrize("levels", [60, 200, 900])
def test_a_field_of_brackets_nested_without_end_does_not_lose_its_finding(levels: int) -> None:
    read, _ = parse(WrittenReview, REVIEW.replace('"detail": "d"', f'"detail": {"[" * levels}{"]" * levels}'))
    assert read is not None and [one.title for one in read.issues] == ["Shell injection"]


def test_issues_sorted_into_severities_are_taken() -> None:
    rows = {"critical": [{key: value for key, value in ISSUE.items() if key != "severity"}], "low": {**ISSUE, "severity": "low"}}
    found, _ = parse(WrittenReview, json.dumps({"issues": rows}))
    assert found is not None and [one.severity for one in found.issues] == ["critical", "low"]
    assert parse(WrittenReview, json.dumps({"issues": {"critical": "none"}}))[0] is None


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ({"verdict": "Refuted.", "reason": None}, "refuted"),
        ({"verdict": "not a bug"}, "refuted"),
        ({"verdict": "not refuted"}, "confirmed"),
        ({"verdict": "confirmed: yes"}, "confirmed"),
        ({"verdict": True}, "confirmed"),
        ({"verdict": False}, "refuted"),
        ({"result": {"verdict": "unclear"}}, "uncertain"),
        ({"verdict": "who knows"}, None),
        ({"verdict": 7}, None),
    ],
)
def test_a_verdict_is_the_first_word_that_is_one(said: dict[str, Any], read: str | None) -> None:
    found, _ = parse(WrittenVerdict, json.dumps(said))
    assert (found and found.verdict) == read


@pytest.mark.parametrize(
    ("changes", "confidence"),
    [
        ({"confidence": "85%"}, "high"),
        ({"confidence": "Medium-high"}, None),
        ({"confidence": "very high"}, "high"),
        ({"confidence": 0.5}, "medium"),
        ({"confidence_reason": None}, "low"),
        ({"recommendation": ["Do this.", "Then that."]}, "low"),
        ({"agreements": [{"text": "x", "held_by": None, "quotes": [None, 7, {"quote": "q"}]}]}, "low"),
        ({"confidence": True}, None),
        ({"confidence": "perhaps"}, None),
        ({"recommendation": "  "}, None),
    ],
)
def test_an_odd_field_does_not_lose_the_outcome(changes: dict[str, Any], confidence: str | None) -> None:
    told = {"agreements": [], "recommendation": "Do it.", "confidence": "low", **changes}
    found, _ = parse(WrittenOutcome, json.dumps({"result": told}))
    assert (found and found.confidence) == confidence
