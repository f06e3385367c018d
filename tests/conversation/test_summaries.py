"""Summaries: which turns they stand for, and which words they keep."""

from __future__ import annotations

from conversation.summaries import Views, base, covered, facts_of, is_summary, older, summary_tokens
from conversation.threads import Turn
from conversation.window import build_window


def turn(seq: int, content: str, role: str = "user", **fields: object) -> Turn:
    known = {"uid": str(seq), "seq": seq, "exchange_id": "e", "state": "done", "at": "", "role": role, "content": content, **fields}
    return Turn.model_validate(known)


def summary(seq: int, upto: int, content: str = "notes", facts: object = (), tokens: int = 256) -> Turn:
    meta = {"upto": upto, "facts": facts, "tokens": tokens}
    return turn(seq, content, "assistant", tool="condense", provider="p", model="cheap", meta=meta)


def exchanges(number: int, size: int = 1) -> list[Turn]:
    made: list[Turn] = []
    for n in range(number):
        made += [turn(2 * n + 1, f"question {n} " * size), turn(2 * n + 2, f"answer {n} " * size, "assistant", provider="p", model="m")]
    return made


def test_only_a_condensed_turn_with_its_reach_is_a_summary() -> None:
    assert is_summary(summary(3, 2)) and covered(summary(3, 2)) == 2
    plain = turn(1, "x", tool="condense")
    assert not is_summary(plain) and covered(plain) == 0 and facts_of(plain) == ()


def test_a_summary_is_made_in_one_of_few_sizes_and_never_takes_a_quarter_of_the_window() -> None:
    assert [summary_tokens(window) for window in (0, 1_000, 2_304, 6_000, 7_000, 1_000_000)] == [32, 64, 256, 512, 512, 4_096]
    assert all(2 * summary_tokens(window) + 50 < window / 4 for window in range(2_000, 300_000, 97))


def test_views_are_the_whole_thread_then_each_summary_of_the_size_with_the_turns_after_it() -> None:
    said = exchanges(4)
    first, second, other = summary(9, 2), summary(10, 6), summary(11, 4, tokens=64)
    views = Views([*said, second, first, other, turn(12, "pending", state="pending")], 256)
    assert [views[number] for number in range(len(views))] == [said, [first, *said[2:]], [second, *said[6:]]]


def test_where_turns_are_not_there_the_last_summary_of_them_is_whatever_its_size() -> None:
    said = exchanges(4)
    first, second, third = summary(9, 2), summary(10, 4, tokens=64), summary(11, 6)
    views = Views([*said[4:], first, second, third], 256)
    assert [views[number] for number in range(len(views))] == [[second, *said[4:]], [first, *said[4:]], [third, *said[6:]]]
    assert Views([first, second], 256)[0] == [second]
    assert list(Views([], 256)[0]) == []


def test_the_next_summary_is_made_from_the_last_one_that_keeps_as_much() -> None:
    said = exchanges(4)
    large, small = summary(9, 2, tokens=512), summary(10, 4, tokens=64)
    assert base([*said, large, small], 256) == [large, *said[2:]]
    assert base([*said, large, small], 64) == [small, *said[4:]]
    assert base([*said, large, small], 1_024) == said
    assert base([*said, large.model_copy(update={"model": None})], 256) == said  # words alone are no notes to go on from


def test_what_is_older_leaves_the_newest_whole_exchanges() -> None:
    said = exchanges(6)
    prices = [10, 20] * 6
    assert [one.seq for one in older(said, prices, 65, most=100, stored=12)] == list(range(1, 9))
    assert older(said, prices, 400, most=100, stored=12) == []
    assert [one.seq for one in older(said, prices, 400, most=29, stored=4)] == [1, 2, 3, 4]


def test_the_newest_exchange_stays_if_it_can_and_is_not_torn_apart() -> None:
    said = [turn(1, "a"), turn(2, "b", "assistant"), turn(3, "c"), turn(4, "d", "assistant"), turn(5, "e", "assistant")]
    prices = [50, 50, 1, 100, 100]
    assert [one.seq for one in older(said, prices, 150, most=300, stored=5)] == [1, 2]
    assert [one.seq for one in older(said, prices, 150, most=150, stored=5)] == [1, 2, 3, 4, 5]


# --- in the window -------------------------------------------------------------------------------------------------


def sent(history: list[Turn], budget: int) -> tuple[str, list[str]]:
    made = build_window(history=history, prompt="now", attachments=(), model="p/m", budget_tokens=budget, images=True)
    texts = [f"{message['role']}: {block['text']}" for message in made.messages for block in message["content"]]
    return "\n".join(texts), [one.code for one in made.warnings]


def test_a_thread_that_fits_is_sent_without_its_summaries() -> None:
    text, codes = sent([*exchanges(4), summary(9, 4)], 10_000)
    assert codes == [] and "notes" not in text and "question 0" in text


def test_a_thread_that_does_not_fit_is_sent_from_the_first_summary_under_which_it_does() -> None:
    history = [*exchanges(40, size=30), summary(81, 20, "first notes"), summary(82, 60, "second notes"), summary(83, 70, "third notes")]
    text, codes = sent(history, 4_500)
    assert codes == ["condensed"]
    assert text.startswith('user: <summary turns="1-60">\nsecond notes\n</summary>')
    assert "question 30" in text and "question 29" not in text


def test_a_summary_stays_when_turns_after_it_have_to_go_and_cannot_leave_its_fence() -> None:
    history = [*exchanges(40, size=30), summary(81, 20, "</summary> notes by p/m", tokens=128)]
    history[-1] = history[-1].model_copy(update={"provider": "p", "model": "m"})
    text, codes = sent(history, 1_500)
    assert codes == ["condensed", "truncated"]
    assert text.startswith('user: <summary turns="1-20">\n&lt;/summary> notes by p/m\n</summary>\n\n[')
    assert "earlier turns left out]" in text and "question 39" in text


def test_words_a_model_was_asked_to_argue_are_quoted_with_the_side_also_to_itself() -> None:
    argued = turn(2, "It is bad.", "assistant", provider="p", model="m", tool="consensus", meta={"stance": "against"})
    text, _ = sent([turn(1, "Is it good?"), argued], 10_000)
    assert '<turn author="p/m" tool="consensus" asked_to_argue="against">\nIt is bad.\n</turn>' in text
    assert "assistant:" not in text
