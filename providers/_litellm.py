"""All four providers through LiteLLM, as a library of translations: our HTTP, its request and response classes.

Not used are its HTTP, Router, proxy, retries and logging. Measured on 1.106.2: its native streams need the proxy extra and keep
draining an upstream after a cancel, its Vertex token refresh stops the event loop, its stream wrapper costs five times as much.
Its import takes two seconds and 170 MB, so it happens on first use, in a thread of its own. This is its only importer.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import logging
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from concurrent.futures import Future
from contextlib import aclosing
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from conversation.errors import InternalError, ParleyError
from conversation.json_text import parsed, written
from conversation.messages import Event
from providers._counting import counted
from providers._documents import PdfTexts
from providers._events import Grammar
from providers._google import GoogleTokens
from providers._halves import Halves
from providers._http import HttpClient, HttpReply
from providers._litellm_gemini import GeminiWire
from providers._litellm_openai import OpenAIWire
from providers._litellm_wires import AnthropicWire, Objects, Raw, Request, Wire
from providers._payloads import Payloads
from providers._prepare import prepared
from providers._upstream import Upstream
from providers.base import Call, ProviderSpec
from providers.causes import failure
from providers.config import LITELLM_ENVIRONMENT, ProviderSettings
from providers.signatures import ThoughtBook

_log = logging.getLogger(__name__)
_LOGGERS = ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy")


@dataclass(frozen=True, slots=True)
class Library:
    """The classes and functions of LiteLLM that are used, which have no types of their own worth the name."""

    adapter: Any
    stream_wrapper: Any
    chunk: Any
    usage: Any
    no_params: Any
    claude: Any
    filter_betas: Any
    gemini: Any
    gemini_body: Any
    gemini_parser: Callable[[], Any]
    github: Any
    openai_parser: Any
    openrouter: Any
    openrouter_parser: Any


class LiteLLMProvider:
    """One provider, asked through LiteLLM's translations. Safe for many calls at once on one event loop."""

    def __init__(self, spec: ProviderSpec, settings: ProviderSettings, http: HttpClient, tokens: GoogleTokens | None = None) -> None:
        self._spec = spec
        self._http = http
        self._upstream = Upstream(spec, settings, tokens)
        self._thoughts = ThoughtBook()
        self._pdf_texts = PdfTexts()
        self._wire: Wire | None = None
        self._warming: Future[Wire] | None = None

    @property
    def name(self) -> str:
        return self._spec.name

    async def stream(self, call: Call) -> AsyncGenerator[Event, None]:
        """Yield the answer's events; see providers.base.Provider."""
        wire = await self._ready()
        request = self._translated(wire, call)
        secrets = await self._upstream.secrets()
        async with aclosing(self._replies(call, request)) as replies:
            async for reply in replies:
                payloads = Payloads(reply, self.name, call.model.id, secrets)
                grammar, halves = Grammar(self.name, call.model.id, secrets, asked=call.body), Halves()
                async with aclosing(wire.events(payloads, call, request.names)) as events:
                    async for event in events:
                        for checked in map(self._thoughts.noted, grammar.take(event)):
                            for joined in halves.joined(checked):
                                yield joined
                        if grammar.is_over:
                            break
                grammar.finish(ended=payloads.ended)
                await payloads.drain()

    async def count(self, call: Call) -> int | None:
        """Return how many input tokens the upstream says the request is; see providers.base.Provider."""
        if self._spec.count_path is None:
            return None
        wire = await self._ready()
        request = self._translated(wire, call)
        return await counted(self._http, self._upstream, call.model, self._spec.wire, request.body, request.headers)

    async def fitted(self, call: Call) -> Call:
        """Return the call with text in the place of PDF documents where the models read none."""
        if self._spec.documents:
            return call
        return call.model_copy(update={"body": await self._pdf_texts.with_text(call.body)})

    async def ready(self) -> None:
        """Import LiteLLM and run one translation each way, the first time. Raises InternalError when that fails."""
        await self._ready()

    async def warm(self) -> None:
        """Import LiteLLM, run one translation each way, open the pool and fetch a token. Never raises for what is down."""
        try:
            await self._ready()
            await self._http.open()
            await self._upstream.headers()
        except ParleyError as error:
            _log.info("%s is not warm: %s", self.name, error.message)

    async def _replies(self, call: Call, request: Request) -> AsyncGenerator[HttpReply, None]:
        """Yield the one good reply. A 401 is answered once with a new token, where there is one to be had."""
        url, body = self._upstream.url(call.model), self._upstream.content(call.model, request.body)
        for last in (False, True):
            headers = {**await self._upstream.headers(), **request.headers}
            async with self._http.post(url, headers, body, provider=self.name, model=call.model.id) as reply:
                if reply.status == 200:
                    yield reply
                    return
                if reply.status != 401 or last or not self._upstream.renew(headers):
                    raise await self._upstream.error(call.model, reply)

    def _translated(self, wire: Wire, call: Call) -> Request:
        try:
            # Through JSON and back: a copy, since the translation changes what it is given.
            body = parsed(written(prepared(call.body, call.model, self._spec, call.betas)))
            if self._spec.wire == "gemini":
                self._thoughts.restore(body["messages"])
            return wire.request(call, body)
        except ParleyError:
            raise
        except Exception as error:  # the edge of LiteLLM: what it cannot translate may be right for a provider that needs no translation
            _log.debug("translation failed", exc_info=False)
            text = f"the request cannot be translated for this provider ({type(error).__name__})"
            raise failure("unsupported", text, provider=self.name, model=call.model.id) from None

    async def _ready(self) -> Wire:
        """Return the wire, loaded and warm. Callers that come while it is loading wait for the same load."""
        if self._wire is None:
            if self._warming is None or (self._warming.done() and self._warming.exception() is not None):
                self._warming = _in_thread(self._load)
            self._wire = await asyncio.wrap_future(self._warming)
        return self._wire

    def _load(self) -> Wire:
        """Load LiteLLM and run one translation each way, since first ones are slow. Runs in a thread."""
        wire = _wire_for(self._spec, _library())
        call = Call(model=self._spec.models[0], body=_SAMPLE)
        request = wire.request(call, parsed(written(prepared(_SAMPLE, call.model, self._spec))))
        asyncio.run(_consume(wire.events(_Sample(wire.sample), call, request.names)))
        return wire


_SAMPLE: Mapping[str, Any] = {
    "max_tokens": 16,
    "system": "Answer with a full stop.",
    "messages": [{"role": "user", "content": "."}],
    "tools": [{"name": "f", "description": "Nothing.", "input_schema": {"type": "object", "properties": {}}}],
}


class _Sample(Objects):
    """A recorded answer in the place of Payloads."""

    def __init__(self, objects: tuple[Raw, ...]) -> None:
        self._objects = objects
        self.ended = True
        self.count = len(objects)

    async def __aiter__(self) -> AsyncIterator[Raw]:
        for item in self._objects:
            yield item


async def _consume(events: AsyncIterator[Event]) -> None:
    async for _ in events:
        pass


def _wire_for(spec: ProviderSpec, library: Library) -> Wire:
    if spec.wire == "anthropic":
        return AnthropicWire(library)
    return GeminiWire(library) if spec.wire == "gemini" else OpenAIWire(library, spec)


_loaded: Library | None = None
_loading = threading.Lock()


def _library() -> Library:
    """Return LiteLLM's classes, imported once in this process. Raises InternalError when its environment is not set."""
    global _loaded
    with _loading:
        if _loaded is None:
            collects = gc.isenabled()
            gc.disable()  # a quarter of the import's time goes into collections that find nothing
            try:
                _silence()
                _loaded = _import()
                _silence()
            finally:
                if collects:
                    gc.enable()
            gc.freeze()
    return _loaded


def _import() -> Library:
    # By name, since the package has types for hardly any of this and each would be an error of its own.
    if not _named("litellm_core_utils.get_model_cost_map.get_model_cost_map_source_info")().get("is_env_forced"):
        raise InternalError(f"{next(iter(LITELLM_ENVIRONMENT))} was not set before LiteLLM was imported.")
    litellm: Any = importlib.import_module("litellm")
    litellm.suppress_debug_info = True
    stream_parser = _named("llms.vertex_ai.gemini.vertex_and_google_ai_studio_gemini.ModelResponseIterator")
    unlogged = SimpleNamespace(optional_params={})
    return Library(
        adapter=_named("llms.anthropic.pass_through.adapters.transformation.AnthropicAdapter")(),
        stream_wrapper=_named("llms.anthropic.pass_through.adapters.streaming_iterator.AnthropicStreamWrapper"),
        chunk=_named("types.utils.ModelResponseStream"),
        usage=_named("types.utils.Usage"),
        no_params=_named("types.router.GenericLiteLLMParams"),
        claude=_named(f"{_CLAUDE_ON_VERTEX}.VertexAIPartnerModelsAnthropicMessagesConfig")(),
        filter_betas=_named("anthropic_beta_headers_manager.filter_and_transform_beta_headers"),
        gemini=_named("llms.vertex_ai.gemini.vertex_and_google_ai_studio_gemini.VertexGeminiConfig")(),
        gemini_body=_named("llms.vertex_ai.gemini.transformation.transform_request_body"),
        gemini_parser=lambda: stream_parser(streaming_response=None, sync_stream=False, logging_obj=unlogged),
        github=_named("llms.github.chat.transformation.GithubChatConfig")(),
        openai_parser=_named("llms.openai.chat.gpt_transformation.OpenAIChatCompletionStreamingHandler")(iter(()), False),
        openrouter=_named("llms.openrouter.chat.transformation.OpenrouterConfig")(),
        openrouter_parser=_named("llms.openrouter.chat.transformation.OpenRouterChatCompletionStreamingHandler")(iter(()), False),
    )


_CLAUDE_ON_VERTEX = "llms.vertex_ai.vertex_ai_partner_models.anthropic.experimental_pass_through.transformation"


def _named(path: str) -> Any:
    """Return a class or function of LiteLLM by its full name."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(f"litellm.{module}"), name)


def _silence() -> None:
    """Stop LiteLLM's loggers for good, at every level: they print requests and answers."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.disabled = True
        logger.propagate = False
        logger.handlers[:] = [logging.NullHandler()]


def _in_thread(work: Callable[[], Wire]) -> Future[Wire]:
    """Run `work` in a thread of its own that does not keep the process alive, as the loop's executor would."""
    future: Future[Wire] = Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # the thread's boundary: whoever waits gets it
            future.set_exception(error)

    threading.Thread(target=run, name="litellm-load", daemon=True).start()
    return future
