"""What Vertex Gemini's generateContent refuses. Wording follows the real service's."""

from __future__ import annotations

import re
from typing import Any

from .asked import Asked, check_image
from .check_gemini_schema import check_schema
from .jsonish import Json, as_dict, as_list, is_number, is_whole
from .models import Model
from .refusals import Refusal
from .signing import thought_signed

_BODY_KEYS = frozenset({
    "contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "safetySettings", "labels", "cachedContent", "model",
})
_CONTENT_KEYS = frozenset({"role", "parts"})
_PART_DATA = frozenset({"text", "inlineData", "fileData", "functionCall", "functionResponse", "executableCode", "codeExecutionResult"})
_PART_KEYS = _PART_DATA | {"thought", "thoughtSignature", "videoMetadata", "mediaResolution"}
_CONFIG_KEYS = frozenset({
    "temperature", "topP", "topK", "candidateCount", "maxOutputTokens", "stopSequences", "responseMimeType", "responseSchema",
    "responseJsonSchema", "presencePenalty", "frequencyPenalty", "seed", "responseLogprobs", "logprobs", "thinkingConfig",
    "responseModalities", "mediaResolution", "speechConfig", "audioTimestamp", "routingConfig", "imageConfig",
})
_FUNCTION_KEYS = frozenset({"name", "description", "parameters", "parametersJsonSchema", "response", "responseJsonSchema"})
_TOOL_KEYS = frozenset({
    "functionDeclarations", "googleSearch", "googleSearchRetrieval", "codeExecution", "urlContext", "retrieval", "enterpriseWebSearch",
    "googleMaps", "computerUse",
})
_FUNCTION_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}\Z")
_CAMEL: dict[str, str] = {}


def camel(key: str) -> str:
    """A protobuf field name in its JSON spelling; Google takes both."""
    if "_" not in key:
        return key
    known = _CAMEL.get(key)
    if known is None:
        head, *rest = key.split("_")
        known = _CAMEL[key] = head + "".join(word.capitalize() for word in rest)
    return known


def _fields(value: Any, allowed: frozenset[str], where: str) -> Json:
    """The object with JSON spellings; refuses unknown names."""
    found = as_dict(value)
    if found is None:
        raise Refusal(400, f"Invalid value at '{where}' (type: object expected).")
    out: Json = {}
    for key, item in found.items():
        name = camel(key)
        if name not in allowed:
            at = f" at '{where}'" if where else ""
            raise Refusal(400, f'Invalid JSON payload received. Unknown name "{key}"{at}: Cannot find field.')
        out[name] = item
    return out


def check(body: Json, model: Model, *, stream: bool, sse: bool, counting: bool = False) -> Asked:
    """The request's digest. Raises Refusal for what the real API rejects."""
    fields = _fields(body, _BODY_KEYS, "")
    asked = Asked("vertex_gemini", model, model.id, stream=stream, sse=sse, include_usage=True)
    if fields.get("systemInstruction") is not None:
        system = _fields(fields["systemInstruction"], _CONTENT_KEYS, "system_instruction")
        _parts(system.get("parts"), "system_instruction", asked, [])
    if fields.get("generationConfig") is not None:
        _config(fields["generationConfig"], model, asked)
    _tools(as_list(fields.get("tools")) or [], asked)
    _contents(fields.get("contents"), model, asked)
    if not counting and asked.input_tokens > model.context_window:
        raise Refusal(
            400, f"The input token count ({asked.input_tokens}) exceeds the maximum number of tokens allowed ({model.context_window})."
        )
    return asked


def _contents(value: Any, model: Model, asked: Asked) -> None:
    contents = as_list(value)
    if not contents:
        raise Refusal(400, "Unable to submit request because at least one contents field is required.")
    asked.turns = len(contents)
    calls: list[str] = []
    role = "user"
    for index, raw in enumerate(contents):
        content = _fields(raw, _CONTENT_KEYS, f"contents[{index}]")
        role = content.get("role", "user")
        if role not in ("user", "model"):
            raise Refusal(400, "Please use a valid role: user, model.")
        texts: list[str] = []
        parts = _parts(content.get("parts"), f"contents[{index}]", asked, texts)
        responses = [_name(part["functionResponse"]) for part in parts if "functionResponse" in part]
        _pair(calls, responses)
        calls = [_name(part["functionCall"]) for part in parts if "functionCall" in part]
        if calls and role != "model":
            raise Refusal(400, "Please ensure that function call turn is a model turn.")
        if role == "user":
            asked.last_user = "\n".join(texts)
    _signatures(contents, model)
    if calls:
        _pair(calls, [])
    if role != "user":
        raise Refusal(400, "Please ensure that multiturn requests end with a user role or a function response.")


def _name(value: Any) -> str:
    return str((as_dict(value) or {}).get("name"))


def _pair(calls: list[str], responses: list[str]) -> None:
    if len(calls) != len(responses):
        raise Refusal(
            400,
            "Please ensure that the number of function response parts is equal to the number of function call parts of the function call "
            "turn.",
        )
    if sorted(calls) != sorted(responses):
        raise Refusal(400, f"Please ensure that function response names match the function calls: {calls} against {responses}.")


def _parts(value: Any, where: str, asked: Asked, texts: list[str]) -> list[Json]:
    parts = as_list(value)
    if not parts:
        raise Refusal(
            400, "Unable to submit request because it must include at least one parts field, which describes the prompt input."
        )
    return [_part(raw, f"{where}.parts[{index}]", asked, texts) for index, raw in enumerate(parts)]


def _part(raw: Any, where: str, asked: Asked, texts: list[str]) -> Json:
    part = _fields(raw, _PART_KEYS, where)
    data = _PART_DATA & part.keys()
    if len(data) != 1:
        raise Refusal(400, f"{where}.data: required oneof field 'data' must have one initialized field")
    if "text" in part:
        text = part["text"]
        if not isinstance(text, str):
            raise Refusal(400, f"Invalid value at '{where}.text' (TYPE_STRING)")
        if not text:
            raise Refusal(
                400, "Unable to submit request because it has an empty text parameter. Add a value to the parameter and try again."
            )
        asked.texts.append(text)
        texts.append(text)
    elif "inlineData" in part:
        blob = _fields(part["inlineData"], frozenset({"mimeType", "data", "displayName"}), f"{where}.inline_data")
        if str(blob.get("mimeType")).startswith("image/"):
            check_image(blob.get("data"), blob.get("mimeType"), f"{where}.inline_data")
        asked.images += 1
    elif "functionResponse" in part:
        _response(part["functionResponse"], where, asked, texts)
    elif "functionCall" in part:
        call = _fields(part["functionCall"], frozenset({"name", "args", "id"}), f"{where}.function_call")
        asked.tool_chars += len(str(call.get("args", "")))
    signature = part.get("thoughtSignature")
    if signature is not None and not (isinstance(signature, str) and thought_signed(signature)):
        raise Refusal(400, "Corrupted thought signature.")
    return part


def _response(value: Any, where: str, asked: Asked, texts: list[str]) -> None:
    response = _fields(value, frozenset({"name", "response", "id", "parts"}), f"{where}.function_response")
    answer = as_dict(response.get("response"))
    if answer is None:
        raise Refusal(400, f"Invalid value at '{where}.function_response.response' (type: object expected).")
    for item in answer.values():
        text = item if isinstance(item, str) else str(item)
        asked.texts.append(text)
        texts.append(text)
    asked.images += len(as_list(response.get("parts")) or [])


def _signatures(contents: list[Any], model: Model) -> None:
    """Gemini 3 wants the thought signature back on the first function call of each step of the turn in progress."""
    if not model.id.startswith("gemini-3"):
        return
    for content in reversed([as_dict(raw) or {} for raw in contents]):
        parts = [{camel(key): item for key, item in (as_dict(raw) or {}).items()} for raw in as_list(content.get("parts")) or []]
        if content.get("role") == "user" and any("functionResponse" not in part for part in parts):
            return
        calls = [part for part in parts if "functionCall" in part]
        if calls and not calls[0].get("thoughtSignature"):
            raise Refusal(
                400,
                "Function call is missing a thought_signature in functionCall parts. This is required for tools to work correctly, and "
                "missing thought_signature may lead to degraded model performance. Function call "
                f"`default_api:{_name(calls[0]['functionCall'])}`.",
            )


def _config(value: Any, model: Model, asked: Asked) -> None:
    config = _fields(value, _CONFIG_KEYS, "generation_config")
    limit = config.get("maxOutputTokens")
    if limit is not None:
        if not is_whole(limit) or not 1 <= limit <= model.max_output:
            raise Refusal(
                400,
                f"Unable to submit request because it has a maxOutputTokens value of {limit} but the supported range is from 1 "
                f"(inclusive) to {model.max_output + 1} (exclusive). Update the value and try again.",
            )
        asked.max_tokens = limit
    for key, high in (("temperature", 2.0), ("topP", 1.0)):
        number = config.get(key)
        if number is not None and (not is_number(number) or not 0 <= number <= high):
            raise Refusal(
                400,
                f"Unable to submit request because it has a {key} value of {number} but the supported range is from 0 (inclusive) to "
                f"{high} (inclusive). Update the value and try again.",
            )
    if config.get("thinkingConfig") is not None:
        _thinking(config["thinkingConfig"], model, asked)
    if config.get("responseSchema") is not None:
        check_schema(config["responseSchema"], "generation_config.response_schema")


def _thinking(value: Any, model: Model, asked: Asked) -> None:
    where = "generation_config.thinking_config"
    config = _fields(value, frozenset({"includeThoughts", "thinkingBudget", "thinkingLevel"}), where)
    budget, level = config.get("thinkingBudget"), config.get("thinkingLevel")
    third = model.id.startswith("gemini-3")
    if level is not None and not third:
        raise Refusal(400, "Unable to submit request because thinking_level is not supported by this model.")
    if level is not None and budget is not None:
        raise Refusal(400, "Unable to submit request because only one of thinking_budget and thinking_level can be set.")
    low, high = (0, 24_576) if "flash" in model.id else (128, 32_768)
    if budget is not None and (not is_whole(budget) or (budget != -1 and not low <= budget <= high)):
        raise Refusal(
            400,
            f"Unable to submit request because the thinking budget is out of range; supported values are integers from {low} to {high}.",
        )
    asked.thinking = config.get("includeThoughts") is True


def _tools(tools: list[Any], asked: Asked) -> None:
    names: list[str] = []
    for index, raw in enumerate(tools):
        tool = _fields(raw, _TOOL_KEYS, f"tools[{index}]")
        for position, declared in enumerate(as_list(tool.get("functionDeclarations")) or []):
            where = f"tools[{index}].function_declarations[{position}]"
            function = _fields(declared, _FUNCTION_KEYS, where)
            name = str(function.get("name", ""))
            if not _FUNCTION_NAME.match(name):
                raise Refusal(
                    400,
                    "Invalid function name. Must start with a letter or an underscore. Must be alphameric (a-z, A-Z, 0-9), underscores "
                    "(_), dots (.), colons (:) or dashes (-), with a maximum length of 64.",
                )
            if name in names:
                raise Refusal(400, f"Duplicate function declaration found: {name}")
            if function.get("parameters") is not None:
                check_schema(function["parameters"], f"{where}.parameters")
            names.append(name)
    if tools:
        asked.add_tools(names, tools)
