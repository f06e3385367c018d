"""Quotes: what bears out that somebody said something."""

from __future__ import annotations

import time

import pytest

from tools.quotes import LONGEST_QUOTE, Quote, plain

QUESTION = "Should we take PostgreSQL or Redis for the job queue?"


def stands(quote: str, answer: str, question: str = QUESTION) -> bool:
    return Quote(quote, plain(question)).stands_in(plain(answer))


@pytest.mark.parametrize(
    ("quote", "answer"),
    [
        ("take  REDIS streams", "I would *take* Redis streams."),
        ("Yes", "Yes."),
        ("\u6211\u4eec\u5e94\u8be5\u7528PostgreSQL", "\u6211\u4eec\u5e94\u8be5\u7528PostgreSQL\u4f5c\u4e3a\u961f\u5217\u3002"),
        ("\u5e94\u8be5\u91c7\u7528", "\u6211\u8ba4\u4e3a\u5e94\u8be5\u91c7\u7528\u5b83\u3002"),
        ("\u30c7\u30fc\u30bf\u3092\u4f7f\u3046", "\u307e\u305a\u30c7\u30fc\u30bf\u3092\u4f7f\u3046\u3079\u304d\u3002"),
        ("Redis Streams ... watch vacuum", "Redis Streams scale well. Yet watch vacuum closely."),
        ("Redis Streams\u2026 made for it", "Redis Streams are made for it"),
        ("Redis Streams [...] made for it", "Redis Streams are made for it"),
        ("a list&lt;int> is enough", "a list<int> is enough"),
        ("Do not take Redis", "Do not take Redis here."),
        ("keep what we have", "Redis is not for us, but keep what we have."),
        ("keep what we have", "Redis is not for us. Keep what we have."),
        ("keep what we have", "No, keep what we have."),
        ("keep what we have", "Never keep what we have? Do keep what we have!"),
        ("Take PostgreSQL", "Take PostgreSQL. It is there."),
        ("take PostgreSQL for good", "We should take PostgreSQL for good."),
    ],
)
def test_a_quote_stands_where_its_words_are_said(quote: str, answer: str) -> None:
    assert stands(quote, answer)


@pytest.mark.parametrize(
    ("quote", "answer"),
    [
        ("", "anything"),
        ("because", "because it is"),
        ("C++", "C++ is fast"),
        ("2024", "in 2024 it was"),
        ("ostgreSQL her", "PostgreSQL here"),
        ("take Redis", "They mistake Redis"),
        ("take Redis here", "Do not take Redis here."),
        ("take Redis here", "I wouldn\u2019t ever take Redis here."),
        ("take Redis here", "One cannot take Redis here."),
        ("use of a broker", "It works without use of a broker."),
        ("\u91c7\u7528\u6570\u636e\u5e93", "\u6211\u4eec\u4e0d\u5e94\u91c7\u7528\u6570\u636e\u5e93\u3002"),
        ("Redis Streams ... a broker", "Redis Streams scale. We run without a broker."),
        ("Redis Streams ... take it now", "Redis Streams scale. " + "So it goes. " * 60 + "Take it now."),
        ("Redis Streams ... it", "Redis Streams are it"),
        ("Redis Streams ... never said", "Redis Streams are made for it"),
        ("take PostgreSQL or Redis", "You ask whether to take PostgreSQL or Redis for the job queue."),
        ("for the job queue", "It is fit for the job queue we have."),
        (QUESTION, f"{QUESTION} That depends."),
    ],
)
def test_a_quote_does_not_stand_where_its_words_are_cut_out_of_others(quote: str, answer: str) -> None:
    assert not stands(quote, answer)


def test_a_quote_is_of_bounded_length() -> None:
    words = "a word and more " * LONGEST_QUOTE
    assert not stands(words, words)


def test_many_quotes_of_long_answers_are_found_soon() -> None:
    answers = [plain("some words and more of them " * 2_300 + f"the end {number}") for number in range(8)]
    began = time.thread_time()  # what else the machine does while a suite runs takes none of it
    for number in range(60):
        quote = Quote(f"words that nobody said {number}", "")
        assert not any(map(quote.stands_in, answers))
    assert time.thread_time() - began < 0.5
