"""Reviewers at work: each part of the code to each of them, some parts at once, as the parts come."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from conversation.errors import ParleyError
from conversation.messages import Usage, Warned, WarningCode
from conversation.tokens import estimate_tokens
from tools.app import Call
from tools.bodies import Bodies
from tools.files import shown_name
from tools.panel import Failure, Seat
from tools.reviewing.findings import Finding, anchored
from tools.reviewing.parts import Part, render
from tools.reviewing.shapes import Skipped
from tools.reviewing.written import SEVERITIES, WrittenFinding, WrittenReview, salvaged
from tools.structured import ask_structured
from tools.texts import filled, text

KINDS = {
    "full": "Look for all kinds of faults: wrong results, crashes, security, races, leaks, lost errors, broken contracts.",
    "security": "Look for security faults only: what an attacker controls, where it goes, and what stands between. Injection, paths, "
    "authentication and authorization, secrets, deserialization, cryptography, races, denial of service.",
    "performance": "Look for performance faults only: work that grows with input more than it must, repeated or blocking I/O, needless "
    "copies and allocations, locks held too long, caches that never end.",
    "quick": "Look only for what must be mended before this ships: critical and high severity.",
}

_SPARE = 800
"""Tokens left free beside prompt and code: some upstreams count them escaped as JSON."""
_UNFINISHED = {
    "max_tokens": "the answer was cut off at its limit",
    "model_context_window_exceeded": "the answer was cut off at the end of the window",
    "refusal": "the model declined to answer",
}
"""Stop reasons of answers that are not whole, whatever their words say."""
MOST_FINDINGS = 200
"""In one answer; a reviewer that has more to say of one part is not reading it."""


@dataclass(slots=True)
class Reviewed:
    """What a review has come to so far."""

    findings: list[Finding] = field(default_factory=list[Finding])
    files: dict[str, bool] = field(default_factory=dict[str, bool])
    """Every file shown, and whether all that was shown of it was reviewed by somebody."""
    partial: set[str] = field(default_factory=set[str])
    """Files of which not all was shown."""
    skipped: list[Skipped] = field(default_factory=list[Skipped])
    summaries: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """What reviewers said in words: of which files, and the words."""
    prose: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    """What reviewers said that could not be read as findings: who, and the words."""
    broken: Counter[str] = field(default_factory=Counter[str])
    """Reviewers with an answer that was only read in part, and how many."""
    dropped: Counter[str] = field(default_factory=Counter[str])
    """Reviewers with findings that the code does not bear out, and how many."""
    unfinished: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    """Reviewers whose answer is not whole and why, and how many such answers."""
    surplus: Counter[str] = field(default_factory=Counter[str])
    """Reviewers with more findings than one answer is heard for, and how many more."""
    failures: list[Failure] = field(default_factory=list[Failure])
    usage: Usage = field(default_factory=lambda: Usage(cost_usd=0.0))
    names: set[str] = field(default_factory=set[str])
    """The models that answered."""
    parts: int = 0
    answered: int = 0

    @property
    def whole_files(self) -> tuple[str, ...]:
        """The files of which somebody has reviewed everything."""
        return tuple(path for path, done in self.files.items() if done and path not in self.partial)

    def warnings(self) -> list[Warned]:
        """What the caller should know of how it went."""
        told = dict.fromkeys(who for who, _ in self.prose)
        prose = [f"{who} answered in prose, which stands in the summary." for who in told]
        prose += [f"Broken answers of {who}: {number}. The findings that could be read were kept." for who, number in self.broken.items()]
        gone = [f"Findings of {who} dropped: {number}. There is no such file or no such code." for who, number in self.dropped.items()]
        surplus = [f"Of {who} the mildest {number} findings were left out." for who, number in self.surplus.items()]
        failed = Counter((one.model.name, one.error.code) for one in self.failures)
        missed = [f"{name} did not review {number} of {self.parts} parts ({code})." for (name, code), number in failed.items()]
        missed += [f"{name} did not review {n} of {self.parts} parts whole ({why})." for (name, why), n in self.unfinished.items()]
        coded: list[tuple[WarningCode, list[str]]] = [("prose_review", prose), ("unsupported_claim", gone), ("truncated", surplus)]
        coded.append(("incomplete", missed))
        return [Warned(code=code, message=message) for code, messages in coded for message in messages]


@dataclass(slots=True)
class Reviewers:
    """The panel of a review. `kind` is a key of KINDS, `focus` what the caller asks to look at above all."""

    call: Call
    panel: Sequence[Seat]
    kind: str
    focus: str
    reviewed: Reviewed = field(default_factory=Reviewed)

    def part_tokens(self) -> int:
        """Return how large a part may be, so that it fits each reviewer's window."""
        rooms = [Bodies(self.call, "", text("reviewer")).room(model) for seat in self.panel for model in seat.routes[:1]]
        asked = estimate_tokens(self._prompt("")) + _SPARE
        return max(500, min(self.call.app.limits.review_part_tokens, *(room - asked for room in rooms)))

    async def review(self, parts: AsyncIterator[Part]) -> Reviewed:
        """Have every part reviewed by everyone, and return what came of it; reading goes on while reviewers are asked."""
        places = asyncio.Semaphore(self.call.app.limits.review_parallel)
        try:
            await self._all(parts, places)
        except ExceptionGroup as group:  # a defect: the first one tells its place
            raise group.exceptions[0] from None
        return self.reviewed

    async def _all(self, parts: AsyncIterator[Part], places: asyncio.Semaphore) -> None:
        async with asyncio.TaskGroup() as group:
            async for part in parts:
                self.reviewed.parts += 1
                for excerpt in part.excerpts:
                    self.reviewed.files.setdefault(excerpt.path, True)
                failed: list[str] = []
                for seat in self.panel:
                    await places.acquire()
                    group.create_task(self._one(seat, part, failed)).add_done_callback(lambda _: places.release())

    async def _one(self, seat: Seat, part: Part, failed: list[str]) -> None:
        """Have one part reviewed by one reviewer; `failed` is why those could not, or not whole, who could not of the part's reviewers."""
        try:
            reason = await self._ask(seat, part)
        except ParleyError as error:
            self.reviewed.failures.append(Failure(seat, error))
            reason = error.code
        else:
            self.reviewed.answered += 1
        if reason is not None:
            failed.append(reason)
            if len(failed) == len(self.panel):
                self._missed(part, reason)
        self.call.say(
            f"{self.reviewed.answered} reviews of {self.reviewed.parts} parts are in, {len(self.reviewed.findings)} findings so far"
        )

    def _missed(self, part: Part, reason: str) -> None:
        for path in dict.fromkeys(excerpt.path for excerpt in part.excerpts):
            if self.reviewed.files[path]:
                self.reviewed.files[path] = False
                self.reviewed.skipped.append(Skipped(file=path, reason=f"was not reviewed, or not all of it: {reason}"))

    def _prompt(self, code: str) -> str:
        focus = f" Above all: {self.focus}" if self.focus else ""
        return filled("review", code=code, kind=KINDS[self.kind], focus=focus)

    async def _ask(self, seat: Seat, part: Part) -> str | None:
        """Have one part reviewed by one reviewer, and return why its answer is not whole, None when it is."""
        bodies = Bodies(self.call, self._prompt(render(part)), text("reviewer"), quiet=True)
        found = await ask_structured(bodies, seat.routes, WrittenReview)
        done, who, unfinished = self.reviewed, found.model.name, _UNFINISHED.get(found.stop_reason or "")
        done.usage = done.usage.plus(found.usage)
        done.names.add(who)
        if found.value is not None:
            written: Sequence[WrittenFinding] = found.value.issues
            if found.value.summary.strip():
                done.summaries.append((_files(part), found.value.summary.strip()))
        elif written := max(map(salvaged, found.texts), key=len):
            done.broken[who] += 1
        else:
            done.prose.append((who, found.prose or "(nothing)"))
        if unfinished is not None:
            done.unfinished[who, unfinished] += 1
        if len(written) > MOST_FINDINGS:
            done.surplus[who] += len(written) - MOST_FINDINGS
            written = sorted(written, key=lambda one: SEVERITIES.index(one.severity))[:MOST_FINDINGS]
        # Looking a quote up in a large part takes a moment, and others are waiting for the loop.
        kept = [one for one in await asyncio.to_thread(_anchor, written, part, who, seat.letter) if one is not None]
        done.findings += kept
        if len(kept) < len(written):
            done.dropped[who] += len(written) - len(kept)
        return unfinished


def _files(part: Part) -> str:
    first, *others = dict.fromkeys(excerpt.path for excerpt in part.excerpts)
    return shown_name(first) + (f" and {len(others)} more" if others else "")


def _anchor(written: Sequence[WrittenFinding], part: Part, who: str, seat: str) -> list[Finding | None]:
    return [anchored(one, part, who, seat) for one in written]
