"""JSON as upstreams write it, which is not always JSON as parsers like it."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

import orjson

_HALF = re.compile(rb"\\u[dD][89a-fA-F]")


def parsed(data: bytes | bytearray | str) -> Any:
    """Return the value, halves of surrogate pairs kept: a text cut into pieces inside an emoji has them at its edges.

    Raises ValueError for what is no JSON; NaN, Infinity and numbers too large are none.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        raw = data.encode(errors="surrogatepass") if isinstance(data, str) else bytes(data)
        if not _HALF.search(raw):
            raise
    try:
        return json.loads(raw.decode(), parse_constant=_refused, object_pairs_hook=_with_whole_keys)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _refused(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _with_whole_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {key.encode(errors="replace").decode(): value for key, value in pairs}
