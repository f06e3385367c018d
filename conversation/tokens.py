"""Estimates of what text and images cost a model's window, without asking anyone.

An estimate has to be safe for every model at once and free to make, so it weighs classes of characters and errs high.
The weights were fitted to three public tokenizers (OpenAI's cl100k_base and o200k_base, Anthropic's claude-v2 one) on Python,
JavaScript, JSON, English prose and short texts in twelve other scripts: they come out 1.1 to 1.6 times the largest of the
three (2.6 for Russian), which leaves room for the newer tokenizers that split more finely.
tests/conversation/test_tokens.py holds the measured counts.
"""

from __future__ import annotations

import base64
import binascii
import math
import struct
from collections.abc import Iterable

# Hundredths of a token per character, by class. One code point beyond ASCII is told apart by how many bytes it takes in UTF-8.
_LETTER, _DIGIT, _SPACE, _NEWLINE, _PUNCTUATION = 28, 80, 14, 65, 100
_TWO_BYTES, _THREE_BYTES, _FOUR_BYTES = 150, 180, 330
_OPAQUE = 85  # random text, such as base64 or a digest, is split into nearly single characters

_LETTERS = bytes(range(ord("A"), ord("Z") + 1)) + bytes(range(ord("a"), ord("z") + 1))
_DIGITS = b"0123456789"
_LEAD_2, _LEAD_3, _LEAD_4 = bytes(range(0xC2, 0xE0)), bytes(range(0xE0, 0xF0)), bytes(range(0xF0, 0xF5))
_RUN_CHARACTERS = _LETTERS + _DIGITS + b"+/_=-"
_RUN_LENGTH = 24
_ONLY_RUNS = bytes(code if code in _RUN_CHARACTERS else 32 for code in range(256))

_MAX_IMAGE_TOKENS = 4784
_MIN_IMAGE_TOKENS = 258


def estimate_tokens(text: str) -> int:
    """Return about how many tokens `text` is, rather too many than too few."""
    data = text.encode("utf-8", "replace")
    runs = (run for run in data.translate(_ONLY_RUNS).split() if len(run) >= _RUN_LENGTH)
    opaque = b"".join(run for run in runs if len(run.translate(None, _DIGITS)) < len(run))
    weight = _weigh(data) - _weigh(opaque) + _OPAQUE * len(opaque) if opaque else _weigh(data)
    return -(-weight // 100)


def _weigh(data: bytes) -> int:
    letters, digits = _count(data, _LETTERS), _count(data, _DIGITS)
    spaces, newlines = _count(data, b" \t"), _count(data, b"\r\n")
    two, three, four = _count(data, _LEAD_2), _count(data, _LEAD_3), _count(data, _LEAD_4)
    others = len(data) - letters - digits - spaces - newlines - 2 * two - 3 * three - 4 * four
    tokens = _LETTER * letters + _DIGIT * digits + _SPACE * spaces + _NEWLINE * newlines + _PUNCTUATION * others
    return tokens + _TWO_BYTES * two + _THREE_BYTES * three + _FOUR_BYTES * four


def _count(data: bytes, wanted: bytes) -> int:
    return len(data) - len(data.translate(None, wanted))


def fair_limit(costs: Iterable[int], room: int) -> float:
    """Return the largest limit under which the costs, each cut to it, fit into the room."""
    ordered = sorted(costs)
    for index, cost in enumerate(ordered):
        left = len(ordered) - index
        if cost * left > room:
            return max(room // left, 0)
        room -= cost
    return math.inf


def image_tokens(size: tuple[int, int] | None) -> int:
    """Return about how many tokens an image of `size` (width, height in pixels) costs; None means unknown, the most.

    Claude charges width x height / 750 and scales down beyond its limit, which is 4,784 tokens on the models with the
    finest sight (https://docs.claude.com/en/docs/build-with-claude/vision). Gemini charges 258 for a tile of 768 pixels,
    GPT-4o at most 1,445: both stay below that.
    """
    if size is None:
        return _MAX_IMAGE_TOKENS
    return max(_MIN_IMAGE_TOKENS, min(_MAX_IMAGE_TOKENS, math.ceil(size[0] * size[1] / 750)))


def image_size(content: str) -> tuple[int, int] | None:
    """Return (width, height) from the header of a base64 PNG, GIF, WebP or JPEG; None when it cannot be told."""
    try:
        # A JPEG may carry a preview of up to 64 KB before its size; the others say it in the first bytes.
        head = base64.b64decode(content[: 4 * 65536], validate=False)
    except (binascii.Error, ValueError):
        return None
    try:
        return _png_gif_webp(head) if head[:2] != b"\xff\xd8" else _jpeg(head)
    except (struct.error, IndexError):
        return None


def _png_gif_webp(head: bytes) -> tuple[int, int] | None:
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        return struct.unpack(">II", head[16:24])
    if head[:6] in (b"GIF87a", b"GIF89a"):
        return struct.unpack("<HH", head[6:10])
    if head[:4] != b"RIFF" or head[8:12] != b"WEBP":
        return None
    if head[12:16] == b"VP8X":
        return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    if head[12:16] == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack("<HH", head[26:30])
    return width & 0x3FFF, height & 0x3FFF


def _jpeg(head: bytes) -> tuple[int, int] | None:
    """Walk the segments to the frame header (ITU T.81, B.2.2), which holds height before width."""
    at = 2
    while head[at] == 0xFF:
        kind, length = head[at + 1], int.from_bytes(head[at + 2 : at + 4], "big")
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", head[at + 5 : at + 9])
            return width, height
        at += 2 + length
    return None
