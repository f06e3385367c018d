"""A Messages API body made fit for one model: what it cannot take is left out before anything is translated.

Pure functions over the body; the caller's objects are not changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from conversation.errors import ProviderError
from conversation.json_text import parsed, written
from conversation.messages import object_of, objects_of
from conversation.repeated import Repeated
from providers._blocks import understood
from providers._fields import Kind, taken, taken_tools
from providers._schemas import gemini_schema
from providers._tool_ids import set_tool_ids
from providers.base import ModelInfo, ProviderSpec
from providers.causes import failure

Body = dict[str, Any]

BILLING_PREFIX = "x-anthropic-billing-header"
"""Begins a system block in which Claude Code tells Anthropic about itself. It goes to no upstream."""

_SMALLEST_THINKING_BUDGET = 1024
_MOST_STOPS: Mapping[Kind, int] = {"openai": 4, "gemini": 5}
"""Stop sequences that are taken: https://platform.openai.com/docs/api-reference/chat/create#chat-create-stop and
https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference#generationconfig"""
_EMPTY_TURN: Mapping[str, str] = {"role": "user", "content": "(no content)"}
"""What Claude Code itself says where there is nothing."""


def prepared(body: Mapping[str, Any], model: ModelInfo, spec: ProviderSpec, betas: Iterable[str] = ()) -> Body:
    """Return a body for `model` with max_tokens set. Raises BadRequest for what cannot be passed on at all.

    `betas` are those asked for; what belongs to one of them goes where it is taken.
    """
    marks = spec.wire == "anthropic" or model.id.startswith(spec.cache_control_prefixes)
    fit: Body = {key: value for key, value in taken(body, spec, betas).items() if key not in model.drop}
    if "system" in fit and not _set_system(fit, marks, plain=spec.wire != "anthropic" and not marks):
        del fit["system"]
    fit["messages"] = _without_empty([_message(message, spec.wire, marks) for message in understood(body.get("messages"), spec, betas)])
    if not fit["messages"]:
        raise failure("invalid_request", "there is no message to send", provider=model.provider, model=model.id)
    set_tool_ids(fit["messages"], spec.wire)
    if spec.wire != "anthropic":
        _check_media(fit["messages"], model, spec)
    if "tools" in fit:
        _set_tools(fit, spec.wire, marks)
        _check_tools(fit, model, spec)
    fit["max_tokens"] = min(int(body.get("max_tokens") or model.max_output), model.max_output)
    _fit_sampling(fit, spec.wire, model)
    _fit_thinking(fit, spec.wire, model)
    return fit


def _set_system(fit: Body, marks: bool, *, plain: bool) -> bool:
    """Set the system prompt, as one text when `plain`, and tell whether anything of it is left."""
    system = fit["system"]
    if isinstance(system, str):
        return bool(system.strip()) and not system.startswith(BILLING_PREFIX)
    blocks = [_marked(block, marks) for block in objects_of(system) if not _is_blank(block.get("text"))]
    fit["system"] = [block for block in blocks if not str(block["text"]).startswith(BILLING_PREFIX)]
    if plain:
        fit["system"] = "\n\n".join(str(block["text"]) for block in fit["system"])
    return bool(fit["system"])


def _message(message: Mapping[str, Any], wire: Kind, marks: bool) -> Body:
    """Return the message, its content empty when nothing of it can be sent. A system message in mid-conversation becomes the user's."""
    role = "user" if message.get("role") == "system" else message.get("role")
    content = message.get("content")
    if isinstance(content, str):
        return {"role": role, "content": "" if _is_blank(content) else content}
    return {"role": role, "content": [fit for block in objects_of(content) if (fit := _block(block, wire, marks)) is not None]}


def _without_empty(turns: list[Body]) -> list[Body]:
    """Return the messages that hold something; two of one role in a row are taken as one by every upstream.

    A conversation begins and ends with its user, so a user's message there is said to be empty and not left out.
    """
    kept = [turn for turn in turns if turn["content"]]
    if kept and kept[0]["role"] == "assistant" != turns[0]["role"]:
        kept.insert(0, dict(_EMPTY_TURN))
    if kept and kept[-1]["role"] == "assistant" != turns[-1]["role"]:
        kept.append(dict(_EMPTY_TURN))
    return kept


def _is_blank(text: Any) -> bool:
    """Tell whether there is no text, or only white space, which Claude refuses."""
    return not text or (isinstance(text, str) and not text.strip())


def _block(block: Mapping[str, Any], wire: Kind, marks: bool) -> Body | None:
    kind = block.get("type")
    if kind == "text" and _is_blank(block.get("text")):
        return None
    if kind in {"thinking", "redacted_thinking"}:
        # Only Anthropic signs its thinking and checks the signature; other providers' thinking is sent without one.
        signed = block.get("signature") or block.get("data")
        return dict(block) if wire == "anthropic" and signed else None
    if kind == "document" and wire != "anthropic" and (text := _document_text(block)) is not None:
        return {"type": "text", "text": text}
    fit = _marked(block, marks)
    if kind == "tool_use" and wire != "gemini":
        fit.pop("provider_specific_fields", None)  # where LiteLLM keeps Gemini's thought signature
    elif kind == "tool_result":
        _fit_tool_result(fit, wire, marks)
    return fit


def _fit_tool_result(fit: Body, wire: Kind, marks: bool) -> None:
    content = fit.get("content")
    if isinstance(content, str):
        fit["content"] = content = "" if _is_blank(content) else content
    else:
        parts = [part for part in objects_of(content) if part.get("type") != "text" or not _is_blank(part.get("text"))]
        fit["content"] = content = [_result_part(part, wire, marks) for part in parts]
    if wire != "anthropic" and fit.pop("is_error", False):
        # Their wires have no place for it, so the model is told in words.
        fit["content"] = f"Error: {content}" if isinstance(content, str) else [{"type": "text", "text": "Error:"}, *content]


def _result_part(part: Mapping[str, Any], wire: Kind, marks: bool) -> Body:
    if part.get("type") == "document" and wire == "openai" and (text := _document_text(part)) is not None:
        return {"type": "text", "text": text}
    return _marked(part, marks)


def _document_text(block: Mapping[str, Any]) -> str | None:
    """Return a document that is text as text, with its title; None for one of another kind."""
    source = object_of(block.get("source"))
    texts = [source.get("data")] if source.get("type") == "text" else [one.get("text") for one in objects_of(source.get("content"))]
    if source.get("type") not in ("text", "content"):
        return None
    return "\n".join(str(one) for one in (block.get("title"), block.get("context"), *texts) if one)


def _check_media(messages: Iterable[Mapping[str, Any]], model: ModelInfo, spec: ProviderSpec) -> None:
    """Refuse what the wire has no way to carry, so that another provider may be asked."""
    for message in messages:
        for block in objects_of(message["content"]):
            for part in (block, *objects_of(block.get("content"))):
                source = object_of(part.get("source"))
                if spec.wire == "gemini" and source and source.get("type") != "base64":
                    # The translation would fetch it from here.
                    raise _unsupported(model, "images and documents go to Gemini as base64 only")
                if part.get("type") == "document" and not spec.documents:
                    raise _unsupported(model, f"{spec.title} takes no documents but plain text, and PDFs as base64 for their text")


def _unsupported(model: ModelInfo, text: str) -> ProviderError:
    return failure("unsupported", text, provider=model.provider, model=model.id)


def _set_tools(fit: Body, wire: Kind, marks: bool) -> None:
    given = fit["tools"]
    fit["tools"] = tools = _tools_again(given, wire, marks) if isinstance(given, Repeated) else _tools(given, wire, marks)
    if not tools:
        del fit["tools"]
        fit.pop("tool_choice", None)


def _tools(given: Any, wire: Kind, marks: bool) -> list[Body]:
    tools = [_marked(tool, marks) for tool in taken_tools(objects_of(given), wire)]
    if wire == "gemini":
        tools = [{**tool, "input_schema": gemini_schema(tool["input_schema"])} for tool in tools]
    return tools


def _tools_again(given: Repeated, wire: Kind, marks: bool) -> list[Body]:
    """Return the same for tools that come again and again. What a translation may change is a copy."""
    made = given.once((wire, marks), lambda: Repeated(_tools(given, wire, marks)))
    return made if wire == "anthropic" else parsed(written(made))


def _check_tools(fit: Body, model: ModelInfo, spec: ProviderSpec) -> None:
    """Refuse more tools than the model takes: none may be left out, and another provider may take them all."""
    most = next((number for start, number in spec.most_tools.items() if model.id.startswith(start)), None)
    if most is not None and len(fit.get("tools", ())) > most:
        raise _unsupported(model, f"{len(fit['tools'])} tools are more than the {most} it takes")


def _fit_sampling(fit: Body, wire: Kind, model: ModelInfo) -> None:
    claude = wire == "anthropic" or "claude" in model.id
    if claude and isinstance(fit.get("temperature"), int | float):
        fit["temperature"] = min(fit["temperature"], 1.0)
    if claude and "temperature" in fit:
        fit.pop("top_p", None)  # Claude 4.5 and later take one of the two
    if wire == "openai":
        fit.pop("top_k", None)
    if wire in _MOST_STOPS and isinstance(fit.get("stop_sequences"), list):
        # An answer that runs on past a sequence too many is of more use than none.
        fit["stop_sequences"] = fit["stop_sequences"][: _MOST_STOPS[wire]]


def _fit_thinking(fit: Body, wire: Kind, model: ModelInfo) -> None:
    thinking = object_of(fit.get("thinking"))
    if not thinking:
        # LiteLLM has older Claude models think when there is an effort; the newer ones know it for itself.
        return drop_effort(fit) if "temperature" not in model.drop else None
    if not model.reasoning or (wire == "anthropic" and breaks_thinking(fit)):
        return stop_thinking(fit)
    budget = thinking.get("budget_tokens")
    if isinstance(budget, int) and budget >= fit["max_tokens"]:
        budget = fit["max_tokens"] - 1
        if budget < _SMALLEST_THINKING_BUDGET:
            return stop_thinking(fit)
        fit["thinking"] = {**thinking, "budget_tokens": budget}
    if thinking.get("type") != "disabled" and (wire == "anthropic" or "claude" in model.id):
        for key in ("temperature", "top_p", "top_k"):
            fit.pop(key, None)  # Claude takes none of them while it thinks
    return None


def stop_thinking(fit: Body) -> None:
    """Take out thinking and what only goes with it."""
    fit.pop("thinking", None)
    drop_effort(fit)
    management = object_of(fit.pop("context_management", None))
    edits = [edit for edit in objects_of(management.get("edits")) if not str(edit.get("type")).startswith("clear_thinking")]
    if edits:
        fit["context_management"] = {**management, "edits": edits}


def drop_effort(fit: Body) -> None:
    output = object_of(fit.pop("output_config", None))
    kept = {key: value for key, value in output.items() if key != "effort"}
    if kept:
        fit["output_config"] = kept


def breaks_thinking(fit: Body) -> bool:
    """Tell whether Claude would refuse to think: a tool is forced, or one is being used whose turn has no thinking of its own."""
    messages = fit["messages"]
    if object_of(fit.get("tool_choice")).get("type") in {"any", "tool"}:
        return True
    if not any(block.get("type") == "tool_result" for block in objects_of(messages[-1]["content"])):
        return False
    turns = [objects_of(message["content"]) for message in messages if message["role"] == "assistant"]
    return bool(turns and turns[-1]) and turns[-1][0].get("type") not in {"thinking", "redacted_thinking"}


def _marked(block: Mapping[str, Any], marks: bool) -> Body:
    return {key: value for key, value in block.items() if marks or key != "cache_control"}
