"""Summaries: which turns they stand for, and which words they keep."""

from __future__ import annotations

from conversation.summaries import Fact, Views, base, covered, extract, facts_of, is_summary, older, summary_tokens
from conversation.threads import Attachment, Turn
from conversation.window import build_window


def turn(seq: int, content: str, role: str = "user", **fields: object) -> Turn:
    known = {"uid": str(seq), "seq": seq, "exchange_id": "e", "state": "done", "at": "", "role": role, "content": content, **fields}
    return Turn.model_validate(known)


def summary(seq: int, upto: int, content: str = "notes", facts: object = (), tokens: int = 256) -> Turn:
    return turn(seq, content, "assistant", tool="condense", meta={"upto": upto, "facts": facts, "tokens": tokens})


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


def test_a_sentence_is_said_already_only_where_one_sentence_has_all_its_words() -> None:
    said = [turn(1, "Never use port 8443. The key is 12345. The host is up.")]
    summary = "They use port 8443 for now. It is up to the host. The key was 1234567."
    assert [fact.text for fact in extract(said, summary, 1000)] == ["Never use port 8443.", "The key is 12345."]


def test_what_is_to_be_remembered_comes_before_all_else_in_whatever_language() -> None:
    filler = [turn(n, f"We use `tool_{n}` and API_{n} because of case {n * n}.") for n in range(1, 60, 2)]
    asked = [turn(60, "Remember that the cat sleeps."), turn(61, "重要なのは猫です。犬ではない。"), turn(62, "Wichtig ist mir die Katze!")]
    kept = [fact.text for fact in extract([*filler, *asked], "", 75)]
    assert {"Remember that the cat sleeps.", "重要なのは猫です。", "Wichtig ist mir die Katze!"} <= set(kept)


def test_a_name_in_a_sentence_counts_as_specific() -> None:
    said = [turn(1, "We like this place very much indeed."), turn(2, "My colleague is Anneliese.")]
    assert [fact.text for fact in extract(said, "", 22)] == ["My colleague is Anneliese."]


def test_a_long_line_is_kept_in_pieces_and_what_does_not_fit_gives_way_to_what_does() -> None:
    long = " ".join(f"word{n}" for n in range(200)) + " and the end is ZEBRA_9"
    pieces = extract([turn(1, long)], "", 10_000)
    assert " ".join(fact.text for fact in pieces) == long and max(len(fact.text) for fact in pieces) <= 400
    assert len(extract([turn(1, "abc" * 400)], "", 10_000)) == 3
    kept = extract([turn(1, long), turn(2, "ok, that is it")], "", 20)
    assert [fact.text for fact in kept] == ["ok, that is it"]


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
