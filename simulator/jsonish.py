"""Typed looks into JSON of unknown shape."""

from __future__ import annotations

from typing import Any, TypeGuard, cast

Json = dict[str, Any]


def as_dict(value: Any) -> Json | None:
    """The value when it is a JSON object, else None."""
    return cast("Json", value) if isinstance(value, dict) else None


def as_list(value: Any) -> list[Any] | None:
    """The value when it is a JSON array, else None."""
    return cast("list[Any]", value) if isinstance(value, list) else None


def is_number(value: Any) -> TypeGuard[float]:
    """True for a JSON number; JSON's booleans are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def number_or(value: Any, default: float) -> float:
    """The value when it is a JSON number, else the default: a script's figures may be anything, and sums are still made."""
    return value if is_number(value) else default


def is_whole(value: Any) -> TypeGuard[int]:
    """True for a JSON integer."""
    return isinstance(value, int) and not isinstance(value, bool)
