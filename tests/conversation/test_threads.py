"""Ids, titles and what of a thread has landed."""

from __future__ import annotations

import pytest

from conversation.errors import InvalidContinuationId
from conversation.threads import Thread, Turn, parse_thread_id, title_of

ID = "0b0e7c9a-5c1d-4c5e-9d3e-0a1b2c3d4e5f"


@pytest.mark.parametrize("text", [ID, ID.upper(), f" {ID}\n", ID.replace("-", ""), f"{{{ID}}}", f"urn:uuid:{ID}"])
def test_a_continuation_id_has_one_form(text: str) -> None:
    assert parse_thread_id(text) == ID


@pytest.mark.parametrize("text", ["", "x", ID[:-1], f"{ID}0", "../../etc/passwd", "\ud800", "\0", "\u0660" * 32 + "x"])
def test_what_is_no_uuid_is_an_invalid_continuation_id(text: str) -> None:
    with pytest.raises(InvalidContinuationId):
        parse_thread_id(text)


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("one\ntwo", "one"),
        ("\n \n  two  \n", "two"),
        ("", "(no text)"),
        (" \n", "(no text)"),
        ("x" * 80, "x" * 80),
        ("x" * 81, "x" * 79 + "\u2026"),
    ],
)
def test_a_title_is_the_first_line_cut_to_eighty_characters(text: str, title: str) -> None:
    assert title_of(text) == title


def test_only_turns_of_completed_exchanges_have_landed() -> None:
    turns = tuple(
        Turn(role="user", content=state, uid=state, seq=seq, exchange_id="e", state=state, at="")
        for seq, state in enumerate(("done", "interrupted", "pending"), 1)
    )
    thread = Thread(id=ID, title="", workspace="", created="", updated="", turns=turns)
    assert [turn.content for turn in thread.landed] == ["done"]
