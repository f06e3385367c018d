"""Upstreams that speak the Messages API, relayed: Claude on Vertex AI, and what OpenRouter serves at /messages.

The answer's events are passed on as the bytes they came in (providers._relay), over the pool of connections all providers share.
The request is written anew with these changes only: the model, anthropic_version, the credential, the betas the upstream takes,
and what must not leave or would be refused (providers._prepare, providers._claude). Models the upstream does not serve there are
asked through the provider `others`.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing

from conversation.errors import BadRequest, ParleyError
from conversation.messages import Event
from providers._claude import fit_claude, without_thinking
from providers._counting import counted
from providers._events import Grammar, events_of
from providers._google import GoogleTokens
from providers._http import HttpClient, HttpReply
from providers._payloads import Payloads
from providers._prepare import Body, prepared
from providers._relay import Frames, relayed
from providers._sse import MAX_EVENT_BYTES
from providers._upstream import Upstream
from providers.base import Call, Provider, ProviderSpec
from providers.config import ProviderSettings
from providers.signatures import SignatureBook

_log = logging.getLogger(__name__)
_VERTEX_VERSION = "vertex-2023-10-16"


class NativeProvider:
    """One provider whose upstream speaks Messages. Safe for many calls at once on one event loop."""

    def __init__(
        self,
        spec: ProviderSpec,
        settings: ProviderSettings,
        http: HttpClient,
        tokens: GoogleTokens | None = None,
        *,
        others: Provider | None = None,
        signatures: SignatureBook | None = None,
    ) -> None:
        self._spec = spec.model_copy(update={"wire": "anthropic", "path": spec.messages_path or spec.path})
        self._http = http
        self._upstream = Upstream(self._spec, settings, tokens)
        self._others = others
        self._signatures = signatures or SignatureBook()

    @property
    def name(self) -> str:
        return self._spec.name

    def stream(self, call: Call) -> AsyncGenerator[Event, None]:
        """Yield the answer's events; see providers.base.Provider."""
        return self._relayed(call) if self._others is None or self._is_relayed(call) else self._others.stream(call)

    def _is_relayed(self, call: Call) -> bool:
        return call.model.id.startswith(self._spec.messages_prefixes)

    async def count(self, call: Call) -> int | None:
        """Return how many input tokens the upstream says the request is; see providers.base.Provider."""
        if self._spec.count_path is None:
            return None
        body, betas = self._request(call)
        return await counted(self._http, self._upstream, call.model, self._spec.wire, body, betas)

    async def fitted(self, call: Call) -> Call:
        """Return the call as the provider that is asked needs it; see providers.base.Provider."""
        return call if self._others is None or self._is_relayed(call) else await self._others.fitted(call)

    async def ready(self) -> None:
        """Return at once: nothing of ours has to be loaded for a relay."""
        if self._others is not None:
            await self._others.ready()

    async def warm(self) -> None:
        """Open the pool and fetch a token. Never raises for what is down."""
        try:
            await self._http.open()
            await self._upstream.headers()
        except ParleyError as error:
            _log.info("%s is not warm: %s", self.name, error.message)
        if self._others is not None:
            await self._others.warm()

    async def _relayed(self, call: Call) -> AsyncGenerator[Event, None]:
        secrets = await self._upstream.secrets()
        async with aclosing(self._replies(call)) as replies:
            async for reply in replies:
                grammar = Grammar(self.name, call.model.id, secrets, asked=call.body)
                payloads = Payloads(reply, self.name, call.model.id, secrets)
                is_stream = (await payloads.peek())[:1] not in (b"{", b"[", b"<")
                frames = Frames(self.name, call.model.id, secrets)
                async with aclosing(self._streamed(payloads, frames, grammar) if is_stream else self._whole(payloads, grammar)) as arriving:
                    async for events in arriving:
                        for event in events:
                            yield event
                grammar.finish(ended=payloads.ended)

    async def _streamed(self, payloads: Payloads, frames: Frames, grammar: Grammar) -> AsyncGenerator[Iterator[Event], None]:
        """Yield what is passed on of each piece of a stream. With message_stop it is over, whatever the connection does then."""
        unheard = 0
        async with aclosing(payloads.chunks()) as chunks:
            async for chunk in chunks:
                yield relayed(frames.feed(chunk), grammar, self._note)
                if grammar.is_over:
                    await payloads.drain()
                    return
                unheard += 0 if grammar.is_open else len(chunk)
                if unheard > MAX_EVENT_BYTES:  # not even one event can be that long
                    raise grammar.failed("malformed", f"no content in {MAX_EVENT_BYTES} bytes")
        yield relayed(frames.close(), grammar, self._note)

    async def _whole(self, payloads: Payloads, grammar: Grammar) -> AsyncGenerator[Iterator[Event], None]:
        """Yield the events of each object of an answer that is no stream."""
        async for payload in payloads:
            yield relayed(events_of(payload) if payload.get("type") == "message" else (payload,), grammar, self._note)

    def _note(self, event: Event) -> None:
        self._signatures.note(self.name, event)

    async def _replies(self, call: Call) -> AsyncGenerator[HttpReply, None]:
        """Yield the one good reply. A 401 is answered once with a new token, a signature that is refused once without thinking."""
        url, (body, betas) = self._upstream.url(call.model), self._request(call)
        renewed = False
        while True:
            headers = {**await self._upstream.headers(), **betas}
            content = self._upstream.content(call.model, body)
            async with self._http.post(url, headers, content, provider=self.name, model=call.model.id) as reply:
                if reply.status == 200:
                    yield reply
                    return
                if reply.status == 401 and not renewed and self._upstream.renew(headers):
                    renewed = True
                    continue
                error = await self._upstream.error(call.model, reply)
                stripped = without_thinking(body) if _is_of_signature(error) else None
                if stripped is None:
                    raise error
                body = stripped

    def _request(self, call: Call) -> tuple[Body, Mapping[str, str]]:
        """Return the body and the headers it needs."""
        body = prepared(self._signatures.kept(self.name, call.body), call.model, self._spec, call.betas)
        betas = fit_claude(body, call.model, call.betas, self._spec.betas)
        body["stream"] = True
        if self._spec.auth == "google":
            body["anthropic_version"] = _VERTEX_VERSION
        else:
            body["model"] = call.model.id
        return body, {"anthropic-beta": ",".join(betas)} if betas else {}


def _is_of_signature(error: ParleyError) -> bool:
    return isinstance(error, BadRequest) and "signature" in error.message.lower()
