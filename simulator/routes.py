"""GitHub Models, OpenRouter and Google's token endpoint: who is asking, for which model, and what they get."""

from __future__ import annotations

from aiohttp import web

from . import catalogue, check_anthropic, check_embeddings, check_openai, oauth
from .exchange import Exchange
from .handling import Handler, json_object
from .identity import GITHUB_CREDENTIAL, OPENROUTER_CREDENTIAL
from .jsonish import Json
from .models import Model
from .play import send_body
from .refusals import Refusal
from .wires import CHAT, MESSAGES

_FORM_SECRETS = frozenset({"assertion", "refresh_token", "client_secret"})


class Routes:
    """Handlers for the upstreams that are not Vertex."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.state = handler.state

    def add_to(self, app: web.Application) -> None:
        """Put the routes on an application."""
        app.router.add_post("/token", self.token)
        app.router.add_get("/catalog/models", self.github_catalogue)
        app.router.add_get("/api/v1/models", self.openrouter_models)
        app.router.add_post("/inference/chat/completions", self.github_chat)
        app.router.add_post("/api/v1/chat/completions", self.openrouter_chat)
        app.router.add_post("/api/v1/messages", self.openrouter_messages)
        app.router.add_post("/inference/embeddings", self.github_embeddings)
        app.router.add_post("/api/v1/embeddings", self.openrouter_embeddings)

    async def github_chat(self, request: web.Request) -> web.StreamResponse:
        """POST /inference/chat/completions."""

        async def serve(x: Exchange) -> web.StreamResponse:
            body, model = self._github(x)
            return await self.handler.answer(x, CHAT, check_openai.check(body, model, provider="github_models"))

        return await self.handler.handle(request, "github_models", "chat", bearer(request, GITHUB_CREDENTIAL), serve)

    async def openrouter_chat(self, request: web.Request) -> web.StreamResponse:
        """POST /api/v1/chat/completions."""

        async def serve(x: Exchange) -> web.StreamResponse:
            body, model = self._openrouter(x)
            return await self.handler.answer(x, CHAT, check_openai.check(body, model, provider="openrouter"))

        return await self.handler.handle(request, "openrouter", "chat", bearer(request, OPENROUTER_CREDENTIAL), serve)

    async def openrouter_messages(self, request: web.Request) -> web.StreamResponse:
        """POST /api/v1/messages."""

        async def serve(x: Exchange) -> web.StreamResponse:
            body, model = self._openrouter(x)
            asked = check_anthropic.check(body, model, provider="openrouter", betas=betas(request))
            return await self.handler.answer(x, MESSAGES, asked)

        auth = bearer(request, OPENROUTER_CREDENTIAL)
        return await self.handler.handle(request, "openrouter", "messages", auth, serve, messages_route=True)

    async def github_embeddings(self, request: web.Request) -> web.StreamResponse:
        """POST /inference/embeddings."""

        async def serve(x: Exchange) -> web.StreamResponse:
            return await self._embedded(x, "github_models", *self._github(x))

        return await self.handler.handle(request, "github_models", "embeddings", bearer(request, GITHUB_CREDENTIAL), serve)

    async def openrouter_embeddings(self, request: web.Request) -> web.StreamResponse:
        """POST /api/v1/embeddings."""

        async def serve(x: Exchange) -> web.StreamResponse:
            return await self._embedded(x, "openrouter", *self._openrouter(x))

        return await self.handler.handle(request, "openrouter", "embeddings", bearer(request, OPENROUTER_CREDENTIAL), serve)

    async def _embedded(self, x: Exchange, provider: str, body: Json, model: Model) -> web.StreamResponse:
        asked = check_embeddings.check_openai(body, model, provider=provider)
        x.entry["ignored"] = list(asked.ignored)
        return await send_body(x, check_embeddings.openai_body(asked, provider=provider), self.handler.spoiler(x))

    def _github(self, x: Exchange) -> tuple[Json, Model]:
        if x.entry["auth"] != "ok":
            raise Refusal(401, "Bad credentials", code="unauthorized")
        body = json_object(x.body)
        return body, self._model(x, "github_models", "Unknown model: {}", body)

    def _openrouter(self, x: Exchange) -> tuple[Json, Model]:
        if x.entry["auth"] != "ok":
            raise Refusal(401, "No auth credentials found" if x.entry["auth"] == "missing" else "User not found.")
        body = json_object(x.body)
        return body, self._model(x, "openrouter", "No endpoints found for {}.", body)

    def _model(self, x: Exchange, provider: str, unknown: str, body: Json) -> Model:
        name = body.get("model")
        if not isinstance(name, str) or not name:
            raise Refusal(400, "model: Field required" if x.messages_route else "Missing required parameter: 'model'.")
        model = self.state.models.find(provider, name)
        if model is None:
            raise Refusal(404, unknown.format(name))
        return model

    async def github_catalogue(self, request: web.Request) -> web.StreamResponse:
        """GET /catalog/models: public, but a wrong token is refused."""

        async def serve(x: Exchange) -> web.StreamResponse:
            if x.entry["auth"] == "bad":
                raise Refusal(401, "Bad credentials", code="unauthorized")
            return await send_body(x, catalogue.github(self.state.models), self.handler.spoiler(x))

        return await self.handler.handle(request, "github_catalog", "catalogue", bearer(request, GITHUB_CREDENTIAL), serve)

    async def openrouter_models(self, request: web.Request) -> web.StreamResponse:
        """GET /api/v1/models: public."""

        async def serve(x: Exchange) -> web.StreamResponse:
            return await send_body(x, catalogue.openrouter(self.state.models), self.handler.spoiler(x))

        return await self.handler.handle(request, "openrouter_models", "catalogue", bearer(request, OPENROUTER_CREDENTIAL), serve)

    async def token(self, request: web.Request) -> web.StreamResponse:
        """POST /token: Google's OAuth endpoint."""

        async def serve(x: Exchange) -> web.StreamResponse:
            form = {key: str(value) for key, value in (await request.post()).items()}
            shown = {key: "<credential>" if key in _FORM_SECRETS else value for key, value in form.items()}
            x.entry["body"] = {**shown, "claims": oauth.claims(form.get("assertion", ""))}
            lifetime = x.early.seconds if x.early is not None and x.early.kind == "expires_in" else None
            answer = oauth.exchange(form, f"http://{request.host}/token", self.state.tokens, lifetime)
            x.entry["auth"] = "ok"
            return await send_body(x, answer, self.handler.spoiler(x))

        return await self.handler.handle(request, "google_token", "token", "bad", serve)


def bearer(request: web.Request, expected: str) -> str:
    """ "ok", "bad" or "missing"."""
    given = request.headers.get("authorization")
    if given is None:
        return "missing"
    return "ok" if given == f"Bearer {expected}" else "bad"


def betas(request: web.Request) -> list[str]:
    """The names in the anthropic-beta headers."""
    return [beta.strip() for value in request.headers.getall("anthropic-beta", []) for beta in value.split(",")]
