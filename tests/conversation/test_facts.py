"""Facts: which sentences are kept word for word, in any language, and which give way."""

from __future__ import annotations

from conversation.facts import Fact, extract, facts_in
from conversation.threads import Attachment, Turn


def turn(seq: int, content: str, role: str = "user", **fields: object) -> Turn:
    known = {"uid": str(seq), "seq": seq, "exchange_id": "e", "state": "done", "at": "", "role": role, "content": content, **fields}
    return Turn.model_validate(known)


def by(seq: int, content: str) -> Turn:
    return turn(seq, content, "assistant", provider="p", model="m")


def kept(turns: list[Turn], notes: str = "", tokens: int = 1_000) -> list[str]:
    return [fact.text for fact in extract([fact for one in turns for fact in facts_in(one)], notes, tokens)]


def test_a_fact_is_shown_with_its_turn_and_who_said_it_files_by_name() -> None:
    file = Attachment(path="store.py", kind="text", media_type="text/plain", content="x", digest="d")
    said = [turn(1, "Look here. ok", attachments=(file,)), by(2, "Line 7 is wrong."), turn(3, "Noted 1.", "assistant")]
    assert [fact.shown() for one in said for fact in facts_in(one)] == [
        "- turn 1, the caller: the file store.py was shown here",
        "- turn 1, the caller: Look here.",
        "- turn 2, p/m: Line 7 is wrong.",
        "- turn 3, parley: Noted 1.",
    ]


def test_what_stands_in_the_notes_word_for_word_is_not_kept_twice_and_nothing_else_is_left_out() -> None:
    said = [turn(1, "Alice owns 40 shares and Bob owns 60 shares. The port is 8443. Use port 9000.")]
    swapped = "Alice owns 60 shares and Bob owns 40 shares. They say: the port is 8443, for now. They do not use port 9000 there."
    assert kept(said, swapped) == ["Alice owns 40 shares and Bob owns 60 shares."]
    assert kept([turn(1, "The key is 123.")], "the key is 12345") == ["The key is 123."]


FACTS = (
    "The launch code of the project is HERON-42.",
    "Alice owns the billing module.",
    "\u041f\u0430\u0440\u043e\u043b\u044c \u0437\u043d\u0430\u0435\u0442 \u041c\u0430\u0440\u0438\u044f.",
    "\ud504\ub85c\uc81d\ud2b8 \ucf54\ub4dc\ub294 \ud638\ub791\uc774\uc785\ub2c8\ub2e4.",
    "\u9879\u76ee\u4ee3\u53f7\u662f\u767d\u9e6d\u3002",
    "\u0631\u0645\u0632 \u0627\u0644\u0645\u0634\u0631\u0648\u0639 \u0647\u0648 \u0627\u0644\u0646\u0633\u0631.",
    "Der Schl\u00fcssel liegt bei Frau Novak im Keller.",
)
FILLERS = {
    "questions": ("And what about part {n}, why would it matter?", "I see."),
    "identifiers": ("Go on with step {n}.", "You must always pass `a_b` to c_d because of MAX_{n} in x12.py."),
    "figures": ("Step {n} took {n} minutes and used API_{n}.", "The function `x_y` in z.py is used by `call_{n}` on line {n}."),
    "logs": ("2026-01-01 10:{n}:00 ERROR code={n} in worker_{n}\n" * 30, "Worker `w_{n}` failed."),
}


def test_the_callers_facts_outlive_any_filler_in_any_language() -> None:
    for name, (asked, answered) in FILLERS.items():
        turns: list[Turn] = []
        for n in range(200):
            said = FACTS[n // 10 - 1] if n % 10 == 0 and 1 <= n // 10 <= len(FACTS) else asked.format(n=n)
            turns += [turn(2 * n + 1, said), by(2 * n + 2, answered.format(n=n))]
        found = kept(turns, tokens=1_024)
        assert not [fact for fact in FACTS if fact not in found], name


def test_half_of_the_room_is_the_callers_and_what_it_leaves_is_for_all() -> None:
    others = [by(n, f"The module `mod_{n}` calls `fun_{n}` in file_{n}.py.") for n in range(1, 60)]
    assert "We keep it simple." in kept([*others, turn(60, "We keep it simple.")], tokens=120)
    assert len(kept([*others, turn(60, "We keep it simple.")], tokens=600)) > 15


def test_of_sentences_alike_the_newest_and_the_first_come_before_the_rest() -> None:
    said = [turn(n, f"Remember: the current release is 1.{n}.") for n in range(1, 150)]
    found = kept(said, tokens=60)
    assert found[0] == "Remember: the current release is 1.1." and found[-1] == "Remember: the current release is 1.149."


def test_what_is_to_be_remembered_comes_before_all_else_of_the_caller() -> None:
    filler = [turn(n, f"We use `tool_{n}` and API_{n} because of case {n * n}.") for n in range(1, 60, 2)]
    told = ("Remember that the cat sleeps.", "Wichtig ist mir die Katze!", "\u8bb0\u4f4f\u732b\u5728\u7761\u89c9\u3002")
    asked = [turn(60 + n, text) for n, text in enumerate(told)]
    assert {one.content for one in asked} <= set(kept([*filler, *asked], tokens=160))


def test_a_long_line_is_kept_in_pieces_that_share_what_stands_at_the_cut() -> None:
    before, after = (" ".join(f"{word}{n}" for n in range(60)) for word in ("word", "more"))
    long = f"{before} the launch code of project Osprey is HERON-42 {after}"
    pieces = [fact.text for fact in facts_in(turn(1, long))]
    assert max(map(len, pieces)) <= 400 and [piece for piece in pieces if "Osprey is HERON-42" in piece]
    assert all(word in " ".join(pieces).split() for word in long.split())
    assert len(facts_in(turn(1, "abc" * 400))) == 3


def test_what_does_not_fit_gives_way_to_what_does() -> None:
    long = " ".join(f"word{n}" for n in range(60))
    assert kept([turn(1, long), turn(2, "ok, that is it")], tokens=40) == ["ok, that is it"]
    assert extract([Fact(1, "the caller", "The port is 8443.")] * 3, "", 100) == (Fact(1, "the caller", "The port is 8443."),)
