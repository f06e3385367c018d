"""JSON as clients and upstreams write it, which is not always JSON as parsers like it.

JavaScript writes half of a surrogate pair where a text was cut inside an emoji, and a stream may be cut there. Half of one is kept
while its other half may still come, and is U+FFFD where a text leaves us.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn, cast

import orjson

from conversation.repeated import Repeated

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


def parsed_whole(data: bytes) -> Any:
    """Return the value with no half of a surrogate pair in any text. Raises ValueError for what is no JSON."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return orjson.loads(written(parsed(data)))


def written(value: Any) -> bytes:
    """Return the value as JSON in UTF-8, as deep as it may be nested. Raises ValueError for what cannot be written at all."""
    try:
        return orjson.dumps(value, default=_of_subclass, option=orjson.OPT_PASSTHROUGH_SUBCLASS)
    except orjson.JSONEncodeError:  # a half of a pair, or more than 254 levels
        pass
    try:
        return whole(json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))).encode()
    except (RecursionError, TypeError):
        raise ValueError("nested too deeply, or nothing that JSON has") from None


def _of_subclass(value: object) -> Any:
    """Return the dict, list, text or number that orjson would take it for; of a list that comes again, its JSON of the first time."""
    if isinstance(value, Repeated):
        return orjson.Fragment(value.once("json", lambda: written(list(value))))
    for plain in (dict, list, str, int):
        if isinstance(value, plain):
            return cast("Any", plain)(value)
    raise TypeError


def whole(text: str) -> str:
    """Return the text with halves of pairs side by side made one, and U+FFFD in the place of one alone."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def _refused(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _with_whole_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {whole(key): value for key, value in pairs}
