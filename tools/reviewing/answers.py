"""What a review answers: its shape, its words in the thread, and how it is kept within the size of an answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from conversation.messages import Usage, Warned
from tools.bounds import cut, fitting, json_tokens
from tools.results import OmitEmpty, Result
from tools.reviewing.findings import Fault
from tools.reviewing.sources import Skipped
from tools.reviewing.verifying import Verdict


class Issue(Fault):
    """One fault. `verdict` is null unless it was checked; `checked_by` and `reason` then say by whom and why."""

    verdict: Verdict | None = None
    reason: Annotated[str | None, OmitEmpty] = None
    checked_by: Annotated[str | None, OmitEmpty] = None


class ReviewAnswer(Result):
    """What reviewers found, worst first. Without continuation_id it was not saved; warnings say so."""

    issues: tuple[Issue, ...]
    refuted: tuple[Issue, ...] = ()
    summary: str
    files_reviewed: tuple[str, ...]
    skipped: tuple[Skipped, ...] = ()
    continuation_id: Annotated[str | None, OmitEmpty] = None
    turn: Annotated[int | None, OmitEmpty] = None
    usage: Usage
    warnings: tuple[Warned, ...] = ()


def told(answer: ReviewAnswer) -> str:
    """Return the answer in words, as the thread keeps it; of very many files the first are named."""
    rows = [answer.summary, *map(_issue, answer.issues), *(f"Refuted: {_issue(one)}" for one in answer.refuted)]
    rows += _first((f"Not reviewed: {one.file} {one.reason}." for one in answer.skipped), len(answer.skipped))
    rows += ["Reviewed whole:\n" + "\n".join(_first(answer.files_reviewed, len(answer.files_reviewed)))] if answer.files_reviewed else []
    return "\n\n".join(rows)


def _issue(one: Issue) -> str:
    verdict = f", {one.verdict}" if one.verdict else ""
    mend = f"\nSuggestion: {one.suggestion}" if one.suggestion else ""
    found = ", ".join(one.found_by)
    checked = f"\nChecked by {one.checked_by}: {one.verdict}. {one.reason or ''}".rstrip() if one.checked_by else ""
    return f"[{one.severity}{verdict}] {one.file}:{one.line} {one.title} (found by {found})\n{one.quote}\n{one.detail}{mend}{checked}"


_NAMED_CHARACTERS = 10_000


def _first(rows: Iterable[str], number: int) -> list[str]:
    """Return the first rows, as many as the thread keeps, and how many there are more."""
    kept: list[str] = []
    room = _NAMED_CHARACTERS
    for row in rows:
        room -= len(row)
        if room < 0:
            return [*kept, f"And {number - len(kept)} more."]
        kept.append(row)
    return kept


_GIVE_WAY = (("files_reviewed", 100), ("skipped", 100), ("files_reviewed", 5), ("skipped", 5), ("refuted", 0), ("issues", 1))
"""In which order lists are shortened when the answer is too long, and how far: names of files before the first issue."""
_LISTS = tuple(dict.fromkeys(name for name, _ in _GIVE_WAY))


def within(answer: ReviewAnswer, tokens: int) -> ReviewAnswer:
    """Return the answer within `tokens`: the ends of long texts give way, then names of files, then the mildest issues."""
    if json_tokens(answer.model_dump(mode="json")) <= tokens:
        return answer
    room = tokens - 600
    shown = _shortened(answer, room // 4, 1_500)
    for name, least in _GIVE_WAY:
        items = getattr(shown, name)
        while json_tokens(shown.model_dump(mode="json")) > room and len(items) > least:
            items = items[: max(least, len(items) * 3 // 4)]
            shown = shown.model_copy(update={name: items})
    if json_tokens(shown.model_dump(mode="json")) > room:
        shown = _shortened(shown, room // 10, 150)
    gone = [f"{left} of {name}" for name in _LISTS if (left := len(getattr(answer, name)) - len(getattr(shown, name)))]
    gone += ["the ends of long texts"] if (shown.summary, shown.issues) != (answer.summary, answer.issues[: len(shown.issues)]) else []
    rest = f"threads shows the rest: action=show, continuation_id={answer.continuation_id}, turn={answer.turn}."
    if max(sum(map(len, answer.files_reviewed)), sum(len(one.file) + len(one.reason) for one in answer.skipped)) > _NAMED_CHARACTERS // 2:
        rest += " Of the files it may name only the first."
    message = f"The answer was cut, left out: {', '.join(gone)}. {rest if answer.turn else 'The rest was not saved.'}"
    return shown.model_copy(update={"warnings": (*shown.warnings, Warned(code="truncated", message=message))})


def _shortened(answer: ReviewAnswer, summary_tokens: int, most: int) -> ReviewAnswer:
    """Return the answer with its texts cut: the summary to so many tokens, the others to so many characters."""

    def issue(one: Issue) -> Issue:
        return one.model_copy(update={name: cut(getattr(one, name), most) for name in ("detail", "suggestion", "quote")})

    return answer.model_copy(
        update={
            "summary": answer.summary[: fitting(answer.summary, summary_tokens)],
            "issues": tuple(map(issue, answer.issues)),
            "refuted": tuple(map(issue, answer.refuted)),
            "files_reviewed": tuple(cut(path, 200) for path in answer.files_reviewed),
            "skipped": tuple(Skipped(file=cut(one.file, 200), reason=cut(one.reason, 300)) for one in answer.skipped),
            "warnings": tuple(Warned(code=one.code, message=cut(one.message, 500)) for one in answer.warnings[:20]),
        }
    )
