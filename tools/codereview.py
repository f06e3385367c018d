"""The tool codereview: code read by one or several reviewers, each finding at the line it quotes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from conversation.errors import FileRefused, InvalidInput, TooLarge
from conversation.messages import Warned
from conversation.threads import NewTurn, parse_thread_id
from providers.catalogue import AUTO
from tools.app import App, Call
from tools.asking import ContinuationId, standing
from tools.files import shown_name
from tools.panel import LETTERS, Member, Seat, nobody, seats
from tools.recording import recording
from tools.registry import tool
from tools.reviewing.answers import Issue, ReviewAnswer, told, within
from tools.reviewing.findings import Fault
from tools.reviewing.git import git_diff
from tools.reviewing.material import Material, again
from tools.reviewing.merging import merged
from tools.reviewing.reviewers import Reviewed, Reviewers
from tools.reviewing.sources import Skipped, Source, from_diff, from_paths
from tools.reviewing.telling import summary
from tools.reviewing.verifying import Judged, judged
from tools.reviewing.written import SEVERITIES, Severity

ReviewType = Literal["full", "security", "performance", "quick"]


@tool(title="Have code reviewed", read_only=True, open_world=True)
async def codereview(
    call: Call,
    paths: Annotated[list[str], Field(description="Files, folders, globs")] = [],  # noqa: B006 - pydantic copies it for each call
    diff: Annotated[str | None, Field(description="A unified diff")] = None,
    git_range: Annotated[str | None, Field(description="main...HEAD, HEAD (all that is not committed) or staged")] = None,
    review_type: ReviewType = "full",
    focus: Annotated[str | None, Field(max_length=2_000, description="What to look at above all, or what the code is for")] = None,
    severity_filter: Annotated[Severity | None, Field(description="This and what is worse")] = None,
    models: Annotated[list[str], Field(description="Up to 8 reviewers (default: one, the chain's)")] = [],  # noqa: B006
    verify: Annotated[bool, Field(description="Have another model try to refute each finding")] = False,
    continuation_id: ContinuationId = None,
) -> ReviewAnswer:
    """Have other models review code: exactly one of paths, diff and git_range. Findings come with file, line and the code they quote.

    Reviewers see only the code and focus.
    """
    app = call.app
    thread_id = None if continuation_id is None else parse_thread_id(continuation_id)
    panel = reviewers(call, models)
    if app.budget is not None:
        await app.budget.check()
    work = Reviewers(call, panel, review_type, (focus or "").strip())
    material = Material(work.reviewed, app.limits.max_review_tokens, work.part_tokens())
    sources = await _sources(app, paths, diff, git_range)
    async with aclosing(material.parts(sources)) as parts, recording(app) as exchange:
        first = await anext(parts, None)
        if first is None:
            raise _nothing(work.reviewed.skipped, bool(paths))
        asked = NewTurn(role="user", content=_asked(review_type, work.focus, paths, git_range), tool="codereview")
        await exchange.begin(asked, thread_id, None, ())
        done = await work.review(again(first, parts))
        if not done.answered:
            raise nobody(done.failures)
        report = await _report(call, done, severity_filter, verify)
        turns = await exchange.complete(report.turn(done))
    warnings = [*report.warnings, *exchange.warnings, *await standing(app, exchange.thread, thread_id)]
    answer = report.answer.model_copy(
        update={
            "continuation_id": exchange.going_on(bool(turns), thread_id),
            "turn": turns[-1].seq if turns else None,
            "warnings": tuple(warnings),
        }
    )
    return within(answer, app.limits.max_answer_tokens)


def reviewers(call: Call, models: Sequence[str]) -> tuple[Seat, ...]:
    """Return the reviewers: those named, or one seat that the whole chain may take."""
    if not models:
        return (Seat(LETTERS[0], call.app.catalogue.routes(AUTO)),)
    return seats(call.app.catalogue, [Member(model=name) for name in models])


# --- what is reviewed ----------------------------------------------------------------------------------------------


async def _sources(app: App, paths: Sequence[str], diff: str | None, git_range: str | None) -> AsyncGenerator[Source | Skipped]:
    given = [name for name, value in (("paths", paths or None), ("diff", diff), ("git_range", git_range)) if value is not None]
    if len(given) != 1:
        said = f"{' and '.join(given)} were given" if given else "nothing to review was named"
        raise InvalidInput(f"{said[0].upper()}{said[1:]}.", hint="Name exactly one of paths, diff and git_range.")
    if paths:
        return from_paths(app.files, paths, app.limits)
    if git_range is not None:
        compared = await git_diff(app.workspace, git_range, app.limits, app.git_env)
        return _listed(await asyncio.to_thread(compared.sources))
    if len((diff or "").encode()) > app.limits.max_diff_bytes:
        raise TooLarge(f"diff is over {app.limits.max_diff_bytes:,} bytes.", hint="Give git_range, which is split, or fewer files.")
    return _listed(await asyncio.to_thread(from_diff, diff or ""))


async def _listed(sources: Sequence[Source | Skipped]) -> AsyncGenerator[Source | Skipped]:
    for one in sources:
        yield one


def _asked(review_type: str, focus: str, paths: Sequence[str], git_range: str | None) -> str:
    """Return what the thread says was asked for."""
    more = f" and {len(paths) - 20} more" if len(paths) > 20 else ""
    what = ", ".join(map(shown_name, paths[:20])) + more if paths else f"the git range {git_range}" if git_range is not None else "a diff"
    return f"Code review ({review_type}) of {what}." + (f" Focus: {focus}" if focus else "")


_PATHS = "Name text files, folders or globs in the workspace."
_CHANGES = "Give a unified diff, or a range, that adds or changes lines of text files."


def _nothing(skipped: Sequence[Skipped], in_workspace: bool) -> FileRefused:
    named = "; ".join(f"{one.file} {one.reason}" for one in skipped[:5]) or "there is no code in it"
    more = f"; and {len(skipped) - 5} more" if len(skipped) > 5 else ""
    return FileRefused(f"There is nothing to review: {named}{more}.", hint=_PATHS if in_workspace else _CHANGES)


# --- what came of it -----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Report:
    """The answer but for the thread, and the warnings so far."""

    answer: ReviewAnswer
    warnings: list[Warned] = field(default_factory=list[Warned])

    def turn(self, done: Reviewed) -> NewTurn:
        """Return the turn that says it in the thread: the reviewer's own when there was one, else Parley's."""
        only = next(iter(done.names)) if len(done.names) == 1 else ""
        provider, _, model = only.partition("/")
        return NewTurn(
            role="assistant",
            content=told(self.answer),
            tool="codereview",
            provider=provider or None,
            model=model or None,
            usage=self.answer.usage,
        )


async def _report(call: Call, done: Reviewed, severity_filter: Severity | None, verify: bool) -> _Report:
    found = await asyncio.to_thread(merged, done.findings)
    least = SEVERITIES.index(severity_filter or "info")
    wanted = [one for one in found if SEVERITIES.index(one.severity) <= least]
    results = await judged(call, wanted) if verify else [Judged(one, "uncertain") for one in wanted]
    issues = [_issue(one, verify) for one in results]
    usage = done.usage
    for one in results:
        usage = usage if one.usage is None else usage.plus(one.usage)
    kept = tuple(one for one in issues if one.verdict != "refuted")
    refuted = tuple(one for one in issues if one.verdict == "refuted")
    answer = ReviewAnswer(
        issues=kept,
        refuted=refuted,
        summary=summary(done, [one.severity for one in kept], len(refuted), len(found) - len(wanted), severity_filter),
        files_reviewed=done.whole_files,
        skipped=tuple(done.skipped),
        usage=usage,
    )
    unchecked = Counter(one.problem for one in results if one.problem)
    warnings = [Warned(code="incomplete", message=f"{number} findings were not checked ({why}).") for why, number in unchecked.items()]
    return _Report(answer, [*done.warnings(), *warnings])


def _issue(one: Judged, verify: bool) -> Issue:
    fault = {name: getattr(one.finding, name) for name in Fault.model_fields}
    return Issue(**fault, verdict=one.verdict if verify else None, reason=one.reason or None, checked_by=one.by)
