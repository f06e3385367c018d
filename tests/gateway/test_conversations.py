"""How a request's conversation is recognised, and what is remembered of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from conversation.messages import Event
from gateway.conversations import Saying, last_said, session_of, split_path
from gateway.sticky import Sticky
from providers.base import ModelInfo

ID = "0b5d2f1e-0000-4000-8000-000000000000"
A, B, C = (ModelInfo(provider=name, id="m") for name in "abc")


@pytest.mark.parametrize(
    ("path", "session", "rest"),
    [
        ("/v1/messages", "", "/v1/messages"),
        ("/v1/messages/", "", "/v1/messages"),
        ("/s/mine/v1/messages", "mine", "/v1/messages"),
        ("/s/mine", "mine", "/"),
        ("/s/mine/", "mine", "/"),
        ("/s//v1/messages", "", "/s//v1/messages"),
        ("/s", "", "/s"),
        ("/", "", "/"),
    ],
)
def test_a_path_may_begin_with_a_session(path: str, session: str, rest: str) -> None:
    assert split_path(path) == (session, rest)


@pytest.mark.parametrize(
    ("path", "header", "user", "session"),
    [
        ("mine", ID, json.dumps({"session_id": "other"}), "mine"),
        ("", ID, json.dumps({"session_id": "other"}), ID),
        ("", "", json.dumps({"device_id": "d", "session_id": ID}), ID),
        ("", "", f"user_0123_account__session_{ID}", ID),
        ("", "two words", None, ""),
        ("", "", "somebody", ""),
        ("", "", json.dumps({"session_id": 7}), ""),
        ("", "", json.dumps([ID]), ""),
        ("", "x" * 129, "", ""),
        ("", "[" * 5, "[" * 100_000, ""),
    ],
)
def test_a_session_is_named_by_the_path_the_header_or_the_users_id(path: str, header: str, user: str | None, session: str) -> None:
    assert session_of(path, header, {"metadata": {"user_id": user}}) == session


@pytest.mark.parametrize("metadata", [None, "x", [], {}, {"user_id": None}])
def test_odd_metadata_names_no_session(metadata: Any) -> None:
    assert session_of("", "", {"metadata": metadata}) == ""


ANSWER: list[Event] = [
    {"type": "message_start", "message": {}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Let me "}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "look."}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
    {"type": "content_block_stop", "index": 1},
]
QUESTION = {"role": "user", "content": "what is in it?"}
SAID = {"role": "assistant", "content": [{"type": "text", "text": "Let me look."}, {"type": "tool_use", "id": "toolu_1", "input": {}}]}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "files"}]}


def test_the_next_request_of_a_conversation_is_known_by_what_was_said_in_the_one_before() -> None:
    saying = Saying([QUESTION], "")
    saying.heard(ANSWER[:4])
    saying.heard(ANSWER[4:])
    assert saying.key() == last_said([QUESTION, SAID, RESULT])
    assert saying.key() == last_said([{**QUESTION, "content": [{"type": "text", "text": QUESTION["content"]}]}, SAID])
    assert saying.key() != last_said([{"role": "user", "content": "another question"}, SAID])


@pytest.mark.parametrize("messages", [[QUESTION], [], None, "x", [3], [SAID], [QUESTION, RESULT]])
def test_a_conversation_in_which_nothing_was_said_is_a_new_one(messages: Any) -> None:
    assert last_said(messages) == ""


def test_where_a_session_is_named_it_is_the_key() -> None:
    saying = Saying([QUESTION], "mine")
    saying.heard(ANSWER)
    assert saying.key() == "mine"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def order(models: Any) -> str:
    return "".join(model.provider for model in models)


def test_a_conversation_stays_with_its_model_for_each_name_it_asks_for() -> None:
    sticky = Sticky()
    sticky.note("mine", "sonnet", B)
    sticky.note("mine", "haiku", C)
    assert order(sticky.first("mine", "sonnet", [A, B, C])) == "bac"
    assert order(sticky.first("mine", "haiku", [A, B, C])) == "cab"
    assert order(sticky.first("yours", "sonnet", [A, B, C])) == "abc"
    assert order(sticky.first("mine", "sonnet", [A, C])) == "ac"


def test_it_stays_for_so_long_after_its_last_answer_and_not_at_all_when_that_is_nothing() -> None:
    clock = Clock()
    sticky, never = Sticky(60, clock=clock), Sticky(0, clock=clock)
    for one in (sticky, never):
        one.note("mine", "sonnet", B)
    assert order(never.first("mine", "sonnet", [A, B])) == "ab"
    clock.now = 59
    assert order(sticky.first("mine", "sonnet", [A, B])) == "ba"
    clock.now = 60
    assert order(sticky.first("mine", "sonnet", [A, B])) == "ab"


def test_only_the_newest_conversations_are_remembered() -> None:
    sticky = Sticky(most=2)
    for name in ("one", "two", "one", "three"):
        sticky.note(name, "m", B)
    sticky.note("", "m", B)
    assert [order(sticky.first(name, "m", [A, B])) for name in ("one", "two", "three", "")] == ["ba", "ab", "ba", "ab"]
