"""Chat completions through LiteLLM, as GitHub Models and OpenRouter serve them.

https://docs.github.com/en/rest/models/inference and https://openrouter.ai/docs/api-reference/chat-completion
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from providers._litellm_wires import Raw, Request, State, Translated, effort, fields, first, items
from providers.base import Call, ProviderSpec
from providers.causes import error_in_body, failure

if TYPE_CHECKING:
    from providers._litellm import Library

_PARAMS = ("temperature", "top_p", "stop", "tools", "tool_choice", "response_format")
_NOT_WHEN_REASONING = frozenset({"temperature", "top_p", "stop"})
_MESSAGE_KEYS = ("role", "content", "tool_calls", "tool_call_id", "name")
_FAILED = frozenset({"error", "network_error"})
"""Finish reasons with which OpenRouter says that the provider behind it failed."""


class OpenAIWire(Translated):
    """Chat completions. OpenRouter differs in how it is told to think and in saying what the call cost."""

    sample: tuple[Raw, ...] = (
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "."}, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}]}}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}], "usage": {"prompt_tokens": 1, "completion_tokens": 1}},
    )

    def __init__(self, library: Library, spec: ProviderSpec) -> None:
        super().__init__(library)
        self._reasoners = spec.openai_reasoning_prefixes
        self._router = spec.name == "openrouter"
        self._litellm_name = "openrouter" if self._router else "github"
        self._config = library.openrouter if self._router else library.github
        self._parser = library.openrouter_parser if self._router else library.openai_parser

    def request(self, call: Call, body: Raw) -> Request:
        translated, names = self._library.adapter.translate_completion_input_params_with_tool_mapping(
            {**body, "model": call.model.id}, custom_llm_provider=self._litellm_name
        )
        params: Raw = {key: translated[key] for key in _PARAMS if translated.get(key) is not None}
        if call.model.id.startswith(self._reasoners):
            params = {key: value for key, value in params.items() if key not in _NOT_WHEN_REASONING}
            params["max_completion_tokens"] = translated["max_tokens"]
        else:
            params["max_tokens"] = translated["max_tokens"]
            if "tools" in params and fields(body.get("tool_choice")).get("disable_parallel_tool_use"):
                params["parallel_tool_calls"] = False
        self._add_reasoning(params, translated)
        out: Raw = self._config.transform_request(call.model.id, translated["messages"], params, {}, {})
        out["messages"] = [_message(message) for message in items(out["messages"])]
        out.update(stream=True, stream_options={"include_usage": True})
        return Request(out, {}, names)

    def _add_reasoning(self, params: Raw, translated: Raw) -> None:
        """Say how much to think: `reasoning` to OpenRouter, whatever the model, and `reasoning_effort` to others."""
        wanted = effort(translated.get("reasoning_effort"))
        wanted = None if wanted == "none" else wanted
        thinking = fields(translated.get("thinking"))
        if not self._router:
            if wanted is not None:
                params["reasoning_effort"] = wanted
        elif thinking.get("type") == "enabled":
            params["reasoning"] = {"max_tokens": thinking["budget_tokens"]}
        elif thinking.get("type") == "adaptive" or wanted is not None:
            params["reasoning"] = {"effort": wanted or "medium"}

    def cut(self, call: Call, payload: Raw, state: State) -> Iterator[Any]:
        state.usage = fields(payload.get("usage")) or state.usage
        cost = state.usage.get("cost")
        state.cost = float(cost) if isinstance(cost, int | float) else None
        choice = first(payload.get("choices"))
        for delta in _single_deltas(fields(choice.get("delta")) or fields(choice.get("message")), call, state):
            state.said = True
            yield self._chunk(payload, delta, None)
        finish = choice.get("finish_reason")
        if finish in _FAILED:
            raise error_in_body(call.model.provider, call.model.id, choice.get("error") or {"message": f"finish_reason {finish}"})
        if finish and state.finish is None:
            state.finish = self._chunk(payload, {}, "tool_calls" if state.tools and finish == "stop" else finish)

    def usage(self, raw: Raw) -> Any:
        details = fields(raw.get("prompt_tokens_details"))
        cached = {key: details[key] for key in ("cached_tokens", "cache_write_tokens") if isinstance(details.get(key), int)}
        counts = {key: raw[key] for key in ("prompt_tokens", "completion_tokens", "total_tokens") if isinstance(raw.get(key), int)}
        return self._library.usage(**counts, prompt_tokens_details=cached or None)

    def _chunk(self, payload: Raw, delta: Raw, finish: str | None) -> Any:
        head = {"id": str(payload.get("id") or "-"), "created": payload.get("created") or 0, "model": payload.get("model") or "-"}
        return self._parser.chunk_parser({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


def _message(message: Raw) -> Raw:
    """Return an OpenAI message without the keys LiteLLM adds for itself, which strict servers reject."""
    kept = {key: message[key] for key in _MESSAGE_KEYS if key in message}
    texts = items(kept.get("content"))
    if kept.get("role") == "tool" and texts and all(part.get("type") == "text" for part in texts):
        kept["content"] = "\n".join(str(part["text"]) for part in texts)
    elif isinstance(kept.get("content"), list):
        kept["content"] = [_part(part) for part in texts]
    return kept


def _part(part: Raw) -> Raw:
    """Return a part of a message, a document as the file it is: LiteLLM calls every medium an image."""
    url = str(fields(part.get("image_url")).get("url") or "")
    if not url.startswith("data:application/pdf"):
        return part
    return {"type": "file", "file": {"filename": "document.pdf", "file_data": url}}


def _single_deltas(delta: Raw, call: Call, state: State) -> Iterator[Raw]:
    """Yield deltas of one kind of content each: reasoning, text, or one tool call."""
    reasoning = delta.get("reasoning") or delta.get("reasoning_content")
    if reasoning:
        yield {"reasoning": reasoning}
    for key in ("content", "refusal"):
        if delta.get(key):
            yield {key: delta[key]}
    for position, one in enumerate(items(delta.get("tool_calls"))):
        yield {"tool_calls": [_tool_call(one, one.get("index", position), call, state)]}


def _tool_call(one: Raw, index: int, call: Call, state: State) -> Raw:
    """Return one tool call's delta, its id and name only where it begins: some servers repeat them, which would begin another."""
    function = fields(one.get("function"))
    tool: Raw = {"index": index, "type": "function", "function": {"arguments": function.get("arguments") or ""}}
    if index not in state.tools:
        tool["id"] = one.get("id")
        tool["function"]["name"] = function.get("name")
    elif index != state.tool:
        raise failure("malformed", "tool calls that run into each other", provider=call.model.provider, model=call.model.id)
    state.tools.add(index)
    state.tool = index
    return tool
