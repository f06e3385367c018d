"""The tool chat: one model asked, in a thread."""

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


@tool(title="Ask another model", read_only=True, open_world=True)
async def chat(
    call: Call,
    prompt: Prompt,
    model: Annotated[str, Field(description="auto, provider/model, or a family such as sonnet, gemini, gpt; see listmodels")] = AUTO,
    continuation_id: ContinuationId = None,
    branch_from: BranchFrom = None,
    files: Files = [],  # noqa: B006 - pydantic copies it for each call
    images: Images = [],  # noqa: B006
    role: RoleName = None,
    temperature: Temperature = None,
    max_output_tokens: MaxOutputTokens = None,
    use_memory: UseMemory = False,
) -> ChatAnswer:
    """Ask another model (Claude, Gemini, GPT, ...): a second opinion, a review, a hard question.

    The answer's continuation_id goes on with the same thread, with this or any other model.
    """
    question = Question(
        tool="chat",
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
        routes = catalogue.routes(model, last=last, preferred=preferred)
        # A model named is the one that answers or fails; only `auto` leaves the choice of a larger one to us.
        return Choice(routes, catalogue.larger(routes[0]) if model.strip().lower() in ("", AUTO) else ())

    return await ask(call, question, choose)
