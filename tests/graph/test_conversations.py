"""Threads as episodes."""

from __future__ import annotations

from conversation.threads import Thread, Turn, TurnState
from graph.conversations import MOST, episodes_of
from graph.episodes import checked, group_of


def turn(seq: int, content: str, *, role: str = "user", model: str | None = None, state: TurnState = "done", tool: str = "chat") -> Turn:
    known = {"role": role, "content": content, "model": model, "tool": tool, "state": state}
    return Turn.model_validate({**known, "uid": f"u{seq}", "seq": seq, "exchange_id": "e", "at": f"2026-01-0{seq}T00:00:00Z"})


def thread(*turns: Turn, title: str = "Which  queue?") -> Thread:
    known = {"id": "6f1c0c1e-0000-4000-8000-000000000000", "title": title, "workspace": "/srv/work", "created": "x", "updated": "x"}
    return Thread.model_validate({**known, "turns": turns})


def test_a_thread_is_one_episode_of_who_said_what() -> None:
    asked, answered = turn(1, "Which queue?"), turn(2, "Redis.", role="assistant", model="claude-sonnet-4-6")
    (one,) = episodes_of(thread(asked, answered))
    assert one.body == "user: Which queue?\nclaude-sonnet-4-6: Redis."
    assert (one.name, one.source, one.group_id) == ("Which queue? (turns 1-2)", "message", group_of("/srv/work"))
    assert one.source_description == "thread 6f1c0c1e-0000-4000-8000-000000000000" and one.at == "2026-01-02T00:00:00Z"
    assert checked(one) and episodes_of(thread(asked, answered)) == [one]


def test_only_what_came_after_is_told_the_next_time() -> None:
    turns = [turn(number, f"word {number}") for number in range(1, 5)]
    (one,) = episodes_of(thread(*turns), after=2)
    assert one.body == "user: word 3\nuser: word 4" and one.uuid != episodes_of(thread(*turns))[0].uuid
    assert episodes_of(thread(*turns), after=4) == []


def test_what_is_no_turn_of_its_own_is_left_out() -> None:
    pending, empty = turn(1, "wait", state="pending"), turn(2, " ")
    cut, said = turn(3, "half", state="interrupted"), turn(4, "said", role="assistant")
    (one,) = episodes_of(thread(pending, empty, cut, said, title=""))
    assert one.body == "assistant: said" and one.name == "A thread (turns 4-4)"


def test_a_long_thread_is_told_in_several_episodes_and_a_long_turn_in_parts() -> None:
    turns = [turn(1, "a" * (MOST - 10)), turn(2, "b" * 20), turn(3, "c" * 3 * MOST)]
    first, second, third = episodes_of(thread(*turns))
    assert first.body.startswith("user: a") and second.body == f"user: {'b' * 20}"
    assert "\n[...]\n" in third.body and len(third.body) < MOST + 50
    assert len({one.uuid for one in (first, second, third)}) == 3
