"""What is remembered about providers between requests: breakers, parking, setting aside.

Only a protocol: the state lives in memory/ (one process's, or shared), and is wired at the composition root. Its methods return at
once, so that no request is slower because of them.
"""

from __future__ import annotations

from typing import Literal, Protocol

RefusalCause = Literal["breaker_open", "parked", "set_aside"]

ASIDE_SECONDS = 60.0
LONGEST_PARK_SECONDS = 3600.0
"""A Retry-After beyond an hour parks for an hour: a wrong value must not lose a provider for good."""


class Refusal(Protocol):
    """Why a provider is not asked now, and in how many seconds it may be."""

    @property
    def cause(self) -> RefusalCause: ...
    @property
    def seconds(self) -> float: ...
    @property
    def reason(self) -> str: ...


class Health(Protocol):
    """The record of providers' health. A breaker belongs to a provider's model; parking and setting aside to the provider."""

    def admit(self, provider: str, model: str) -> Refusal | None:
        """Return None when the model may be asked now. Of many callers in the half-open state exactly one is admitted,
        until it settles."""
        ...

    def succeeded(self, provider: str, model: str) -> None:
        """An answer came: the breaker closes."""
        ...

    def failed(self, provider: str, model: str) -> None:
        """A failure that counts: the breaker opens after so many in a row, or at once when this was the probe."""
        ...

    def released(self, provider: str, model: str) -> None:
        """The attempt ended without telling anything (cancelled, a caller's error): a probe's place is free again."""
        ...

    def park(self, provider: str, seconds: float) -> None:
        """The provider asked to be left alone for so long."""
        ...

    def set_aside(self, provider: str, seconds: float, reason: str) -> None:
        """The provider rejects our credentials or account."""
        ...

    def rejected(self, provider: str) -> str | None:
        """Return why the provider is set aside, None when it is not."""
        ...

    def snapshot(self) -> dict[str, str]:
        """Return the reason for each provider that is not healthy now."""
        ...
