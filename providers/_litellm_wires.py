"""The three wires through LiteLLM's translation classes: a prepared Messages body out, Messages events in.

LiteLLM's classes are driven directly; what they get wrong in streams is put right on the raw chunks before they see them
(measured on 1.106.2): an absent finish reason becomes "stop" at every Gemini chunk, usage in every chunk makes as many
message_delta events, several tool calls in one chunk are merged into one, and a stream that breaks off ends like a whole one.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from conversation.errors import ProviderError
from conversation.messages import Event
from providers._events import events_of
from providers.base import Call, ProviderSpec
from providers.causes import error_in_body, failure

if TYPE_CHECKING:
    from providers._litellm import Library
    from providers._payloads import Payloads

Raw = dict[str, Any]


class Request(NamedTuple):
    """What is sent: the JSON body, headers of its own, and the tool names the translation shortened, by short name."""

    body: Raw
    headers: dict[str, str]
    names: dict[str, str]


class Wire(Protocol):
    """One wire format. `sample` is a whole recorded answer, for warming up."""

    sample: tuple[Raw, ...]

    def request(self, call: Call, body: Raw) -> Request: ...

    def events(self, payloads: Payloads, call: Call, names: dict[str, str]) -> AsyncIterator[Event]: ...


def wire_for(spec: ProviderSpec, library: Library) -> Wire:
    """Return the wire a provider speaks."""
    if spec.wire == "anthropic":
        return AnthropicWire(library)
    return GeminiWire(library) if spec.wire == "gemini" else OpenAIWire(library, spec)


class AnthropicWire:
    """Claude on Vertex: the body almost as it is, the answer's events as they are."""

    sample = tuple(
        events_of({"id": "msg_1", "type": "message", "role": "assistant", "content": [{"type": "text", "text": "."}], "stop_reason": "end_turn"})
    )

    def __init__(self, library: Library) -> None:
        self._library = library

    def request(self, call: Call, body: Raw) -> Request:
        messages = body.pop("messages")
        out: Raw = self._library.claude.transform_anthropic_messages_request(call.model.id, messages, body, self._library.no_params(), {})
        out["stream"] = True
        betas = list(call.betas)
        if "context_management" in out:
            betas.append("context-management-2025-06-27")
        kept: list[str] = self._library.filter_betas(betas, "vertex_ai")
        return Request(out, {"anthropic-beta": ",".join(kept)} if kept else {}, {})

    async def events(self, payloads: Payloads, call: Call, names: dict[str, str]) -> AsyncIterator[Event]:
        async for payload in payloads:
            if payload.get("type") == "message":
                for event in events_of(payload):
                    yield event
            else:
                yield payload


class _Translated:
    """What the wires that go through LiteLLM's stream wrapper share. Subclasses cut payloads into chunks it reads aright."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def cut(self, call: Call, payload: Raw, state: _State) -> Iterator[Any]:
        """Yield LiteLLM stream chunks: one kind of content each, without usage, the finish reason in one of its own."""
        raise NotImplementedError

    def usage(self, raw: Raw) -> Any:
        """Return LiteLLM's Usage for what the upstream counted."""
        raise NotImplementedError

    async def events(self, payloads: Payloads, call: Call, names: dict[str, str]) -> AsyncIterator[Event]:
        state = _State()
        source = self._chunks(payloads, call, state)
        try:
            async for event in self._library.stream_wrapper(completion_stream=source, model=call.model.id, tool_name_mapping=names):
                if event["type"] == "message_delta" and state.cost is not None:
                    event = {**event, "usage": {**event["usage"], "cost_usd": state.cost}}
                yield event
        finally:
            await source.aclose()

    async def _chunks(self, payloads: Payloads, call: Call, state: _State) -> AsyncIterator[Any]:
        try:
            async for payload in payloads:
                for chunk in self._cut(call, payload, state):
                    yield chunk
        except ProviderError as error:
            if error.cause != "truncated" or not state.finished:
                raise
        if not state.finished:
            self._not_finished(payloads, call, state)
        if state.usage is not None:
            yield self._library.chunk(choices=[], usage=self.usage(state.usage))

    def _cut(self, call: Call, payload: Raw, state: _State) -> Iterator[Any]:
        try:
            yield from self.cut(call, payload, state)
        except ProviderError:
            raise
        except Exception as error:  # the edge of LiteLLM: whatever it makes of a strange chunk, the chunk was malformed
            text = f"an event of the wrong shape ({type(error).__name__})"
            raise failure("malformed", text, provider=call.model.provider, model=call.model.id) from None

    def _not_finished(self, payloads: Payloads, call: Call, state: _State) -> None:
        cause, text = "truncated", "the answer broke off before its end"
        if not payloads.count or (not state.said and (payloads.ended or state.usage is not None)):
            cause, text = "empty", "the answer is empty"
        raise failure(cause, text, provider=call.model.provider, model=call.model.id)


class _State:
    """What has been seen of one answer."""

    def __init__(self) -> None:
        self.said = False
        self.finished = False
        self.usage: Raw | None = None
        self.cost: float | None = None
        self.tools: set[int] = set()
        self.tool = -1
        self.parser: Any = None


class OpenAIWire(_Translated):
    """Chat completions, as GitHub Models and OpenRouter serve them."""

    sample: tuple[Raw, ...] = (
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "."}, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}]}}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}], "usage": {"prompt_tokens": 1, "completion_tokens": 1}},
    )

    def __init__(self, library: Library, spec: ProviderSpec) -> None:
        super().__init__(library)
        self._spec = spec
        self._router = spec.name == "openrouter"
        self._config = library.openrouter if self._router else library.github
        self._parser = library.openrouter_parser if self._router else library.openai_parser

    def request(self, call: Call, body: Raw) -> Request:
        parallel = body.get("tool_choice") or {}
        translated, names = self._library.adapter.translate_completion_input_params_with_tool_mapping(
            {**body, "model": call.model.id}, custom_llm_provider="openrouter" if self._router else "github"
        )
        messages = [_message(message) for message in translated["messages"]]
        params: Raw = {key: translated[key] for key in _OPENAI_PARAMS if translated.get(key) is not None}
        limit = translated["max_tokens"]
        thinks = call.model.id.startswith(self._spec.openai_reasoning_prefixes or ("\0",))
        if thinks:
            params = {key: value for key, value in params.items() if key not in _NOT_WHEN_REASONING}
        elif "tools" in params and parallel.get("disable_parallel_tool_use"):
            params["parallel_tool_calls"] = False
        params["max_completion_tokens" if thinks else "max_tokens"] = limit
        self._add_reasoning(params, translated)
        out: Raw = self._config.transform_request(call.model.id, messages, params, {}, {})
        out.update(stream=True, stream_options={"include_usage": True})
        return Request(out, {}, names)

    def _add_reasoning(self, params: Raw, translated: Raw) -> None:
        """Say how much to think: OpenRouter's `reasoning` for every model, `reasoning_effort` elsewhere."""
        effort, thinking = translated.get("reasoning_effort"), translated.get("thinking") or {}
        if not self._router:
            if isinstance(effort, str) and effort != "none":
                params["reasoning_effort"] = _EFFORTS.get(effort, effort)
        elif thinking.get("type") == "enabled":
            params["reasoning"] = {"max_tokens": thinking["budget_tokens"]}
        elif thinking.get("type") == "adaptive" or (isinstance(effort, str) and effort != "none"):
            params["reasoning"] = {"effort": _EFFORTS.get(str(effort), effort) or "medium"}

    def cut(self, call: Call, payload: Raw, state: _State) -> Iterator[Any]:
        counted = payload.get("usage")
        if isinstance(counted, dict):
            state.usage = cast("Raw", counted)
            cost = state.usage.get("cost")
            state.cost = float(cost) if isinstance(cost, int | float) else state.cost
        choice: Raw = next(iter(payload.get("choices") or ()), {})
        for delta in _single_deltas(choice.get("delta") or choice.get("message") or {}, state, call):
            state.said = True
            yield self._chunk(payload, delta, None)
        finish = choice.get("finish_reason")
        if finish in _FAILED_FINISHES:
            raise error_in_body(call.model.provider, call.model.id, choice.get("error") or {"message": f"finish_reason {finish}"})
        if finish and not state.finished:
            state.finished = True
            yield self._chunk(payload, {}, "tool_calls" if state.tools and finish == "stop" else finish)

    def usage(self, raw: Raw) -> Any:
        kept: Raw = {key: raw[key] for key in ("prompt_tokens", "completion_tokens", "total_tokens") if isinstance(raw.get(key), int)}
        details: Raw = raw.get("prompt_tokens_details") or {}
        cached = {key: details[key] for key in ("cached_tokens", "cache_write_tokens") if isinstance(details.get(key), int)}
        return self._library.usage(**kept, prompt_tokens_details=cached or None)

    def _chunk(self, payload: Raw, delta: Raw, finish: str | None) -> Any:
        head = {"id": str(payload.get("id") or "-"), "created": payload.get("created") or 0, "model": payload.get("model") or "-"}
        return self._parser.chunk_parser({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})


_OPENAI_PARAMS = ("temperature", "top_p", "stop", "tools", "tool_choice", "response_format")
_NOT_WHEN_REASONING = frozenset({"temperature", "top_p", "stop"})
_FAILED_FINISHES = frozenset({"error", "network_error"})
_EFFORTS: Mapping[str, str] = {"max": "high", "xhigh": "high"}
_MESSAGE_KEYS = ("role", "content", "tool_calls", "tool_call_id", "name")


def _message(message: Raw) -> Raw:
    """Return an OpenAI message without the keys LiteLLM adds for itself, which strict servers reject."""
    kept = {key: message[key] for key in _MESSAGE_KEYS if key in message}
    if kept.get("content") is None and not kept.get("tool_calls"):
        kept["content"] = ""
    return kept


def _single_deltas(delta: Raw, state: _State, call: Call) -> Iterator[Raw]:
    """Yield deltas of one kind of content each: reasoning, text, or one tool call."""
    reasoning = delta.get("reasoning") or delta.get("reasoning_content")
    if reasoning:
        yield {"reasoning": reasoning}
    for key in ("content", "refusal"):
        if delta.get(key):
            yield {key: delta[key]}
    for position, one in enumerate(cast("list[Raw]", delta.get("tool_calls") or [])):
        index, function = one.get("index", position), dict(one.get("function") or {})
        if index in state.tools and index != state.tool:
            raise failure("malformed", "tool calls that run into each other", provider=call.model.provider, model=call.model.id)
        tool: Raw = {"index": index, "type": "function", "function": {"arguments": function.get("arguments") or ""}}
        if index not in state.tools:
            tool["id"] = one.get("id")
            tool["function"]["name"] = function.get("name")
        state.tools.add(index)
        state.tool = index
        yield {"tool_calls": [tool]}


class GeminiWire(_Translated):
    """Gemini on Vertex: generateContent."""

    sample: tuple[Raw, ...] = (
        {"candidates": [{"content": {"role": "model", "parts": [{"text": "."}, {"functionCall": {"name": "f", "args": {}}}]}}]},
        {"candidates": [{"finishReason": "STOP"}], "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}},
    )

    def request(self, call: Call, body: Raw) -> Request:
        model = call.model.id
        thinking = body.get("thinking") or {}
        translated, names = self._library.adapter.translate_completion_input_params_with_tool_mapping({**body, "model": model})
        params: Raw = {key: translated[key] for key in _GEMINI_PARAMS if translated.get(key) is not None}
        effort = params.pop("reasoning_effort", None)
        if thinking.get("type") == "enabled":
            params["thinking"] = {**thinking, "budget_tokens": min(int(thinking.get("budget_tokens") or 0), _MOST_GEMINI_THINKING)}
        elif effort:
            params["reasoning_effort"] = _EFFORTS.get(effort, effort)
        options = self._library.gemini.map_openai_params(params, {}, model, drop_params=True)
        out: Raw = self._library.gemini_body(
            messages=translated["messages"],
            model=model,
            optional_params=options,
            custom_llm_provider="vertex_ai",
            litellm_params={},
            cached_content=None,
        )
        return Request(dict(out), {}, names)

    def cut(self, call: Call, payload: Raw, state: _State) -> Iterator[Any]:
        state.parser = state.parser or self._library.gemini_parser()
        state.usage = payload.get("usageMetadata") or state.usage
        head = {key: payload[key] for key in ("responseId", "modelVersion") if key in payload}
        if (payload.get("promptFeedback") or {}).get("blockReason") and not payload.get("candidates"):
            raise failure("empty", "the provider declined to answer", provider=call.model.provider, model=call.model.id)
        candidate: Raw = next(iter(payload.get("candidates") or ()), {})
        for parts in _single_parts((candidate.get("content") or {}).get("parts") or []):
            state.said = True
            chunk = state.parser.chunk_parser({**head, "candidates": [{"index": 0, "content": {"role": "model", "parts": parts}}]})
            for choice in chunk.choices:
                choice.finish_reason = None
            yield chunk
        finish = candidate.get("finishReason")
        if finish in _FAILED_GEMINI_FINISHES:
            raise failure("malformed", f"the model's output was unusable ({finish})", provider=call.model.provider, model=call.model.id)
        if finish and finish != "FINISH_REASON_UNSPECIFIED" and not state.finished:
            state.finished = True
            yield state.parser.chunk_parser({**head, "candidates": [{"index": 0, "finishReason": finish}]})

    def usage(self, raw: Raw) -> Any:
        return self._library.gemini.calculate_usage({"usageMetadata": raw})


_GEMINI_PARAMS = (
    *("temperature", "top_p", "top_k", "max_tokens", "stop", "tools", "tool_choice", "response_format", "reasoning_effort"),
)
_MOST_GEMINI_THINKING = 24_576
"""Tokens; what all of 2.5 take: https://ai.google.dev/gemini-api/docs/thinking#set-budget"""
_FAILED_GEMINI_FINISHES = frozenset({"MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS"})
_NOT_A_NAME = re.compile(r"[^a-zA-Z0-9_.:-]")


def _single_parts(parts: list[Raw]) -> Iterator[list[Raw]]:
    """Yield the parts in runs of one kind of content: thoughts, text, or one function call. A signature alone is no content."""
    for part in parts:
        if "functionCall" in part:
            yield [{**part, "functionCall": {"args": {}, **part["functionCall"]}}]
        elif part.get("text") or "inlineData" in part:
            yield [part]
