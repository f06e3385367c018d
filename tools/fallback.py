"""The tool fallback: several models asked in order until one answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field

from providers.catalogue import AUTO
from tools.app import Call
from tools.asking import (
    BranchFrom,
    Choice,
    ContinuationId,
    Files,
    Images,
    MaxOutputTokens,
    Prompt,
    Question,
    RoleName,
    Temperature,
    UseMemory,
    ask,
)
from tools.registry import tool
from tools.results import ChatAnswer


@tool(title="Ask models in order until one answers", read_only=True, open_world=True)
async def fallback(
    call: Call,
    prompt: Prompt,
    model: Annotated[str | None, Field(description="Asked first")] = None,
    chain: Annotated[list[str], Field(description="Providers or models in order (default: the configured chain)")] = [],  # noqa: B006
    deadline_s: Annotated[float | None, Field(gt=0, description="Seconds for all of them together")] = None,
    continuation_id: ContinuationId = None,
    branch_from: BranchFrom = None,
    files: Files = [],  # noqa: B006
    images: Images = [],  # noqa: B006
    role: RoleName = None,
    temperature: Temperature = None,
    max_output_tokens: MaxOutputTokens = None,
    use_memory: UseMemory = False,
) -> ChatAnswer:
    """Like chat, but asks one model after another until one answers, and always reports the attempts.

    Use it when an answer matters more than who gives it.
    """
    question = Question(
        tool="fallback",
        prompt=prompt,
        continuation_id=continuation_id,
        branch_from=branch_from,
        files=tuple(files),
        images=tuple(images),
        role=role,
        temperature=temperature,
        max_output_tokens=max_output_tokens,
        use_memory=use_memory,
    )
    catalogue = call.app.catalogue

    def choose(last: str | None, preferred: Sequence[str]) -> Choice:
        names = [*([model] if model else []), *(chain or [AUTO])]
        found = [one for name in names for one in catalogue.routes(name, last=last, preferred=preferred)]
        asked = tuple({one.name: one for one in found}.values())
        return Choice(asked, () if chain else catalogue.larger(asked[0]), deadline_s)

    return await ask(call, question, choose, all_attempts=True)
