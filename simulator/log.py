"""The log of what arrived: every request with its body, without its credentials, and how it ended."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any, TypedDict

_CREDENTIAL_HEADERS = frozenset({"authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie", "proxy-authorization"})
_CREDENTIAL_QUERY = re.compile(r"(?i)([?&](?:key|access_token|token|api_key)=)[^&]*")

_KEPT = 10_000
"""Entries hold whole bodies: a long-running simulator forgets the oldest ones."""


class LogEntry(TypedDict):
    """One request. Times are time.monotonic() of the simulator's process."""

    seq: int
    provider: str
    route: str
    model: str | None
    method: str
    path: str
    headers: dict[str, str]
    auth: str
    body: Any
    raw_bytes: int
    stream: bool
    at: float
    status: int | None
    error: str | None
    fault: str | None
    prompt: str | None
    """Which of Graphiti's prompts was played: the title of the answer's schema."""
    odd: str | None
    """The kind of odd extraction that it was answered with."""
    ignored: list[str]
    answered: bool
    answered_at: float | None
    disconnected: bool
    disconnected_at: float | None
    in_flight: int


def redact_headers(headers: Mapping[str, str], auth: str) -> dict[str, str]:
    """The headers in lower case, credentials replaced by whether they were right."""
    shown = "ok" if auth == "ok" else "bad"
    out = {key.lower(): value for key, value in headers.items()}
    return {key: f"<credential {shown}>" if key in _CREDENTIAL_HEADERS else value for key, value in out.items()}


class Log:
    """The latest entries since the last reset, and what is in flight now."""

    def __init__(self) -> None:
        self.entries: list[LogEntry] = []
        self.in_flight: dict[str, int] = {}
        self.max_in_flight: dict[str, int] = {}
        self.totals: dict[str, int] = {}
        self._seq = 0

    def open(self, provider: str, route: str, method: str, path: str, headers: Mapping[str, str], auth: str) -> LogEntry:
        """A new entry for a request that has just arrived."""
        self._seq += 1
        now = self.in_flight[provider] = self.in_flight.get(provider, 0) + 1
        self.max_in_flight[provider] = max(now, self.max_in_flight.get(provider, 0))
        self.totals[provider] = self.totals.get(provider, 0) + 1
        entry = LogEntry(
            seq=self._seq, provider=provider, route=route, model=None, method=method, path=_CREDENTIAL_QUERY.sub(r"\1<credential>", path),
            headers=redact_headers(headers, auth), auth=auth, body=None, raw_bytes=0, stream=False, at=time.monotonic(), status=None,
            error=None, fault=None, prompt=None, odd=None, ignored=[], answered=False, answered_at=None, disconnected=False,
            disconnected_at=None, in_flight=now,
        )
        self.entries.append(entry)
        if len(self.entries) > _KEPT:
            del self.entries[: _KEPT // 10]
        return entry

    def close(self, entry: LogEntry) -> None:
        """The request is over, one way or another."""
        self.in_flight[entry["provider"]] -= 1

    def reset(self) -> None:
        """Forget the entries and the totals; what is in flight still counts."""
        self.entries = []
        self.totals = {}
        self.max_in_flight = dict(self.in_flight)
        self._seq = 0
