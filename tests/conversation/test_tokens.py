"""Estimates of tokens, against counts made with real tokenizers."""

from __future__ import annotations

import base64
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversation.tokens import estimate_tokens, image_size, image_tokens

# The largest count of cl100k_base, o200k_base (tiktoken 0.14.0) and Anthropic's claude-v2 tokenizer (tokenizers 0.23.3).
MEASURED = [
    ("code", 'def add(left: int, right: int) -> int:\n    """Return the sum."""\n    return left + right\n', 26),
    ("json", '{"name": "parley", "ports": [8080, 8090], "ok": true, "ratio": 0.25}', 31),
    ("prose", "The quick brown fox jumps over the lazy dog, and nobody is surprised by it any more.", 19),
    (
        "zh",
        "\u4eba\u5de5\u667a\u80fd\u662f\u8ba1\u7b97\u673a\u79d1\u5b66\u7684\u4e00\u4e2a\u5206\u652f\uff0c\u5b83\u4f01"
        "\u56fe\u4e86\u89e3\u667a\u80fd\u7684\u5b9e\u8d28\uff0c\u5e76\u751f\u4ea7\u51fa\u4e00\u79cd\u65b0\u7684\u80fd"
        "\u4ee5\u4eba\u7c7b\u667a\u80fd\u76f8\u4f3c\u7684\u65b9\u5f0f\u505a\u51fa\u53cd\u5e94\u7684\u667a\u80fd\u673a"
        "\u5668\u3002\u8be5\u9886\u57df\u7684\u7814\u7a76\u5305\u62ec\u673a\u5668\u4eba\u3001\u8bed\u8a00\u8bc6\u522b"
        "\u3001\u56fe\u50cf\u8bc6\u522b\u3002",
        91,
    ),
    (
        "ja",
        "\u543e\u8f29\u306f\u732b\u3067\u3042\u308b\u3002\u540d\u524d\u306f\u307e\u3060\u7121\u3044\u3002\u3069\u3053"
        "\u3067\u751f\u308c\u305f\u304b\u3068\u3093\u3068\u898b\u5f53\u304c\u3064\u304b\u306c\u3002\u4f55\u3067\u3082"
        "\u8584\u6697\u3044\u3058\u3081\u3058\u3081\u3057\u305f\u6240\u3067\u30cb\u30e3\u30fc\u30cb\u30e3\u30fc\u6ce3"
        "\u3044\u3066\u3044\u305f\u4e8b\u3060\u3051\u306f\u8a18\u61b6\u3057\u3066\u3044\u308b\u3002",
        81,
    ),
    (
        "ko",
        "\uc778\uacf5\uc9c0\ub2a5\uc740 \uc778\uac04\uc758 \ud559\uc2b5\ub2a5\ub825, \ucd94\ub860\ub2a5\ub825, \uc9c0"
        "\uac01\ub2a5\ub825\uc744 \uc778\uacf5\uc801\uc73c\ub85c \uad6c\ud604\ud558\ub824\ub294 \ucef4\ud4e8\ud130 "
        "\uacfc\ud559\uc758 \uc138\ubd80\ubd84\uc57c \uc911 \ud558\ub098\uc774\ub2e4.",
        68,
    ),
    (
        "ru",
        "\u0418\u0441\u043a\u0443\u0441\u0441\u0442\u0432\u0435\u043d\u043d\u044b\u0439 \u0438\u043d\u0442\u0435\u043b"
        "\u043b\u0435\u043a\u0442 \u2014 \u0441\u0432\u043e\u0439\u0441\u0442\u0432\u043e \u0438\u0441\u043a\u0443"
        "\u0441\u0441\u0442\u0432\u0435\u043d\u043d\u044b\u0445 \u0438\u043d\u0442\u0435\u043b\u043b\u0435\u043a\u0442"
        "\u0443\u0430\u043b\u044c\u043d\u044b\u0445 \u0441\u0438\u0441\u0442\u0435\u043c \u0432\u044b\u043f\u043e\u043b"
        "\u043d\u044f\u0442\u044c \u0442\u0432\u043e\u0440\u0447\u0435\u0441\u043a\u0438\u0435 \u0444\u0443\u043d\u043a"
        "\u0446\u0438\u0438, \u043a\u043e\u0442\u043e\u0440\u044b\u0435 \u0442\u0440\u0430\u0434\u0438\u0446\u0438"
        "\u043e\u043d\u043d\u043e \u0441\u0447\u0438\u0442\u0430\u044e\u0442\u0441\u044f \u043f\u0440\u0435\u0440\u043e"
        "\u0433\u0430\u0442\u0438\u0432\u043e\u0439 \u0447\u0435\u043b\u043e\u0432\u0435\u043a\u0430.",
        77,
    ),
    (
        "ar",
        "\u0627\u0644\u0630\u0643\u0627\u0621 \u0627\u0644\u0627\u0635\u0637\u0646\u0627\u0639\u064a \u0647\u0648 "
        "\u0633\u0644\u0648\u0643 \u0648\u062e\u0635\u0627\u0626\u0635 \u0645\u0639\u064a\u0646\u0629 \u062a\u062a"
        "\u0633\u0645 \u0628\u0647\u0627 \u0627\u0644\u0628\u0631\u0627\u0645\u062c \u0627\u0644\u062d\u0627\u0633"
        "\u0648\u0628\u064a\u0629",
        57,
    ),
    (
        "hi",
        "\u0915\u0943\u0924\u094d\u0930\u093f\u092e \u092c\u0941\u0926\u094d\u0927\u093f\u092e\u0924\u094d\u0924\u093e "
        "\u0915\u0902\u092a\u094d\u092f\u0942\u091f\u0930 \u0935\u093f\u091c\u094d\u091e\u093e\u0928 \u0915\u0940 "
        "\u090f\u0915 \u0936\u093e\u0916\u093e \u0939\u0948",
        58,
    ),
    (
        "th",
        "\u0e1b\u0e31\u0e0d\u0e0d\u0e32\u0e1b\u0e23\u0e30\u0e14\u0e34\u0e29\u0e10\u0e4c\u0e04\u0e37\u0e2d\u0e04\u0e27"
        "\u0e32\u0e21\u0e09\u0e25\u0e32\u0e14\u0e40\u0e17\u0e35\u0e22\u0e21\u0e17\u0e35\u0e48\u0e2a\u0e23\u0e49\u0e32"
        "\u0e07\u0e02\u0e36\u0e49\u0e19",
        71,
    ),
    (
        "de",
        "K\xfcnstliche Intelligenz ist ein Teilgebiet der Informatik, das sich mit der Automatisierung intelligenten Ve"
        "rhaltens befa\xdft. Gr\xf6\xdfe, \xdcbung, Stra\xdfe.",
        44,
    ),
    (
        "el",
        "\u0397 \u03c4\u03b5\u03c7\u03bd\u03b7\u03c4\u03ae \u03bd\u03bf\u03b7\u03bc\u03bf\u03c3\u03cd\u03bd\u03b7 "
        "\u03b5\u03af\u03bd\u03b1\u03b9 \u03ba\u03bb\u03ac\u03b4\u03bf\u03c2 \u03c4\u03b7\u03c2 \u03c0\u03bb\u03b7"
        "\u03c1\u03bf\u03c6\u03bf\u03c1\u03b9\u03ba\u03ae\u03c2",
        63,
    ),
    (
        "emoji",
        "\U0001f600\U0001f389\U0001f469\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466\U0001f1e9\U0001f1ea\U0001f680\U0001f525\u2728",
        37,
    ),
    ("digest", "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824", 42),
    ("base64", "TG9yZW0gaXBzdW0gZG9sb3Igc2l0IGFtZXQsIGNvbnNlY3RldHVyIGFkaXBpc2NpbmcgZWxpdC4=", 54),
    ("minified", "function a(b,c){for(var d=0,e=[];d<b.length;d++)e.push(c(b[d],d));return e}", 40),
]


@pytest.mark.parametrize(("text", "tokens"), [row[1:] for row in MEASURED], ids=[row[0] for row in MEASURED])
def test_an_estimate_is_above_the_real_count_but_not_far(text: str, tokens: int) -> None:
    assert tokens <= estimate_tokens(text) <= 2.8 * tokens


def test_nothing_costs_nothing() -> None:
    assert estimate_tokens("") == 0


@given(st.text(), st.text())
def test_two_texts_on_lines_of_their_own_cost_what_they_cost_alone(one: str, two: str) -> None:
    together = estimate_tokens(f"{one}\n{two}")
    assert abs(together - estimate_tokens(one) - estimate_tokens(two)) <= 2


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_any_text_has_an_estimate(text: str) -> None:
    assert 0 <= estimate_tokens(text) <= 3.3 * len(text) + 1


def png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height) + b"\x08\x06\x00\x00\x00"


def jpeg(width: int, height: int, kind: int = 0xC2) -> bytes:
    preview = b"\xff\xe1" + struct.pack(">H", 40002) + b"\x00" * 40000
    tables = b"\xff\xc4" + struct.pack(">H", 5) + b"\x00" * 3
    return b"\xff\xd8" + preview + tables + b"\xff" + bytes([kind]) + struct.pack(">HBHH", 17, 8, height, width)


def webp(kind: bytes, body: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", 100) + b"WEBP" + kind + struct.pack("<I", 90) + body


IMAGES = {
    "png": png(640, 480),
    "gif87": b"GIF87a" + struct.pack("<HH", 640, 480),
    "gif89": b"GIF89a" + struct.pack("<HH", 640, 480) + b"\x00" * 9,
    "jpeg baseline": jpeg(640, 480, 0xC0),
    "jpeg progressive": jpeg(640, 480),
    "webp lossy": webp(b"VP8 ", b"\x00" * 3 + b"\x9d\x01\x2a" + struct.pack("<HH", 640 | 0x4000, 480)),
    "webp lossless": webp(b"VP8L", b"\x2f" + struct.pack("<I", 639 | 479 << 14)),
    "webp extended": webp(b"VP8X", b"\x00" * 4 + (639).to_bytes(3, "little") + (479).to_bytes(3, "little")),
}


@pytest.mark.parametrize("name", IMAGES)
def test_an_images_size_is_read_from_its_header(name: str) -> None:
    assert image_size(base64.b64encode(IMAGES[name]).decode()) == (640, 480)


@pytest.mark.parametrize(
    "content",
    [b"", b"a", b"no image", png(1, 1)[:20], jpeg(1, 1)[:-4], b"\xff\xd8", b"\xff\xd8\x00\x00", b"RIFF1234WAVE", b"GIF89a\x00"],
)
def test_a_size_that_cannot_be_read_is_unknown(content: bytes) -> None:
    assert image_size(base64.b64encode(content).decode()) is None


@pytest.mark.parametrize("content", ["a", "%%%", "\u00e9"])
def test_what_is_no_base64_has_no_size(content: str) -> None:
    assert image_size(content) is None


@given(st.binary(), st.sampled_from(list(IMAGES.values())), st.integers(0, 40))
def test_no_bytes_make_the_reader_fail(tail: bytes, image: bytes, cut: int) -> None:
    image_size(base64.b64encode(image[:cut] + tail).decode())


def test_an_image_costs_by_its_area_within_bounds() -> None:
    assert image_tokens((1000, 750)) == 1000
    assert image_tokens((1, 1)) == 258
    assert image_tokens((10_000, 10_000)) == image_tokens(None) == 4784
