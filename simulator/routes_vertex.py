"""Vertex AI: Claude and Gemini as publisher models, and an honest 404 for every path no upstream serves."""

from __future__ import annotations

import re
from dataclasses import dataclass

from aiohttp import web

from . import check_anthropic, check_embeddings, check_gemini
from .exchange import Exchange, send_json
from .handling import Handler, json_object
from .identity import PROJECT
from .models import Model
from .play import send_body
from .refusals import Refusal
from .routes import betas
from .wires import GEMINI, MESSAGES

_PATH = re.compile(r"/(?:v1|v1beta1)/(projects/([^/]+)/locations/[^/]+/publishers/(anthropic|google)/models/)([^/:]+):(\w+)\Z")


@dataclass(frozen=True, slots=True)
class _Target:
    """One parsed path."""

    parent: str
    project: str
    publisher: str
    name: str
    verb: str


class VertexRoutes:
    """Handlers for Vertex, and for what is left."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.state = handler.state

    def add_to(self, app: web.Application) -> None:
        """Put the catch-all on an application; it must come last."""
        app.router.add_route("*", "/{tail:.*}", self.any)

    async def any(self, request: web.Request) -> web.StreamResponse:
        """A publisher model, or nothing we know."""
        found = _PATH.match(request.path)
        if found is None or request.method != "POST":
            return await self.handler.handle(request, "unknown", "unknown", "missing", _not_found)
        target = _Target(found[1], found[2], found[3], found[4], found[5])
        if target.publisher == "anthropic":
            return await self._claude(request, target)
        if target.verb == "predict":
            return await self._embeddings(request, target)
        return await self._gemini(request, target)

    async def _claude(self, request: web.Request, target: _Target) -> web.StreamResponse:
        counting = target.name == "count-tokens"

        async def serve(x: Exchange) -> web.StreamResponse:
            _check_access(x, target)
            if target.verb not in ("rawPredict", "streamRawPredict"):
                return await _not_found(x)
            body = json_object(x.body)
            model = self._model(target, "vertex_claude", str(body.get("model")) if counting else target.name)
            asked = check_anthropic.check(body, model, provider="vertex_claude", betas=betas(request), counting=counting)
            if counting:
                return await send_json(x, 200, {"input_tokens": asked.input_tokens})
            asked.model_name = target.name
            return await self.handler.answer(x, MESSAGES, asked)

        route, name = ("count_tokens", None) if counting else ("messages", target.name)
        return await self.handler.handle(request, "vertex_claude", route, self._auth(request), serve, model=name)

    async def _gemini(self, request: web.Request, target: _Target) -> web.StreamResponse:
        counting, stream = target.verb == "countTokens", target.verb == "streamGenerateContent"
        sse = request.query.get("alt") == "sse"

        async def serve(x: Exchange) -> web.StreamResponse:
            _check_access(x, target)
            if not (counting or stream or target.verb == "generateContent"):
                return await _not_found(x)
            model = self._model(target, "vertex_gemini", target.name)
            if not model.chat:
                raise Refusal(400, f"Model {target.name} does not support {target.verb}.", code="FAILED_PRECONDITION")
            asked = check_gemini.check(json_object(x.body), model, stream=stream, sse=sse, counting=counting)
            if counting:
                return await send_json(x, 200, {"totalTokens": asked.input_tokens, "totalBillableCharacters": sum(map(len, asked.texts))})
            return await self.handler.answer(x, GEMINI, asked)

        route = "count_tokens" if counting else "generate"
        kind = "text/event-stream" if stream and sse else "application/json; charset=UTF-8"
        auth = self._auth(request)
        return await self.handler.handle(request, "vertex_gemini", route, auth, serve, model=target.name, stream=stream, content_type=kind)

    async def _embeddings(self, request: web.Request, target: _Target) -> web.StreamResponse:
        async def serve(x: Exchange) -> web.StreamResponse:
            _check_access(x, target)
            model = self._model(target, "vertex_gemini", target.name)
            if not model.dimension:
                return await _not_found(x)
            asked = check_embeddings.check_vertex(json_object(x.body), model)
            return await send_body(x, check_embeddings.vertex_body(asked), self.handler.spoiler(x))

        return await self.handler.handle(request, "vertex_gemini", "embeddings", self._auth(request), serve, model=target.name)

    def _auth(self, request: web.Request) -> str:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if not scheme:
            return "missing"
        return "ok" if scheme.lower() == "bearer" and self.state.tokens.valid(token) else "bad"

    def _model(self, target: _Target, provider: str, name: str) -> Model:
        model = self.state.models.find(provider, name)
        if model is None:
            raise Refusal(
                404,
                f"Publisher Model `{target.parent}{name}` was not found or your project does not have access to it. Please ensure you are "
                "using a valid model version.",
            )
        return model


def _check_access(x: Exchange, target: _Target) -> None:
    if x.entry["auth"] != "ok":
        raise Refusal(
            401,
            "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication "
            "credential.",
        )
    if target.project != PROJECT:
        raise Refusal(
            403,
            f"Permission 'aiplatform.endpoints.predict' denied on resource '//aiplatform.googleapis.com/{target.parent.rstrip('/')}' (or "
            "it may not exist).",
        )


async def _not_found(x: Exchange) -> web.StreamResponse:
    message = f"Simulated: no upstream serves {x.request.method} {x.request.path}"
    x.entry["error"] = message
    return await send_json(x, 404, {"error": {"code": 404, "message": message, "status": "NOT_FOUND"}})
