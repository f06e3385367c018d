"""Letters of a panel's seats, replaced by names where they can mean nothing else."""

from __future__ import annotations

import time

import pytest

from tools.lettering import with_names

NAMES = {"A": "p/one", "B": "q/two (for)", "C": "r/three"}


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("Follow B.", "Follow q/two (for)."),
        ("Follow answer B; [C] is thin.", "Follow q/two (for); r/three is thin."),
        ("Answers A and C agree.", "p/one and r/three agree."),
        ("A, B and C agree; B's objection stands.", "p/one, q/two (for) and r/three agree; q/two (for)'s objection stands."),
        ("A argues for it, B disagrees with C.", "p/one argues for it, q/two (for) disagrees with r/three."),
        ("answer B\u2019s point", "q/two (for)\u2019s point"),
        ("Do it, as proposed by A, unlike C", "Do it, as proposed by p/one, unlike r/three"),
        ("Unlike B, C argues well.", "Unlike q/two (for), r/three argues well."),
    ],
)
def test_a_letter_that_means_an_answer_becomes_its_holder(text: str, read: str) -> None:
    assert with_names(text, NAMES, ["Which database?", "A queue will do. A broker will not."]) == read


@pytest.mark.parametrize(
    "text",
    [
        "A queue is enough. A broker is not.",
        "Run an A/B test, in C++ or C#.",
        "Option B is cheaper; options A and B both cost; plan B's price.",
        'They say "follow B" and "answer B\'s point"; \u201cby C\u201d, `with A`, and \'that\'s from B\'.',
        'It breaks off: "follow B',
        "```\nfollow B\n```",
        "Vitamin C, hepatitis B. Written in C.",
        "Answer D and [E] are not of this panel; with F.",
        "Classes A and B",
    ],
)
def test_what_may_mean_something_else_or_is_quoted_stays(text: str) -> None:
    assert with_names(text, NAMES, ["Which database?"]) == text


def test_a_letter_that_question_or_answers_use_themselves_is_replaced_only_where_it_is_called_an_answer() -> None:
    used = ["Should we take option B?", "It is written in C.", "As plan A says"]
    assert with_names("Follow B, with C. A argues so. Answer B's point; [C].", NAMES, used) == (
        "Follow B, with C. A argues so. q/two (for)'s point; r/three."
    )


def test_a_long_text_is_read_soon() -> None:
    began = time.perf_counter()
    for text in ("A, B and " * 20_000, '"' * 100_000, "answer " * 20_000, "'a " * 20_000, "with " * 20_000):
        with_names(text, NAMES, [text])
    assert time.perf_counter() - began < 5
