"""What a provider is: data about an upstream, and a way to ask one of its models.

Requests and events have the shape of Anthropic's Messages API, whatever the upstream speaks.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from typing import Any, Literal, Protocol

from pydantic import Field

from conversation.messages import Event, Frozen

Wire = Literal["anthropic", "gemini", "openai"]


class ModelInfo(Frozen):
    """Facts about one model at one provider. Windows and limits are in tokens, prices in USD per million tokens."""

    provider: str
    id: str
    aliases: tuple[str, ...] = ()
    context_window: int = 128_000
    max_output: int = 8_192
    input_usd_per_mtok: float | None = None
    output_usd_per_mtok: float | None = None
    cached_usd_per_mtok: float | None = None
    images: bool = True
    reasoning: bool = False
    cheap: bool = False
    """Does Parley's own chores at its provider, such as condensing a thread."""
    drop: frozenset[str] = frozenset()
    """Body keys the model rejects, such as temperature on reasoning models."""
    location: str | None = None
    """The one location of Vertex AI that serves it; None when the configured one does."""
    first_byte_timeout: float | None = None
    idle_timeout: float | None = None
    total_timeout: float | None = None
    source: str = "built-in"

    @property
    def name(self) -> str:
        """provider/model, the exact name."""
        return f"{self.provider}/{self.id}"


class EmbeddingRoute(Frozen):
    """Where a provider makes vectors of texts, and how much of them it takes in one request."""

    path: str
    """As `path` of a ProviderSpec."""
    models: tuple[ModelInfo, ...]
    """Those whose prices and limits are known; a context_window is what one text may have. Others can be named as well."""
    most_texts: int = 100
    most_tokens: int = 200_000
    one_by_one: tuple[str, ...] = ()
    """Starts of the ids of models that take one text in a request."""


class ProviderSpec(Frozen):
    """One upstream as data: how it is named, reached and configured. The first model is its default."""

    name: str
    title: str
    port: int
    variables: tuple[str, ...]
    """The environment variables it needs, for hints."""
    hint: str
    """How to configure it, in one or two sentences."""
    models: tuple[ModelInfo, ...]
    wire: Wire = "openai"
    """What its answers look like on the wire."""
    path: str = "/chat/completions"
    """Added to its endpoint for a streamed answer; {project}, {location} and {model} are filled in."""
    auth: Literal["google", "bearer"] = "bearer"
    openai_reasoning_prefixes: tuple[str, ...] = ()
    """Starts of the ids of models that take max_completion_tokens and no sampling parameters."""
    most_tools: Mapping[str, int] = Field(default_factory=dict)
    """How many tools its models take in one request, by the starts of their ids; the others have no limit that is known."""
    cache_control_prefixes: tuple[str, ...] = ()
    """Starts of the ids of models that take cache_control marks on a wire that is not Anthropic's."""
    headers: Mapping[str, str] = Field(default_factory=dict)
    documents: bool = True
    """Whether its models read PDF documents; where not, they are sent the text."""
    messages_path: str | None = None
    """Where it takes Messages API bodies as they are, streamed; None where it does not."""
    messages_prefixes: tuple[str, ...] = ("",)
    """Starts of the ids of models it serves there."""
    count_path: str | None = None
    """Where it counts the input tokens of a request; None where it does not."""
    betas: frozenset[str] = frozenset()
    """The anthropic-beta values it is known to take there; others are left out, since they are refused."""
    embeddings: EmbeddingRoute | None = None
    """None where it makes no vectors."""


class Relayed(dict[str, Any]):
    """An event together with the bytes it came as, for whoever passes it on."""

    __slots__ = ("raw",)

    raw: bytes


class Call(Frozen):
    """One request for one model: `body` is a Messages API body without model and stream."""

    model: ModelInfo
    body: Mapping[str, Any]
    betas: tuple[str, ...] = ()


class Provider(Protocol):
    """A configured upstream that can be asked."""

    @property
    def name(self) -> str: ...

    def stream(self, call: Call) -> AsyncGenerator[Event, None]:
        """Yield the answer's events; closing the generator closes the upstream connection.

        Raises ProviderError, before the first event or in mid-stream. Ends only after message_stop: an answer that
        breaks off, is empty or is an error in disguise raises instead.
        """
        ...

    async def count(self, call: Call) -> int | None:
        """Return how many input tokens the upstream says the request is; None when it has no way to say. Raises ProviderError."""
        ...

    async def fitted(self, call: Call) -> Call:
        """Return the call with done to it what takes time that is not the upstream's, such as reading its documents."""
        ...

    async def ready(self) -> None:
        """Return once all of ours that asking needs is loaded; that time is not the upstream's, so no deadline counts it."""
        ...

    async def warm(self) -> None:
        """Do the slow first things (imports, token, connection pool) now; never raises for an upstream that is down."""
        ...


class Timeouts(Frozen):
    """Seconds. First byte means the first content event, not headers and not a ping; idle is silence after it."""

    connect: float = 3.0
    first_byte: float = 60.0
    idle: float = 60.0
    total: float = 600.0

    def of(self, model: ModelInfo) -> Timeouts:
        """Return these timeouts with the model's own in their place."""
        return Timeouts(
            connect=self.connect,
            first_byte=self.first_byte if model.first_byte_timeout is None else model.first_byte_timeout,
            idle=self.idle if model.idle_timeout is None else model.idle_timeout,
            total=self.total if model.total_timeout is None else model.total_timeout,
        )
