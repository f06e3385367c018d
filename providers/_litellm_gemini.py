"""Gemini's generateContent through LiteLLM: https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from conversation.json_text import parsed, written
from conversation.repeated import Repeated
from providers._litellm_wires import Raw, Request, State, Translated, effort, fields, first, items
from providers.base import Call
from providers.causes import failure

_PARAMS = ("temperature", "top_p", "top_k", "max_tokens", "stop", "tools", "tool_choice", "response_format", "reasoning_effort")
_MOST_THINKING = 24_576
"""Tokens; what every 2.5 model takes: https://ai.google.dev/gemini-api/docs/thinking#set-budget"""
_FAILED = frozenset({"MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS"})
"""Finish reasons of output that came to nothing."""


class GeminiWire(Translated):
    """generateContent, always streamed."""

    sample: tuple[Raw, ...] = (
        {"candidates": [{"content": {"role": "model", "parts": [{"text": "."}, {"functionCall": {"name": "f", "args": {}}}]}}]},
        {"candidates": [{"finishReason": "STOP"}], "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1}},
    )

    def request(self, call: Call, body: Raw) -> Request:
        model = call.model.id
        translated, names = self._library.adapter.translate_completion_input_params_with_tool_mapping({**body, "model": model})
        params: Raw = {key: translated[key] for key in _PARAMS if translated.get(key) is not None}
        _fit_thinking(params, fields(body.get("thinking")), model)
        out: Raw = self._library.gemini_body(
            messages=translated["messages"],
            model=model,
            optional_params=self._options(params, call.body.get("tools"), model),
            custom_llm_provider="vertex_ai",
            litellm_params={},
            cached_content=None,
        )
        return Request(dict(out), {}, names)

    def _options(self, params: Raw, given: Any, model: str) -> Raw:
        """Return the options of a request. Tools that come again and again take a third of all the translating, and are translated once."""
        if not isinstance(given, Repeated) or "tools" not in params:
            return self._mapped(params, model)
        tools = {"tools": params.pop("tools")}
        own: Raw = given.once(("options", model), lambda: self._added_by(tools, model))
        return {**self._mapped(params, model), **parsed(written(own))}

    def _added_by(self, params: Raw, model: str) -> Raw:
        """Return the options that are there because of these parameters, and not of themselves."""
        always = self._mapped({}, model)
        return {key: value for key, value in self._mapped(params, model).items() if key not in always}

    def _mapped(self, params: Raw, model: str) -> Raw:
        return self._library.gemini.map_openai_params(params, {}, model, drop_params=True)

    def cut(self, call: Call, payload: Raw, state: State) -> Iterator[Any]:
        state.parser = state.parser or self._library.gemini_parser().chunk_parser
        state.usage = fields(payload.get("usageMetadata")) or state.usage
        candidate = first(payload.get("candidates"))
        if not candidate and fields(payload.get("promptFeedback")).get("blockReason"):
            raise failure("empty", "the provider declined to answer", provider=call.model.provider, model=call.model.id)
        head = {key: payload[key] for key in ("responseId", "modelVersion") if key in payload}
        for part in _content(items(fields(candidate.get("content")).get("parts"))):
            state.said = True
            yield _chunk(head, part, state)
        finish = candidate.get("finishReason")
        if finish in _FAILED:
            raise failure("malformed", f"the model's output was unusable ({finish})", provider=call.model.provider, model=call.model.id)
        if finish and finish != "FINISH_REASON_UNSPECIFIED" and state.finish is None:
            state.finish = state.parser({**head, "candidates": [{"index": 0, "finishReason": finish}]})

    def usage(self, raw: Raw) -> Any:
        counts = {key: value for key, value in raw.items() if key.endswith("TokenCount") and type(value) is int and value >= 0}
        details = {key: items(value) for key, value in raw.items() if key.endswith("TokensDetails") and items(value)}
        return self._library.gemini.calculate_usage({"usageMetadata": {**counts, **details}})


def _chunk(head: Raw, part: Raw, state: State) -> Any:
    """Return a part as LiteLLM's chunk. A text differs from the one before in its words alone, and a copy takes a seventh of the time."""
    words = part.get("text") if len(part) == 1 else None
    if not isinstance(words, str):
        return _parsed(head, part, state)
    if state.text is None or state.text[0] != head:
        state.text = head, _parsed(head, part, state)
    like = state.text[1]
    choices = [one.model_copy(update={"delta": one.delta.model_copy(update={"content": words})}) for one in like.choices]
    return like.model_copy(update={"choices": choices})


def _parsed(head: Raw, part: Raw, state: State) -> Any:
    chunk = state.parser({**head, "candidates": [{"index": 0, "content": {"role": "model", "parts": [part]}}]})
    for choice in chunk.choices:
        choice.finish_reason = None
    return chunk


def _fit_thinking(params: Raw, thinking: Raw, model: str) -> None:
    """Pass a thinking budget on as it is; LiteLLM's adapter makes one of a few efforts of it. Pro models cannot but think."""
    wanted = effort(params.pop("reasoning_effort", None))
    if wanted == "none" and "pro" in model:
        return
    budget = thinking.get("budget_tokens")
    if isinstance(budget, int):
        params["thinking"] = {**thinking, "budget_tokens": min(budget, _MOST_THINKING)}
    elif wanted is not None:
        params["reasoning_effort"] = wanted


def _content(parts: list[Raw]) -> Iterator[Raw]:
    """Yield the parts that say something, one by one: a thought signature alone says nothing."""
    for part in parts:
        if "functionCall" in part:
            function = fields(part["functionCall"])
            yield {**part, "functionCall": {**function, "args": {} if function.get("args") is None else function["args"]}}
        elif part.get("text") or "inlineData" in part:
            yield part
