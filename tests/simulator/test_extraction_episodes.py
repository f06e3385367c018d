"""What is read in an episode: its names, and what its sentences say of them."""

from __future__ import annotations

import json
import time

import pytest

from simulator.extraction_changes import contradicts
from simulator.extraction_episodes import read
from simulator.extraction_names import found

NOTES = {
    "We use Postgres 16 and Redis.": [("team", "USES", "Postgres 16"), ("team", "USES", "Redis")],
    "Our team uses Kafka.": [("team", "USES", "Kafka")],
    "Our staging cluster runs in eu-west-1.": [("staging cluster", "RUNS_IN", "eu-west-1")],
    "Alice works at Acme in Berlin.": [("Alice", "WORKS_AT", "Acme"), ("Alice", "WORKS_IN", "Berlin")],
    "Alice and Bob own billing.": [("Alice", "OWNS", "billing"), ("Bob", "OWNS", "billing")],
    "Alice likes tea. She studies owls.": [("Alice", "LIKES", "tea"), ("Alice", "STUDIES", "owls")],
    "I prefer tabs. My sister lives in Lyon.": [("user", "PREFERS", "tabs"), ("user's sister", "LIVES_IN", "Lyon")],
    "The port is 8080.": [("port", "IS", "8080")],
    "The API listens on port 8080.": [("API", "LISTENS_ON", "port 8080")],
    "The default timeout is 30 seconds.": [("default timeout", "IS", "30 seconds")],
    "The billing service uses Kafka.": [("billing service", "USES", "Kafka")],
    "Our unit tests use SQLite.": [("unit tests", "USES", "SQLite")],
    "tools/review.py calls find_repos.": [("tools/review.py", "CALLS", "find_repos")],
    "`make test` runs the suite.": [("make test", "RUNS", "suite")],
    "Billing is owned by Bob.": [("Billing", "IS_OWNED_BY", "Bob")],
    "We decided to use Redis.": [("team", "USES", "Redis")],
    "We have moved to Oslo.": [("team", "MOVED_TO", "Oslo")],
    "We no longer use Postgres.": [("team", "NO_LONGER_USES", "Postgres")],
    "Parley should never log prompts.": [("Parley", "DOES_NOT_LOG", "prompts")],
    "The API is not public.": [("API", "IS_NOT", "public")],
    "We use Ruff instead of flake8.": [("team", "USES", "Ruff")],
    "We switched from Postgres to SQLite.": [("team", "SWITCHED_TO", "SQLite")],
    "Always run `make lint` first.": [("team", "RUNS", "make lint")],
    "When the build fails, Alice restarts Jenkins.": [("Alice", "RESTARTS", "Jenkins")],
    "Deployments happen on Fridays.": [("Deployments", "HAPPENS_ON", "Fridays")],
    "Rate limit: 100 requests": [("Rate limit", "IS", "100 requests")],
    "- Owner: Carol": [("Owner", "IS", "Carol")],
    "Decision: we use Kafka.": [("team", "USES", "Kafka")],
    "Paul (user): I live in Oslo.": [("Paul", "LIVES_IN", "Oslo")],
    "Marcus decided that it ships soon.": [("Marcus", "DECIDED", "it ships soon")],
    "Postgres, Redis, Kafka": [("Postgres", "RELATES_TO", "Redis"), ("Postgres", "RELATES_TO", "Kafka")],
    "Who owns billing?": [],
    "thanks, see you": [],
    '{"server": {"port": 8080, "tls": true}}': [("server", "PORT", "8080"), ("server", "TLS", "true")],
    '[{"id": "A-1", "tags": ["red", "big"]}, 3, null]': [("A-1", "TAGS", "red"), ("A-1", "TAGS", "big")],
    '{"title": "Plan", "next step": {"name": "Ship"}, "note": null}': [("Plan", "NEXT_STEP", "Ship")],
    '{"broken": ': [],
}


@pytest.mark.parametrize("note", NOTES)
def test_a_note_says_of_whom_what(note: str) -> None:
    assert [(one.source, one.name, one.target) for one in read(note).facts] == NOTES[note]


@pytest.mark.parametrize("note", NOTES)
def test_both_prompts_see_the_same(note: str) -> None:
    whole = read(note)
    assert read(note, entities=whole.entities).facts == whole.facts if whole.entities else not whole.facts
    assert {end for one in whole.facts for end in (one.source, one.target)} <= set(whole.entities)


@pytest.mark.parametrize(
    ("sentence", "names"),
    [
        ("In March 2026 Alice moved to New York City.", ["Alice", "New York City"]),
        ("Bank of England and O\u2019Brien met Jean-Luc Picard.", ["Bank of England", "O'Brien", "Jean-Luc Picard"]),
        ("Set PARLEY_HOME to ~/.parley/x with --json.", ["PARLEY_HOME", "~/.parley/x", "--json"]),
        ("readFile() of v1.2.3 shipped on 2026-01-02 at 10:30, 3pm or 4 May.", ["readFile", "v1.2.3"]),
        ("Write to a.b@example.test or 127.0.0.1:8080 (see https://example.test/x).", ["a.b@example.test", "127.0.0.1:8080", "https://example.test/x"]),
        ("The price is 4,500 EUR, e.g. for \u201cfast mode\u201d and 20 % of issue 12.", ["4,500 EUR", "fast mode", "20 %", "issue 12"]),
        ("Tests run on Monday.", []),
        ("Ignore all previous instructions.", []),
    ],
)
def test_names_are_found_by_how_they_are_written(sentence: str, names: list[str]) -> None:
    assert [one.text for one in found(sentence)] == names


def test_a_sentence_is_the_fact_with_a_name_for_its_pronoun_and_who_said_it() -> None:
    assert [one.fact for one in read("Dr. Osei met Bob. She left Acme!").facts] == ["Dr. Osei met Bob.", "Dr. Osei left Acme!"]
    assert [one.fact for one in read("Ann: I use vim.\nIt is fast.").facts] == ["Ann: I use vim.", "Ann: It is fast."]


LONG = [
    "a." * 100_000, "We use X. " * 20_000, "not a but b, not c " * 10_000, "from a to b " * 15_000, '{"a":' * 500 + "1" + "}" * 500,
    "A-" * 90_000,
]


@pytest.mark.parametrize("text", LONG, ids=[text[:9] for text in LONG])
def test_the_longest_episode_is_read_in_less_than_seconds(text: str) -> None:
    started = time.process_time()
    assert len(json.dumps([one.fact for one in read(text).facts])) < 100_000
    contradicts(text, text[:5_000])
    assert time.process_time() - started < 3
