"""Where a provider is and how one is let in: its address, its credential, and what must not be repeated from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from conversation.errors import NotConfigured, ProviderError
from conversation.json_text import written
from providers._google import GoogleTokens
from providers._http import HttpReply
from providers.base import EmbeddingRoute, ModelInfo, ProviderSpec
from providers.causes import error_for_status, failure
from providers.config import ProviderSettings, why_not_configured


class Upstream:
    """One provider's endpoint and credentials. Nothing in a request changes them."""

    def __init__(self, spec: ProviderSpec, settings: ProviderSettings, tokens: GoogleTokens | None) -> None:
        problem = why_not_configured(spec, settings)
        if problem is not None or (spec.auth == "google" and tokens is None):
            raise NotConfigured(f"{spec.title} is not configured. {problem or ''}".rstrip(), hint=spec.hint)
        self._spec, self._settings, self._tokens = spec, settings, tokens
        self._last_token = ""

    def url(self, model: ModelInfo) -> str:
        """Return the address for a streamed answer of `model`."""
        return self._address(self._spec.path, model)

    def count_url(self, model: ModelInfo) -> str:
        """Return the address that counts the input tokens of a request to `model`."""
        return self._address(self._spec.count_path or "", model)

    def embeddings_url(self, route: EmbeddingRoute, model: ModelInfo) -> str:
        """Return the address that makes vectors."""
        return self._address(route.path, model)

    def _address(self, path: str, model: ModelInfo) -> str:
        filled = path.format(
            project=quote(self._settings.vertex_project or "", safe=":"),
            location=model.location or self._settings.vertex_location,
            model=quote(model.id, safe="@"),
        )
        return self._settings.endpoint(self._spec.name, model.location) + filled

    async def headers(self) -> dict[str, str]:
        """Return the headers of a request, with a credential that is good now. Raises ProviderError when none is to be had."""
        headers = {"content-type": "application/json", "accept": "text/event-stream, application/json", **self._spec.headers}
        if self._tokens is not None and self._spec.auth == "google":
            self._last_token = await self._tokens.token()
            headers["authorization"] = f"Bearer {self._last_token}"
            google = self._settings.google
            if google is not None and google.quota_project_id:
                headers["x-goog-user-project"] = google.quota_project_id
        else:
            headers["authorization"] = f"Bearer {self._settings.keys[self._spec.name].get_secret_value()}"
        return headers

    def renew(self, headers: Mapping[str, str]) -> bool:
        """Take note that the credential of `headers` was refused. Return whether a new one can be had."""
        if self._tokens is None or self._spec.auth != "google":
            return False
        return self._tokens.invalidate(headers["authorization"].removeprefix("Bearer "))

    def content(self, model: ModelInfo, body: Mapping[str, Any]) -> bytes:
        """Return a request's body as it is sent. Raises BadRequest for one that JSON cannot hold."""
        try:
            return written(body)
        except ValueError as error:
            raise failure("invalid_request", f"the request is {error}", provider=model.provider, model=model.id) from None

    async def error(self, model: ModelInfo, reply: HttpReply) -> ProviderError:
        """Return what a reply that is no 200 means."""
        text = await reply.text()
        return error_for_status(model.provider, model.id, reply.status, reply.headers, text, secrets=await self.secrets())

    async def secrets(self) -> tuple[str, ...]:
        """Return what must not appear in any message."""
        return (*self._settings.secrets(), self._last_token) if self._last_token else self._settings.secrets()
