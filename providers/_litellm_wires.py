"""What the wires share that go through LiteLLM's translation classes: a prepared Messages body out, Messages events in.

LiteLLM's classes are driven directly; what they get wrong in streams is put right on the raw chunks before they see them
(measured on 1.106.2): an absent finish reason becomes "stop" at every Gemini chunk, usage in every chunk makes as many
message_delta events, several tool calls in one chunk are merged into one, and a stream that breaks off ends like a whole one.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from conversation.errors import ProviderError
from conversation.messages import Event
from providers._events import events_of
from providers._fields import CONTEXT_MANAGEMENT
from providers.base import Call
from providers.causes import failure

if TYPE_CHECKING:
    from providers._litellm import Library

Raw = dict[str, Any]
_EFFORTS = frozenset({"none", "minimal", "low", "medium", "high"})
"""How much to think, as everyone says it."""
USAGE_SECONDS = 2.0
"""How long usage may follow the finish reason: upstreams send it right after."""
END_SECONDS = 0.05
"""How long an upstream has to mark the end of an answer that has finish reason and usage."""


class Request(NamedTuple):
    """What is sent: the JSON body, headers of its own, and the tool names the translation shortened, by short name."""

    body: Raw
    headers: dict[str, str]
    names: dict[str, str]


class Objects(Protocol):
    """An answer's JSON objects: providers._payloads.Payloads, or a recorded answer."""

    ended: bool
    count: int

    def __aiter__(self) -> AsyncIterator[Raw]: ...


class Wire(Protocol):
    """One wire format. `sample` is a whole recorded answer, for warming up."""

    @property
    def sample(self) -> tuple[Raw, ...]: ...

    def request(self, call: Call, body: Raw) -> Request: ...

    def events(self, objects: Objects, call: Call, names: dict[str, str]) -> AsyncGenerator[Event, None]: ...


def effort(wanted: Any) -> str | None:
    """Return an effort as everyone says it: one that only Anthropic knows, or that is newer than this, is more than these."""
    if not isinstance(wanted, str):
        return None
    return wanted if wanted in _EFFORTS else "high"


def fields(value: Any) -> Raw:
    """Return a JSON object, or an empty one in the place of anything else."""
    return cast("Raw", value) if isinstance(value, dict) else {}


def items(value: Any) -> list[Raw]:
    """Return the objects of a JSON array, or none."""
    return [fields(item) for item in cast("list[Any]", value)] if isinstance(value, list) else []


def first(value: Any) -> Raw:
    """Return the first object of a JSON array, or an empty one."""
    found = items(value)
    return found[0] if found else {}


class AnthropicWire:
    """Claude on Vertex: the body almost as it is, the answer's events as they are."""

    sample: tuple[Raw, ...] = tuple(
        events_of({"type": "message", "role": "assistant", "content": [{"type": "text", "text": "."}], "stop_reason": "end_turn"})
    )

    def __init__(self, library: Library) -> None:
        self._library = library

    def request(self, call: Call, body: Raw) -> Request:
        messages = body.pop("messages")
        out: Raw = self._library.claude.transform_anthropic_messages_request(call.model.id, messages, body, self._library.no_params(), {})
        out["stream"] = True
        betas = list(call.betas)
        if "context_management" in out:
            betas.append(CONTEXT_MANAGEMENT)
        kept: list[str] = self._library.filter_betas(betas, "vertex_ai")
        return Request(out, {"anthropic-beta": ",".join(kept)} if kept else {}, {})

    async def events(self, objects: Objects, call: Call, names: dict[str, str]) -> AsyncGenerator[Event, None]:
        async for payload in objects:
            if payload.get("type") == "message":
                for event in events_of(payload):
                    yield event
            else:
                yield payload


@dataclass(slots=True)
class State:
    """What has been seen of one answer."""

    said: bool = False
    finish: Any = None
    """The chunk with the finish reason, kept for the end: some upstreams have content follow it."""
    usage: Raw = field(default_factory=dict[str, Any])
    cost: float | None = None
    tools: set[int] = field(default_factory=set[int])
    tool: int = -1
    parser: Any = None
    text: tuple[Raw, Any] | None = None
    """A chunk with text, and what stood beside that."""


class Translated(ABC):
    """A wire that goes through LiteLLM's stream wrapper. Subclasses cut objects into chunks that it reads aright."""

    def __init__(self, library: Library) -> None:
        self._library = library

    @abstractmethod
    def cut(self, call: Call, payload: Raw, state: State) -> Iterator[Any]:
        """Yield LiteLLM stream chunks: one kind of content each, without usage, the finish reason in one of its own."""

    @abstractmethod
    def usage(self, raw: Raw) -> Any:
        """Return LiteLLM's Usage for what the upstream counted."""

    async def events(self, objects: Objects, call: Call, names: dict[str, str]) -> AsyncGenerator[Event, None]:
        state = State()
        source = self._chunks(objects, call, state)
        wrapper: AsyncIterator[Event] = self._library.stream_wrapper(completion_stream=source, model=call.model.id, tool_name_mapping=names)
        try:
            async for event in wrapper:
                if event["type"] == "message_delta" and state.cost is not None:
                    yield {**event, "usage": {**fields(event.get("usage")), "cost_usd": state.cost}}
                else:
                    yield event
        except ProviderError:
            raise
        except Exception as error:  # the edge of LiteLLM: whatever it makes of a strange chunk, the chunk was malformed
            text = f"an event of the wrong shape ({type(error).__name__})"
            raise failure("malformed", text, provider=call.model.provider, model=call.model.id) from None
        finally:
            await source.aclose()

    async def _chunks(self, objects: Objects, call: Call, state: State) -> AsyncGenerator[Any, None]:
        try:
            async for payload in _up_to_the_end(objects, state):
                for chunk in self.cut(call, payload, state):
                    yield chunk
        except ProviderError as error:
            if error.cause != "truncated" or state.finish is None:
                raise
        if state.finish is None:
            raise _not_finished(objects, call, state)
        yield state.finish
        if state.usage:
            yield self._library.chunk(choices=[], usage=self.usage(state.usage))


async def _up_to_the_end(objects: Objects, state: State) -> AsyncGenerator[Raw, None]:
    """Yield an answer's objects. Once it is finished, one whose end is not marked is not waited for."""
    coming, patience = aiter(objects), None
    while True:
        before = state.usage
        try:
            async with asyncio.timeout(patience):
                payload = await anext(coming)
        except (StopAsyncIteration, TimeoutError):
            return
        yield payload
        if state.finish is not None:
            told = patience == END_SECONDS or state.usage is not before
            patience = END_SECONDS if told else USAGE_SECONDS


def _not_finished(objects: Objects, call: Call, state: State) -> ProviderError:
    """Return the error for an answer without a finish reason: empty when it was whole and held nothing."""
    whole = not objects.count or objects.ended or bool(state.usage)
    cause, text = ("empty", "the answer is empty") if whole and not state.said else ("truncated", "the answer broke off before its end")
    return failure(cause, text, provider=call.model.provider, model=call.model.id)
