"""Signatures on thinking, as the real services make them: each upstream accepts only its own.

The key is fixed, so that a thread survives a restart of the simulator as it survives one of the real service's machines.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

_KEY = b"parley simulated thinking"
_GEMINI_BYPASS = frozenset({"skip_thought_signature_validator", "context_engineering_is_the_way_to_go"})
"""Documented by Google for histories that another model wrote."""


def sign_thinking(text: str) -> str:
    """Claude's signature over a thinking block's text."""
    mac = hmac.new(_KEY, b"anthropic\0" + text.encode(), hashlib.sha256).digest()
    return base64.b64encode(b"\x12sim" + mac).decode()


def thinking_signed(text: str, signature: str) -> bool:
    """True when this simulator signed exactly this text."""
    return hmac.compare_digest(sign_thinking(text).encode(), signature.encode())


def sign_thought(nonce: str) -> str:
    """Gemini's thought signature; `nonce` makes each one different."""
    mac = hmac.new(_KEY, b"gemini\0" + nonce.encode(), hashlib.sha256).digest()[:16]
    return base64.b64encode(b"sim:" + nonce.encode() + b":" + mac).decode()


def thought_signed(signature: str) -> bool:
    """True for a thought signature of this simulator, and for Google's documented placeholders (bare or in base64)."""
    if signature in _GEMINI_BYPASS:
        return True
    try:
        raw = base64.b64decode(signature, validate=True)
    except ValueError:
        return False
    if raw.decode("latin-1") in _GEMINI_BYPASS:
        return True
    if not raw.startswith(b"sim:") or len(raw) < 21:
        return False
    return hmac.compare_digest(sign_thought(raw[4:-17].decode("latin-1")).encode(), signature.encode())
