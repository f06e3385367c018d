"""What a reviewer wrote, read as findings: under which names, how deep, and what is no review."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from tests.tools.reviews import INJECTION, OFF_BY_ONE
from tools.reviewing.written import WrittenReview, salvaged

TITLES = [INJECTION["title"], OFF_BY_ONE["title"]]


@pytest.mark.parametrize(
    "written",
    [
        [INJECTION, OFF_BY_ONE],
        {"issues": [INJECTION], "findings": [OFF_BY_ONE]},
        {"issues": [], "vulnerabilities": [INJECTION], "bugs": [OFF_BY_ONE]},
        {"Issues": [INJECTION, {key.title(): value for key, value in OFF_BY_ONE.items()}]},
        {"review": {"result": {"issues": [INJECTION, OFF_BY_ONE]}}},
        {"status": "ok", "review": {"meta": {"n": 2}, "problems": [INJECTION, OFF_BY_ONE]}},
        {"issues": json.dumps([INJECTION, OFF_BY_ONE])},
        {"issues": [INJECTION, OFF_BY_ONE], "errors": 0, "comments": ["Well done."], "bugs": "see above"},
        {"issues": {"critical": [INJECTION], "high": OFF_BY_ONE}},
        {"issues": None, "findings": [INJECTION, OFF_BY_ONE], "summary": None},
    ],
)
def test_findings_are_found_under_the_names_models_give_them(written: Any) -> None:
    assert [one.title for one in WrittenReview.model_validate(written).issues] == TITLES
    assert {one.title for one in salvaged(json.dumps(written))} == set(TITLES)


@pytest.mark.parametrize(
    "written",
    [
        {"issues": [], "verdicts": [INJECTION]},
        {"issues": [], "details": {"worst": INJECTION}},
        {"issues": [], "report": [{"file": "a.py", "line": 3, "message": "It fails."}]},
        {"issues": [], "report": {"a.py": {"hints": [{"Severity": "high"}]}}},
        {"issues": "two of them"},
        {"issues": "[" * 5_000},
        {"issues": [], "findings": 7},
        {"summary": "fine"},
        {"errors": [], "comments": []},
        {},
        7,
    ],
)
def test_what_may_hold_findings_elsewhere_is_no_clean_review(written: Any) -> None:
    with pytest.raises(ValidationError):
        WrittenReview.model_validate(written)


@pytest.mark.parametrize(
    "more",
    [{}, {"summary": "fine", "comments": "None."}, {"files": ["a.py"], "counts": {"high": 0}}, {"read": [{"file": "a.py", "line": 9}]}],
)
def test_a_review_without_findings_is_clean(more: dict[str, Any]) -> None:
    assert WrittenReview.model_validate({"issues": [], **more}).issues == []


def test_a_finding_alone_is_salvaged() -> None:
    assert [one.title for one in salvaged(f"{json.dumps(INJECTION)} and {json.dumps({'issues': 'see above'})}")] == TITLES[:1]
