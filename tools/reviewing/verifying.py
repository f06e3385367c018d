"""Findings put to another model, which tries to refute each."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from pydantic import field_validator, model_validator

from conversation.errors import ParleyError
from conversation.fences import defuse
from conversation.messages import Usage
from providers.base import ModelInfo
from providers.catalogue import AUTO
from providers.names import served_as
from tools.app import Call
from tools.bodies import Bodies
from tools.bounds import cut
from tools.lenient import Written, known, words
from tools.panel import together
from tools.reviewing.findings import Finding
from tools.reviewing.parts import Part, render
from tools.structured import ask_structured
from tools.texts import filled, text

Verdict = Literal["confirmed", "refuted", "uncertain"]
_MEANINGS: dict[Verdict, str] = {
    "confirmed": "confirmed confirm valid true real correct not_refuted true_positive",
    "refuted": "refuted refute invalid false rejected false_positive false_alarm incorrect not_valid not_a_bug not_a_fault not_an_issue",
    "uncertain": "uncertain unclear unknown unsure not_sure cannot_confirm not_confirmed",
}
_WORDS = {word: verdict for verdict, meant in _MEANINGS.items() for word in meant.split()}


class WrittenVerdict(Written):
    """The JSON object the checking model is asked for."""

    verdict: Verdict
    reason: str = ""

    _texts = field_validator("reason", mode="before")(words)

    @model_validator(mode="before")
    @classmethod
    def _from_list(cls, value: Any) -> Any:
        """Take the one verdict of a list, or of an object that holds such a list."""
        if isinstance(value, dict) and "verdict" not in value:
            value = cast("dict[str, Any]", value).get("verdicts", cast(Any, value))
        if isinstance(value, list) and len(cast("list[Any]", value)) == 1:
            return cast("list[Any]", value)[0]
        return cast(Any, value)

    @field_validator("verdict", mode="before")
    @classmethod
    def _word(cls, value: Any) -> Any:
        return known(value, _WORDS)


@dataclass(frozen=True, slots=True)
class Judged:
    """A finding with what became of it; without a checker's answer it is uncertain, and `problem` says why."""

    finding: Finding
    verdict: Verdict
    reason: str = ""
    by: str | None = None
    usage: Usage | None = None
    problem: str | None = None


async def judged(call: Call, findings: Sequence[Finding]) -> list[Judged]:
    """Return each finding with another model's verdict, in order; of very many only the first, which are the worst, are checked."""
    most = call.app.limits.max_verified
    places = asyncio.Semaphore(call.app.limits.review_parallel)
    done = 0

    async def one(finding: Finding) -> Judged:
        nonlocal done
        async with places:
            result = await _judge(call, finding)
        done += 1
        call.say(f"{done} of {len(findings)} findings checked")
        return result

    call.say(f"checking {len(findings)} findings")
    checked = await together(one(finding) for finding in findings[:most])
    return [*checked, *(Judged(finding, "uncertain", problem="there are too many") for finding in findings[most:])]


async def _judge(call: Call, finding: Finding) -> Judged:
    told = f"{finding.file}, line {finding.line}: {finding.title}\n{finding.detail}\nIt quotes:\n{finding.quote}"
    code = render(Part((finding.context,), 0))
    bodies = Bodies(call, filled("verify", code=code, finding=defuse(told)), text("reviewer"), quiet=True)
    try:
        found = await ask_structured(bodies, others(call, finding.found_by), WrittenVerdict)
    except ParleyError as error:
        return Judged(finding, "uncertain", problem=error.code)
    if found.value is None:
        return Judged(finding, "uncertain", cut(found.prose, 500), found.model.name, found.usage, "prose")
    return Judged(finding, found.value.verdict, cut(found.value.reason, 1_000), found.model.name, found.usage)


def others(call: Call, found_by: Sequence[str]) -> tuple[ModelInfo, ...]:
    """Return the models to check what others found: the chain's without the finders, else another one of the same providers.

    Of the chain a finder at another provider comes last. With a single model there is at all, it checks its own finding.
    """
    catalogue = call.app.catalogue
    chain = catalogue.routes(AUTO)
    listed = (model for provider in catalogue.chain for model in catalogue.models(provider) if model.source != "live")
    finders = {served_as(name) for name in found_by}
    fresh = sorted((model for model in chain if model.name not in found_by), key=lambda model: served_as(model.id) in finders)
    return tuple(fresh) or tuple(model for model in listed if model.name not in found_by)[:1] or chain
