"""The answer of a review within its bound, and its words in the thread."""

from __future__ import annotations

import random

import pytest

from conversation.messages import Usage, Warned
from tools.bounds import json_tokens
from tools.reviewing.answers import Issue, ReviewAnswer, told, within
from tools.reviewing.sources import Skipped

LIMIT = 20_000


def issue(number: int, words: str = "why") -> Issue:
    return Issue(
        severity="high", file=f"f{number}.py", line=1, title="t", detail=words, suggestion=words, quote=words[:2_000], found_by=("p/m",)
    )


def made(issues: int, files: int, skipped: int, path: str = "p", words: str = "why") -> ReviewAnswer:
    return ReviewAnswer(
        issues=tuple(issue(number, words) for number in range(issues)),
        summary="sum",
        files_reviewed=tuple(f"{path}/{number}.py" for number in range(files)),
        skipped=tuple(Skipped(file=f"{path}/s{number}.py", reason="is empty") for number in range(skipped)),
        continuation_id="c",
        turn=2,
        usage=Usage(),
    )


@pytest.mark.parametrize("path", ["p", "folder/" * 12, "deep-folder/" * 40, "\u4e2d" * 150])
@pytest.mark.parametrize(("files", "skipped"), [(300, 300), (3_000, 900), (1, 900)])
def test_issues_survive_the_names_of_files_and_the_answer_its_bound(path: str, files: int, skipped: int) -> None:
    answer = within(made(10, files, skipped, path), LIMIT)
    assert json_tokens(answer.model_dump(mode="json")) <= LIMIT
    assert len(answer.issues) == 10
    if len(answer.files_reviewed) < files:
        assert f"{files - len(answer.files_reviewed)} of files_reviewed" in answer.warnings[-1].message
        assert ("only the first" in answer.warnings[-1].message) == (told(made(10, files, skipped, path)).count("\nAnd ") > 0)


@pytest.mark.parametrize("seed", range(20))
def test_the_answer_keeps_its_bound_and_an_issue_whatever_it_holds(seed: int) -> None:
    chance = random.Random(seed)
    words = chance.choice(["x y ", "\u4e2d", "\U0001f600", '"\\'])
    whole = made(chance.randrange(1, 200), chance.randrange(3_000), chance.randrange(900), words * 20, words * 1_000)
    answer = within(whole.model_copy(update={"refuted": whole.issues, "summary": words * 9_000}), LIMIT)
    assert json_tokens(answer.model_dump(mode="json")) <= LIMIT and answer.issues
    assert "the ends of long texts" in answer.warnings[-1].message


def test_an_answer_that_fits_is_left_alone() -> None:
    answer = made(2, 3, 4).model_copy(update={"warnings": (Warned(code="incomplete", message="m"),)})
    assert within(answer, LIMIT) is answer


def test_the_thread_names_what_was_reviewed_and_what_was_not() -> None:
    words = told(made(0, 2, 2))
    assert "Not reviewed: p/s1.py is empty." in words and words.endswith("Reviewed whole:\np/0.py\np/1.py")
    words = told(made(0, 3_000, 900, "folder"))
    assert len(words) < 25_000 and "\nAnd " in words and words.count("more.") == 2


def test_a_single_issue_too_long_for_the_answer_is_cut_once_more() -> None:
    answer = within(made(1, 0, 0, words="\u4e2d" * 1_400), 3_000)
    assert json_tokens(answer.model_dump(mode="json")) <= 3_000 and len(answer.issues[0].detail) == 150
