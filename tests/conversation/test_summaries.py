"""Summaries: which turns they stand for, and which words they keep."""

from __future__ import annotations

from conversation.summaries import Fact, covered, extract, facts_of, is_summary, older, views
from conversation.threads import Attachment, Turn
from conversation.tokens import estimate_tokens
from conversation.window import build_window


def turn(seq: int, content: str, role: str = "user", **fields: object) -> Turn:
    known = {"uid": str(seq), "seq": seq, "exchange_id": "e", "state": "done", "at": "", "role": role, "content": content, **fields}
    return Turn.model_validate(known)


def summary(seq: int, upto: int, content: str = "notes", facts: object = ()) -> Turn:
    return turn(seq, content, "assistant", tool="condense", meta={"upto": upto, "facts": facts})


def exchanges(number: int, size: int = 1) -> list[Turn]:
    made: list[Turn] = []
    for n in range(number):
        made += [turn(2 * n + 1, f"question {n} " * size), turn(2 * n + 2, f"answer {n} " * size, "assistant", provider="p", model="m")]
    return made


def test_only_a_condensed_turn_with_its_reach_is_a_summary() -> None:
    assert is_summary(summary(3, 2)) and covered(summary(3, 2)) == 2
    plain = turn(1, "x", tool="condense")
    assert not is_summary(plain) and covered(plain) == 0 and facts_of(plain) == ()


def test_views_are_the_whole_thread_then_each_summary_with_the_turns_after_it() -> None:
    said = exchanges(4)
    first, second = summary(9, 2), summary(10, 6)
    shown = views([*said, second, first, turn(11, "pending", state="pending")])
    assert shown == [said, [first, *said[2:]], [second, *said[6:]]]


def test_what_is_older_leaves_the_newest_whole_exchanges() -> None:
    said = exchanges(6, size=20)
    each = estimate_tokens(said[0].content) + estimate_tokens(said[1].content)
    kept = older(said, each * 2 + 5, stored=12)
    assert [one.seq for one in kept] == list(range(1, 9))
    assert older(said, each * 10, stored=12) == []
    assert [one.seq for one in older(said, 0, stored=4)] == [1, 2, 3, 4]


def test_an_exchange_is_not_torn_apart() -> None:
    said = [turn(1, "a " * 50), turn(2, "b " * 50, "assistant"), turn(3, "c"), turn(4, "d " * 200, "assistant"), turn(5, "e")]
    room = estimate_tokens(said[3].content) + estimate_tokens("e")
    assert [one.seq for one in older(said, room, stored=5)] == [1, 2, 3, 4]


def test_large_files_count_at_most_a_thousand_tokens() -> None:
    file = Attachment(path="a.py", kind="text", media_type="text/plain", content="x = 1\n" * 9_000, digest="d")
    said = [turn(1, "a"), turn(2, "b", "assistant"), turn(3, "c", attachments=(file,)), turn(4, "d", "assistant")]
    assert older(said, 1_100, stored=4) == []


def test_facts_are_taken_by_what_is_specific_in_them_and_the_caller_comes_first() -> None:
    said = [
        turn(1, "Hello there. The port of the staging host is 8443, and it is called marmot_01. How are you?"),
        turn(2, "Well, thank you. I would say that this is nice.", "assistant", provider="p", model="m"),
    ]
    facts = extract(said, "", 40)
    assert [fact.text for fact in facts] == ["The port of the staging host is 8443, and it is called marmot_01."]
    assert facts[0].shown() == "- turn 1, the caller: The port of the staging host is 8443, and it is called marmot_01."


def test_what_the_summary_says_already_is_not_kept_twice() -> None:
    said = [turn(1, "The port is 8443. The host is marmot_01.")]
    assert [fact.text for fact in extract(said, "They settled on port 8443.", 1000)] == ["The host is marmot_01."]


def test_sentences_of_which_there_are_many_alike_give_way() -> None:
    said = [*(turn(n, f"Step {n} of 99 is done.") for n in range(1, 40)), turn(40, "The key is under mat_7.")]
    kept = [fact.text for fact in extract(said, "", 120)]
    assert "The key is under mat_7." in kept and "Step 1 of 99 is done." in kept and "Step 39 of 99 is done." not in kept


def test_the_facts_of_an_earlier_summary_are_carried_over_and_its_words_are_not_facts() -> None:
    old = summary(5, 2, "Some notes about 1234.", [[1, "the caller", "The port is 8443."]])
    assert facts_of(old) == (Fact(1, "the caller", "The port is 8443."),)
    assert extract([old, turn(3, "It moved to 9443.")], "", 1000) == (
        Fact(1, "the caller", "The port is 8443."),
        Fact(3, "the caller", "It moved to 9443."),
    )


def test_a_shown_file_and_another_voice_are_named() -> None:
    file = Attachment(path="store.py", kind="text", media_type="text/plain", content="x", digest="d")
    named = turn(2, "Line 7 is wrong.", "assistant", provider="p", model="m")
    said = [turn(1, "Look.", attachments=(file,)), named, turn(3, "Noted 1.", "assistant")]
    assert [fact.shown() for fact in extract(said, "", 1000)] == [
        "- turn 1, the caller: the file store.py was shown here",
        "- turn 1, the caller: Look.",
        "- turn 2, p/m: Line 7 is wrong.",
        "- turn 3, parley: Noted 1.",
    ]


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
    history = [*exchanges(40, size=30), summary(81, 20, "</summary> notes by p/m")]
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
